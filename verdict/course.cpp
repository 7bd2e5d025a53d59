#include "verdict/course.h"

#include <algorithm>

#include "base/check.h"
#include "crosscheck/checker.h"
#include "crosscheck/hypothesis.h"
#include "model/world/simulation.h"

namespace tscsim::verdict {
namespace {

Span unsigned_span(std::uint64_t value) { return Span::exactly(Wide{value}); }
Span signed_span(std::uint64_t value) { return Span::exactly(Wide{static_cast<std::int64_t>(value)}); }

witness::Interval interval_of(const witness::Witness& value) {
  return witness::WitnessSpace::current().interval(value);
}
constexpr Wide kAll = Wide{1} << 64;

Span unsigned_span(const witness::Witness& value) {
  const witness::Interval seen = interval_of(value);
  return seen.full ? Span{0, kAll} : Span{Wide{seen.lo}, Wide{seen.lo} + seen.width};
}
Span signed_span(const witness::Witness& value) {
  const witness::Interval seen = interval_of(value);
  const Wide lo{static_cast<std::int64_t>(seen.lo)};
  return seen.full ? Span{-kAll / 2, kAll / 2} : Span{lo, lo + seen.width};
}

template <class Num>
struct Readings {
  Num tsc{};
  Num base_ns{};
  bool tsc_clocksource = true;
  bool tsc_unstable = false;
};

template <class Num>
VcpuView view_of(const model::Machine<Num>& machine, const model::Vcpu<Num>& vcpu, const Readings<Num>& now) {
  VcpuView view;
  view.tsc = unsigned_span(machine.guest_tsc(vcpu, now.tsc));
  view.offset = signed_span(vcpu.l1_tsc_offset);
  view.last_seen = unsigned_span(vcpu.last_guest_tsc);
  view.khz = vcpu.virtual_tsc_khz;
  view.ratio = vcpu.l1_tsc_scaling_ratio;
  const bool own_rate = !view.ratio.is_default() || vcpu.tsc_always_catchup;
  view.true_khz = own_rate ? vcpu.virtual_tsc_khz : machine.config().host_khz;
  view.generation = vcpu.this_tsc_generation;
  view.kvmclock = vcpu.page_active();
  view.stopped_pending = vcpu.guest_stopped_request;
  view.timer_mode = vcpu.timer_mode;
  const auto index = static_cast<std::uint64_t>(&vcpu - machine.vcpus().data());
  const std::uint64_t usual = ops::layout::kPvclockPages + index * ops::layout::kPageStride;
  const std::uint64_t place = vcpu.system_time_msr != 0 ? vcpu.page_address() : usual;
  for (const auto& [address, page] : machine.pages())
    if (address == place && page.version != 0) view.page_tsc = unsigned_span(page.tsc_timestamp);
  return view;
}

template <class Num>
VmView view_of(const model::Machine<Num>& machine, const Readings<Num>& now) {
  VmView view;
  for (const auto& vcpu : machine.vcpus()) view.vcpus.push_back(view_of(machine, vcpu, now));
  const auto& vm = machine.vm();
  view.master_clock = vm.use_master_clock;
  view.vetoed =
      vm.backwards_tsc_observed || (machine.config().era.old_msr_vetoes_master_clock && vm.boot_vcpu_runs_old_kvmclock);
  view.tsc_clocksource = now.tsc_clocksource;
  view.tsc_unstable = now.tsc_unstable;
  view.kvmclock = unsigned_span(machine.kvmclock_at(now.tsc, now.base_ns));
  view.last_write = unsigned_span(vm.last_tsc_write);
  view.last_write_base_ns = unsigned_span(vm.last_tsc_nsec);
  view.last_khz = vm.last_tsc_khz;
  view.generation = vm.cur_tsc_generation;
  view.user_set_tsc = vm.user_set_tsc;
  return view;
}

bool executed(const ops::Entry& entry) { return !entry.op.probe && (entry.supported || entry.bracket.tsc.hi != 0); }

// The model keeps every step's time; elsewhere the base clock tells when it was.
Moment moment_of(const ops::Recording& recording, std::size_t index, bool on_time) {
  const ops::Entry& entry = recording.entries[index];
  Moment moment;
  moment.entry = index;
  moment.base_ns = {Wide{entry.bracket.base_ns.lo}, Wide{entry.bracket.base_ns.hi}};
  const Wide zero{recording.header.host(entry.op.host).zero_base_ns};
  moment.at_ns = on_time ? Span::exactly(entry.op.at_ns) : moment.base_ns - Span::exactly(zero);
  return moment;
}

// Runs the program and looks at the machine after each operation.
class Watcher final : public ops::Executor {
 public:
  explicit Watcher(model::SimulatedWorld& world) : world_(world) {}

  const ops::TargetProfile& profile(int host) const override { return world_.profile(host); }
  void start_clock(int host, std::int64_t now_ns, ops::HostHeader& header) override {
    world_.start_clock(host, now_ns, header);
  }
  ops::Entry execute(const ops::Operation& op) override {
    ops::Entry entry = world_.execute(op);
    if (executed(entry)) {
      const auto& machine = world_.machine(op.host);
      rules.emplace_back(machine.story().begin(), machine.story().end());
      Readings<std::uint64_t> now{entry.bracket.tsc.hi, entry.bracket.base_ns.hi, true, false};
      now.tsc_clocksource = world_.clock_state(op.host).tsc_clocksource;
      now.tsc_unstable = world_.clock_state(op.host).tsc_unstable;
      views.push_back(view_of(machine, now));
    }
    return entry;
  }

  std::vector<std::vector<model::Rule>> rules;
  std::vector<VmView> views;

 private:
  model::SimulatedWorld& world_;
};

std::vector<ops::Place> places_of(const ops::Program& program) {
  std::vector<ops::Place> places;
  for (const auto* steps : {&program.setup, &program.timeline})
    for (const ops::Step& step : *steps) places.push_back(step.place);
  return places;
}

}  // namespace

bool Moment::followed(model::Rule rule) const { return std::find(rules.begin(), rules.end(), rule) != rules.end(); }

std::optional<std::size_t> Course::previous_on_host(std::size_t moment) const {
  for (std::size_t i = moment; i > 0; --i)
    if (op(i - 1).host == op(moment).host) return i - 1;
  return std::nullopt;
}

const VmView* Course::before(std::size_t moment) const {
  const auto previous = previous_on_host(moment);
  return previous ? &moments[*previous].after : nullptr;
}

Course follow(const ops::Program& program, std::uint64_t seed) {
  const auto world = model::simulate(program.hosts, program.heuristic);
  Watcher watcher(*world);
  Course course;
  course.recording = ops::run_program(program, watcher, seed);
  course.hosts = program.hosts;
  const std::vector<ops::Place> steps = places_of(program);
  std::size_t step = 0;
  for (std::size_t i = 0; i < course.recording.entries.size(); ++i) {
    const ops::Entry& entry = course.recording.entries[i];
    if (entry.op.probe) continue;
    const ops::Place place = steps[step++];
    if (!executed(entry)) continue;
    Moment moment = moment_of(course.recording, i, true);
    moment.rules = std::move(watcher.rules[course.moments.size()]);
    moment.after = std::move(watcher.views[course.moments.size()]);
    course.moments.push_back(std::move(moment));
    course.places.push_back(place);
  }
  return course;
}

Course follow(ops::Recording recording) {
  Course course;
  const crosscheck::Result found = crosscheck::check(recording);
  crosscheck::retrace(recording, found, [&](crosscheck::Hypothesis& history, std::size_t index) {
    const ops::Entry& entry = recording.entries[index];
    CHECK(static_cast<std::size_t>(entry.op.host) < history.hosts.size());
    const auto& host = history.hosts[static_cast<std::size_t>(entry.op.host)];
    if (!executed(entry) || host.joined_late) return;  // of a VM from before the recording nothing is known
    const witness::WitnessSpace::Scope scope(history.space);
    const ops::Bracket& bracket = entry.bracket;
    const Readings<witness::Witness> now{history.space.unknown(bracket.tsc.lo, bracket.tsc.hi),
                                         history.space.unknown(bracket.base_ns.lo, bracket.base_ns.hi),
                                         host.tsc_clocksource, host.tsc_unstable};
    Moment moment = moment_of(recording, index, false);
    const auto story = host.machine.story();
    moment.rules.assign(story.begin(), story.end());
    moment.after = view_of(host.machine, now);
    course.moments.push_back(std::move(moment));
  });
  if (!found.mismatches.empty())
    course.departure = {found.mismatches.front().entry, found.mismatches.front().explanation};
  course.recording = std::move(recording);
  return course;
}

}  // namespace tscsim::verdict

#include "verdict/course.h"

#include <algorithm>
#include <cerrno>
#include <map>

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
  view.offset_to_first = signed_span(vcpu.l1_tsc_offset - machine.vcpus().front().l1_tsc_offset);
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

// Kernel: Linux v6.12 arch/x86/kvm/x86.c get_kvmclock(). The pair's two numbers are kept apart, so that the clock can be told
// for any other reading as well.
template <class Num>
ClockView clock_of(const model::Machine<Num>& machine, const Readings<Num>& now) {
  const auto& vm = machine.vm();
  ClockView clock;
  clock.host_khz = machine.config().host_khz;
  const bool scales = machine.config().era.get_clock_scales && machine.config().tsc_scaling;
  clock.by_tsc = vm.use_master_clock && machine.config().era.get_clock_tells_stable && !scales;
  if (clock.by_tsc) {
    clock.ns = signed_span(vm.master_kernel_ns + vm.kvmclock_offset);
    clock.tsc = unsigned_span(vm.master_cycle_now);
  } else {
    clock.ns = signed_span(machine.kvmclock_at(now.tsc, now.base_ns) - now.base_ns);
  }
  return clock;
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
  view.kvmclock = clock_of(machine, now);
  view.last_write = unsigned_span(vm.last_tsc_write);
  view.last_write_base_ns = unsigned_span(vm.last_tsc_nsec);
  view.last_khz = vm.last_tsc_khz;
  view.generation = vm.cur_tsc_generation;
  view.user_set_tsc = vm.user_set_tsc;
  return view;
}

// The machine as the moment before left it. What was not touched since is the same, however little is known of it.
template <class Num>
class Before {
 public:
  void compare(const model::Machine<Num>& machine, const Reading& now, Wide lasted_ns, VmView& view) {
    const auto& vm = machine.vm();
    for (std::size_t v = 0; v < view.vcpus.size(); ++v) {
      const Num offset = machine.vcpus()[v].l1_tsc_offset;
      const bool there = v < offsets_.size();
      view.vcpus[v].offset_moved = there ? signed_span(offset - offsets_[v]) : Span::nothing_known();
    }
    view.kvmclock_moved = clock_ ? moved(vm, view, now, lasted_ns) : Span::nothing_known();
    offsets_.clear();
    for (const auto& vcpu : machine.vcpus()) offsets_.push_back(vcpu.l1_tsc_offset);
    clock_ = view.kvmclock;
    ns_ = vm.master_kernel_ns + vm.kvmclock_offset;
    tsc_ = vm.master_cycle_now;
    offset_ = vm.kvmclock_offset;
  }

 private:
  Span moved(const model::VmClock<Num>& vm, const VmView& view, const Reading& now, Wide lasted_ns) const {
    if (same_pair(vm, view)) return {};
    // The bracket's readings of the TSC and of the base clock are not of one instant.
    const Wide apart = view.kvmclock.by_tsc == clock_->by_tsc ? 0 : lasted_ns;
    return view.kvmclock.at(now) - clock_->at(now) + Span{-apart, apart};
  }
  bool same_pair(const model::VmClock<Num>& vm, const VmView& view) const {
    const auto same = [](const Num& a, const Num& b) { return signed_span(a - b) == Span{}; };
    if (view.kvmclock.by_tsc != clock_->by_tsc) return false;
    if (!clock_->by_tsc) return same(vm.kvmclock_offset, offset_);
    return same(vm.master_kernel_ns + vm.kvmclock_offset, ns_) && same(vm.master_cycle_now, tsc_);
  }

  std::vector<Num> offsets_;
  std::optional<ClockView> clock_;
  Num ns_{}, tsc_{}, offset_{};
};

bool executed(const ops::Entry& entry) { return !entry.op.probe && (entry.supported || entry.bracket.tsc.hi != 0); }

// The model keeps every step's time; elsewhere the base clock tells when it was.
Moment moment_of(const ops::Recording& recording, std::size_t index, bool on_time) {
  const ops::Entry& entry = recording.entries[index];
  Moment moment;
  moment.entry = index;
  moment.base_ns = {Wide{entry.bracket.base_ns.lo}, Wide{entry.bracket.base_ns.hi}};
  moment.begin = {Wide{entry.bracket.tsc.lo}, Wide{entry.bracket.base_ns.lo}};
  moment.end = {Wide{entry.bracket.tsc.hi}, Wide{entry.bracket.base_ns.hi}};
  const Wide zero{recording.header.host(entry.op.host).zero_base_ns};
  moment.at_ns = on_time ? Span::exactly(entry.op.at_ns) : moment.base_ns - Span::exactly(zero);
  return moment;
}

// The rules that the operation followed, as its note names them: a Linux guest that finds it has told a story of its own since.
std::vector<model::Rule> rules_of(const std::string& note) {
  std::vector<model::Rule> rules;
  for (std::size_t i = 0; i < static_cast<std::size_t>(model::Rule::count); ++i) {
    const auto rule = static_cast<model::Rule>(i);
    const std::string name(model::info(rule).name);
    for (std::size_t at = note.find(name); at != std::string::npos; at = note.find(name, at + 1)) {
      const bool begins = at == 0 || note[at - 1] == ' ',
                 ends = at + name.size() == note.size() || note[at + name.size()] == ';';
      if (!begins || !ends) continue;
      rules.push_back(rule);
      break;
    }
  }
  return rules;
}

// Whether a Linux guest runs by itself between the operations. It boots and runs on until the VMM stops it: with pause_vm, or,
// as VMMs do before they touch a clock, with the first step of a procedure; then until it is let go on.
class LinuxGuest {
 public:
  bool runs() const { return booted_ && !paused_ && !stands_; }
  std::int32_t host() const { return host_; }

  void take(const ops::Operation& op, bool by_procedure) {
    switch (op.kind) {
      case ops::OpKind::boot_guest:
        booted_ = true;
        host_ = op.host;
        return go_on();
      case ops::OpKind::pause_vm:
        paused_ = true;
        return;
      case ops::OpKind::resume_vm:
        return go_on();
      case ops::OpKind::suspend_guest:
        stands_ = true;
        return;
      case ops::OpKind::load_memory:
        host_ = op.host;
        break;
      default:
        break;
    }
    if (op.host != host_) return;
    if (is_guest_activity(op.kind)) stands_ = false;
    else if (by_procedure || op.kind == ops::OpKind::create_vm) stands_ = true;
  }

 private:
  void go_on() { paused_ = stands_ = false; }

  bool booted_ = false;
  bool paused_ = false;
  bool stands_ = false;
  std::int32_t host_ = 0;
};

// Runs the program and looks at the machine after each operation.
class Watcher final : public ops::Executor {
 public:
  Watcher(model::SimulatedWorld& world, const ops::Program& program) : world_(world) {
    for (const auto* steps : {&program.setup, &program.timeline})
      for (const ops::Step& one : *steps) by_procedure_.push_back(!one.procedure.empty());
  }

  const ops::TargetProfile& profile(int host) const override { return world_.profile(host); }
  void start_clock(int host, std::int64_t now_ns, ops::HostHeader& header) override {
    world_.start_clock(host, now_ns, header);
  }
  ops::Entry execute(const ops::Operation& op) override {
    if (!op.probe) let_guest_run(op.at_ns);
    ops::Entry entry = world_.execute(op);
    if (op.probe) return entry;
    const bool by_procedure = by_procedure_[steps_++];
    if (!executed(entry)) return entry;
    Moment moment;
    moment.rules = rules_of(entry.note);
    moment.end = look(op.host, op.at_ns);
    moment.after = view(op.host, moment.end);
    keep(std::move(moment));
    if (entry.supported) guest_.take(op, by_procedure);
    last_ns_ = op.at_ns;
    if (guest_.runs()) since_ = guest_.host() == op.host ? moments.back().end : look(guest_.host(), op.at_ns);
    return entry;
  }
  // As far as its next tick, so that it has found what was done to its clocks last.
  void end() {
    constexpr std::int64_t kLongestTick_ns = 10'000'000;
    if (last_ns_ < INT64_MAX - kLongestTick_ns) let_guest_run(last_ns_ + kLongestTick_ns);
  }

  std::vector<Moment> moments;    // but for what the entry tells
  std::vector<std::size_t> step;  // of each

 private:
  // An operation that does nothing: the readings of the VMM's own thread.
  Reading look(int host, std::int64_t at_ns) {
    ops::Operation op;
    op.kind = ops::OpKind::bump_vmclock;
    op.host = host;
    op.at_ns = at_ns;
    op.probe = true;
    const ops::Bracket bracket = world_.execute(op).bracket;
    return {Wide{bracket.tsc.hi}, Wide{bracket.base_ns.hi}};
  }
  VmView view(int host, const Reading& at) {
    Readings<std::uint64_t> now{static_cast<std::uint64_t>(at.tsc), static_cast<std::uint64_t>(at.base_ns), true,
                                false};
    now.tsc_clocksource = world_.clock_state(host).tsc_clocksource;
    now.tsc_unstable = world_.clock_state(host).tsc_unstable;
    VmView seen = view_of(world_.machine(host), now);
    before_[host].compare(world_.machine(host), at, 0, seen);
    return seen;
  }
  void keep(Moment moment) {
    moments.push_back(std::move(moment));
    step.push_back(steps_ - 1);
  }
  void let_guest_run(std::int64_t until_ns) {
    if (!guest_.runs() || until_ns <= last_ns_) return;
    Moment moment;
    moment.at_ns = {last_ns_, until_ns};
    moment.begin = since_;
    moment.end = look(guest_.host(), until_ns);
    moment.base_ns = {moment.begin.base_ns, moment.end.base_ns};
    moment.after = view(guest_.host(), moment.end);
    ops::Operation ran;
    ran.kind = ops::OpKind::run;
    ran.host = guest_.host();
    ran.at_ns = last_ns_;
    moment.guest_ran = ran;
    keep(std::move(moment));
  }

  model::SimulatedWorld& world_;
  std::vector<bool> by_procedure_;  // by step
  std::size_t steps_ = 0;
  std::map<int, Before<std::uint64_t>> before_;  // by host
  LinuxGuest guest_;
  std::int64_t last_ns_ = 0;
  Reading since_;
};

std::vector<ops::Place> places_of(const ops::Program& program) {
  std::vector<ops::Place> places;
  for (const auto* steps : {&program.setup, &program.timeline})
    for (const ops::Step& step : *steps) places.push_back(step.place);
  return places;
}

// By step.
std::vector<std::size_t> entries_of(const ops::Recording& recording) {
  std::vector<std::size_t> entries;
  for (std::size_t i = 0; i < recording.entries.size(); ++i)
    if (!recording.entries[i].op.probe) entries.push_back(i);
  return entries;
}

}  // namespace

bool is_guest_activity(ops::OpKind kind) {
  const bool by_vmm = kind == ops::OpKind::pause_vm || kind == ops::OpKind::share_pcpus;
  return kind == ops::OpKind::run || ops::is_guest(kind) || (ops::needs_linux_guest(kind) && !by_vmm);
}

bool Moment::followed(model::Rule rule) const { return std::find(rules.begin(), rules.end(), rule) != rules.end(); }

Span Moment::tsc_at_begin(std::size_t vcpu) const {
  const VcpuView& view = after.vcpus[vcpu];
  return view.tsc - Span::exactly(guest_cycles(view, begin.tsc, end.tsc));
}

Wide guest_cycles(const VcpuView& vcpu, Wide from_tsc, Wide to_tsc) {
  const auto scaled = [&](Wide tsc) { return Wide{model::scale_tsc(static_cast<std::uint64_t>(tsc), vcpu.ratio)}; };
  return scaled(to_tsc) - scaled(from_tsc);
}

Span ClockView::at(const Reading& now) const {
  if (!ns.known() || !tsc.known()) return Span::nothing_known();
  if (!by_tsc) return ns + Span::exactly(now.base_ns);
  const model::TimeScale scale = model::cycles_to_ns(host_khz);
  const auto since = [&](Wide from) {
    const Wide cycles = now.tsc - from;
    const Wide passed{model::scale_delta(static_cast<std::uint64_t>(cycles < 0 ? -cycles : cycles), scale)};
    return cycles < 0 ? -passed : passed;
  };
  return ns + Span{since(tsc.hi), since(tsc.lo)};
}

std::optional<std::size_t> Course::previous_on_host(std::size_t moment) const {
  for (std::size_t i = moment; i > 0; --i)
    if (op(i - 1).host == op(moment).host) return i - 1;
  return std::nullopt;
}

bool Course::by_guest(std::size_t moment) const {
  if (!is_guest_activity(op(moment).kind)) return false;
  return moments[moment].guest_ran || entry(moment).outcome.error != EAGAIN;
}

bool Course::surely_by_guest(std::size_t moment) const {
  return by_guest(moment) && (moments[moment].guest_ran || entry(moment).outcome.error != EINTR);
}

const VmView* Course::before(std::size_t moment) const {
  const auto previous = previous_on_host(moment);
  return previous ? &moments[*previous].after : nullptr;
}

Course follow(const ops::Program& program, std::uint64_t seed) {
  const auto world = model::simulate(program.hosts, program.heuristic);
  Watcher watcher(*world, program);
  Course course;
  course.recording = ops::run_program(program, watcher, seed);
  watcher.end();
  course.hosts = program.hosts;
  const std::vector<ops::Place> places = places_of(program);
  const std::vector<std::size_t> entries = entries_of(course.recording);
  for (std::size_t i = 0; i < watcher.moments.size(); ++i) {
    Moment moment = std::move(watcher.moments[i]);
    const std::size_t step = watcher.step[i];
    if (moment.guest_ran) {
      moment.entry = entries[step];
    } else {
      Moment timed = moment_of(course.recording, entries[step], true);
      timed.begin = timed.end = moment.end;
      timed.rules = std::move(moment.rules);
      timed.after = std::move(moment.after);
      moment = std::move(timed);
    }
    course.moments.push_back(std::move(moment));
    course.places.push_back(places[step]);
  }
  return course;
}

Course follow(ops::Recording recording) {
  Course course;
  const crosscheck::Result found = crosscheck::check(recording);
  std::map<int, Before<witness::Witness>> before;  // by host
  crosscheck::retrace(recording, found, [&](crosscheck::Hypothesis& history, std::size_t index) {
    const ops::Entry& entry = recording.entries[index];
    CHECK(static_cast<std::size_t>(entry.op.host) < history.hosts.size());
    const auto& host = history.hosts[static_cast<std::size_t>(entry.op.host)];
    if (!executed(entry) || host.joined_late) return;  // of a VM from before the recording nothing is known
    const witness::WitnessSpace::Scope scope(history.space);
    const ops::Bracket& bracket = entry.bracket;
    // At the bracket's end, which is not before any reading that KVM made for this operation.
    const Readings<witness::Witness> now{bracket.tsc.hi, bracket.base_ns.hi, host.tsc_clocksource, host.tsc_unstable};
    Moment moment = moment_of(recording, index, false);
    const auto story = host.machine.story();
    moment.rules.assign(story.begin(), story.end());
    moment.after = view_of(host.machine, now);
    before[entry.op.host].compare(host.machine, moment.end, moment.end.base_ns - moment.begin.base_ns, moment.after);
    course.moments.push_back(std::move(moment));
  });
  if (!found.mismatches.empty())
    course.departure = {found.mismatches.front().entry, found.mismatches.front().explanation};
  course.guest_writes = crosscheck::guest_writes(recording);
  course.recording = std::move(recording);
  return course;
}

}  // namespace tscsim::verdict

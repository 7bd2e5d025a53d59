#include "crosscheck/hypothesis.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <set>

#include "base/check.h"
#include "crosscheck/report.h"
#include "model/world/simulation.h"

namespace tscsim::crosscheck {
namespace {

using ops::Field;
using ops::OpKind;

HostHistory& host_of(Hypothesis& h, const ops::Entry& entry) {
  CHECK(static_cast<std::size_t>(entry.op.host) < h.hosts.size());
  return h.hosts[static_cast<std::size_t>(entry.op.host)];
}

model::Machine<Witness>& machine_of(Hypothesis& h, const ops::Entry& entry) { return host_of(h, entry).machine; }

model::Vcpu<Witness>& vcpu_of(model::Machine<Witness>& machine, std::int32_t vcpu) {
  CHECK(static_cast<std::size_t>(vcpu) < machine.vcpus().size());
  return machine.vcpus()[static_cast<std::size_t>(vcpu)];
}

// Compares a value with what the model derives; the space is narrowed by it. False when it is impossible.
bool compare_value(Hypothesis& h, const ops::Entry& entry, std::size_t index, std::string what, const Witness& derived,
                   std::uint64_t observed) {
  const witness::Interval interval = h.space.interval(derived);
  Observation seen{index,    std::move(what), Verdict::exact,
                   observed, interval.lo,     interval.full ? interval.lo - 1 : interval.hi()};
  if (!interval.is_point()) seen.verdict = Verdict::bracketed;
  const bool possible = h.space.observe(derived, observed);
  if (!possible) seen.verdict = Verdict::mismatch;
  h.observations.push_back(seen);
  if (!possible) h.failure = explain(entry, seen, machine_of(h, entry));
  return possible;
}

// KVM's trace events of one entry beside those of the model, which come while it executes the operation.
class TraceComparison final : public model::TraceListener<Witness> {
 public:
  TraceComparison(Hypothesis& hypothesis, HostHistory& here, const ops::Entry& entry, std::size_t index)
      : hypothesis_(hypothesis), here_(here), entry_(entry), index_(index) {
    if (!here.traces.empty()) here.machine.listen(this);
  }
  TraceComparison(const TraceComparison&) = delete;
  TraceComparison& operator=(const TraceComparison&) = delete;
  ~TraceComparison() override { here_.machine.listen(nullptr); }

  void traced(const ops::BasicTraceEvent<Witness>& derived) override {
    if (failed_ || !listened_to(derived.kind)) return;
    const ops::TraceEvent* const seen = next();
    if (seen == nullptr || seen->kind != derived.kind || seen->vcpu != derived.vcpu)
      return fail(event_text(seen), event_text(derived.kind, derived.vcpu));
    taken_ = place_of_next() + 1;
    const auto names = ops::trace_values(derived.kind);
    for (std::size_t i = 0; i < names.size() && !failed_; ++i)
      failed_ =
          !compare_value(hypothesis_, entry_, index_, fmt::format("trace {} {}", ops::name_of(derived.kind), names[i]),
                         derived.values[i], seen->values[i]);
  }

  // What the model makes of the operation is complete. False when it was contradicted.
  bool finish() {
    if (!failed_ && next() != nullptr) fail(event_text(next()), event_text(nullptr));
    return !failed_;
  }

  // A reading that KVM makes between two events lies between their time stamps: both are RDTSC on the pCPU that executes
  // the operation, and the stamp is taken (LFENCE; RDTSC, or RDTSCP) where the tracepoint stands. Kernel: Linux v6.12
  // kernel/trace/ring_buffer.c rb_reserve_next_event(), arch/x86/kernel/trace_clock.c. The model makes its readings and
  // its events in the kernel's order, so this holds for all of them: the offset's reading lies before
  // kvm_write_tsc_offset, the master pair's before kvm_update_master_clock, the page's before kvm_pvclock_update. Of the
  // clocks in ns nothing is learnt.
  ops::Range narrowed(ops::Range tsc) const {
    if (taken_ != 0) tsc.lo = std::max(tsc.lo, entry_.traced[taken_ - 1].tsc);
    if (next() != nullptr) tsc.hi = std::min(tsc.hi, next()->tsc);
    return tsc;
  }

  const ops::TraceEvent* next() const {
    const std::size_t place = place_of_next();
    return place < entry_.traced.size() ? &entry_.traced[place] : nullptr;
  }

 private:
  std::size_t place_of_next() const {
    std::size_t place = taken_;
    while (place < entry_.traced.size() && !listened_to(entry_.traced[place].kind)) ++place;
    return place;
  }
  // On an unstable TSC every vCPU ioctl sets the offset anew, those that the executor itself needs included: how many
  // there are tells nothing about the operation.
  bool listened_to(ops::TraceKind kind) const {
    if (kind == ops::TraceKind::write_tsc_offset && here_.tsc_unstable) return false;
    return std::find(here_.traces.begin(), here_.traces.end(), kind) != here_.traces.end();
  }
  static std::string event_text(ops::TraceKind kind, int vcpu) {
    return vcpu == ops::kVm ? std::string(ops::name_of(kind)) : fmt::format("{} of vcpu {}", ops::name_of(kind), vcpu);
  }
  static std::string event_text(const ops::TraceEvent* event) {
    return event == nullptr ? "no further one" : event_text(event->kind, event->vcpu);
  }
  void fail(const std::string& seen, const std::string& derived) {
    failed_ = true;
    hypothesis_.observations.push_back({index_, "trace event", Verdict::mismatch, 0, 0, 0});
    hypothesis_.failure = explain(entry_, fmt::format("trace event {}", taken_ + 1), seen, derived, here_.machine);
  }

  Hypothesis& hypothesis_;
  HostHistory& here_;
  const ops::Entry& entry_;
  std::size_t index_;
  std::size_t taken_ = 0;  // events compared
  bool failed_ = false;
};

bool of_the_host(model::DelayedWork work) {
  return work == model::DelayedWork::clocksource_falls_away || work == model::DelayedWork::clocksource_left;
}

// Whether it may matter when the work runs.
bool shows(const HostHistory& h, model::DelayedWork work) { return of_the_host(work) || h.pages_are_seen; }

// The host as seen through one entry's bracket.
class BracketedHost final : public model::Host<Witness> {
 public:
  BracketedHost(WitnessSpace& space, HostHistory& history, const ops::Bracket& bracket, const TraceComparison& traces)
      : space_(space), history_(history), bracket_(bracket), traces_(traces) {}

  Witness tsc() override {
    const ops::Range range = traces_.narrowed(bracket_.tsc);
    const Witness reading = space().unknown(range.lo, range.hi);
    // Readings of one operation are ordered in time, on one pCPU.
    if (has_previous_) space().constrain(reading - previous_, 0, bracket_.tsc.hi - bracket_.tsc.lo);
    previous_ = reading;
    has_previous_ = true;
    return reading;
  }
  Witness base_ns() override { return space().unknown(bracket_.base_ns.lo, bracket_.base_ns.hi); }
  Witness run_delay_ns() override {
    const bool measured = bracket_.run_delay_ns != ops::Range{};
    return measured ? space().unknown(bracket_.run_delay_ns.lo, bracket_.run_delay_ns.hi)
                    : space().unknown(0, INT64_MAX);
  }
  Witness realtime_ns() override { return space().unknown(bracket_.realtime_ns.lo, bracket_.realtime_ns.hi); }
  std::optional<model::ClockPair<Witness>> base_pair() override { return pair(&BracketedHost::base_ns); }
  std::optional<model::ClockPair<Witness>> realtime_pair() override { return pair(&BracketedHost::realtime_ns); }
  bool tsc_clocksource() const override { return history_.tsc_clocksource; }
  bool tsc_unstable() const override { return history_.tsc_unstable; }
  void mark_tsc_unstable() override {
    if (history_.tsc_unstable) return;
    history_.tsc_unstable = true;
    if (history_.tsc_clocksource)
      history_.pending.push_back({model::DelayedWork::clocksource_falls_away, bracket_.base_ns.lo});
  }
  bool interrupts_guest() override {
    return !space().choose("delayed: no interrupt takes the guest out after its WRMSR");
  }
  bool deadline_timer_fired(bool) override { return space().choose("delayed: the TSC deadline timer has fired"); }
  // Traces tell that there were such exits, and how many; whether before or after what the guest did is open.
  bool guest_exits_by_itself() override {
    if (traces_.next() == nullptr || traces_.next() == last_exit_before_) return false;
    if (!space().choose("delayed: a fault or an interrupt takes the guest out here")) return false;
    last_exit_before_ = traces_.next();
    return true;
  }
  std::optional<model::DelayedWork> work_during_guest() override {
    auto& pending = history_.pending;
    for (auto item = pending.begin(); item != pending.end(); ++item) {
      if (item->earliest_base_ns > bracket_.base_ns.hi || !shows(history_, item->work)) continue;
      if (space().choose("delayed: a kvmclock update of all vCPUs runs beside the guest")) {
        const model::DelayedWork work = item->work;
        pending.erase(item);
        if (work == model::DelayedWork::clocksource_falls_away) history_.tsc_clocksource = false;
        return work;
      }
    }
    return std::nullopt;
  }
  void schedule(model::DelayedWork work, std::int64_t delay_ns) override {
    const std::uint64_t delay = static_cast<std::uint64_t>(delay_ns);
    // A timer never comes before its delay is over, reckoned from the tick before; nor, since 4.8, from now.
    const std::uint64_t early = history_.machine.config().era.timers_round_up || delay == 0 ? 0 : jiffies().longest_ns;
    history_.pending.push_back(
        {work, history_.least_jiffies_at(bracket_.base_ns.lo) + jiffies().delay(delay).lo - early});
  }
  Witness jiffies_ns() override {
    const std::uint64_t least = history_.least_jiffies_at(bracket_.base_ns.lo);
    const bool behind = least < bracket_.base_ns.lo;
    return (behind ? space().unknown(least, bracket_.base_ns.hi) : base_ns()) - history_.slept_ns;
  }
  // Where between two ticks `now` is, is open: so is the end, by a tick.
  Witness jiffies_past(const Witness& now, std::int64_t delay_ns) override {
    const ops::Range delay = jiffies().delay(static_cast<std::uint64_t>(delay_ns));
    return now + space().unknown(delay.lo + 1, delay.hi + jiffies().longest_ns);
  }

 private:
  WitnessSpace& space() { return space_; }
  const Jiffies& jiffies() const { return history_.jiffies; }
  // Counted at the host's rate, and a thousandth more for what the rate is not.
  std::uint64_t highest_tsc_now() const {
    const auto passed_ns = static_cast<std::int64_t>(bracket_.base_ns.hi - history_.highest_at_base_ns);
    const auto cycles =
        static_cast<__int128>(std::max<std::int64_t>(passed_ns, 0)) * history_.machine.config().host_khz / 1'000'000;
    return history_.highest_tsc + static_cast<std::uint64_t>(cycles + cycles / 1000 + 1);
  }
  std::optional<model::ClockPair<Witness>> pair(Witness (BracketedHost::*clock)()) {
    if (!tsc_clocksource()) return std::nullopt;
    const std::uint64_t highest = highest_tsc_now();
    if (history_.tsc_moved && highest > bracket_.tsc.hi)
      return model::ClockPair<Witness>{(this->*clock)(), space().unknown(bracket_.tsc.lo, highest)};
    const Witness t = tsc();
    return model::ClockPair<Witness>{(this->*clock)(), t};
  }

  WitnessSpace& space_;
  HostHistory& history_;
  const ops::Bracket& bracket_;
  const TraceComparison& traces_;
  const ops::TraceEvent* last_exit_before_ = nullptr;  // an exit that prints nothing is not repeated
  Witness previous_;
  bool has_previous_ = false;
};

// Whether the recording has a page of kvmclock or Hyper-V at any time. One that comes later counts, too: what work that ran
// before asked of a vCPU is served after.
bool has_pages(const ops::Recording& recording) {
  const auto enables = [](const ops::Entry& entry) {
    const ops::Operation& op = entry.op;
    const bool writes = op.kind == OpKind::set_msr || op.kind == OpKind::wrmsr;
    const bool page = op.msr == ops::msr::kKvmSystemTime || op.msr == ops::msr::kKvmSystemTimeNew ||
                      op.msr == ops::msr::kHvReferenceTsc;
    return writes && page && (op.value & 1) != 0;
  };
  return std::any_of(recording.entries.begin(), recording.entries.end(), enables);
}

// Work that KVM put off may have run before this entry; from its due time on, that is open until a page tells. It may
// also run beside the guest (work_during_guest).
void run_due_work(WitnessSpace& space, HostHistory& h, const ops::Entry& entry, BracketedHost& host) {
  const std::vector<Pending> pending = h.pending;
  h.pending.clear();
  for (const Pending& item : pending) {
    const bool may_have_run = item.earliest_base_ns <= entry.bracket.base_ns.hi;
    if (may_have_run && (!shows(h, item.work) || space.choose("delayed: a kvmclock update of all vCPUs has run"))) {
      if (item.work == model::DelayedWork::clocksource_falls_away) h.tsc_clocksource = false;
      h.machine.run_delayed(item.work, host);
    } else {
      h.pending.push_back(item);
    }
  }
}

void note_tsc(HostHistory& h, const ops::Entry& entry) {
  if (entry.bracket.tsc.hi <= h.highest_tsc) return;
  h.highest_tsc = entry.bracket.tsc.hi;
  h.highest_at_base_ns = entry.bracket.base_ns.lo;
}

// The bracket of a jump need not be of the pCPU whose TSC moved.
void note_jump(HostHistory& h, const ops::Entry& entry) {
  h.tsc_moved = true;
  h.jump = entry.bracket.base_ns;
  const auto cycles = static_cast<std::int64_t>(entry.op.value);
  if (cycles > 0) h.highest_tsc += static_cast<std::uint64_t>(cycles);
}

// A worker tells the VMs, which may come late. Whether a VM before this one had the master clock, the recording does not say.
void leave_tsc_clocksource(WitnessSpace& space, HostHistory& h, const ops::Entry& entry) {
  const bool tells = h.machine.had_master_clock() ||
                     (!h.clocksource_left && space.choose("delayed: another VM has had the master clock"));
  h.clocksource_left = true;
  if (tells) h.pending.push_back({model::DelayedWork::clocksource_left, entry.bracket.base_ns.lo});
}

// The bracket's beginning is from before the sleep.
ops::Bracket resume_bracket(const ops::Entry& entry) {
  ops::Bracket bracket = entry.bracket;
  if ((entry.op.flags & ops::suspend_flag::kTscRestarts) != 0) bracket.tsc.lo = 0;
  return bracket;
}

void resume(WitnessSpace& space, HostHistory& h, const ops::Entry& entry, const TraceComparison& traces) {
  h.machine.prepare_suspend();
  h.slept_ns += space.unknown(0, entry.bracket.base_ns.hi - entry.bracket.base_ns.lo);
  const ops::Bracket bracket = resume_bracket(entry);
  std::set<int> cpus = {0};
  for (const auto& vcpu : h.machine.vcpus()) cpus.insert(std::max(vcpu.cpu, 0));
  for (const int cpu : cpus) {
    BracketedHost host(space, h, bracket, traces);
    h.machine.enable_hardware(cpu, host);
  }
}

void happen(WitnessSpace& space, HostHistory& h, const ops::Entry& entry, BracketedHost& host,
            const TraceComparison& traces) {
  const ops::Operation& op = entry.op;
  h.machine.begin_story();
  switch (op.kind) {
    case OpKind::set_clocksource:
      if (op.value != 0 && h.tsc_unstable) break;  // stays away
      if (op.value == 0 && h.tsc_clocksource) leave_tsc_clocksource(space, h, entry);
      h.tsc_clocksource = op.value != 0;
      break;
    case OpKind::mark_tsc_unstable:
      host.mark_tsc_unstable();
      break;
    case OpKind::suspend_host:
      h.highest_tsc = 0;  // cycle_last is what the TSC reads at resume
      resume(space, h, entry, traces);
      break;
    case OpKind::jump_host_tsc:
      note_jump(h, entry);
      break;
    case OpKind::online_pcpu:
      h.machine.enable_hardware(static_cast<int>(op.value), host);
      break;
    default:
      break;
  }
}

// A guest operation that the target could not execute entered the guest all the same.
ops::Operation effective_operation(const ops::Entry& entry) {
  ops::Operation op = entry.op;
  if (!entry.supported) op.kind = OpKind::run;
  return op;
}

// Fields that are a reading and nothing else come first: they pin it for the others.
int observation_order(Field field) {
  switch (field) {
    case Field::host_tsc:
    case Field::tsc:
    case Field::tsc_timestamp:
      return 0;
    default:
      return 1;
  }
}

std::vector<ops::BasicFieldValue<Witness>> in_observation_order(const ops::BasicOutcome<Witness>& derived) {
  std::vector<ops::BasicFieldValue<Witness>> fields(derived.fields.begin(), derived.fields.begin() + derived.count);
  std::stable_sort(fields.begin(), fields.end(), [](const auto& a, const auto& b) {
    return observation_order(a.field) < observation_order(b.field);
  });
  return fields;
}

bool compare_error(Hypothesis& h, const ops::Entry& entry, std::size_t index, int derived) {
  const bool equal = derived == entry.outcome.error;
  if (equal && entry.outcome.count != 0) return true;  // the values speak
  h.observations.push_back({index, "error", equal ? Verdict::exact : Verdict::mismatch,
                            static_cast<std::uint64_t>(entry.outcome.error), static_cast<std::uint64_t>(derived),
                            static_cast<std::uint64_t>(derived)});
  if (!equal) h.failure = explain(entry, h.observations.back(), machine_of(h, entry));
  return equal;
}

// The same where each of vCPU 0's clock updates writes the Hyper-V page (to 5.12).
bool follow_extra_hyperv_pages(model::Machine<Witness>& machine, Field field, const Witness& derived,
                               std::uint64_t observed) {
  if (field != Field::version || machine.vcpus().empty() || !machine.vcpus().front().tsc_always_catchup) return false;
  if (machine.config().era.hyperv_page != model::HypervPageUpdate::every_update || !machine.vm().hyperv.enabled())
    return false;
  const std::uint64_t extra = observed - derived.constant();
  if (derived.constant() == 0 || extra == 0 || extra > 0xffff) return false;
  machine.continue_hyperv_sequence(static_cast<std::uint32_t>(observed));
  return true;
}

// With always-catch-up every exit refreshes the page, also those that no operation causes (faults, interrupts), and on an
// unstable TSC every load of the vCPU does (preemption): the
// version is known from below only. What was seen is then where it goes on from.
bool follow_extra_updates(Hypothesis& h, const ops::Entry& entry, Field field, const Witness& derived,
                          std::uint64_t observed) {
  if (entry.op.kind == OpKind::peek_hyperv_page || entry.op.kind == OpKind::read_hyperv_page)
    return follow_extra_hyperv_pages(machine_of(h, entry), field, derived, observed);
  if (field != Field::version || entry.op.vcpu == ops::kVm || !derived.is_constant()) return false;
  auto& machine = machine_of(h, entry);
  const auto& vcpu = vcpu_of(machine, entry.op.vcpu);
  const std::uint64_t extra = observed - derived.constant();
  const bool exits_count = vcpu.tsc_always_catchup || host_of(h, entry).tsc_unstable;
  if (!exits_count || !vcpu.page_active() || extra == 0 || extra > 0xffff || extra % 2 != 0) return false;
  machine.page_at(vcpu.page_address()).version = static_cast<std::uint32_t>(observed);
  return true;
}

// A thread that waited while it was in KVM_RUN was taken off its CPU there; when it came back the record was renewed once
// more. What was waited is counted all the same, so that only the version is known from below.
bool follow_extra_records(Hypothesis& h, const ops::Entry& entry, Field field, const Witness& derived,
                          std::uint64_t observed) {
  if (field != Field::version || entry.op.kind != OpKind::peek_steal_time) return false;
  HostHistory& here = host_of(h, entry);
  const bool waited = here.waited_in_guest.erase(entry.op.vcpu) != 0;
  const std::uint64_t extra = observed - derived.constant();
  const auto& vcpu = vcpu_of(here.machine, entry.op.vcpu);
  if (!waited || !vcpu.steal_active() || extra == 0 || extra > 0xffff || extra % 2 != 0) return false;
  here.machine.steal_record_at(vcpu.steal_address()).version = static_cast<std::uint32_t>(observed);
  return true;
}

void note_waiting(HostHistory& here, const ops::Entry& entry) {
  if (entry.bracket.run_delay_ns.hi > entry.bracket.run_delay_ns.lo) here.waited_in_guest.insert(entry.op.vcpu);
}

void leave_undecided(Hypothesis& h, std::size_t index, std::string what) {
  h.observations.push_back({index, std::move(what), Verdict::undecided, 0, 0, 0});
}

// A guest of its own ran, and its IA32_TSC_ADJUST was not read: it may have moved its TSC, and nothing tells. What the TSC reads is
// then where it goes on from.
void take_for_guests(Hypothesis& h, const ops::Entry& entry, std::size_t index, std::size_t run, const Witness& derived,
                     std::uint64_t observed, BracketedHost& host) {
  auto& machine = machine_of(h, entry);
  const int vcpu = entry.op.vcpu;
  const Witness moved_by = Witness(observed) - derived;
  const bool tsc = h.space.choose("delayed: the guest has written its TSC, not IA32_TSC_ADJUST");
  if (tsc && entry.op.kind == OpKind::get_msr) machine.guest_write_tsc(vcpu, Witness(observed), host);
  else machine.guest_write_tsc_adjust(vcpu, machine.vcpus()[static_cast<std::size_t>(vcpu)].ia32_tsc_adjust + moved_by);
  leave_undecided(
      h, index,
      fmt::format("whether the guest has written vCPU {}'s TSC, in the KVM_RUN of entry {} at the latest; the VMM "
                  "has not read IA32_TSC_ADJUST, which would tell",
                  vcpu, run));
}

// A TSC that is not where the model has it, for which there may be a reason that the recording does not hold.
bool follow_unseen_write(Hypothesis& h, const ops::Entry& entry, std::size_t index, const Witness& derived,
                         std::uint64_t observed, BracketedHost& host) {
  auto& here = h.hosts[static_cast<std::size_t>(entry.op.host)];
  const bool of_tsc = entry.op.kind == OpKind::get_tsc_offset ||
                      (entry.op.kind == OpKind::get_msr && entry.op.msr == ops::msr::kIa32Tsc);
  if (!here.strange_guest || !of_tsc || h.space.interval(derived).contains(observed)) return false;
  if (const auto run = h.unseen_writes->find(index); run != h.unseen_writes->end()) {
    take_for_guests(h, entry, index, run->second, derived, observed, host);
    return true;
  }
  if (!here.one_reg_unseen) return false;
  here.joined_late = true;  // it may have written anything
  leave_undecided(
      h, index,
      fmt::format("whether the VMM has written vCPU {}'s TSC by KVM_SET_ONE_REG, which this recording does not "
                  "hold; record again with this program",
                  entry.op.vcpu));
  return true;
}

bool compare_field(Hypothesis& h, const ops::Entry& entry, std::size_t index, Field field, const Witness& derived,
                   BracketedHost& host) {
  const std::uint64_t* observed = entry.outcome.find(field);
  if (observed == nullptr) return true;  // recorded by another version of the vocabulary: refused by the reader
  if (follow_unseen_write(h, entry, index, derived, *observed, host)) return true;
  if (follow_extra_records(h, entry, field, derived, *observed) ||
      follow_extra_updates(h, entry, field, derived, *observed)) {
    h.observations.push_back({index, "version", Verdict::bracketed, *observed, derived.constant(), *observed});
    return true;
  }
  return compare_value(h, entry, index, std::string(ops::name_of(field)), derived, *observed);
}

// Pages that another host put aside: a recording whose numbers are out of order has none.
bool carry_memory(Hypothesis& h, HostHistory& here, const ops::Operation& op) {
  if (op.kind == OpKind::save_memory) here.saved = here.machine.memory();
  else if (op.value < h.hosts.size()) here.machine.set_memory(h.hosts[op.value].saved);
  return true;
}

// A new VM takes the place of the one before; what KVM had put off for that one does not come.
void leave_vm(HostHistory& here) {
  std::erase_if(here.pending, [](const Pending& item) { return !of_the_host(item.work); });
  here.waited_in_guest.clear();
}

model::MachineConfig config_for(const ops::Header& header, int host) {
  model::MachineConfig config = model::machine_config(header.host(host).profile);
  if (header.memory_bytes != 0) config.memory_bytes = header.memory_bytes;
  return config;
}

// KVM_SET_ONE_REG reaches MSRs since 6.18.
bool may_miss_one_reg(const ops::Header& header, int host) {
  const auto version = model::KernelVersion::parse(header.host(host).profile.kernel);
  return !header.vmm.empty() && !header.sees_one_reg && version && version->at_least(6, 18);
}

bool looks_at_pages(const ops::Recording& recording) {
  return std::any_of(recording.entries.begin(), recording.entries.end(), [](const ops::Entry& entry) {
    switch (entry.op.kind) {
      case OpKind::peek_pvclock:
      case OpKind::peek_wall_clock:
      case OpKind::peek_hyperv_page:
      case OpKind::peek_steal_time:
      case OpKind::read_pvclock:
      case OpKind::read_hyperv_page:
      case OpKind::save_memory:
        return true;
      default:
        return false;
    }
  });
}

// KVM_RUN that ends with EINTR may have been interrupted before it came to the guest, or after; a vCPU that waits to be
// started never does. EAGAIN says that it was just started, and not entered yet.
bool interrupted(const ops::Entry& entry) {
  return entry.op.kind == OpKind::run && (entry.outcome.error == EINTR || entry.outcome.error == EAGAIN);
}

bool was_not_entered(WitnessSpace& space, const ops::Entry& entry) {
  if (!interrupted(entry)) return false;
  return entry.outcome.error == EAGAIN ||
         !space.choose("delayed: the guest was entered before KVM_RUN was interrupted");
}

// The numbers 0x12 and 0x4b564d01 read the same, and only vCPU 0's use of the older one, which costs the master clock, differs.
std::uint32_t number_used(WitnessSpace& space, const HostHistory& here, const GuestWrite& write) {
  const bool differs = write.msr == ops::msr::kKvmSystemTimeNew && write.vcpu == 0 &&
                       here.machine.config().era.old_msr_vetoes_master_clock;
  if (!differs || space.choose("delayed: the guest has used MSR_KVM_SYSTEM_TIME_NEW")) return write.msr;
  return ops::msr::kKvmSystemTime;
}

// The deadline counts only in its mode, which the guest sets without an MSR.
void perform_guest_write(HostHistory& here, const ops::Operation& op, int pcpu, BracketedHost& host) {
  if (op.msr == ops::msr::kIa32TscDeadline) vcpu_of(here.machine, op.vcpu).timer_mode = ops::timer_mode::kTscDeadline;
  here.machine.perform(op, pcpu, host);
}

// In each KVM_RUN in which a write may have happened it has, or it has not; in the last one it has.
void let_guest_write(Hypothesis& h, HostHistory& here, const ops::Entry& entry, std::size_t index,
                     BracketedHost& host) {
  std::erase_if(h.guest_writes, [&](const GuestWrite& write) {
    if (write.host != entry.op.host || (!write.by_any_vcpu && write.vcpu != entry.op.vcpu)) return false;
    if (index < write.first || index > write.last) return false;
    if (index != write.last && !h.space.choose("delayed: the guest has written an MSR by now")) return false;
    ops::Operation op;
    op.kind = OpKind::wrmsr;
    op.host = write.host;
    op.vcpu = entry.op.vcpu;
    op.msr = number_used(h.space, here, write);
    op.value = write.value;
    perform_guest_write(here, op, entry.pcpu, host);
    h.inferred.push_back({index, op.host, op.vcpu, op.msr, op.value, write.told});
    return true;
  });
}

// Somebody else's KVM_RUN: its guest does what it likes, and a signal may come first.
bool run_strange_guest(Hypothesis& h, HostHistory& here, const ops::Entry& entry, std::size_t index,
                       BracketedHost& host) {
  if (was_not_entered(h.space, entry)) here.machine.visit(entry.op.vcpu, entry.pcpu, host);
  else here.machine.perform(entry.op, entry.pcpu, host);
  let_guest_write(h, here, entry, index, host);
  return interrupted(entry) || compare_error(h, entry, index, 0);
}

}  // namespace

// The lab's machines and the model's keep their clocks to themselves; elsewhere NTP may slew CLOCK_MONOTONIC, by 500 ppm at the
// most (Linux include/linux/timex.h MAXFREQ). HZ is 100 to 1000.
Jiffies::Jiffies(const ops::TargetProfile& profile)
    : known(profile.tick_ns != 0),
      longest_ns(known ? profile.tick_ns : 10'000'000),
      slew_ppm(profile.target == "model" || profile.target.starts_with("lab:") ? 0 : 500) {}

ops::Range Jiffies::delay(std::uint64_t ns) const {
  constexpr std::uint64_t kSecond_ns = 1'000'000'000, kMillion = 1'000'000;
  const std::uint64_t hz = (kSecond_ns + longest_ns / 2) / longest_ns;
  const std::uint64_t whole_ns = ns / kMillion * hz / 1000 * longest_ns;
  const std::uint64_t least = known ? whole_ns : ns - ns / 10'000'000;  // HZ=300 is the farthest off
  const std::uint64_t most = known ? whole_ns : ns;
  return {least - least / kMillion * slew_ppm, most + most / kMillion * slew_ppm};
}

std::uint64_t HostHistory::least_jiffies_at(std::uint64_t base_ns) const {
  return jump && base_ns < jump->hi + jiffies.longest_ns ? std::min(jump->lo, base_ns) : base_ns;
}

bool advance(Hypothesis& h, const ops::Entry& entry, std::size_t index) {
  h.order.push_back(index);
  const WitnessSpace::Scope scope(h.space);
  HostHistory& here = host_of(h, entry);
  note_tsc(here, entry);
  TraceComparison traces(h, here, entry, index);
  BracketedHost host(h.space, here, entry.bracket, traces);
  if (entry.bracket.base_ns.hi != 0) run_due_work(h.space, here, entry, host);
  if (here.strange_guest && !entry.supported && entry.op.kind == OpKind::create_vm) here.joined_late = true;
  if (!entry.supported || here.joined_late) {
    h.observations.push_back({index, std::string(ops::name_of(entry.op.kind)), Verdict::unsupported, 0, 0, 0});
    const bool executed = entry.bracket.tsc.hi != 0;
    if (!executed || here.joined_late || !ops::is_guest(entry.op.kind)) return true;
  }
  const ops::Operation op = effective_operation(entry);
  if (op.kind == OpKind::save_memory || op.kind == OpKind::load_memory) return carry_memory(h, here, op);
  if (ops::is_host_event(op.kind)) {
    if (!compare_error(h, entry, index, 0)) return false;
    happen(h.space, here, entry, host, traces);
    return h.space.consistent();
  }
  if (op.kind == OpKind::create_vm) leave_vm(here);
  if (here.strange_guest && op.kind == OpKind::run)
    return run_strange_guest(h, here, entry, index, host) && h.space.consistent();
  const auto derived = here.machine.perform(op, entry.pcpu, host);
  note_waiting(here, entry);
  if (!traces.finish()) return false;
  if (!entry.supported) return true;
  if (!compare_error(h, entry, index, derived.error)) return false;
  for (const auto& [field, value] : in_observation_order(derived))
    if (!compare_field(h, entry, index, field, value, host)) return false;
  if (!h.space.consistent())
    h.failure = operation_text(entry.op) + "\n  the readings it needs cannot all lie in their brackets";
  return h.space.consistent();
}

HostHistory::HostHistory(const ops::Recording& recording, int host)
    : machine(config_for(recording.header, host)),
      tsc_clocksource(recording.header.host(host).profile.tsc_clocksource),
      tsc_unstable(recording.header.host(host).profile.tsc_unstable),
      traces(recording.header.host(host).profile.traces),
      strange_guest(!recording.header.vmm.empty()),
      pages_are_seen((!traces.empty() || looks_at_pages(recording)) && (strange_guest || has_pages(recording))),
      one_reg_unseen(may_miss_one_reg(recording.header, host)),
      jiffies(recording.header.host(host).profile) {}

Hypothesis::Hypothesis(const ops::Recording& recording)
    : guest_writes(crosscheck::guest_writes(recording)),
      unseen_writes(std::make_shared<std::map<std::size_t, std::size_t>>(readings_after_unseen_writes(recording))) {
  for (int host = 0; host < recording.header.hosts(); ++host) hosts.emplace_back(recording, host);
}

void retrace(const ops::Recording& recording, const Result& found,
             const std::function<void(Hypothesis&, std::size_t)>& visit) {
  Hypothesis history(recording);
  std::map<std::size_t, std::vector<bool>> scripts;
  for (const Answer& answer : found.answers)
    if (answer.question != kOrderQuestion) scripts[answer.entry].push_back(answer.answer);
  for (const std::size_t i : found.order) {
    if (!found.mismatches.empty() && i == found.mismatches.front().entry) return;
    history.space.oracle() = {};
    history.space.oracle().script = scripts[i];
    advance(history, recording.entries[i], i);
    visit(history, i);
  }
}

}  // namespace tscsim::crosscheck

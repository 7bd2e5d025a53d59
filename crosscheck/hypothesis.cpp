#include "crosscheck/hypothesis.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "crosscheck/report.h"

namespace tscsim::crosscheck {
namespace {

using ops::Field;
using ops::OpKind;

// Linux rounds a delay down by up to one tick; ticks are 10 ms at the longest (HZ=100).
constexpr std::uint64_t kTick_ns = 10'000'000;

// Compares a value with what the model derives; the space is narrowed by it. False when it is impossible.
bool compare_value(Hypothesis& h, const ops::Entry& entry, std::size_t index, std::string what, const Witness& derived,
                   std::uint64_t observed) {
  const witness::Interval interval = h.space.interval(derived);
  Observation seen{index, std::move(what), Verdict::exact, observed, interval.lo,
                   interval.full ? interval.lo - 1 : interval.hi()};
  if (!interval.is_point()) seen.verdict = Verdict::bracketed;
  const bool possible = h.space.observe(derived, observed);
  if (!possible) seen.verdict = Verdict::mismatch;
  h.observations.push_back(seen);
  if (!possible) h.failure = explain(entry, seen, h.machine);
  return possible;
}

// KVM's trace events of one entry beside those of the model, which come while it executes the operation.
class TraceComparison final : public model::TraceListener<Witness> {
 public:
  TraceComparison(Hypothesis& hypothesis, const ops::Entry& entry, std::size_t index)
      : hypothesis_(hypothesis), entry_(entry), index_(index) {
    if (!hypothesis.traces.empty()) hypothesis.machine.listen(this);
  }
  TraceComparison(const TraceComparison&) = delete;
  TraceComparison& operator=(const TraceComparison&) = delete;
  ~TraceComparison() override { hypothesis_.machine.listen(nullptr); }

  void traced(const ops::BasicTraceEvent<Witness>& derived) override {
    if (failed_ || !listened_to(derived.kind)) return;
    const ops::TraceEvent* const seen = next();
    if (seen == nullptr || seen->kind != derived.kind || seen->vcpu != derived.vcpu)
      return fail(event_text(seen), event_text(derived.kind, derived.vcpu));
    ++taken_;
    const auto names = ops::trace_values(derived.kind);
    for (std::size_t i = 0; i < names.size() && !failed_; ++i)
      failed_ = !compare_value(hypothesis_, entry_, index_, fmt::format("trace {} {}", ops::name_of(derived.kind), names[i]),
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

  const ops::TraceEvent* next() const { return taken_ < entry_.traced.size() ? &entry_.traced[taken_] : nullptr; }

 private:
  bool listened_to(ops::TraceKind kind) const {
    return std::find(hypothesis_.traces.begin(), hypothesis_.traces.end(), kind) != hypothesis_.traces.end();
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
    hypothesis_.failure = explain(entry_, fmt::format("trace event {}", taken_ + 1), seen, derived, hypothesis_.machine);
  }

  Hypothesis& hypothesis_;
  const ops::Entry& entry_;
  std::size_t index_;
  std::size_t taken_ = 0;  // events compared
  bool failed_ = false;
};

// The host as seen through one entry's bracket.
class BracketedHost final : public model::Host<Witness> {
 public:
  BracketedHost(Hypothesis& hypothesis, const ops::Bracket& bracket, const TraceComparison& traces)
      : hypothesis_(hypothesis), bracket_(bracket), traces_(traces) {}

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
  Witness realtime_ns() override { return space().unknown(bracket_.realtime_ns.lo, bracket_.realtime_ns.hi); }
  std::optional<model::ClockPair<Witness>> base_pair() override { return pair(&BracketedHost::base_ns); }
  std::optional<model::ClockPair<Witness>> realtime_pair() override { return pair(&BracketedHost::realtime_ns); }
  bool tsc_clocksource() const override { return hypothesis_.tsc_clocksource; }
  bool tsc_unstable() const override { return false; }
  bool interrupts_guest() override { return !space().choose("delayed: no interrupt takes the guest out after its WRMSR"); }
  // Traces tell that there were such exits, and how many; whether before or after what the guest did is open.
  bool guest_exits_by_itself() override {
    if (traces_.next() == nullptr || traces_.next() == last_exit_before_) return false;
    if (!space().choose("delayed: a fault or an interrupt takes the guest out here")) return false;
    last_exit_before_ = traces_.next();
    return true;
  }
  std::optional<model::DelayedWork> work_during_guest() override {
    auto& pending = hypothesis_.pending;
    for (auto item = pending.begin(); item != pending.end(); ++item) {
      if (item->earliest_base_ns > bracket_.base_ns.hi) continue;
      if (space().choose("delayed: a kvmclock update of all vCPUs runs beside the guest")) {
        const model::DelayedWork work = item->work;
        pending.erase(item);
        return work;
      }
    }
    return std::nullopt;
  }
  void schedule(model::DelayedWork work, std::int64_t delay_ns) override {
    const std::uint64_t delay = static_cast<std::uint64_t>(delay_ns);
    hypothesis_.pending.push_back({work, bracket_.base_ns.lo + delay - kTick_ns});
  }

 private:
  WitnessSpace& space() { return hypothesis_.space; }
  std::optional<model::ClockPair<Witness>> pair(Witness (BracketedHost::*clock)()) {
    if (!tsc_clocksource()) return std::nullopt;
    const Witness t = tsc();
    return model::ClockPair<Witness>{(this->*clock)(), t};
  }

  Hypothesis& hypothesis_;
  const ops::Bracket& bracket_;
  const TraceComparison& traces_;
  const ops::TraceEvent* last_exit_before_ = nullptr;  // an exit that prints nothing is not repeated
  Witness previous_;
  bool has_previous_ = false;
};

bool any_page_active(const model::Machine<Witness>& machine) {
  return std::any_of(machine.vcpus().begin(), machine.vcpus().end(),
                     [](const auto& vcpu) { return vcpu.page_active(); });
}

// Work that KVM put off may have run before this entry; from its due time on, that is open until a page tells. It may
// also run beside the guest (work_during_guest).
void run_due_work(Hypothesis& h, const ops::Entry& entry, BracketedHost& host) {
  const std::vector<Pending> pending = h.pending;
  h.pending.clear();
  for (const Pending& item : pending) {
    const bool may_have_run = item.earliest_base_ns <= entry.bracket.base_ns.hi;
    const bool visible = any_page_active(h.machine);
    if (may_have_run && (!visible || h.space.choose("delayed: a kvmclock update of all vCPUs has run")))
      h.machine.run_delayed(item.work, host);
    else
      h.pending.push_back(item);
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
  if (!equal) h.failure = explain(entry, h.observations.back(), h.machine);
  return equal;
}

// With always-catch-up every exit refreshes the page, also those that no operation causes (faults, interrupts): the
// version is known from below only. What was seen is then where it goes on from.
bool follow_extra_updates(Hypothesis& h, const ops::Entry& entry, Field field, const Witness& derived, std::uint64_t observed) {
  if (field != Field::version || entry.op.vcpu == ops::kVm || !derived.is_constant()) return false;
  const auto& vcpu = h.machine.vcpus()[static_cast<std::size_t>(entry.op.vcpu)];
  const std::uint64_t extra = observed - derived.constant();
  if (!vcpu.tsc_always_catchup || !vcpu.page_active() || extra == 0 || extra > 0xffff || extra % 2 != 0) return false;
  h.machine.page_at(vcpu.page_address()).version = static_cast<std::uint32_t>(observed);
  return true;
}

bool compare_field(Hypothesis& h, const ops::Entry& entry, std::size_t index, Field field, const Witness& derived) {
  const std::uint64_t* observed = entry.outcome.find(field);
  if (observed == nullptr) return true;  // recorded by another version of the vocabulary: refused by the reader
  if (follow_extra_updates(h, entry, field, derived, *observed)) {
    h.observations.push_back({index, "version", Verdict::bracketed, *observed, derived.constant(), *observed});
    return true;
  }
  return compare_value(h, entry, index, std::string(ops::name_of(field)), derived, *observed);
}

}  // namespace

bool advance(Hypothesis& h, const ops::Entry& entry, std::size_t index) {
  const WitnessSpace::Scope scope(h.space);
  TraceComparison traces(h, entry, index);
  BracketedHost host(h, entry.bracket, traces);
  if (entry.bracket.base_ns.hi != 0) run_due_work(h, entry, host);
  if (!entry.supported) {
    h.observations.push_back({index, std::string(ops::name_of(entry.op.kind)), Verdict::unsupported, 0, 0, 0});
    const bool executed = entry.bracket.tsc.hi != 0;
    if (!executed || !ops::is_guest(entry.op.kind)) return true;
  }
  const ops::Operation op = effective_operation(entry);
  if (op.kind == OpKind::set_clocksource) {
    h.tsc_clocksource = op.value != 0;
    h.machine.notice_clocksource_change(h.tsc_clocksource);
    return true;
  }
  const auto derived = h.machine.perform(op, entry.pcpu, host);
  if (!traces.finish()) return false;
  if (!entry.supported) return true;
  if (!compare_error(h, entry, index, derived.error)) return false;
  for (const auto& [field, value] : in_observation_order(derived))
    if (!compare_field(h, entry, index, field, value)) return false;
  if (!h.space.consistent()) h.failure = operation_text(entry.op) + "\n  the readings it needs cannot all lie in their brackets";
  return h.space.consistent();
}

std::string digest(const Hypothesis& h) {
  const auto& vm = h.machine.vm();
  const auto spell = [&](const Witness& x) { return h.space.spelled(x) + ","; };
  std::string text = fmt::format("{}{}{}{}{}{}{}|", h.tsc_clocksource, vm.use_master_clock, vm.cur_tsc_generation,
                                 vm.nr_vcpus_matched_tsc, vm.user_set_tsc, vm.last_tsc_khz, h.machine.delayed_update_pending());
  for (const Witness* x : {&vm.last_tsc_nsec, &vm.last_tsc_write, &vm.last_tsc_offset, &vm.cur_tsc_nsec,
                           &vm.cur_tsc_write, &vm.cur_tsc_offset, &vm.master_kernel_ns, &vm.master_cycle_now,
                           &vm.kvmclock_offset})
    text += spell(*x);
  for (const auto& v : h.machine.vcpus()) {
    text += fmt::format("|{},{},{},{},{},", v.requests, v.cpu, v.this_tsc_generation, v.guest_stopped_request, v.hw_tsc_khz);
    text += spell(v.l1_tsc_offset) + spell(v.ia32_tsc_adjust) + spell(v.this_tsc_nsec) + spell(v.this_tsc_write);
  }
  for (const auto& [address, page] : h.machine.pages()) {
    text += fmt::format("|{},{},{},", address, page.version, page.flags);
    text += spell(page.tsc_timestamp) + spell(page.system_time);
  }
  for (const Pending& item : h.pending) text += fmt::format("|{}@{}", static_cast<int>(item.work), item.earliest_base_ns);
  return text;
}

}  // namespace tscsim::crosscheck

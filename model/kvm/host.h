// What KVM asks of the host it runs on. Under simulation the answers come from the simulated host at the event's
// time; under cross-check they are unknowns bounded by the bracket that was measured around the real ioctl.
// The machine makes these calls in the order and number in which the kernel reads (docs/spec/kvm-timekeeping.md 14).
#pragma once

#include <cstdint>
#include <optional>

#include "ops/trace_event.h"

namespace tscsim::model {

// A time and the TSC value from which it was computed, taken together under the timekeeper's sequence lock.
template <class Num>
struct ClockPair {
  Num ns{};
  Num tsc{};
};

enum class DelayedWork : std::uint8_t {
  clock_update,            // kvmclock_update_work
  periodic_sync,           // kvmclock_sync_work
  clocksource_left,        // pvclock_gtod_work: VMs are told that the clocksource is not the TSC any more
  clocksource_falls_away,  // an unstable TSC ceases to be the clocksource (clocksource_watchdog_work)
};

// Hears what KVM's tracepoints would print, where and in the order in which they would.
template <class Num>
class TraceListener {
 public:
  virtual ~TraceListener() = default;
  virtual void traced(const ops::BasicTraceEvent<Num>& event) = 0;
};

template <class Num>
class Host {
 public:
  // Whether anyone wants to know by which rules a machine on this host goes, and what it traces.
  static constexpr bool kObserved = true;

  virtual ~Host() = default;
  virtual Num tsc() = 0;      // RDTSC on the pCPU that executes
  virtual Num base_ns() = 0;  // CLOCK_MONOTONIC_RAW + time suspended
  virtual Num realtime_ns() = 0;
  // Empty when the clocksource is not TSC based.
  virtual std::optional<ClockPair<Num>> base_pair() = 0;
  virtual std::optional<ClockPair<Num>> realtime_pair() = 0;
  // How long the vCPU's thread has waited for a CPU in all (current->sched_info.run_delay).
  virtual Num run_delay_ns() = 0;
  virtual bool tsc_clocksource() const = 0;
  virtual bool tsc_unstable() const = 0;
  // mark_tsc_unstable(). The clocksource falls away a little later, as delayed work.
  virtual void mark_tsc_unstable() = 0;
  // Whether an interrupt takes the running guest out of its code now, so that pending requests are served on the way
  // back in. Asked only where the guest would otherwise go on without a full entry.
  virtual bool interrupts_guest() { return false; }
  // Whether the guest leaves and enters once more now, for a page fault, an interrupt, or because its thread is
  // preempted. Asked only where that has consequences: with always-catch-up, and on an unstable TSC, where being loaded
  // again does.
  virtual bool guest_exits_by_itself() { return false; }
  // Whether a TSC deadline has been served, so that it reads 0. Asked only where that is open; `due`: it lies in the past.
  virtual bool deadline_timer_fired(bool due) { return due; }
  // Work put off earlier that runs now, while the guest runs on this CPU; asked around each thing the guest does.
  virtual std::optional<DelayedWork> work_during_guest() { return std::nullopt; }
  // `delay_ns` is of jiffies, as all that schedule_delayed_work() puts off.
  virtual void schedule(DelayedWork work, std::int64_t delay_ns) = 0;
  // What jiffies count, in ns: the base clock without the time asleep. Jiffies are its whole ticks, as far as a tick has
  // counted them.
  virtual Num jiffies_ns() { return base_ns(); }
  // The first jiffies_ns() with more jiffies than `delay_ns`, a whole number of them, above those of `now`. The default
  // is a host whose ticks are a nanosecond long.
  virtual Num jiffies_past(const Num& now, std::int64_t delay_ns) {
    return now + Num(static_cast<std::uint64_t>(delay_ns) + 1);
  }
};

}  // namespace tscsim::model

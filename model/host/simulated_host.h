// A simulated host as a KVM on one of its pCPUs asks it. The class is final: a Machine that is made for it reads the
// clocks without a virtual call.
#pragma once

#include <cstdint>
#include <optional>

#include "model/host/host_clock.h"
#include "model/kvm/era.h"
#include "model/kvm/host.h"
#include "model/mutation.h"
#include "sim/event_queue.h"
#include "sim/time.h"

namespace tscsim::model {

// The host's answers at the simulation's present instant, on one pCPU.
class SimulatedHost final : public Host<std::uint64_t> {
 public:
  static constexpr bool kObserved = false;

  SimulatedHost(HostClock& clock, const Era& era, sim::EventQueue<DelayedWork>& queue)
      : clock_(clock),
        slews_alone_(TSCSIM_MUTATE(boottime_is_raw, era.base_clock != BaseClock::raw, false)),
        slews_in_pairs_(era.base_clock == BaseClock::boottime),
        timers_round_up_(era.timers_round_up),
        queue_(queue) {}

  void run_on(int pcpu, std::uint64_t run_delay_ns = 0) {
    pcpu_ = pcpu;
    run_delay_ns_ = run_delay_ns;
  }

  std::uint64_t tsc() override { return clock_.tsc(pcpu_); }
  std::uint64_t base_ns() override { return clock_.base_ns(pcpu_) + (slews_alone_ ? clock_.slewed_ns() : 0); }
  std::uint64_t realtime_ns() override { return clock_.realtime_ns(); }
  std::uint64_t run_delay_ns() override { return run_delay_ns_; }
  std::optional<ClockPair<std::uint64_t>> base_pair() override {
    auto pair = clock_.base_pair(pcpu_);
    if (pair && slews_in_pairs_) pair->ns += clock_.slewed_ns();
    return pair;
  }
  std::optional<ClockPair<std::uint64_t>> realtime_pair() override { return clock_.realtime_pair(pcpu_); }
  bool tsc_clocksource() const override { return clock_.tsc_clocksource(); }
  bool tsc_unstable() const override { return clock_.tsc_unstable(); }
  void mark_tsc_unstable() override {
    if (clock_.tsc_unstable()) return;
    clock_.mark_tsc_unstable();
    if (clock_.tsc_clocksource()) schedule(DelayedWork::clocksource_falls_away, 0);
  }
  void schedule(DelayedWork work, std::int64_t delay_ns) override {
    const std::int64_t put_off = put_off_ns(delay_ns);
    if (put_off > sim::SimTime::last().ns - clock_.now_ns()) return;  // time ends before that
    queue_.schedule(sim::SimTime{clock_.now_ns()} + put_off, work);
    note_due();
  }
  std::uint64_t jiffies_ns() override { return clock_.jiffies_ns(pcpu_); }
  std::uint64_t jiffies_past(const std::uint64_t& now, std::int64_t delay_ns) override {
    return ticks_past(now, delay_ns);
  }

  // When the next work that was put off is due; the end of time when there is none.
  std::int64_t due_ns() const { return due_ns_; }
  void note_due() { due_ns_ = queue_.next_time().value_or(sim::SimTime::last()).ns; }

 private:
  // From now until the tick at which the timer of schedule_delayed_work() comes. Kernel: Linux v6.12 kernel/time/timer.c
  // calc_index(). Left out: in its outer levels, from 63 jiffies on, the wheel rounds up to more than one.
  std::int64_t put_off_ns(std::int64_t delay_ns) const {
    if (TSCSIM_MUTATE(delay_without_tick, delay_ns == 0, true)) return delay_ns;
    const std::uint64_t past =
        ticks_past(clock_.jiffies_ns(pcpu_), delay_ns) - (timers_round_up_ ? 0 : HostClock::kTick_ns);
    return clock_.when_jiffies(past, pcpu_) - clock_.now_ns();
  }
  static std::uint64_t ticks_past(std::uint64_t now, std::int64_t delay_ns) {
    constexpr std::uint64_t kTick_ns = HostClock::kTick_ns;
    return (now / kTick_ns + static_cast<std::uint64_t>(delay_ns) / kTick_ns + 1) * kTick_ns;
  }

  HostClock& clock_;
  bool slews_alone_, slews_in_pairs_;  // kvmclock's readings follow NTP
  bool timers_round_up_;
  sim::EventQueue<DelayedWork>& queue_;
  int pcpu_ = 0;
  std::int64_t due_ns_ = sim::SimTime::last().ns;
  std::uint64_t run_delay_ns_ = 0;  // of the thread that executes
};

}  // namespace tscsim::model

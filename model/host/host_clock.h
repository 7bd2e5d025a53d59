// A simulated host: pCPUs with a TSC each, and the clocks that its kernel derives from them.
//
// Rates are exact rationals: the TSC counts tsc_khz * (10^9 + tsc_error_ppb) / 10^15 cycles per true nanosecond. The
// kernel believes tsc_khz and turns cycles into nanoseconds with the clocksource's mult and shift, so its raw clock
// carries the TSC's error, as a real one does. With another clocksource the raw clock counts true time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "model/kvm/arithmetic.h"
#include "model/kvm/host.h"
#include "ops/program.h"
#include "sim/time.h"

namespace tscsim::model {

// mult and shift of a clocksource that counts at `khz`.
// Kernel: Linux v6.12 kernel/time/clocksource.c __clocksource_update_freq_scale(), clocks_calc_mult_shift().
struct ClocksourceScale {
  std::uint32_t mult = 0;
  std::uint32_t shift = 0;
};
ClocksourceScale clocksource_scale(std::uint32_t khz);

// An exact rational rate: floor(ns * cycles in 10^15 ns / 10^15), modulo 2^64, without a division.
class TrueRate {
 public:
  void set(std::uint64_t cycles_in_1e15_ns) {
    if (cycles_in_1e15_ns == per_1e15_ns_) return;
    per_1e15_ns_ = cycles_in_1e15_ns;
    const u128 fixed_point = (u128{cycles_in_1e15_ns} << 64) / kNs;
    whole_ = static_cast<std::uint64_t>(fixed_point >> 64);
    fraction_ = static_cast<std::uint64_t>(fixed_point);
  }
  // The fixed-point rate is below the true one by less than 2^-64, so the product is the result or one less; the remainder,
  // below 2 * 10^15, tells.
  std::uint64_t cycles_in(std::uint64_t ns) const {
    const std::uint64_t cycles = ns * whole_ + static_cast<std::uint64_t>(u128{ns} * fraction_ >> 64);
    const std::uint64_t rest = ns * per_1e15_ns_ - cycles * kNs;
    return cycles + (rest >= kNs ? 1 : 0);
  }

 private:
  static constexpr std::uint64_t kNs = 1'000'000'000'000'000;
  std::uint64_t per_1e15_ns_ = 0, whole_ = 0, fraction_ = 0;
};

class HostClock {
 public:
  explicit HostClock(const ops::HostSpec& spec) { restart(spec); }

  // Scenario time 0 of another run. Allocates only for more pCPUs than ever before.
  void restart(const ops::HostSpec& spec);

  // Moves the host to scenario time `now_ns`, which never decreases.
  void advance_to(std::int64_t now_ns) {
    if (now_ns == now_ns_) return;
    now_ns_ = now_ns;
    cycles_now_ = cycles_since_boot(now_ns);
  }
  std::int64_t now_ns() const { return now_ns_; }

  std::uint64_t tsc(int pcpu) const { return cycles_now_ + offset_of(pcpu); }
  std::uint64_t base_ns(int pcpu) const {
    if (tsc_clocksource_) return raw_ns_at(clamped_tsc(pcpu));
    return base_raw_ns_ + static_cast<std::uint64_t>(now_ns_ - base_scenario_ns_);
  }
  std::uint64_t realtime_ns() const;
  // What NTP has made of CLOCK_REALTIME, and of every clock that follows it, since scenario time 0; modulo 2^64.
  std::uint64_t slewed_ns() const;
  // What KVM's copy of the timekeeper gives together; the TSC is never below the timekeeper's last reading.
  std::optional<ClockPair<std::uint64_t>> base_pair(int pcpu) const {
    if (!tsc_clocksource_) return std::nullopt;
    const std::uint64_t tsc = clamped_tsc(pcpu);
    return ClockPair<std::uint64_t>{raw_ns_at(tsc), tsc};
  }
  std::optional<ClockPair<std::uint64_t>> realtime_pair(int pcpu) const;

  // What jiffies count: the base clock without the time asleep. A tick is wherever this is a multiple of kTick_ns.
  std::uint64_t jiffies_ns(int pcpu) const { return base_ns(pcpu) - slept_ns_; }
  // The scenario time at which jiffies_ns(), if nobody touches the clocks meanwhile, has come to `jiffies_ns`; not before now.
  std::int64_t when_jiffies(std::uint64_t jiffies_ns, int pcpu) const;

  static constexpr std::int64_t kTick_ns = 4'000'000;  // HZ=250

  bool tsc_clocksource() const { return tsc_clocksource_; }
  void set_tsc_clocksource(bool tsc);
  bool tsc_unstable() const { return tsc_unstable_; }
  void mark_tsc_unstable() { tsc_unstable_ = true; }
  // Adds cycles to the TSC of one pCPU, or of all (ops::kAllPcpus). A timekeeper that counts the TSC follows it
  // forward; backward it stands still until the TSC has caught up.
  void jump_tsc(int pcpu, std::int64_t cycles);
  // Sleeps and resumes. The raw clock leaves the sleep out, base_ns and CLOCK_REALTIME count it. Throws std::overflow_error
  // when it would wake beyond the end of time (sim::SimTime); the parser has refused that.
  void suspend(std::int64_t for_ns, bool tsc_restarts);
  int pcpus() const { return static_cast<int>(tsc_offsets_.size()); }

 private:
  std::uint64_t cycles_since_boot(std::int64_t scenario_ns) const {
    return rate_.cycles_in(uptime_ns_ + static_cast<std::uint64_t>(scenario_ns));
  }
  std::uint64_t clamped_tsc(int pcpu) const { return std::max(tsc(pcpu), cycle_last()); }
  // The timekeeper's, at the last tick. (These are at multiples of kTick_ns of scenario time.)
  std::uint64_t cycle_last() const {
    const std::int64_t tick_ns = now_ns_ - now_ns_ % kTick_ns;
    if (tick_ns < cycle_last_since_ns_) return least_cycle_last_;
    if (tick_ns != tick_ns_) {
      tick_ns_ = tick_ns;
      cycles_at_tick_ = cycles_since_boot(tick_ns);
    }
    return std::max(least_cycle_last_, cycles_at_tick_ + offset_of(0));
  }
  std::uint64_t offset_of(int pcpu) const { return tsc_offsets_[static_cast<std::size_t>(pcpu)]; }
  std::uint64_t realtime_jump_ns() const;
  void rebase(std::int64_t slept_ns);
  std::uint64_t raw_ns_at(std::uint64_t tsc) const {
    return base_raw_ns_ + static_cast<std::uint64_t>(u128{tsc - base_tsc_} * scale_.mult >> scale_.shift);
  }

  std::uint64_t uptime_ns_ = 0;
  TrueRate rate_;
  std::int64_t realtime_zero_ns_ = 0;  // CLOCK_REALTIME at scenario time 0
  std::int64_t realtime_drift_ppb_ = 0;
  std::vector<std::uint64_t> tsc_offsets_;  // of each pCPU
  std::uint32_t scaled_khz_ = 0;            // for which `scale_` is
  ClocksourceScale scale_;
  bool tsc_clocksource_ = true;
  bool tsc_unstable_ = false;
  std::int64_t now_ns_ = 0;
  std::uint64_t cycles_now_ = 0;      // since boot, at now_ns_
  mutable std::int64_t tick_ns_ = 0;  // of the tick that was asked for last
  mutable std::uint64_t cycles_at_tick_ = 0;
  // The raw clock continues from here since the last change of the clocksource.
  std::uint64_t base_tsc_ = 0;
  std::uint64_t base_raw_ns_ = 0;
  std::uint64_t slept_ns_ = 0;  // in all
  std::int64_t base_scenario_ns_ = 0;
  // The timekeeper's cycle_last is at least this: what it was before the TSC was changed, at `cycle_last_since_ns_`.
  std::uint64_t least_cycle_last_ = 0;
  std::int64_t cycle_last_since_ns_ = 0;
  // How far jumps of the TSC took CLOCK_REALTIME with them: up to the last rebase, and cycles of pCPU 0 since.
  std::uint64_t realtime_jumped_ns_ = 0;  // both modulo 2^64
  std::uint64_t jumped_cycles_ = 0;
};

}  // namespace tscsim::model

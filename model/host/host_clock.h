// A simulated host: pCPUs with a TSC each, and the clocks that its kernel derives from them.
//
// Rates are exact rationals: the TSC counts tsc_khz * (10^9 + tsc_error_ppb) / 10^15 cycles per true nanosecond. The
// kernel believes tsc_khz and turns cycles into nanoseconds with the clocksource's mult and shift, so its raw clock
// carries the TSC's error, as a real one does. With another clocksource the raw clock counts true time.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "model/kvm/arithmetic.h"
#include "model/kvm/host.h"
#include "ops/program.h"

namespace tscsim::model {

// mult and shift of a clocksource that counts at `khz`.
// Kernel: Linux v6.12 kernel/time/clocksource.c __clocksource_update_freq_scale(), clocks_calc_mult_shift().
struct ClocksourceScale {
  std::uint32_t mult = 0;
  std::uint32_t shift = 0;
};
ClocksourceScale clocksource_scale(std::uint32_t khz);

class HostClock {
 public:
  explicit HostClock(const ops::HostSpec& spec) { restart(spec); }

  // Scenario time 0 of another run. Allocates only for more pCPUs than ever before.
  void restart(const ops::HostSpec& spec);

  // Moves the host to scenario time `now_ns`, which never decreases.
  void advance_to(std::int64_t now_ns) { now_ns_ = now_ns; }
  std::int64_t now_ns() const { return now_ns_; }

  std::uint64_t tsc(int pcpu) const;
  std::uint64_t base_ns(int pcpu) const;
  std::uint64_t realtime_ns() const;
  // What NTP has made of CLOCK_REALTIME, and of every clock that follows it, since scenario time 0; modulo 2^64.
  std::uint64_t slewed_ns() const;
  // What KVM's copy of the timekeeper gives together; the TSC is never below the timekeeper's last reading.
  std::optional<ClockPair<std::uint64_t>> base_pair(int pcpu) const;
  std::optional<ClockPair<std::uint64_t>> realtime_pair(int pcpu) const;

  bool tsc_clocksource() const { return tsc_clocksource_; }
  void set_tsc_clocksource(bool tsc);
  bool tsc_unstable() const { return tsc_unstable_; }
  void mark_tsc_unstable() { tsc_unstable_ = true; }
  // Adds cycles to the TSC of one pCPU, or of all (ops::kAllPcpus). A timekeeper that counts the TSC follows it
  // forward; backward it stands still until the TSC has caught up.
  void jump_tsc(int pcpu, std::int64_t cycles);
  // Sleeps and resumes. The raw clock leaves the sleep out, base_ns and CLOCK_REALTIME count it.
  void suspend(std::int64_t for_ns, bool tsc_restarts);
  int pcpus() const { return static_cast<int>(tsc_offsets_.size()); }

 private:
  std::uint64_t cycles_since_boot(std::int64_t scenario_ns) const;
  std::uint64_t clamped_tsc(int pcpu) const;
  std::uint64_t cycle_last() const;
  std::uint64_t offset_of(int pcpu) const { return tsc_offsets_[static_cast<std::size_t>(pcpu)]; }
  std::int64_t realtime_jump_ns() const;
  void rebase(std::int64_t slept_ns);
  std::uint64_t raw_ns_at(std::uint64_t tsc) const;

  std::uint64_t uptime_ns_ = 0;
  std::uint64_t cycles_in_1e15_ns_ = 0;  // the true rate
  std::int64_t realtime_zero_ns_ = 0;    // CLOCK_REALTIME at scenario time 0
  std::int64_t realtime_drift_ppb_ = 0;
  std::vector<std::uint64_t> tsc_offsets_;  // of each pCPU
  std::uint32_t scaled_khz_ = 0;            // for which `scale_` is
  ClocksourceScale scale_;
  bool tsc_clocksource_ = true;
  bool tsc_unstable_ = false;
  std::int64_t now_ns_ = 0;
  // The raw clock continues from here since the last change of the clocksource.
  std::uint64_t base_tsc_ = 0;
  std::uint64_t base_raw_ns_ = 0;
  std::int64_t base_scenario_ns_ = 0;
  // The timekeeper's cycle_last is at least this: what it was before the TSC was changed, at `cycle_last_since_ns_`.
  std::uint64_t least_cycle_last_ = 0;
  std::int64_t cycle_last_since_ns_ = 0;
  // How far jumps of the TSC took CLOCK_REALTIME with them: up to the last rebase, and cycles of pCPU 0 since.
  std::int64_t realtime_jumped_ns_ = 0;
  std::int64_t jumped_cycles_ = 0;
};

}  // namespace tscsim::model

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
  explicit HostClock(const ops::HostSpec& spec);

  // Moves the host to scenario time `now_ns`, which never decreases.
  void advance_to(std::int64_t now_ns) { now_ns_ = now_ns; }
  std::int64_t now_ns() const { return now_ns_; }

  std::uint64_t tsc(int pcpu) const;
  std::uint64_t base_ns(int pcpu) const;
  std::uint64_t realtime_ns() const;
  // What KVM's copy of the timekeeper gives together; the TSC is never below the timekeeper's last reading.
  std::optional<ClockPair<std::uint64_t>> base_pair(int pcpu) const;
  std::optional<ClockPair<std::uint64_t>> realtime_pair(int pcpu) const;

  bool tsc_clocksource() const { return tsc_clocksource_; }
  void set_tsc_clocksource(bool tsc);
  bool tsc_unstable() const { return spec_.tsc_unstable; }
  int pcpus() const { return static_cast<int>(spec_.pcpus.size()); }

 private:
  std::uint64_t cycles_since_boot(std::int64_t scenario_ns) const;
  std::uint64_t clamped_tsc(int pcpu) const;
  std::uint64_t raw_ns_at(std::uint64_t tsc) const;

  ops::HostSpec spec_;
  ClocksourceScale scale_;
  bool tsc_clocksource_;
  std::int64_t now_ns_ = 0;
  // The raw clock continues from here since the last change of the clocksource.
  std::uint64_t base_tsc_ = 0;
  std::uint64_t base_raw_ns_ = 0;
  std::int64_t base_scenario_ns_ = 0;
};

}  // namespace tscsim::model

// A clocksource as the guest registers it: a free-running counter, the (mult, shift) pair that turns its cycles into
// nanoseconds, and the limits up to which that conversion is meant to be used. Spec: docs/spec/linux-guest.md 4.1.
#pragma once

#include <cstdint>

namespace tscsim::model::guest {

inline constexpr std::uint64_t kNsPerSecond = 1'000'000'000;

// ns = (cycles * mult) >> shift.
struct MultShift {
  std::uint32_t mult = 0;
  std::uint32_t shift = 0;
  friend bool operator==(const MultShift&, const MultShift&) = default;
};

// The most precise pair from counts at `from` to counts at `to` that still holds `max_seconds` in 64 bits.
// Kernel: Linux v6.12 kernel/time/clocksource.c clocks_calc_mult_shift().
MultShift mult_shift_for(std::uint32_t from, std::uint32_t to, std::uint32_t max_seconds);

struct Clocksource {
  std::uint32_t mult = 0;
  std::uint32_t shift = 0;
  std::uint32_t maxadj = 0;  // by how much NTP may move mult
  std::uint64_t mask = 0;
  std::uint32_t freq = 0;  // in units of `scale` Hz
  std::uint32_t scale = 0;
  std::uint64_t seconds = 0;        // for which mult and shift were chosen
  std::uint64_t max_cycles = 0;     // a larger difference may overflow
  std::uint64_t max_idle_ns = 0;    // so long the kernel lets the counter alone
  std::uint64_t max_raw_delta = 0;  // 7/8 of the mask: a larger difference is taken for backward motion (6.13)
};

// Kernel: Linux v6.12 kernel/time/clocksource.c __clocksource_update_freq_scale(), clocks_calc_max_nsecs().
Clocksource register_clocksource(std::uint32_t freq, std::uint32_t scale, std::uint64_t mask = ~std::uint64_t{0});
inline Clocksource register_hz(std::uint32_t hz) { return register_clocksource(hz, 1); }
inline Clocksource register_khz(std::uint32_t khz) { return register_clocksource(khz, 1000); }

// Limits up to 4.0: a power of two, and 7/8 of the time instead of half of it.
// Kernel: Linux v3.10 kernel/time/clocksource.c clocksource_max_deferment().
struct OldLimits {
  std::uint64_t max_cycles = 0;
  std::uint64_t max_idle_ns = 0;
};
OldLimits old_limits(const Clocksource& clock);

// From which difference on a product of 64 bits is wrong, and by how much.
struct OverflowLimits {
  std::uint64_t first_wrapping = 0;       // cycles: unsigned, above a whole second
  std::uint64_t first_wrapping_late = 0;  // likewise, at the very end of a second
  std::uint64_t first_negative = 0;       // cycles: signed
  std::uint64_t wrap_ns = 0;              // a wrapped product is too small by this
};
OverflowLimits overflow_limits(const Clocksource& clock);

}  // namespace tscsim::model::guest

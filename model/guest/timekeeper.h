// The guest's timekeeper: the base that the tick keeps, and the product that a read adds to it.
// Spec: docs/spec/linux-guest.md 4.2 to 4.6.
#pragma once

#include <cstdint>

#include "model/guest/clocksource.h"
#include "model/guest/era.h"

namespace tscsim::model::guest {

// How far a clocksource has advanced since `last`: modulo its mask, and 0 for what the era takes for backward motion.
// Kernel: Linux v6.12 kernel/time/timekeeping_internal.h clocksource_delta().
std::uint64_t clocksource_delta(const Clocksource& clock, BackwardStep rule, std::uint64_t now, std::uint64_t last);

// (delta * mult + base) >> shift as the era computes it; `base` in shifted nanoseconds. The 64 bits are signed: in the
// signed era, and where backward steps are accepted, the result may be negative.
// Kernel: Linux v6.12 kernel/time/timekeeping.c timekeeping_cycles_to_ns(), v4.4 timekeeping_delta_to_ns().
struct ReadRule {
  ReadArithmetic arithmetic = ReadArithmetic::exact;
  BackwardStep backward = BackwardStep::seven_eighths;
  bool caps_at_max_cycles = false;  // CONFIG_DEBUG_TIMEKEEPING, 4.4 to 6.8
};
std::int64_t read_ns(const Clocksource& clock, ReadRule rule, std::uint64_t delta, std::uint64_t base);

// What a vDSO read adds to, and returns: nanoseconds. A counter that only counts in 63 bits is cut by the vDSO itself.
// Kernel: Linux v6.12 lib/vdso/gettimeofday.c vdso_calc_ns(), v4.4 arch/x86/entry/vdso/vclock_gettime.c vgetsns().
std::uint64_t vdso_ns(const Clocksource& clock, VdsoDelta rule, std::uint64_t cycles, std::uint64_t cycle_last,
                      std::uint64_t base);

// getnstimeofday() of the signed era: a negative product goes into a loop that subtracts seconds, as an unsigned number.
// Kernel: Linux v4.4 kernel/time/timekeeping.c __getnstimeofday64(), include/linux/time64.h timespec64_add_ns().
struct SecondsLoop {
  std::int64_t ns = 0;  // what the read gave
  std::uint64_t iterations = 0;
  std::uint32_t seconds_added = 0;  // the loop counts in 32 bits
  std::uint64_t nsec = 0;
};
SecondsLoop getnstimeofday_loop(const Clocksource& clock, std::uint64_t delta);

// The part of struct timekeeper that the tick moves.
struct TickBase {
  std::uint64_t cycle_last = 0;
  std::uint64_t sec = 0;
  std::uint64_t xtime_nsec = 0;  // shifted nanoseconds, below a second
  friend bool operator==(const TickBase&, const TickBase&) = default;
};

// Cycles of one tick. Kernel: tk_setup_internals().
std::uint64_t cycle_interval(const Clocksource& clock, std::uint32_t hz);

// Adds to the base all whole ticks of `offset` cycles. Returns how often the kernel's loop goes round; it is the kernel's
// only cost, so a number that no guest survives is found here without going round.
// Kernel: Linux v6.12 kernel/time/timekeeping.c timekeeping_advance(), logarithmic_accumulation().
std::uint64_t accumulate(const Clocksource& clock, std::uint32_t hz, std::uint64_t offset, TickBase& base);

// The native scheduler clock: ns = offset + ((tsc * mult) >> shift). docs/spec/linux-guest.md 4.1.
// Kernel: Linux v6.12 arch/x86/kernel/tsc.c __set_cyc2ns_scale().
struct Cyc2Ns {
  MultShift scale;
  std::uint64_t offset = 0;
  std::uint64_t at(std::uint64_t tsc) const;
};
Cyc2Ns cyc2ns_for(std::uint32_t khz, std::uint64_t tsc, std::uint64_t ns);

}  // namespace tscsim::model::guest

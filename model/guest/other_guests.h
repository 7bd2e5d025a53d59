// Guests other than Linux, as far as their clock reads go. Spec: docs/spec/linux-guest.md 8.
#pragma once

#include <cstdint>

namespace tscsim::model::guest {

// Windows, and Linux on Hyper-V's enlightenments: reference time from the TSC page, in units of 100 ns.
// Source: Linux v7.1 include/clocksource/hyperv_timer.h hv_read_tsc_page_tsc().
std::uint64_t reference_time(std::uint64_t tsc, std::uint64_t scale, std::uint64_t offset);

// FreeBSD's timecounters count in 32 bits, so a jump is seen modulo 2^32 ticks, and a step back as one forward.
// Source: FreeBSD sys/kern/kern_tc.c tc_windup(), sys/dev/kvm_clock/kvm_clock.c.
struct TimecounterStep {
  std::uint32_t ticks = 0;
  std::uint64_t observed_ns = 0;
};
TimecounterStep timecounter_step(std::uint64_t hz, std::int64_t jump_ns);

}  // namespace tscsim::model::guest

// The detectors that a jump of time sets off. Spec: docs/spec/linux-guest.md 5.
#pragma once

#include <cstdint>

namespace tscsim::model::guest {

inline constexpr int kLockupThreshold = 10;                       // kernel.watchdog_thresh
inline constexpr std::uint64_t kLockupPeriod_ns = 4'000'000'000;  // two fifths of it
inline constexpr std::uint64_t kRcuStall_s = 21;                  // CONFIG_RCU_CPU_STALL_TIMEOUT
inline constexpr std::uint64_t kHungTask_s = 120;                 // CONFIG_DEFAULT_HUNG_TASK_TIMEOUT

// The soft lockup detector counts in units of 2^30 ns.
constexpr std::uint64_t lockup_units(std::uint64_t ns) { return ns >> 30; }

struct LockupReport {
  bool stuck = false;
  std::uint64_t seconds = 0;  // as it is printed: units
};
// Kernel: Linux v6.12 kernel/watchdog.c is_softlockup().
LockupReport soft_lockup(std::uint64_t touched_ns, std::uint64_t now_ns, int threshold = kLockupThreshold);

}  // namespace tscsim::model::guest

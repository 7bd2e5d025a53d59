// The clocksource watchdog: one clock judges another by how far both went since the last look.
// Spec: docs/spec/linux-guest.md 3.2 to 3.6.
#pragma once

#include <cstdint>

#include "model/guest/clocksource.h"
#include "model/guest/timekeeper.h"

namespace tscsim::model::guest {

// Reads of the watched clocksource and of the one that watches, taken together.
struct WatchdogSample {
  std::uint64_t cs = 0;
  std::uint64_t wd = 0;
};

enum class WatchdogVerdict : std::uint8_t {
  ok,
  unstable,
  skipped,    // the interval is above a second (6.8)
  reference,  // too long to judge: only a new reference is taken (7.1)
};

struct WatchdogJudgement {
  WatchdogVerdict verdict{};
  std::uint64_t wd_ns = 0;
  std::uint64_t cs_ns = 0;
  std::uint64_t threshold_ns = 0;  // 0: it is not judged
  std::int64_t skew_ns() const { return static_cast<std::int64_t>(cs_ns - wd_ns); }
};

// How far off `cs` and `wd` may be together (5.14 to 7.0), or a fixed bound before. 7.1 asks for the interval.
// Kernel: Linux v6.12 kernel/time/clocksource.c clocksource_watchdog(), __clocksource_update_freq_scale().
std::uint64_t watchdog_threshold(const GuestEra& era, const Clocksource& cs, const Clocksource& wd);
inline constexpr std::uint64_t kEarlyTscMargin_ns = 32'000'000;  // of tsc-early, 5.14 to 7.0

// `window_ns` is how long the reads took (7.1). Undisturbed reads otherwise. `calibrated`: both clocks' rates were measured or are
// known for certain, as hpet's, acpi_pm's and a refined TSC's; one that came from kvmclock is neither (7.1).
// Kernel: Linux v6.12 kernel/time/clocksource.c clocksource_watchdog(); v7.1 watchdog_check_freq().
WatchdogJudgement judge(const GuestEra& era, const Clocksource& cs, const Clocksource& wd, const WatchdogSample& last,
                        const WatchdogSample& now, std::uint64_t window_ns = 0, bool calibrated = false);

// Which clocksource watches which; what of the machine decides that the TSC need not be watched.
struct WatchdogFacts {
  bool reliable = false;       // tsc=reliable, or a CPU flag
  bool nowatchdog = false;     // tsc=nowatchdog
  bool watchdog = false;       // tsc=watchdog (7.1: watched all the same)
  bool invariant_tsc = false;  // CONSTANT_TSC and NONSTOP_TSC
  bool tsc_adjust = true;
  int nodes = 1;  // with memory
  int packages = 1;
};
// Kernel: Linux v6.12 arch/x86/kernel/tsc.c check_system_tsc_reliable(), tsc_init().
bool tsc_is_exempt(const GuestEra& era, const WatchdogFacts& facts);

}  // namespace tscsim::model::guest

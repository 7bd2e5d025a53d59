#include "model/guest/watchdog.h"

#include <algorithm>

#include "model/mutation.h"
#include "sim/wide.h"

namespace tscsim::model::guest {
namespace {

constexpr std::uint64_t kSixteenth_ns = kNsPerSecond >> 4;
constexpr std::uint64_t kLongest_ns = kNsPerSecond;  // 6.8: above, the interval is passed over

std::uint64_t margin(const GuestEra& era, const Clocksource& clock) {
  const std::uint32_t hz = clock.scale * clock.freq;  // in 32 bits, as the kernel computes it
  return std::max(hz == 0 ? 0 : kNsPerSecond / hz,
                  TSCSIM_MUTATE(guest_margin_floor_100us, era.margin_floor_ns, 100'000));
}

std::uint64_t interval_ns(const GuestEra& era, const Clocksource& clock, std::uint64_t now, std::uint64_t last) {
  const std::uint64_t delta = clocksource_delta(clock, era.backward, now, last);
  if (era.watchdog_exact_ns && delta > clock.max_cycles) return sim::mul_shift_right(delta, clock.mult, clock.shift);
  return (delta * clock.mult) >> clock.shift;
}

}  // namespace

std::uint64_t watchdog_threshold(const GuestEra& era, const Clocksource& cs, const Clocksource& wd) {
  if (era.watchdog == WatchdogRule::sixteenth_of_a_second) return kSixteenth_ns;
  return margin(era, cs) + TSCSIM_MUTATE(guest_margin_of_one_clock, margin(era, wd), 0);
}

WatchdogJudgement judge(const GuestEra& era, const Clocksource& cs, const Clocksource& wd, const WatchdogSample& last,
                        const WatchdogSample& now, std::uint64_t window_ns, bool calibrated) {
  WatchdogJudgement out;
  out.wd_ns = interval_ns(era, wd, now.wd, last.wd);
  out.cs_ns = interval_ns(era, cs, now.cs, last.cs);
  const std::uint64_t longest = std::max(out.wd_ns, out.cs_ns);
  const std::uint64_t off = longest - std::min(out.wd_ns, out.cs_ns);
  if (era.watchdog == WatchdogRule::relative) {
    if (longest > cs.max_idle_ns || longest > wd.max_idle_ns) {
      out.verdict = WatchdogVerdict::reference;
      return out;
    }
    const int bits = calibrated ? 11 : 8;
    out.threshold_ns = (longest >> TSCSIM_MUTATE(guest_relative_bits, bits, bits + 3)) + window_ns;
    out.verdict = off < out.threshold_ns ? WatchdogVerdict::ok : WatchdogVerdict::unstable;
    return out;
  }
  out.threshold_ns = watchdog_threshold(era, cs, wd);
  const bool too_long =
      TSCSIM_MUTATE(guest_long_interval_judged, era.watchdog == WatchdogRule::margins_below_a_second, false) &&
      longest > kLongest_ns;
  if (too_long) out.verdict = WatchdogVerdict::skipped;
  else out.verdict = off > out.threshold_ns ? WatchdogVerdict::unstable : WatchdogVerdict::ok;
  return out;
}

bool tsc_is_exempt(const GuestEra& era, const WatchdogFacts& facts) {
  if (era.watchdog == WatchdogRule::relative && facts.watchdog) return false;
  if (facts.reliable) return true;
  if (era.exemption == WatchdogExemption::reliable_only) return false;
  if (facts.nowatchdog) return true;
  if (!TSCSIM_MUTATE(guest_exempt_without_invariant, facts.invariant_tsc, true) || !facts.tsc_adjust) return false;
  switch (era.exemption) {
    case WatchdogExemption::two_nodes:
      return facts.nodes <= 2;
    case WatchdogExemption::four_nodes:
      return facts.nodes <= 4;
    case WatchdogExemption::four_packages:
      return facts.packages <= 4;
    default:
      return false;
  }
}

}  // namespace tscsim::model::guest

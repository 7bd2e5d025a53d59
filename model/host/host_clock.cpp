#include "model/host/host_clock.h"

#include <algorithm>
#include <limits>

namespace tscsim::model {
namespace {

constexpr std::int64_t kTick_ns = 4'000'000;  // the timekeeper's cycle_last moves with the tick; HZ=250

}  // namespace

ClocksourceScale clocksource_scale(std::uint32_t khz) {
  constexpr std::uint64_t kNsPerMs = 1'000'000;
  // The conversion must not overflow for this many seconds: at most 600 for a 64-bit counter.
  constexpr std::uint64_t kRange_ms = 600 * 1000;
  int accuracy_bits = 32;
  for (std::uint64_t rest = kRange_ms * khz >> 32; rest != 0; rest >>= 1) --accuracy_bits;
  for (std::uint32_t shift = 32; shift > 0; --shift) {
    const std::uint64_t mult = ((kNsPerMs << shift) + khz / 2) / khz;
    if (mult >> accuracy_bits == 0) return {static_cast<std::uint32_t>(mult), shift};
  }
  return {1, 0};
}

HostClock::HostClock(const ops::HostSpec& spec)
    : spec_(spec), scale_(clocksource_scale(spec.tsc_khz)), tsc_clocksource_(spec.tsc_clocksource) {
  // Since boot the raw clock has run on whatever is the clocksource at the start.
  if (!tsc_clocksource_) {
    base_raw_ns_ = static_cast<std::uint64_t>(spec.uptime_ns);
    base_scenario_ns_ = 0;
  }
}

std::uint64_t HostClock::cycles_since_boot(std::int64_t scenario_ns) const {
  const auto true_ns = static_cast<std::uint64_t>(spec_.uptime_ns + scenario_ns);
  const auto per_ns = static_cast<std::uint64_t>(std::int64_t{1'000'000'000} + spec_.tsc_error_ppb) * spec_.tsc_khz;
  return static_cast<std::uint64_t>(u128{true_ns} * per_ns / 1'000'000'000'000'000u);
}

std::uint64_t HostClock::tsc(int pcpu) const {
  const std::int64_t offset = spec_.pcpus[static_cast<std::size_t>(pcpu)].tsc_offset;
  return cycles_since_boot(now_ns_) + static_cast<std::uint64_t>(offset);
}

std::uint64_t HostClock::clamped_tsc(int pcpu) const {
  const std::uint64_t last_tick = cycles_since_boot(now_ns_ - now_ns_ % kTick_ns);
  return std::max(tsc(pcpu), last_tick + static_cast<std::uint64_t>(spec_.pcpus[0].tsc_offset));
}

std::uint64_t HostClock::raw_ns_at(std::uint64_t tsc) const {
  return base_raw_ns_ + static_cast<std::uint64_t>(u128{tsc - base_tsc_} * scale_.mult >> scale_.shift);
}

std::uint64_t HostClock::base_ns(int pcpu) const {
  if (tsc_clocksource_) return raw_ns_at(clamped_tsc(pcpu));
  return base_raw_ns_ + static_cast<std::uint64_t>(now_ns_ - base_scenario_ns_);
}

std::uint64_t HostClock::realtime_ns() const {
  const auto drift = static_cast<std::int64_t>(static_cast<__int128>(now_ns_) * spec_.realtime_drift_ppb / 1'000'000'000);
  return static_cast<std::uint64_t>(spec_.realtime_ns + spec_.realtime_error_ns + now_ns_ + drift);
}

std::optional<ClockPair<std::uint64_t>> HostClock::base_pair(int pcpu) const {
  if (!tsc_clocksource_) return std::nullopt;
  const std::uint64_t tsc = clamped_tsc(pcpu);
  return ClockPair<std::uint64_t>{raw_ns_at(tsc), tsc};
}

std::optional<ClockPair<std::uint64_t>> HostClock::realtime_pair(int pcpu) const {
  if (!tsc_clocksource_) return std::nullopt;
  return ClockPair<std::uint64_t>{realtime_ns(), clamped_tsc(pcpu)};
}

void HostClock::set_tsc_clocksource(bool tsc) {
  if (tsc == tsc_clocksource_) return;
  base_raw_ns_ = base_ns(0);  // the raw clock continues
  base_tsc_ = clamped_tsc(0);
  base_scenario_ns_ = now_ns_;
  tsc_clocksource_ = tsc;
}

}  // namespace tscsim::model

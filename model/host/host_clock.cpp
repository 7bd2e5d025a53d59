#include "model/host/host_clock.h"

#include <algorithm>
#include <limits>

namespace tscsim::model {
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

void HostClock::restart(const ops::HostSpec& spec) {
  uptime_ns_ = static_cast<std::uint64_t>(spec.uptime_ns);
  rate_.set(static_cast<std::uint64_t>(std::int64_t{1'000'000'000} + spec.tsc_error_ppb) * spec.tsc_khz);
  realtime_zero_ns_ = spec.realtime_ns + spec.realtime_error_ns;
  realtime_drift_ppb_ = spec.realtime_drift_ppb;
  tsc_offsets_.resize(spec.pcpus.size());
  for (std::size_t i = 0; i < tsc_offsets_.size(); ++i)
    tsc_offsets_[i] = static_cast<std::uint64_t>(spec.pcpus[i].tsc_offset);
  if (scaled_khz_ != spec.tsc_khz) scale_ = clocksource_scale(scaled_khz_ = spec.tsc_khz);
  tsc_clocksource_ = spec.tsc_clocksource;
  tsc_unstable_ = spec.tsc_unstable;
  now_ns_ = base_scenario_ns_ = cycle_last_since_ns_ = tick_ns_ = 0;
  cycles_now_ = cycles_at_tick_ = cycles_since_boot(0);
  base_tsc_ = least_cycle_last_ = slept_ns_ = 0;
  // Since boot the raw clock has run on whatever is the clocksource at the start.
  base_raw_ns_ = tsc_clocksource_ ? 0 : uptime_ns_;
  realtime_jumped_ns_ = jumped_cycles_ = 0;
}

// Each round goes on by what is missing yet, which is all but some millionths of what was missing before.
std::int64_t HostClock::when_jiffies(std::uint64_t jiffies_ns, int pcpu) const {
  const auto shown_at = [&](std::int64_t at_ns) {
    if (!tsc_clocksource_) return base_raw_ns_ + static_cast<std::uint64_t>(at_ns - base_scenario_ns_) - slept_ns_;
    return raw_ns_at(std::max(cycles_since_boot(at_ns) + offset_of(pcpu), cycle_last())) - slept_ns_;
  };
  constexpr int kRounds = 64;  // of a clock that all but stands nobody waits for the end
  std::int64_t at_ns = now_ns_;
  for (int i = 0; i < kRounds; ++i) {
    const auto missing = static_cast<std::int64_t>(jiffies_ns - shown_at(at_ns));
    if (missing <= 0 || missing > std::numeric_limits<std::int64_t>::max() - at_ns) break;
    at_ns += missing;
  }
  return at_ns;
}

std::uint64_t HostClock::realtime_ns() const {
  return static_cast<std::uint64_t>(realtime_zero_ns_) + static_cast<std::uint64_t>(now_ns_) + realtime_jump_ns() +
         slewed_ns();
}

std::uint64_t HostClock::slewed_ns() const {
  return static_cast<std::uint64_t>(
      static_cast<std::int64_t>(static_cast<__int128>(now_ns_) * realtime_drift_ppb_ / 1'000'000'000));
}

// CLOCK_REALTIME counts the same cycles as the raw clock. Modulo 2^64, as a counter that is moved far enough goes round.
std::uint64_t HostClock::realtime_jump_ns() const {
  if (!tsc_clocksource_ || jumped_cycles_ == 0) return realtime_jumped_ns_;
  const auto cycles = static_cast<std::int64_t>(clamped_tsc(0) - (tsc(0) - jumped_cycles_));
  return realtime_jumped_ns_ +
         static_cast<std::uint64_t>(static_cast<__int128>(cycles) * scale_.mult / (std::int64_t{1} << scale_.shift));
}

std::optional<ClockPair<std::uint64_t>> HostClock::realtime_pair(int pcpu) const {
  if (!tsc_clocksource_) return std::nullopt;
  return ClockPair<std::uint64_t>{realtime_ns(), clamped_tsc(pcpu)};
}

// The raw clock goes on from here, with what is slept away counted.
void HostClock::rebase(std::int64_t slept_ns) {
  base_raw_ns_ = base_ns(0) + static_cast<std::uint64_t>(slept_ns);
  base_tsc_ = clamped_tsc(0);
  base_scenario_ns_ = now_ns_;
  realtime_jumped_ns_ = realtime_jump_ns();
  jumped_cycles_ = 0;
}

void HostClock::set_tsc_clocksource(bool tsc) {
  if (tsc == tsc_clocksource_) return;
  rebase(0);
  tsc_clocksource_ = tsc;
  if (!tsc) return;
  base_tsc_ = least_cycle_last_ = this->tsc(0);
  cycle_last_since_ns_ = now_ns_;
}

void HostClock::jump_tsc(int pcpu, std::int64_t cycles) {
  least_cycle_last_ = cycle_last();
  cycle_last_since_ns_ = now_ns_;
  for (int i = 0; i < pcpus(); ++i) {
    if (pcpu != ops::kAllPcpus && pcpu != i) continue;
    tsc_offsets_[static_cast<std::size_t>(i)] += static_cast<std::uint64_t>(cycles);
  }
  if (pcpu == ops::kAllPcpus || pcpu == 0) jumped_cycles_ += static_cast<std::uint64_t>(cycles);
}

// Kernel: Linux v6.12 kernel/time/timekeeping.c timekeeping_suspend(), timekeeping_resume(): cycle_last becomes what
// the TSC reads at resume, so a TSC that restarted does not hold the clock.
void HostClock::suspend(std::int64_t for_ns, bool tsc_restarts) {
  const sim::SimTime wakes = sim::SimTime{now_ns_} + for_ns;
  rebase(for_ns);
  slept_ns_ += static_cast<std::uint64_t>(for_ns);
  advance_to(wakes.ns);
  if (tsc_restarts)
    for (std::uint64_t& offset : tsc_offsets_) offset = 0 - cycles_since_boot(now_ns_);
  base_tsc_ = least_cycle_last_ = tsc(0);
  cycle_last_since_ns_ = base_scenario_ns_ = now_ns_;
}

}  // namespace tscsim::model

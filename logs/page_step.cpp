#include "logs/page_step.h"

#include "model/kvm/arithmetic.h"

namespace tscsim::logs {

ClockPage page_of(const ops::TraceEvent& event) {
  const auto& v = event.values;
  return {v[1], v[2], static_cast<std::uint32_t>(v[3]), static_cast<std::int8_t>(v[4])};
}

std::optional<std::uint64_t> clock_at(const ClockPage& page, std::uint64_t tsc) {
  constexpr int kWidestShift = 31;  // no host has a rate that needs more
  if (page.mul == 0 || page.shift > kWidestShift || page.shift < -kWidestShift) return std::nullopt;
  const model::TimeScale scale{page.mul, page.shift};
  const std::uint64_t since = tsc - page.tsc_timestamp;
  const bool before = (since >> 63) != 0;
  const std::uint64_t distance = before ? 0 - since : since;
  if (distance > model::scale_delta_domain(scale)) return std::nullopt;
  const std::uint64_t ns = model::scale_delta(distance, scale);
  return page.system_time + (before ? 0 - ns : ns);
}

std::optional<std::int64_t> page_step_ns(const ClockPage& before, const ClockPage& after, std::uint64_t tsc_moved) {
  const auto predicted = clock_at(before, after.tsc_timestamp - tsc_moved);
  if (!predicted) return std::nullopt;
  return static_cast<std::int64_t>(after.system_time - *predicted);
}

}  // namespace tscsim::logs

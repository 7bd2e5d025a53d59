// Simulated time is a whole number of nanoseconds since the world began. It never wraps: an addition that
// would pass the end of the range is an error, because an event in the wrong order is worse than none.
#pragma once

#include <compare>
#include <cstdint>
#include <limits>
#include <stdexcept>

namespace tscsim::sim {

struct SimTime {
  std::int64_t ns = 0;  // -292 to +292 years

  friend constexpr auto operator<=>(const SimTime&, const SimTime&) = default;

  static constexpr SimTime first() { return {std::numeric_limits<std::int64_t>::min()}; }
  static constexpr SimTime last() { return {std::numeric_limits<std::int64_t>::max()}; }
};

// Throws std::overflow_error when the sum is not a SimTime.
constexpr SimTime operator+(SimTime time, std::int64_t duration_ns) {
  const bool above = duration_ns > 0 && time.ns > SimTime::last().ns - duration_ns;
  const bool below = duration_ns < 0 && time.ns < SimTime::first().ns - duration_ns;
  if (above || below) throw std::overflow_error("simulated time passes 292 years");
  return {time.ns + duration_ns};
}

// In ns. Throws std::overflow_error when the two are more than 292 years apart.
constexpr std::int64_t operator-(SimTime later, SimTime earlier) {
  const bool above = earlier.ns < 0 && later.ns > SimTime::last().ns + earlier.ns;
  const bool below = earlier.ns > 0 && later.ns < SimTime::first().ns + earlier.ns;
  if (above || below) throw std::overflow_error("simulated duration passes 292 years");
  return later.ns - earlier.ns;
}

}  // namespace tscsim::sim

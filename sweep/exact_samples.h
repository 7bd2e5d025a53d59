// Samples of continuous distributions by comparing uniform deviates only: no rounding, no tables, no libm.
#pragma once

#include <cstdint>

#include "sim/random.h"

namespace tscsim::sweep {

// whole + fraction / 2^64, not negative.
struct Sample {
  std::uint64_t whole = 0, fraction = 0;
};

// Exponential with mean 1. von Neumann, "Various techniques used in connection with random digits", 1951.
Sample exponential(sim::Stream& stream);

// The magnitude of a normal variable with mean 0 and standard deviation 1; its sign is a coin's. Algorithm N of Karney,
// "Sampling exactly from the normal distribution", ACM TOMS 42:1, 2016.
Sample half_normal(sim::Stream& stream);

// The same of a normal variable that is known to be at least `least` > 0 standard deviations from 0.
Sample half_normal_from(sim::Stream& stream, std::uint64_t least);

// A normal variable with mean 0, rounded, given that it lies from `low` to `high`, which are at most one standard deviation
// apart: any of these values is as likely as any other, and is kept as often as its density is below the greatest there.
std::int64_t normal_between(sim::Stream& stream, std::int64_t deviation, std::int64_t low, std::int64_t high);

}  // namespace tscsim::sweep

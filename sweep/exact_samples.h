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

}  // namespace tscsim::sweep

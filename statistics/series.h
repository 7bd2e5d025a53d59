// The readings of each clock in a recording, in the order in which they were made: what statistics are computed of.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ops/recording.h"

namespace tscsim::statistics {

struct Reading {
  std::int64_t at_ns = 0;     // when it was due, scenario time
  std::int64_t taken_ns = 0;  // when it was made: the middle of its bracket, scenario time by its host's clock
  std::uint64_t value = 0;    // ns, or cycles of the TSC
};

// One clock on one vCPU. `clock`: "tsc", "kvmclock", or a clock of the Linux guest by its name ("monotonic").
struct Series {
  std::string clock;
  int vcpu = 0;
  std::vector<Reading> readings;

  bool counts_cycles() const { return clock == "tsc"; }
};

// By clock, then by vCPU; a clock that was not read has none. A reading that failed, or that this target does not support,
// is left out. kvmclock's readings are those that the guest makes itself.
std::vector<Series> series_of(const ops::Recording& recording);

}  // namespace tscsim::statistics

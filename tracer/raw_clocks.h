// The clocks around a call.
#pragma once

#include <time.h>

#include "kvm_backend/host_clocks.h"
#include "tracer/raw_call.h"

namespace tscsim::tracer {

inline std::uint64_t clock_ns(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

// Before a call the TSC comes last, after it first, so that what KVM reads lies inside all three ranges.
inline RawClocks clocks_before() {
  RawClocks clocks;
  clocks.realtime_ns = clock_ns(CLOCK_REALTIME);
  clocks.raw_ns = clock_ns(CLOCK_MONOTONIC_RAW);
  clocks.tsc = kvm_backend::read_tsc();
  return clocks;
}
inline RawClocks clocks_after() {
  RawClocks clocks;
  clocks.tsc = kvm_backend::read_tsc();
  clocks.raw_ns = clock_ns(CLOCK_MONOTONIC_RAW);
  clocks.realtime_ns = clock_ns(CLOCK_REALTIME);
  return clocks;
}

}  // namespace tscsim::tracer

// Properties of the conversions: whatever rounds down there and back stays below, by no more than the rounding.
#include "model/kvm/arithmetic.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace tscsim::model {
namespace {

// Host cycles for a guest delta, scaled again, do not reach it; one host cycle more does.
RC_GTEST_PROP(Arithmetic, ScaleAndUnscaleBracketEachOther, ()) {
  const auto host_khz = *rc::gen::inRange<std::uint32_t>(500'000, 6'000'000);
  const auto guest_khz = *rc::gen::inRange<std::uint32_t>(100'000, 20'000'000);
  const TscRatio ratio = raw_ratio_for(Vendor::vmx, guest_khz, host_khz);
  const auto delta = *rc::gen::inRange<std::uint64_t>(0, std::uint64_t{1} << 55);
  const auto host_cycles = preemption_timer_delta(delta, ratio);
  RC_ASSERT(host_cycles.has_value());
  RC_ASSERT(scale_tsc(*host_cycles, ratio) <= delta);
  RC_ASSERT(scale_tsc(*host_cycles + 1, ratio) >= delta);
}

// Cycles to nanoseconds and back: never ahead, and behind by both roundings at most: of the multipliers (2^-31 each of the
// whole), of the nanosecond and of the halved cycle.
RC_GTEST_PROP(Arithmetic, CyclesAndNanosecondsBracketEachOther, ()) {
  const auto khz = *rc::gen::inRange<std::uint32_t>(100'000, 6'000'000);
  const auto cycles = *rc::gen::inRange<std::uint64_t>(0, std::uint64_t{1} << 45);
  const std::uint64_t back = scale_delta(scale_delta(cycles, cycles_to_ns(khz)), ns_to_cycles(khz));
  const std::uint64_t cycles_per_ns = khz / 1'000'000 + 1;
  RC_ASSERT(back <= cycles);
  RC_ASSERT(cycles - back <= (cycles >> 30) + 3 * cycles_per_ns + 4);
}

// A difference of scaled TSCs is the scaled difference, or one more (docs/spec/kvm-timekeeping.md 1.2).
RC_GTEST_PROP(Arithmetic, ScalingIsMonotone, ()) {
  const TscRatio ratio = raw_ratio_for(Vendor::svm, *rc::gen::inRange<std::uint32_t>(100'000, 6'000'000), 2'600'000);
  const auto a = *rc::gen::inRange<std::uint64_t>(0, std::uint64_t{1} << 60);
  const auto b = *rc::gen::inRange<std::uint64_t>(0, 1'000'000);
  RC_ASSERT(scale_tsc(a, ratio) <= scale_tsc(a + b, ratio));
  const std::uint64_t difference = scale_tsc(a + b, ratio) - scale_tsc(a, ratio);
  RC_ASSERT(difference - scale_tsc(b, ratio) <= 1U);
}

}  // namespace
}  // namespace tscsim::model

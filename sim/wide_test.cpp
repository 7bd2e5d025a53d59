#include "sim/wide.h"

#include <gtest/gtest.h>

namespace tscsim::sim {
namespace {

TEST(MulShiftRight, CutsTheProduct) {
  const struct {
    std::uint64_t a, b;
    unsigned shift;
    std::uint64_t result;
    const char* why;
  } cases[] = {
      {3, 5, 0, 15, ""},
      {3, 5, 1, 7, "rounds down"},
      {UINT64_MAX, UINT64_MAX, 64, UINT64_MAX - 1, "the upper half"},
      {UINT64_MAX, UINT64_MAX, 0, 1, "the lower half: cut, not refused"},
      {UINT64_MAX, UINT64_MAX, 127, 1, "the top bit"},
      {1ull << 48, 2'600'000, 48, 2'600'000, "a ratio of one with 48 fraction bits"},
  };
  for (const auto& c : cases) EXPECT_EQ(mul_shift_right(c.a, c.b, c.shift), c.result) << c.why;
}

TEST(MulDiv, RoundsDownAndChecks) {
  EXPECT_EQ(mul_div(7, 3, 2), 10u);
  EXPECT_EQ(mul_div(UINT64_MAX, UINT64_MAX, UINT64_MAX), UINT64_MAX);
  EXPECT_THROW(mul_div(UINT64_MAX, 2, 1), std::overflow_error);
  EXPECT_THROW(mul_div(1, 1, 0), std::domain_error);
}

TEST(MulDivFloor, RoundsTowardsMinusInfinity) {
  EXPECT_EQ(mul_div_floor(7, 1, 2), 3);
  EXPECT_EQ(mul_div_floor(-7, 1, 2), -4);
  EXPECT_EQ(mul_div_floor(-8, 1, 2), -4);
  EXPECT_EQ(mul_div_floor(INT64_MIN, 1, 1), INT64_MIN);
  EXPECT_EQ(mul_div_floor(INT64_MIN, INT64_MAX, INT64_MAX), INT64_MIN);
  EXPECT_THROW(mul_div_floor(INT64_MIN, -1, 1), std::overflow_error);
  EXPECT_THROW(mul_div_floor(1, 1, 0), std::domain_error);
  EXPECT_THROW(mul_div_floor(1, 1, -1), std::domain_error);
}

TEST(CheckedCast, KeepsTheValueOrThrows) {
  EXPECT_EQ(checked_cast<std::int32_t>(std::int64_t{INT32_MIN}), INT32_MIN);
  EXPECT_THROW(checked_cast<std::int32_t>(std::int64_t{INT32_MIN} - 1), std::overflow_error);
  EXPECT_THROW(checked_cast<std::uint64_t>(-1), std::overflow_error);
  EXPECT_THROW(checked_cast<std::int64_t>(UINT64_MAX), std::overflow_error);
  EXPECT_EQ(checked_cast<std::uint64_t>(static_cast<U128>(UINT64_MAX)), UINT64_MAX);
  EXPECT_THROW(checked_cast<std::uint64_t>(static_cast<U128>(UINT64_MAX) + 1), std::overflow_error);
  EXPECT_EQ(checked_cast<std::int8_t>(static_cast<I128>(-128)), -128);
}

static_assert(mul_div(1'000'000, 2'600'000, 1'000'000) == 2'600'000, "usable at compile time");

}  // namespace
}  // namespace tscsim::sim

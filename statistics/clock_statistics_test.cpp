#include "statistics/clock_statistics.h"

#include <gtest/gtest.h>

#include <cmath>

namespace tscsim::statistics {
namespace {

Series series(std::initializer_list<std::int64_t> times, std::initializer_list<std::uint64_t> values, int vcpu = 0) {
  Series made{"kvmclock", vcpu, {}};
  auto value = values.begin();
  for (const std::int64_t time : times) made.readings.push_back({time, time, *value++});
  return made;
}

// A clock that runs 250 ppm fast, off by 3 ns in turns: the line is found, and what is left is the 3 ns.
TEST(FitLine, FindsTheRateUnderAnOffsetThatAlternates) {
  Series fast{"kvmclock", 0, {}};
  for (int i = 0; i < 1000; ++i) {
    const std::int64_t t = std::int64_t{i} * 1'000'000;
    fast.readings.push_back(
        {t, t, 1'700'000'000'000'000'000u + static_cast<std::uint64_t>(t + t / 4000 + (i % 2 == 0 ? 3 : -3))});
  }
  const auto fit = fit_line(fast);
  ASSERT_TRUE(fit);
  EXPECT_NEAR((fit->rate - 1) * 1e6, 250, 1e-4);
  EXPECT_NEAR(fit->residual_rms, 3, 1e-2);
  EXPECT_NEAR(fit->residual_max, 3, 1e-1);
}

TEST(FitLine, NeedsTwoInstants) {
  EXPECT_FALSE(fit_line(series({5}, {5})));
  EXPECT_FALSE(fit_line(series({5, 5}, {5, 6})));
  EXPECT_NEAR(fit_line(series({0, 10}, {7, 33}))->rate, 2.6, 1e-12);
}

// Counts that wrap, and that go back, are differences like others.
TEST(FitLine, CountsAreTakenModulo64Bits) {
  EXPECT_NEAR(fit_line(series({0, 10}, {~std::uint64_t{0}, 9}))->rate, 1, 1e-12);
  EXPECT_NEAR(fit_line(series({0, 10}, {100, 90}))->rate, -1, 1e-12);
}

// By hand: the phase is 0, 1, 0, 1, 0 ns a second apart, so each second difference is 2 ns in size:
// sqrt(4 / 2) = 1.414e-9 at one second. At two seconds the phase is 0, 0, 0.
TEST(AllanDeviation, OfAPhaseThatAlternates) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  const Allan allan = allan_deviation(series({0, kSecond, 2 * kSecond, 3 * kSecond, 4 * kSecond},
                                             {0, kSecond + 1, 2 * kSecond, 3 * kSecond + 1, 4 * kSecond}),
                                      1);
  ASSERT_EQ(allan.points.size(), 2u);
  EXPECT_NEAR(allan.points[0].deviation, std::sqrt(2.0) * 1e-9, 1e-15);
  EXPECT_EQ(allan.points[0].terms, 3);
  EXPECT_NEAR(allan.points[1].deviation, 0, 1e-15);
  EXPECT_DOUBLE_EQ(allan.points[1].tau_s, 2);
}

// A wrong rate alone is no deviation; a jump is one.
TEST(AllanDeviation, KnowsAJumpFromAWrongRate) {
  Series wrong_rate{"tsc", 0, {}}, jumps{"tsc", 0, {}};
  for (int i = 0; i < 64; ++i) {
    const std::int64_t t = std::int64_t{i} * 1'000'000;
    const auto cycles = static_cast<std::uint64_t>(t) * 2;
    wrong_rate.readings.push_back({t, t, cycles + static_cast<std::uint64_t>(i) * 10});
    jumps.readings.push_back({t, t, cycles + (i < 32 ? 0u : 200'000u)});
  }
  EXPECT_LT(allan_deviation(wrong_rate, 2).points.front().deviation, 1e-12);
  EXPECT_GT(allan_deviation(jumps, 2).points.front().deviation, 1e-3);
}

TEST(AllanDeviation, SaysWhyThereIsNone) {
  EXPECT_EQ(allan_deviation(series({0, 1}, {0, 1}), 1).refused, "needs three readings");
  EXPECT_EQ(allan_deviation(series({0, 10, 30}, {0, 10, 30}), 1).refused, "needs readings at equal distances");
}

TEST(SkewMatrix, HasTheGreatestDifferenceOfEachPair) {
  const Series all[] = {series({0, 10, 20}, {100, 110, 120}, 0), series({0, 10, 20}, {101, 104, 122}, 1),
                        series({5}, {1}, 2)};
  const Eigen::MatrixXd skew = skew_matrix(all);
  EXPECT_EQ(skew(0, 1), -6);
  EXPECT_EQ(skew(1, 0), 6);
  EXPECT_EQ(skew(0, 0), 0);
  EXPECT_TRUE(std::isnan(skew(0, 2)));
}

}  // namespace
}  // namespace tscsim::statistics

#include "sweep/distribution.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <map>

#include "sweep/exact_samples.h"

namespace tscsim::sweep {
namespace {

std::vector<std::int64_t> draws(const std::string& text, std::uint64_t runs, std::uint64_t seed = 1) {
  const Distribution distribution = Distribution::parse(text);
  std::vector<std::int64_t> values;
  for (std::uint64_t run = 0; run < runs; ++run) {
    sim::Stream stream(seed, "parameter");
    stream.seek(run);
    values.push_back(distribution.draw(stream, run));
  }
  return values;
}

double mean(const std::vector<std::int64_t>& values) {
  double sum = 0;
  for (const std::int64_t value : values) sum += static_cast<double>(value);
  return sum / static_cast<double>(values.size());
}

double share_below(const std::vector<std::int64_t>& values, std::int64_t bound) {
  return static_cast<double>(
             std::count_if(values.begin(), values.end(), [&](std::int64_t value) { return value < bound; })) /
         static_cast<double>(values.size());
}

constexpr std::uint64_t kMany = 200'000;
constexpr double kNear = 0.004;  // more than three standard deviations of a share of so many

TEST(Distribution, UniformIncludesBothEnds) {
  const auto values = draws("uniform(-2, 3)", 60'000);
  std::map<std::int64_t, int> count;
  for (const std::int64_t value : values) ++count[value];
  ASSERT_EQ(count.size(), 6u);
  for (const auto& [value, times] : count) EXPECT_NEAR(times, 10'000, 400) << value;
}

// Pearson's chi-squared of drawn values in cells of a tenth of a standard deviation, out to three, and the two tails.
TEST(Distribution, NormalFitsItsDensity) {
  constexpr std::int64_t kMean = 10'000'000, kSigma = 1'000'000;
  constexpr int kCells = 62;
  const auto below = [](double sigmas) { return 0.5 * std::erfc(-sigmas / std::sqrt(2.0)); };
  const auto values = draws("normal(10 ms, 1 ms)", 1'000'000);
  std::array<double, kCells> counts{};
  for (const std::int64_t value : values) {
    const std::int64_t tenths = value < kMean - 3 * kSigma ? -1 : (value - (kMean - 3 * kSigma)) * 10 / kSigma;
    counts[static_cast<std::size_t>(std::clamp<std::int64_t>(tenths + 1, 0, kCells - 1))] += 1;
  }
  double chi_squared = 0;
  for (int cell = 0; cell < kCells; ++cell) {
    const double from = cell == 0 ? 0 : below(-3 + (cell - 1) * 0.1),
                 to = cell == kCells - 1 ? 1 : below(-3 + cell * 0.1);
    const double expected = (to - from) * static_cast<double>(values.size());
    chi_squared += (counts[static_cast<std::size_t>(cell)] - expected) *
                   (counts[static_cast<std::size_t>(cell)] - expected) / expected;
  }
  EXPECT_LT(chi_squared, 100.9) << "61 degrees of freedom: one seed of a thousand is above";
}

TEST(Distribution, ExponentialHasTheSharesOfItsFormula) {
  const auto values = draws("exponential(1000000, 500000)", kMany);
  EXPECT_NEAR(mean(values), 1'500'000, 10'000);
  EXPECT_GE(*std::min_element(values.begin(), values.end()), 500'000);
  EXPECT_NEAR(share_below(values, 1'500'000), 0.63212, kNear);
  EXPECT_NEAR(share_below(values, 3'500'000), 0.95021, kNear);
}

TEST(Distribution, BoundsCutWithoutPilingUp) {
  const auto values = draws("normal(0, 1000, -500, 500)", 50'000);
  const auto [least, greatest] = std::minmax_element(values.begin(), values.end());
  EXPECT_EQ(*least, -500);
  EXPECT_EQ(*greatest, 500);
  EXPECT_LT(std::count(values.begin(), values.end(), 500), 200);
}

// Whatever the bounds leave, a draw ends: 5.004 s alone, four standard deviations from the mean, took minutes.
TEST(Distribution, BoundsThatLeaveASliver) {
  EXPECT_THAT(draws("normal(5 s, 1 ms, 5004000000 ns, 5004000000 ns)", 200), testing::Each(5'004'000'000));
  EXPECT_THAT(draws("normal(5 s, 1 ms, 5 s, 5 s)", 200), testing::Each(5'000'000'000));
  EXPECT_THAT(draws("normal(5 s, 1 ms, 4996000000 ns, 4996000001 ns)", 200),
              testing::Each(testing::AnyOf(4'996'000'000, 4'996'000'001)));
  for (const std::int64_t value : draws("normal(0, 1000000, 4000000)", 200)) EXPECT_GE(value, 4'000'000);
  for (const std::int64_t value : draws("normal(0, 1000000, -9000000, -3999999)", 200)) EXPECT_LE(value, -3'999'999);
  for (const std::int64_t value : draws("normal(0, 72057594037927936, 72057594037927930, 72057594037927936)", 20))
    EXPECT_GE(value, 72057594037927930);
}

// The share below x of a normal variable that lies from a to b, in standard deviations.
double share_between(double a, double b, double x) {
  const auto above = [](double sigmas) { return 0.5 * std::erfc(sigmas / std::sqrt(2.0)); };
  return (above(a) - above(x)) / (above(a) - above(b));
}

TEST(ExactSamples, ANormalVariableBetweenBoundsHasItsShares) {
  constexpr std::int64_t kSigma = 1000;
  const struct { std::int64_t low, high; } rows[] = {{3000, 4000}, {0, 1000}, {-500, 499}, {-3300, -2500}, {-20, 900}};
  for (const auto& [low, high] : rows) {
    sim::Stream stream(7, "between");
    std::vector<std::int64_t> values;
    for (std::uint64_t i = 0; i < kMany; ++i) values.push_back(normal_between(stream, kSigma, low, high));
    EXPECT_EQ(*std::min_element(values.begin(), values.end()), low);
    for (int tenth = 1; tenth < 10; ++tenth) {
      const std::int64_t bound = low + (high - low) * tenth / 10;
      const auto in = [](std::int64_t edge) { return (static_cast<double>(edge) - 0.5) / kSigma; };
      EXPECT_NEAR(share_below(values, bound), share_between(in(low), in(high + 1), in(bound)), kNear)
          << low << " to " << high << " below " << bound;
    }
  }
}

TEST(ExactSamples, ATailHasItsShares) {
  for (std::uint64_t least = 1; least <= 4; ++least) {
    sim::Stream stream(7, "tail");
    double below_half = 0, below_one = 0;
    for (std::uint64_t i = 0; i < kMany; ++i) {
      const Sample sample = half_normal_from(stream, least);
      ASSERT_GE(sample.whole, least);
      below_one += sample.whole == least;
      below_half += sample.whole == least && sample.fraction < std::uint64_t{1} << 63;
    }
    const double a = static_cast<double>(least);
    EXPECT_NEAR(below_half / kMany, share_between(a, 40, a + 0.5), kNear) << least;
    EXPECT_NEAR(below_one / kMany, share_between(a, 40, a + 1), kNear) << least;
  }
}

TEST(Distribution, GridsAndChoices) {
  EXPECT_THAT(draws("grid(0 ms, 1 ms, 500 us)", 5), testing::ElementsAre(0, 500'000, 1'000'000, 0, 500'000));
  for (const std::int64_t value : draws("choice(3 ms, 5 ms)", 100))
    EXPECT_TRUE(value == 3'000'000 || value == 5'000'000);
}

TEST(Distribution, AFileOfValues) {
  const std::string path = testing::TempDir() + "delays.txt";
  std::ofstream(path) << "# measured\n3 ms\n\n5 ms # twice\n";
  const Distribution distribution = Distribution::parse("empirical(" + path + ")");
  EXPECT_EQ(distribution.unit(), Unit::ns);
  std::map<std::int64_t, int> count;
  for (std::uint64_t run = 0; run < 1000; ++run) {
    sim::Stream stream(1, "p");
    stream.seek(run);
    ++count[distribution.draw(stream, run)];
  }
  EXPECT_EQ(count.size(), 2u);
  EXPECT_NEAR(count[3'000'000], 500, 70);
  const std::string before = distribution.source();
  std::ofstream(path) << "3 ms\n6 ms\n";
  EXPECT_NE(Distribution::parse("empirical(" + path + ")").source(), before) << "another content is another source";
}

// What was drawn once is drawn for ever: recorded from the first version, on integers only.
TEST(Distribution, ValuesDoNotChange) {
  EXPECT_THAT(draws("uniform(0 s, 1 s)", 3), testing::ElementsAre(376069361, 263022366, 609202435));
  EXPECT_THAT(draws("normal(0 ms, 1 ms)", 3), testing::ElementsAre(-642207, 656980, 1503566));
  EXPECT_THAT(draws("exponential(1 ms)", 3), testing::ElementsAre(376069, 263022, 609202));
}

TEST(Distribution, WhatIsWrongIsSaid) {
  const std::vector<std::pair<std::string, std::string>> rows{
      {"5 ms", "expected a distribution"},
      {"unifrom(1, 2)", "did you mean 'uniform'?"},
      {"uniform(1 ms)", "the least and the greatest value"},
      {"uniform(2 ms, 1 ms)", "the least value is above the greatest"},
      {"uniform(1 ms, 2)", "'2' is in numbers where the values before it are in ns"},
      {"uniform(one, 2)", "found 'one'"},
      {"normal(0, -1)", "not negative"},
      {"normal(0, 1, 10, 20)", "more than 4 standard deviations"},
      {"normal(0, 1, 1, -1)", "leave nothing between them"},
      {"exponential(0 ms)", "above 0"},
      {"exponential(1 s, 0 s, 1 ms)", "hardly any value"},
      {"grid(0, 10, 0)", "the step is not above 0"},
      {"grid(0, 10)", "from, to and step"},
      {"choice()", "found ''"},
      {"empirical(/nowhere)", "cannot be read"},
      {"uniform(0, 72057594037927937)", "beyond 2^56"},
  };
  for (const auto& [text, message] : rows) {
    try {
      Distribution::parse(text);
      ADD_FAILURE() << text << " is taken";
    } catch (const std::invalid_argument& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr(message)) << text;
    }
  }
}

}  // namespace
}  // namespace tscsim::sweep

#include "sim/random.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <set>
#include <string>

namespace tscsim::sim {
namespace {

// Known answers published with Random123 (tests/kat_vectors, philox4x32 10).
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(philox4x32_10({0, 0, 0, 0}, {0, 0}), (PhiloxCounter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32_10({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (PhiloxCounter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32_10({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (PhiloxCounter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Stream, IsSetBySeedAndName) {
  const auto first = [](std::uint64_t seed, const char* name) { return Stream(seed, name).next(); };
  EXPECT_EQ(first(1, "vcpu0"), first(1, "vcpu0"));
  EXPECT_NE(first(1, "vcpu0"), first(1, "vcpu1"));
  EXPECT_NE(first(1, "vcpu0"), first(2, "vcpu0"));
  EXPECT_NE(first(1, "vcpu0"), first(1ull << 32 | 1, "vcpu0")) << "the upper half of the seed counts";
}

// Values are part of the promise of determinism: a seed found once must replay for ever.
TEST(Stream, ValuesNeverChange) {
  Stream stream(0x5eed0007, "vcpu0");
  const std::uint64_t values[] = {stream.next(), stream.next(), stream.next()};
  EXPECT_EQ(values[0], 15244806162947847736u);
  EXPECT_EQ(values[1], 4381166263934540897u);
  EXPECT_EQ(values[2], 16932757366476935746u);
  EXPECT_EQ(stream.uniform(-1000, 1000), 740);
}

TEST(Stream, DoesNotRepeat) {
  Stream stream(1, "a");
  std::set<std::uint64_t> seen;
  for (int i = 0; i < 10'000; ++i) EXPECT_TRUE(seen.insert(stream.next()).second);
}

TEST(Uniform, EdgesOfTheRange) {
  Stream stream(1, "a");
  EXPECT_EQ(stream.uniform(5, 5), 5);
  EXPECT_EQ(stream.uniform(INT64_MIN, INT64_MIN), INT64_MIN);
  EXPECT_THROW(stream.uniform(1, 0), std::invalid_argument);
  bool negative = false, positive = false;
  for (int i = 0; i < 100; ++i) (stream.uniform(INT64_MIN, INT64_MAX) < 0 ? negative : positive) = true;
  EXPECT_TRUE(negative && positive);
}

// Three values, 30 000 draws: each 10 000 times, standard deviation 82. A biased choice would be far outside.
TEST(Uniform, EachValueIsEquallyLikely) {
  Stream stream(1, "a");
  int counts[3] = {};
  for (int i = 0; i < 30'000; ++i) ++counts[stream.uniform(-1, 1) + 1];
  for (const int count : counts) EXPECT_NEAR(count, 10'000, 500);
}

// With 3 * 2^62 values, taking a 64-bit number modulo the span would make the lower third twice as likely.
TEST(Uniform, IsUnbiasedWhereTheSpanIsLarge) {
  Stream stream(1, "a");
  const std::int64_t third = std::int64_t{1} << 62;
  int counts[3] = {};
  for (int i = 0; i < 30'000; ++i) {
    const std::int64_t value = stream.uniform(-2 * third, third - 1);
    ++counts[value < -third ? 0 : value < 0 ? 1 : 2];
  }
  for (const int count : counts) EXPECT_NEAR(count, 10'000, 500);
}

RC_GTEST_PROP(UniformProperty, StaysInItsRange, (std::int64_t a, std::int64_t b, std::uint64_t seed)) {
  Stream stream(seed, "a");
  const std::int64_t value = stream.uniform(std::min(a, b), std::max(a, b));
  RC_ASSERT(value >= std::min(a, b) && value <= std::max(a, b));
}

}  // namespace
}  // namespace tscsim::sim

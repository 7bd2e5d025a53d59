#include "witness/witness.h"

#include <gtest/gtest.h>

namespace tscsim::witness {
namespace {

TEST(Witness, UnknownsThatCancelLeaveAConstant) {
  WitnessSpace space;
  WitnessSpace::Scope scope(space);
  const Witness t = space.unknown(1000, 2000);
  const Witness offset = Witness(50) - t;
  EXPECT_FALSE(space.canonical(offset).is_constant());
  const Witness sum = space.canonical(offset + t);
  ASSERT_TRUE(sum.is_constant());
  EXPECT_EQ(sum.constant(), 50u);
}

TEST(Witness, AnObservationPinsTheReading) {
  WitnessSpace space;
  WitnessSpace::Scope scope(space);
  const Witness t = space.unknown(1000, 2000);
  const Witness offset = Witness(50) - t;
  EXPECT_TRUE(space.observe(offset, std::uint64_t{50} - 1234));
  EXPECT_EQ(space.canonical(t).constant(), 1234u);
}

TEST(Witness, AnObservationOutsideTheBracketIsImpossible) {
  for (const std::uint64_t reading : {999u, 2001u}) {
    WitnessSpace space;
    WitnessSpace::Scope scope(space);
    const Witness t = space.unknown(1000, 2000);
    EXPECT_FALSE(space.observe(Witness(50) - t, std::uint64_t{50} - reading)) << reading;
  }
}

TEST(Witness, TwoUnknownsAreRelatedByTheirSum) {
  WitnessSpace space;
  WitnessSpace::Scope scope(space);
  const Witness a = space.unknown(0, 100), b = space.unknown(0, 100);
  EXPECT_TRUE(space.observe(a + b, 190));
  EXPECT_EQ(space.interval(a).lo, 90u);
  EXPECT_EQ(space.interval(b).lo, 90u);
  EXPECT_TRUE(space.observe(a, 95));
  EXPECT_EQ(space.canonical(b).constant(), 95u);
  EXPECT_EQ(space.canonical(a + b).constant(), 190u);
}

TEST(Witness, SumsThatCannotBeAreRefused) {
  WitnessSpace space;
  WitnessSpace::Scope scope(space);
  const Witness a = space.unknown(0, 100), b = space.unknown(0, 100);
  EXPECT_TRUE(space.observe(a - b, 60));
  EXPECT_FALSE(space.observe(a, 50));
}

TEST(Witness, MapIsInvertedWhenItsResultIsSeen) {
  WitnessSpace space;
  WitnessSpace::Scope scope(space);
  const Witness t = space.unknown(1000, 2000);
  const Witness half = map_monotone(t, [](std::uint64_t x) { return x / 2; });
  EXPECT_EQ(space.interval(half).lo, 500u);
  EXPECT_EQ(space.interval(half).hi(), 1000u);
  EXPECT_TRUE(space.observe(half, 700));
  EXPECT_EQ(space.interval(t).lo, 1400u);
  EXPECT_EQ(space.interval(t).hi(), 1401u);
}

TEST(Witness, MapFollowsItsArgument) {
  WitnessSpace space;
  WitnessSpace::Scope scope(space);
  const Witness t = space.unknown(1000, 2000);
  const Witness half = map_monotone(t, [](std::uint64_t x) { return x / 2; });
  EXPECT_TRUE(space.observe(t, 1501));
  EXPECT_EQ(space.canonical(half).constant(), 750u);
}

TEST(Witness, ComparisonsAreDecidedByBounds) {
  WitnessSpace space;
  WitnessSpace::Scope scope(space);
  const Witness a = space.unknown(10, 20), b = space.unknown(21, 30);
  EXPECT_TRUE(a < b);
  EXPECT_FALSE(b < a);
  EXPECT_TRUE(a < a + Witness(1));
  EXPECT_FALSE(a < a);
  EXPECT_TRUE(space.oracle().questions.empty());
}

TEST(Witness, OpenComparisonsAskTheOracleAndRememberTheAnswer) {
  for (const bool answer : {true, false}) {
    WitnessSpace space;
    WitnessSpace::Scope scope(space);
    space.oracle().script = {answer};
    const Witness a = space.unknown(10, 20);
    EXPECT_EQ(a < Witness(15), answer);
    EXPECT_EQ(space.oracle().questions.size(), 1u);
    EXPECT_EQ(space.interval(a).lo, answer ? 10u : 15u);
    EXPECT_EQ(space.interval(a).hi(), answer ? 14u : 20u);
    EXPECT_EQ(a < Witness(15), answer);  // not asked again
    EXPECT_EQ(space.oracle().questions.size(), 1u);
  }
}

// A question whose answer is known must not be asked: the wrong answer would live on until the bounds have crept together.
TEST(Witness, ComparisonsAreDecidedByWhatIsKnownOfTheDifference) {
  for (const bool equal_possible : {true, false}) {
    WitnessSpace space;
    WitnessSpace::Scope scope(space);
    const Witness earlier = space.unknown(1'000'000, 2'000'000), later = space.unknown(1'000'000, 2'000'000);
    ASSERT_TRUE(space.constrain(later - earlier, equal_possible ? 0 : 1, 500'000));
    EXPECT_FALSE(later < earlier);
    EXPECT_TRUE(space.oracle().questions.empty());
    EXPECT_TRUE(earlier < later || equal_possible);
    EXPECT_EQ(space.oracle().questions.size(), equal_possible ? 1u : 0u);
  }
}

TEST(Witness, WrappingValuesAreSeenAsSuch) {
  WitnessSpace space;
  WitnessSpace::Scope scope(space);
  const Witness t = space.unknown(1000, 2000);
  const Interval range = space.interval(Witness(1500) - t);
  EXPECT_TRUE(range.wraps());
  EXPECT_TRUE(range.contains(500));
  EXPECT_TRUE(range.contains(~std::uint64_t{0}));
  EXPECT_FALSE(range.contains(501));
}

TEST(Witness, SmallMultiplesKeepTheirStep) {
  WitnessSpace space;
  WitnessSpace::Scope scope(space);
  const Witness t = space.unknown(0, 100);
  EXPECT_TRUE(space.constrain(t.times(7), 50, 60));
  EXPECT_EQ(space.interval(t).lo, 8u);
  EXPECT_EQ(space.interval(t).hi(), 8u);
}

// A function's value that is seen bounds the sum it was taken of, not only each part: the same function of the same sum
// is then known, too.
TEST(Witness, AnObservedImagePinsTheSumItIsOf) {
  WitnessSpace space;
  WitnessSpace::Scope scope(space);
  const Witness elapsed = space.unknown(1000, 2000) - space.unknown(100, 200);
  const Monotone threefold{[](std::uint64_t ns) { return ns * 3; }};
  EXPECT_TRUE(space.observe(space.map(elapsed, threefold), 3000));
  EXPECT_TRUE(space.interval(elapsed).is_point());
  EXPECT_TRUE(space.equal(space.map(elapsed, threefold), Witness(3000)));
  EXPECT_TRUE(space.oracle().questions.empty());
}

// More unknowns than an expression holds: what it was made of is forgotten, its bounds are kept.
TEST(Witness, SumsOfManyUnknownsKeepTheirBounds) {
  WitnessSpace space;
  WitnessSpace::Scope scope(space);
  Witness sum(0);
  constexpr int kMany = 3 * static_cast<int>(Witness::kMaxTerms);
  for (int i = 0; i < kMany; ++i) sum += space.unknown(10, 20);
  EXPECT_EQ(space.interval(sum).lo, 10u * kMany);
  EXPECT_EQ(space.interval(sum).hi(), 20u * kMany);
  EXPECT_TRUE(space.observe(sum, 15u * kMany));
  EXPECT_FALSE(space.observe(sum, 15u * kMany + 1));
}

}  // namespace
}  // namespace tscsim::witness

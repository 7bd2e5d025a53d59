#include "sweep/aggregate.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "sim/random.h"

namespace tscsim::sweep {
namespace {

RC_GTEST_PROP(Buckets, HoldTheirValuesAndAreNarrow, (std::int64_t value)) {
  const Bucket found = bucket(bucket_of(value));
  RC_ASSERT(found.low <= value);
  RC_ASSERT(value <= found.high);
  const auto width = static_cast<std::uint64_t>(found.high) - static_cast<std::uint64_t>(found.low);
  const std::uint64_t size = value < 0 ? -static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value);
  RC_ASSERT(width <= size / 64);
}

TEST(Buckets, FollowEachOtherWithoutGap) {
  for (const std::int64_t extreme : {INT64_MIN, INT64_MAX, std::int64_t{0}, std::int64_t{-1}}) {
    const Bucket found = bucket(bucket_of(extreme));
    EXPECT_LE(found.low, extreme);
    EXPECT_GE(found.high, extreme);
  }
  for (int number = -3000; number < 3000; ++number)
    EXPECT_EQ(bucket(number).high + 1, bucket(number + 1).low) << number;
}

RunResult result(Seen seen) { return {Fate::ran, {}, {seen}, true, ""}; }

// However runs are dealt out, the sum is the same; also by way of bytes.
TEST(Aggregate, AddsUpInAnyOrder) {
  sim::Stream random(7, "values");
  Aggregate whole(1, 3);
  std::vector<Aggregate> parts(5, Aggregate(1, 3));
  for (std::uint64_t run = 0; run < 5000; ++run) {
    const Seen seen = run % 100 == 3 ? Seen{} : Seen(random.uniform(-1000, 1000) * (run % 7 == 0 ? 1'000'000'000 : 1));
    whole.add(result(seen), run);
    parts[static_cast<std::size_t>(random.uniform(0, 4))].add(result(seen), run);
  }
  Aggregate sum(1, 3);
  for (const std::size_t i : {3u, 0u, 4u, 2u, 1u}) sum.add(aggregate_from(to_bytes(parts[i]), 3));
  EXPECT_EQ(to_bytes(sum), to_bytes(whole));
  ASSERT_EQ(whole.of[0].worst.size(), 3u);
  EXPECT_EQ(whole.of[0].without, 50u);
}

TEST(Aggregate, WorstRunsAreTheFarthestFromZeroAndTheEarliest) {
  Aggregate made(1, 2);
  for (const auto& [run, value] : {std::pair<std::uint64_t, std::int64_t>{4, 10}, {2, -10}, {9, 3}, {3, 10}})
    made.add(result(Seen(value)), run);
  EXPECT_EQ(made.of[0].worst, (std::vector<WorstRun>{{-10, 2}, {10, 3}}));
}

TEST(Aggregate, PercentilesOfSmallValuesAreExact) {
  Aggregate made(1, 0);
  for (std::int64_t value = 1; value <= 50; ++value) made.add(result(Seen(value)), static_cast<std::uint64_t>(value));
  EXPECT_EQ(made.of[0].percentile(500'000)->high, 25);
  EXPECT_EQ(made.of[0].percentile(990'000)->high, 50);
  EXPECT_EQ(made.of[0].percentile(1)->low, 1);
}

}  // namespace
}  // namespace tscsim::sweep

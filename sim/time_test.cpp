#include "sim/time.h"

#include <gtest/gtest.h>

namespace tscsim::sim {
namespace {

static_assert(SimTime::last().ns / 1'000'000'000 / 31'557'600 >= 290, "the range is at least 290 years");

TEST(SimTime, AddsAndSubtracts) {
  EXPECT_EQ((SimTime{5} + 3), (SimTime{8}));
  EXPECT_EQ((SimTime{5} + -8), (SimTime{-3}));
  EXPECT_EQ((SimTime{5} - SimTime{8}), -3);
  EXPECT_LT((SimTime{-1}), (SimTime{0}));
}

TEST(SimTime, RefusesToLeaveItsRange) {
  EXPECT_EQ((SimTime{INT64_MAX - 1} + 1), SimTime::last());
  EXPECT_THROW((void)(SimTime::last() + 1), std::overflow_error);
  EXPECT_EQ((SimTime{INT64_MIN + 1} + -1), SimTime::first());
  EXPECT_THROW((void)(SimTime::first() + -1), std::overflow_error);
  EXPECT_EQ((SimTime::last() + INT64_MIN), (SimTime{-1}));
  EXPECT_EQ((SimTime{-1} - SimTime::first()), INT64_MAX);
  EXPECT_THROW((void)(SimTime{0} - SimTime::first()), std::overflow_error);
  EXPECT_EQ((SimTime{-1} - SimTime::last()), INT64_MIN);
  EXPECT_THROW((void)(SimTime{-2} - SimTime::last()), std::overflow_error);
}

}  // namespace
}  // namespace tscsim::sim

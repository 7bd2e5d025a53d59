#include "base/check.h"

#include <gtest/gtest.h>

namespace {

TEST(Check, ARelationThatHoldsIsEvaluatedOnce) {
  int evaluated = 0;
  CHECK(++evaluated == 1);
  EXPECT_EQ(evaluated, 1);
}

TEST(CheckDeathTest, NamesTheFileTheLineAndTheRelation) {
  const int index = 3;
  EXPECT_DEATH(CHECK(index < 3), R"(check_test\.cpp:[0-9]+: internal error: index < 3 does not hold)");
}

// The macro takes relations whose types hold a comma, and stands where an expression may.
TEST(CheckDeathTest, IsAnExpression) {
  const auto half = [](int x) { return CHECK(x % 2 == 0), x / 2; };
  EXPECT_EQ(half(8), 4);
  EXPECT_DEATH(half(7), "x % 2 == 0 does not hold");
}

}  // namespace

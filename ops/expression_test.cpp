#include "ops/expression.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace tscsim::ops {
namespace {

std::optional<Wide> readings(std::string_view name, std::string_view field) {
  if (name == "a" && field.empty()) return 1000;
  if (name == "b" && field.empty()) return 7;
  if (name == "clock" && field == "realtime") return 5;
  return std::nullopt;
}

constexpr std::uint32_t kKhz = 2'600'000;

std::int64_t evaluate(std::string_view text, Unit unit) {
  return static_cast<std::int64_t>(Expression::parse(text, unit).evaluate(readings, kKhz));
}

TEST(Expression, Values) {
  const struct {
    const char* text;
    Unit unit;
    std::int64_t value;
    const char* why;
  } cases[] = {
      {"42", Unit::cycles, 42, ""},
      {"1_000_000", Unit::cycles, 1'000'000, "digit groups"},
      {"0xFf_00", Unit::cycles, 0xff00, "hexadecimal"},
      {" a + b ", Unit::ns, 1007, "captures"},
      {"clock.realtime", Unit::ns, 5, "a named field"},
      {"2 + 3 * 4", Unit::ns, 14, "product before sum"},
      {"(2 + 3) * 4", Unit::ns, 20, ""},
      {"10 - 3 - 2", Unit::ns, 5, "from the left"},
      {"100 / 10 / 5", Unit::ns, 2, "from the left"},
      {"-7 / 2", Unit::ns, -3, "division truncates towards zero"},
      {"7 / -2", Unit::ns, -3, "division truncates towards zero"},
      {"--5", Unit::ns, 5, ""},
      {"a-b", Unit::ns, 993, "no blanks needed"},
      {"100 ms", Unit::ns, 100'000'000, "a duration counts ns"},
      {"100ms", Unit::ns, 100'000'000, "blank before the unit is optional"},
      {"1.5 s", Unit::ns, 1'500'000'000, ""},
      {"100 ms", Unit::cycles, 260'000'000, "0.1 s at 2.6 GHz"},
      {"1 ns", Unit::cycles, 2, "2.6 rounds down"},
      {"3 ns", Unit::cycles, 7, "7.8 rounds down"},
      {"a + 1 us", Unit::cycles, 3600, "2600 cycles a microsecond"},
      {"cycles(1 us)", Unit::ns, 2600, "explicit"},
      {"cycles(1 us)", Unit::cycles, 2600, "inside cycles() all is ns: not converted twice"},
      {"ns(2600)", Unit::ns, 1000, "explicit"},
      {"ns(a + 1 us)", Unit::ns, 1384, "inside ns() all is cycles: 3600 / 2.6"},
      {"ns(cycles(1 us) + 0)", Unit::cycles, 1000, "there and back"},
      {"ns(-1)", Unit::ns, -1, "rounds down, also below zero"},
      {"cycles(1 us, 2_000_000)", Unit::cycles, 2000, "at a rate of one's own"},
      {"cycles(-1 ns, 1_500_000)", Unit::cycles, -2, "rounds down, also below zero"},
      {"cycles(1 h, a * 2000)", Unit::cycles, 7'200'000'000'000, "the rate may be captured"},
      {"ns(3000, b * 1_000_000 - 4_000_000)", Unit::ns, 1000, "and be computed"},
      {"1 min + 1 h + 1 d", Unit::ns, 90'060'000'000'000, ""},
  };
  for (const auto& c : cases) EXPECT_EQ(evaluate(c.text, c.unit), c.value) << c.text << "  " << c.why;
}

TEST(Expression, ParseErrorsSayWhereAndWhat) {
  const struct {
    std::string text;
    std::size_t offset;
    const char* message;
    const char* mend;
  } cases[] = {
      {"", 0, "expected a number, a duration, a captured name or '(', found the end", ""},
      {"1 +", 3, "expected a number, a duration, a captured name or '(', found the end", ""},
      {"1 2", 2, "expected an operator or the end, found '2'", ""},
      {"(1", 2, "expected ')', found the end", ""},
      {"1)", 1, "expected an operator or the end, found ')'", ""},
      {"5 apples", 2, "unknown unit 'apples'", "use one of ns, us, ms, s, min, h, d"},
      {"1.5", 0, "a fraction needs a unit of time", "add one of ns, us, ms, s, min, h, d"},
      {"1.5 ns", 0, "the duration is not a whole number of nanoseconds", "write it in ns, rounded"},
      {"1__0", 1, "'_' stands between two digits", "write digit groups as 1_000_000"},
      {"1_", 1, "'_' stands between two digits", "write digit groups as 1_000_000"},
      {"0x", 2, "expected a digit, found the end", ""},
      {"cycle(1)", 0, "unknown function 'cycle'", "did you mean 'cycles'?"},
      {"sinus(1)", 0, "unknown function 'sinus'", "use cycles(...) or ns(...)"},
      {"a.", 2, "expected a field's name, found the end", ""},
      {"340282366920938463463374607431768211456", 0, "the value does not fit 128 bits", "use smaller numbers"},
      {std::string(65, '(') + "1" + std::string(65, ')'), 64, "the expression is nested too deeply", ""},
      {std::string(65, '-') + "1", 64, "the expression is nested too deeply", ""},
      {std::string(4097, ' '), 0, "the expression is longer than 4096 characters", ""},
  };
  for (const auto& c : cases) {
    try {
      Expression::parse(c.text, Unit::ns);
      ADD_FAILURE() << c.text << " was accepted";
    } catch (const ExpressionError& error) {
      EXPECT_STREQ(error.what(), c.message) << c.text;
      EXPECT_EQ(error.offset, c.offset) << c.text;
      EXPECT_EQ(error.mend, c.mend) << c.text;
    }
  }
}

TEST(Expression, DepthLimitIsExact) {
  EXPECT_EQ(evaluate(std::string(63, '(') + "1" + std::string(63, ')'), Unit::ns), 1);
  std::string wide = "1";
  for (int i = 0; i < 1000; ++i) wide += "+1";
  EXPECT_EQ(evaluate(wide, Unit::ns), 1001) << "long is not deep";
}

TEST(Expression, EvaluationErrors) {
  const std::string largest = "170141183460469231731687303715884105727";  // 2^127 - 1
  const struct {
    std::string text;
    const char* message;
  } cases[] = {
      {"1 / 0", "division by zero"},
      {"1 / (a - 1000)", "division by zero"},
      {"nobody", "nothing is captured as 'nobody'"},
      {"a.flags", "nothing is captured as 'a.flags'"},
      {largest + " + 1", "the value does not fit 128 bits"},
      {"-" + largest + " - 2", "the value does not fit 128 bits"},
      {"-(-" + largest + " - 1)", "the value does not fit 128 bits"},
      {"(-" + largest + " - 1) / -1", "the value does not fit 128 bits"},
      {"(-" + largest + " - 1) * -1", "the value does not fit 128 bits"},
      {"0x10000000000000000 * 0x8000000000000000", "the value does not fit 128 bits"},
      {"cycles(" + largest + ")", "the value does not fit 128 bits"},
  };
  for (const auto& c : cases) {
    try {
      Expression::parse(c.text, Unit::ns).evaluate(readings, kKhz);
      ADD_FAILURE() << c.text << " was evaluated";
    } catch (const ExpressionError& error) {
      EXPECT_STREQ(error.what(), c.message) << c.text;
    }
  }
  EXPECT_THROW(Expression::parse("1 ms", Unit::cycles).evaluate(readings, 0), ExpressionError);
  EXPECT_EQ(Expression::parse("0x8000000000000000 * -0x10000000000000000", Unit::ns).evaluate({}, 0),
            -(Wide{1} << 126) * 2)
      << "the smallest value still fits";
}

TEST(Expression, SaysWhatItNeeds) {
  const auto expression = Expression::parse("b + a.ns - b * 2", Unit::cycles);
  EXPECT_EQ(expression.names(), (std::vector<std::string>{"b", "a"}));
  EXPECT_EQ(expression.as_constant(), std::nullopt);
  EXPECT_FALSE(expression.needs_rate());
  EXPECT_EQ(expression.text(), "b + a.ns - b * 2");
  EXPECT_TRUE(Expression::parse("1 ms", Unit::cycles).needs_rate());
  EXPECT_FALSE(Expression::parse("1 ms", Unit::ns).needs_rate());
  EXPECT_EQ(Expression::parse("1 ms", Unit::cycles).as_constant(), std::nullopt);
  EXPECT_EQ(Expression::parse("-1 ms", Unit::ns).as_constant(), Wide{-1'000'000});
  EXPECT_EQ(Expression::constant(-3).as_constant(), Wide{-3});
}

TEST(ParseDuration, TextsThatAreAndAreNot) {
  const struct {
    const char* text;
    std::optional<std::int64_t> ns;
  } cases[] = {
      {"400 ms", 400'000'000},
      {"1.5 s", 1'500'000'000},
      {"100us", 100'000},
      {"3 h", 10'800'000'000'000},
      {"+2 ms", 2'000'000},
      {"-2 ms", -2'000'000},
      {" 1 ns ", 1},
      {"1_000 ns", 1000},
      {"1 d", 86'400'000'000'000},
      {"0.000000001 s", 1},
      {"0 s", 0},
      {"9223372036854775807 ns", INT64_MAX},
      {"-9223372036854775808 ns", INT64_MIN},
      {"400", std::nullopt},
      {"ms", std::nullopt},
      {"", std::nullopt},
      {"400 m", std::nullopt},
      {"400 ms 2", std::nullopt},
      {"2.6 GHz", std::nullopt},
      {"- 2 ms", std::nullopt},
      {"1 MS", std::nullopt},
  };
  for (const auto& c : cases) EXPECT_EQ(parse_duration(c.text), c.ns) << c.text;
}

TEST(ParseDuration, RefusesWhatDoesNotFit) {
  EXPECT_THROW(parse_duration("9223372036854775808 ns"), ExpressionError);
  EXPECT_THROW(parse_duration("293 d") ? parse_duration("110000 d") : std::nullopt, ExpressionError);
  EXPECT_THROW(parse_duration("0.5 ns"), ExpressionError);
  EXPECT_THROW(parse_duration("1.0000000001 s"), ExpressionError);
  EXPECT_THROW(parse_duration("999999999999999999999999999999999999999999 s"), ExpressionError);
}

RC_GTEST_PROP(ExpressionProperty, AgreesWithTheCompiler, ()) {
  const auto a = *rc::gen::arbitrary<std::int32_t>();
  const auto b = *rc::gen::arbitrary<std::int32_t>();
  const auto c = *rc::gen::suchThat<std::int32_t>([](std::int32_t x) { return x != 0; });
  const std::string text = "(" + std::to_string(a) + " - " + std::to_string(b) + ") * " + std::to_string(b) + " / " +
                           std::to_string(c) + " + a";
  const Wide expected = (Wide{a} - b) * b / c + 1000;
  RC_ASSERT(Expression::parse(text, Unit::ns).evaluate(readings, 0) == expected);
}

RC_GTEST_PROP(ExpressionProperty, AnyTextIsParsedOrRefused, ()) {
  const auto text = *rc::gen::container<std::string>(rc::gen::elementOf(std::string("01a._x()+-*/ nsmch\xff\"")));
  try {
    (void)Expression::parse(text, Unit::cycles).evaluate(readings, kKhz);
  } catch (const ExpressionError& error) {
    RC_ASSERT(error.offset <= text.size());
  }
}

RC_GTEST_PROP(ParseDurationProperty, WholeNanosecondsRoundTrip, (std::int64_t ns)) {
  RC_ASSERT(parse_duration(std::to_string(ns) + " ns") == ns);
}

}  // namespace
}  // namespace tscsim::ops

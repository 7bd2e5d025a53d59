// Numbers with units, at and beyond their ranges.
#include "scenarios/units.h"

#include <gtest/gtest.h>

namespace tscsim::scenarios {
namespace {

TEST(Units, Frequencies) {
  const struct {
    const char* text;
    std::uint32_t khz;  // 0: refused
  } cases[] = {
      {"2.6 GHz", 2'600'000},
      {"2596.127 MHz", 2'596'127},
      {"2_596_127 kHz", 2'596'127},
      {"1000 Hz", 1},
      {"1 kHz", 1},
      {"2147483647 kHz", 2147483647},
      {"2.6GHz", 2'600'000},
      {"2147483648 kHz", 0},
      {"0 GHz", 0},
      {"-1 GHz", 0},
      {"1 Hz", 0},
      {"2.6", 0},
      {"GHz", 0},
      {"", 0},
      {"2.6 ghz", 0},
      {"2..6 GHz", 0},
      {"1__0 GHz", 0},
      {"18446744073709551616 GHz", 0},
      {"99999999999999999999999999999999 GHz", 0},
      {"2.5e0 GHz", 0},
      {"1. GHz", 0},
  };
  for (const auto& one : cases) {
    EXPECT_EQ(parse_frequency_khz(one.text).value.value_or(0), one.khz) << one.text;
  }
}

TEST(Units, Ratios) {
  EXPECT_EQ(parse_ratio_ppb("250 ppm").value, 250'000);
  EXPECT_EQ(parse_ratio_ppb("-0.5 ppm").value, -500);
  EXPECT_EQ(parse_ratio_ppb("3 ppb").value, 3);
  EXPECT_EQ(parse_ratio_ppb("100_000 ppm").value, 100'000'000);
  for (const char* text : {"100_001 ppm", "0.5 ppb", "3", "ppm", "3 %"})
    EXPECT_FALSE(parse_ratio_ppb(text).value) << text;
}

TEST(Units, Texts) {
  EXPECT_EQ(frequency_text(3'000'000), "3 GHz");
  EXPECT_EQ(frequency_text(2'445'000), "2.445 GHz");
  EXPECT_EQ(frequency_text(2'596'127), "2.596127 GHz");
  EXPECT_EQ(frequency_text(999), "999 kHz");
  EXPECT_EQ(grouped(-1'234'567), "-1_234_567");
  EXPECT_EQ(grouped(-123), "-123");
  EXPECT_EQ(grouped(1000), "1_000");
}

}  // namespace
}  // namespace tscsim::scenarios

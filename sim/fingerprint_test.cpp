#include "sim/fingerprint.h"

#include <gtest/gtest.h>

#include <initializer_list>

namespace tscsim::sim {
namespace {

std::uint64_t of(std::initializer_list<std::uint64_t> values) {
  Fingerprint fingerprint;
  for (const std::uint64_t value : values) fingerprint.add(value);
  return fingerprint.value();
}

std::uint64_t of_texts(std::initializer_list<const char*> texts) {
  Fingerprint fingerprint;
  for (const char* text : texts) fingerprint.add(std::string_view(text));
  return fingerprint.value();
}

TEST(Fingerprint, OrderAndValueCount) {
  EXPECT_EQ(of({1, 2}), of({1, 2}));
  EXPECT_NE(of({1, 2}), of({2, 1}));
  EXPECT_NE(of({1, 2}), of({1, 3}));
  EXPECT_NE(of({1}), of({1, 0}));
  EXPECT_NE(of({0}), of({0, 0}));
  EXPECT_NE(of({}), of({0}));
}

TEST(Fingerprint, TextsDoNotRunTogether) {
  EXPECT_EQ(of_texts({"ab", "c"}), of_texts({"ab", "c"}));
  EXPECT_NE(of_texts({"ab", "c"}), of_texts({"a", "bc"}));
  EXPECT_NE(of_texts({""}), of_texts({}));
}

// Printed in recordings and golden files: never changes.
TEST(Fingerprint, ValuesNeverChange) {
  Fingerprint fingerprint;
  EXPECT_EQ(fingerprint.text(), "243f6a8885a308d3");
  fingerprint.add(std::uint64_t{1});
  fingerprint.add("a");
  EXPECT_EQ(fingerprint.text(), "79552e9b4616bdc4");
}

}  // namespace
}  // namespace tscsim::sim

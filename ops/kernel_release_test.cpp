#include "ops/kernel_release.h"

#include <gtest/gtest.h>

namespace tscsim::ops {
namespace {

TEST(KernelRelease, ReadsWhatIsAVersion) {
  const struct {
    const char* word;
    int major, minor, patch;
    const char* proposal;
  } cases[] = {
      {"6.12", 6, 12, -1, ""},     {"6.1.5", 6, 1, 5, ""},    {"6.0", 6, 0, -1, ""},
      {"2.6.37", 2, 6, 37, ""},    {"99.99", 99, 99, -1, ""}, {"5.10+precise-tsc-v2", 5, 10, -1, "precise-tsc-v2"},
      {"5.10.3+x", 5, 10, 3, "x"},
  };
  for (const auto& c : cases) {
    const auto read = kernel_release(c.word);
    ASSERT_TRUE(read) << c.word;
    EXPECT_EQ(read->major, c.major) << c.word;
    EXPECT_EQ(read->minor, c.minor) << c.word;
    EXPECT_EQ(read->patch, c.patch) << c.word;
    EXPECT_EQ(read->proposal, c.proposal) << c.word;
    EXPECT_EQ(nearest_kernel_release(c.word), "") << c.word << " is one already";
  }
}

TEST(KernelRelease, RefusesWhatIsAlmostOneAndNamesTheNearest) {
  const struct {
    const char *word, *nearest;
  } cases[] = {
      {"6.1foo", "6.1"},
      {"6.1 ", "6.1"},
      {" 6.1", "6.1"},
      {"6.1.", "6.1"},
      {"6.1..2", "6.1"},
      {"06.1", "6.1"},
      {"6.01", "6.1"},
      {"6.1.05", "6.1.5"},
      {"99.9x", "99.9"},
      {"v6.12", "6.12"},
      {"linux-6.12", "6.12"},
      {"-6.1", "6.1"},
      {"+6.1", "6.1"},
      {"6.12-rc1", "6.12"},
      {"6.12.5-amd64", "6.12.5"},
      {"5.10.0-46-amd64", "5.10"},
      {"6.1.2.3", "6.1.2"},
      {"5.10,6.1", "5.10"},
      {"5.10+", "5.10"},
      {"5.10+Precise", "5.10"},
      {"5.10+precise-tsc-v2 ", "5.10+precise-tsc-v2"},
      {"6.123456", ""},
      {"99999999999999999999.1", ""},
      {"6", ""},
      {"6.", ""},
      {".1", ""},
      {"0.1", ""},
      {"", ""},
      {"newest", ""},
      {"99x", ""},
  };
  for (const auto& c : cases) {
    EXPECT_FALSE(kernel_release(c.word)) << c.word;
    EXPECT_EQ(nearest_kernel_release(c.word), c.nearest) << c.word;
  }
  EXPECT_EQ(kernel_release_mend("6.1foo"), "did you mean '6.1'?");
  EXPECT_EQ(kernel_release_mend("six"), "write it as in '6.12', '6.1.5' or '5.10+precise-tsc-v2'");
}

// What is named as nearest can be written, whatever stands around it.
TEST(KernelRelease, TheNearestWordIsAVersion) {
  for (const char* before : {"", " ", "0", "v", "x-", "."})
    for (const char* number : {"6.1", "6.12.3", "2.6.37", "10.0", "5.10+a-1"})
      for (const char* after : {"", " ", ".", "..", "-rc1", "+", "+A", ",6.2", "x", "\n"}) {
        const std::string word = std::string(before) + number + after;
        if (kernel_release(word)) continue;
        const std::string nearest = nearest_kernel_release(word);
        EXPECT_TRUE(kernel_release(nearest)) << "'" << word << "' -> '" << nearest << "'";
      }
}

}  // namespace
}  // namespace tscsim::ops

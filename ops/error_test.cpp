#include "ops/error.h"

#include <gtest/gtest.h>

namespace tscsim::ops {
namespace {

TEST(DiagnosticText, ShowsPlaceSourceLineCaretAndMend) {
  const Diagnostic diagnostic{{"scenarios/tsc/write-joins.yaml", 7, 10},
                              "expected a duration with a unit, found '400'",
                              "write '400 ms', '400 us' or '400 ns'",
                              "  - {at: 400, vcpu: 1, set_msr: {IA32_TSC: 1_000_000_000}}",
                              3};
  EXPECT_EQ(to_text(diagnostic),
            "scenarios/tsc/write-joins.yaml:7:10: error: expected a duration with a unit, found '400'\n"
            "    - {at: 400, vcpu: 1, set_msr: {IA32_TSC: 1_000_000_000}}\n"
            "           ^~~\n"
            "  mend: write '400 ms', '400 us' or '400 ns'");
}

TEST(DiagnosticText, LeavesOutWhatIsNotKnown) {
  EXPECT_EQ(to_text({{"a.yaml", 0, 0}, "no such file", "", "", 1}), "a.yaml: error: no such file");
  EXPECT_EQ(to_text({{"a.jsonl", 3, 0}, "not JSON", "", "", 1}), "a.jsonl:3: error: not JSON");
  EXPECT_EQ(to_text({{}, "nothing to do", "name a file", "", 1}), "error: nothing to do\n  mend: name a file");
  EXPECT_EQ(to_text({{"a.yaml", 3, 0}, "bad", "", "  x: 1", 1}), "a.yaml:3: error: bad\n    x: 1");
}

TEST(DiagnosticText, CaretStandsUnderTheCharacterNotTheByte) {
  // "é" is two bytes and one column; a tab is shown as one space.
  EXPECT_EQ(to_text({{"a", 1, 8}, "m", "", "\xc3\xa9:\t\xc3\xa9 bad", 3}),
            "a:1:8: error: m\n    \xc3\xa9: \xc3\xa9 bad\n         ^~~");
}

TEST(DiagnosticText, UnderlineStaysWithinTheLine) {
  EXPECT_EQ(to_text({{"a", 1, 4}, "m", "", "x: y", 99}), "a:1:4: error: m\n    x: y\n       ^");
  EXPECT_EQ(to_text({{"a", 1, 99}, "m", "", "x: y", 1}), "a:1:99: error: m\n    x: y\n        ^");
  EXPECT_EQ(to_text({{"a", 1, 1}, "m", "", "\x1b[31m", 0}), "a:1:1: error: m\n    ?[31m\n    ^");
}

TEST(DiagnosticText, LongLineIsCutAroundTheFault) {
  const std::string line = std::string(10'000'000, 'x') + "FAULT" + std::string(1'000, 'y');
  const std::string text = to_text({{"a", 1, 10'000'001}, "m", "", line, 5});
  EXPECT_LT(text.size(), 400u);
  const auto caret = text.find("^~~~~");
  ASSERT_NE(caret, std::string::npos);
  const auto column = caret - text.rfind('\n', caret);
  const auto shown = text.find("FAULT");
  ASSERT_NE(shown, std::string::npos);
  EXPECT_EQ(shown - text.rfind('\n', shown), column);
}

TEST(InputErrorText, HoldsAllDiagnostics) {
  const InputError error({{{"a", 1, 0}, "first", "", "", 1}, {{"a", 2, 0}, "second", "", "", 1}});
  EXPECT_STREQ(error.what(), "a:1: error: first\n\na:2: error: second");
  EXPECT_EQ(error.diagnostics().size(), 2u);
}

TEST(NearestWord, WithinAThirdOfTheWord) {
  const std::vector<std::string> words{"set_msr", "get_msr", "rdtsc", "rdtscp", "IA32_TSC", "at"};
  const struct {
    const char* word;
    const char* nearest;
    const char* why;
  } cases[] = {
      {"set_mrs", "set_msr", "swapped neighbours are one edit"},
      {"setmsr", "set_msr", "one missing"},
      {"rdtsx", "rdtsc", "one replaced"},
      {"ia32_tsc", "IA32_TSC", "case does not count"},
      {"ta", "at", "short words allow one edit"},
      {"xyz", "", "nothing near"},
      {"set_ms_xx", "set_msr", "three edits of nine letters"},
      {"sxx_xsr", "", "more than two edits of seven letters"},
      {"", "", "an empty word is no misspelling"},
  };
  for (const auto& c : cases) EXPECT_EQ(nearest_word(c.word, words), c.nearest) << c.word << ": " << c.why;
  EXPECT_EQ(nearest_word(std::string(10'000'000, 'a'), words), "");
}

}  // namespace
}  // namespace tscsim::ops

// Names that outputs print and that are in no table of the program: words of verdicts and columns (docs/words.md), errors
// of a guest's clock (E7), known defects of KVM (K36). `explain` answers for each.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tscsim::cli {

struct Name {
  std::string name;
  std::string line;     // for list
  std::string details;  // for explain
};

std::vector<Name> output_words();
std::vector<Name> clock_errors();
std::vector<Name> known_defects();

// Whether a word is meant: "DISAGREE" and "not_run" are printed, too.
bool same_word(std::string_view given, std::string_view word);

}  // namespace tscsim::cli

#include "cli/names.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "cli/pages.h"
#include "ops/spec_citation.h"
#include "verdict/errors.h"

namespace tscsim::cli {
namespace {

constexpr std::string_view kWords = "docs/words.md", kBugs = "docs/bugs.md";
constexpr std::string_view kErrorsSection = "3", kDefectsSection = "12";

char plain(char c) { return c == '_' ? ' ' : static_cast<char>(std::tolower(static_cast<unsigned char>(c))); }

// A cell as text: without the marks of code, and without the sign that only the pages use.
std::string plain_text(std::string text) {
  std::erase(text, '`');
  for (std::size_t at = text.find("\u00a7"); at != std::string::npos; at = text.find("\u00a7"))
    text.replace(at, std::string_view("\u00a7").size(), "section ");
  return text;
}

std::string cell(const std::vector<std::string>& row, std::size_t i) {
  return i < row.size() ? plain_text(row[i]) : std::string();
}

// A row of docs/bugs.md has six cells where a scenario shows the defect, and four where none does.
struct Museum {
  std::string fixed, shown;
};

Museum museum_of(const std::string& number) {
  const std::vector<std::string> row = table_row(kBugs, "", number);
  const bool has_scenario = row.size() == 6;
  std::string commits = cell(row, has_scenario ? 3 : 2);
  std::erase(commits, '*');  // known from memory only; the page says so
  const std::string fixed = cell(row, has_scenario ? 2 : 1) + (commits.empty() ? "" : " (" + commits + ")");
  if (!has_scenario) return {fixed, fmt::format("not shown: {}\n", cell(row, 3))};
  return {fixed, fmt::format("shown by: scenarios/{}{}.yaml: {}\nreal kernels seen: {}\n",
                             row[1].find('/') == std::string::npos ? "bugs/" : "", row[1], cell(row, 4),
                             row[5].empty() ? "none" : cell(row, 5))};
}

}  // namespace

std::vector<Name> output_words() {
  std::vector<Name> words;
  for (const PageWord& row : page_words(kWords)) {
    const std::string said = fmt::format("{}: {}\n", row.heading, plain_text(row.meaning));
    const auto known = std::find_if(words.begin(), words.end(), [&](const Name& n) { return n.name == row.word; });
    if (known != words.end()) known->details += said;
    else words.push_back({row.word, plain_text(row.meaning), said});
  }
  return words;
}

std::vector<Name> clock_errors() {
  std::vector<Name> errors;
  for (std::size_t i = 0; i < static_cast<std::size_t>(verdict::ErrorName::count); ++i) {
    const verdict::ErrorInfo& error = verdict::info(static_cast<verdict::ErrorName>(i));
    const std::vector<std::string> row = table_row(ops::kVmmSpec, kErrorsSection, error.id);
    errors.push_back(
        {std::string(error.id), std::string(error.name),
         fmt::format("{}\nformula: {}\nin full: {}\nwho pays it: {}\nsource: {}\n", error.name, error.formula,
                     cell(row, 2), cell(row, 3), ops::spec_citation(ops::kVmmSpec, kErrorsSection))});
  }
  return errors;
}

std::vector<Name> known_defects() {
  std::vector<Name> defects;
  for (const std::string& number : table_keys(ops::kKvmSpec, kDefectsSection)) {
    const std::vector<std::string> row = table_row(ops::kKvmSpec, kDefectsSection, number);
    const Museum museum = museum_of(number);
    defects.push_back(
        {"K" + number, cell(row, 3),
         fmt::format("{}\nfixed: {}\nsmallest scenario: {}\n{}source: {}; {}\n", cell(row, 3), museum.fixed,
                     cell(row, 4), museum.shown, ops::spec_citation(ops::kKvmSpec, kDefectsSection), kBugs)});
  }
  return defects;
}

bool same_word(std::string_view given, std::string_view word) {
  return std::equal(given.begin(), given.end(), word.begin(), word.end(),
                    [](char a, char b) { return plain(a) == plain(b); });
}

}  // namespace tscsim::cli

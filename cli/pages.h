// The pages of docs/ that `explain` reads out, as they were when the program was built: it answers without a checkout.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tscsim::cli {

struct Page {
  std::string_view path;  // "docs/spec/kvm-timekeeping.md"
  std::span<const std::string_view> lines;
};

std::span<const Page> pages();

// What a citation names: the sections of "docs/spec/kvm-timekeeping.md 3.2, 3.3 item 5", with what is below them.
// Nothing where no page or no section is called so. The folders before the page's name may be left out, and its ".md".
std::optional<std::string> cited_text(const std::string& citation);

// The cells of the row of a table below the heading of `section` whose first one is `key`; of the whole page where
// `section` is empty. Nothing where there is none.
std::vector<std::string> table_row(std::string_view page, std::string_view section, std::string_view key);

// The rows of the tables of a page whose cells are a word and its meaning, under the headings of their tables.
struct PageWord {
  std::string heading, word, meaning;
};
std::vector<PageWord> page_words(std::string_view page);

// The first cells of the rows of the tables there, without their heads.
std::vector<std::string> table_keys(std::string_view page, std::string_view section);

}  // namespace tscsim::cli

#include "cli/pages.h"

#include <fmt/format.h>

#include <algorithm>

namespace tscsim::cli {
namespace {

using Lines = std::span<const std::string_view>;

std::string_view first_word(std::string_view text) { return text.substr(0, text.find(' ')); }

std::size_t depth_of(std::string_view line) {
  const std::size_t marks = line.find_first_not_of('#');
  return marks != std::string_view::npos && marks != 0 && line[marks] == ' ' ? marks : 0;
}

// "3.3" of "### 3.3 The algorithm", "15.4" of "**15.4 Boot absorption.**"; "3" of "## 3. The error vocabulary".
std::string_view section_number(std::string_view line) {
  if (const std::size_t depth = depth_of(line); depth != 0) line.remove_prefix(depth + 1);
  else if (line.starts_with("**")) line.remove_prefix(2);
  else return {};
  if (line.empty() || line.front() < '0' || line.front() > '9') return {};
  std::string_view number = first_word(line);
  if (number.ends_with('.')) number.remove_suffix(1);
  return number;
}

// Where a section ends: at a heading that is not below its own, or at the next paragraph that is numbered as it is.
bool ends_section(std::string_view line, std::size_t depth) {
  if (const std::size_t here = depth_of(line); here != 0) return depth == 0 || here <= depth;
  return depth == 0 && !section_number(line).empty();
}

Lines section_of(Lines page, std::string_view number) {
  const auto begin =
      std::find_if(page.begin(), page.end(), [&](std::string_view line) { return section_number(line) == number; });
  if (begin == page.end()) return {};
  const std::size_t depth = depth_of(*begin);
  const auto end =
      std::find_if(begin + 1, page.end(), [&](std::string_view line) { return ends_section(line, depth); });
  return page.subspan(static_cast<std::size_t>(begin - page.begin()), static_cast<std::size_t>(end - begin));
}

// "5. The window is measured ..." and the lines that go on from it.
Lines item_of(Lines section, std::string_view number) {
  const std::string mark = std::string(number) + ". ";
  const auto begin =
      std::find_if(section.begin(), section.end(), [&](std::string_view line) { return line.starts_with(mark); });
  if (begin == section.end()) return {};
  const auto end = std::find_if(begin + 1, section.end(), [](std::string_view line) { return !line.starts_with(' '); });
  return section.subspan(static_cast<std::size_t>(begin - section.begin()), static_cast<std::size_t>(end - begin));
}

std::string text_of(Lines lines) {
  while (!lines.empty() && (lines.back().empty() || lines.back().starts_with("---")))
    lines = lines.first(lines.size() - 1);
  std::string text;
  for (const std::string_view line : lines) text += std::string(line) + "\n";
  return text;
}

const Page* find_page(std::string_view name) {
  for (const Page& page : pages()) {
    std::string_view path = page.path;
    for (;;) {
      if (path == name || path.substr(0, path.rfind('.')) == name) return &page;
      const std::size_t slash = path.find('/');
      if (slash == std::string_view::npos) break;
      path.remove_prefix(slash + 1);
    }
  }
  return nullptr;
}

// The places of "3.2, 3.3 items 5 and 7": each section with its item, if any.
struct Place {
  std::string section, item;
};
std::vector<Place> places_of(std::string_view text) {
  std::vector<Place> places;
  bool item = false;
  while (!text.empty()) {
    std::string word(first_word(text));
    text.remove_prefix(std::min(text.size(), word.size() + 1));
    while (word.ends_with(',') || word.ends_with(';')) word.pop_back();
    if (word == "item" || word == "items") item = true;
    else if (word == "and" || word == "to" || word.empty()) continue;
    else if (item && word.find('.') == std::string::npos && !places.empty()) {
      if (places.back().item.empty()) places.back().item = word;
      else places.push_back({places.back().section, word});
    } else {
      places.push_back({word, ""});
      item = false;
    }
  }
  return places;
}

// A letter may name a part of a section: "2.2a".
Lines find_section(const Page& page, std::string number) {
  const Lines found = section_of(page.lines, number);
  if (!found.empty() || number.empty() || number.back() < 'a' || number.back() > 'z') return found;
  number.pop_back();
  return section_of(page.lines, number);
}

std::string trimmed_cell(std::string_view cell) {
  const auto drops = [](char c) { return c == ' ' || c == '*' || c == '`'; };
  while (!cell.empty() && drops(cell.front())) cell.remove_prefix(1);
  while (!cell.empty() && drops(cell.back())) cell.remove_suffix(1);
  return std::string(cell);
}

bool is_row(std::string_view line) { return line.starts_with("| "); }

std::vector<std::string> cells_of(std::string_view line) {
  std::vector<std::string> cells;
  line.remove_prefix(1);
  for (std::size_t bar = line.find('|'); bar != std::string_view::npos; bar = line.find('|')) {
    cells.push_back(trimmed_cell(line.substr(0, bar)));
    line.remove_prefix(bar + 1);
  }
  return cells;
}

// The rows of the tables there. The row above "|---|" is a table's head.
std::vector<std::vector<std::string>> rows_of(std::string_view page, std::string_view section) {
  std::vector<std::vector<std::string>> rows;
  const Page* found = find_page(page);
  if (found == nullptr) return rows;
  const Lines lines = section.empty() ? found->lines : section_of(found->lines, section);
  for (const std::string_view line : lines) {
    if (is_row(line)) rows.push_back(cells_of(line));
    else if (line.starts_with("|---")) rows.pop_back();
  }
  return rows;
}

}  // namespace

std::optional<std::string> cited_text(const std::string& citation) {
  const Page* page = find_page(first_word(citation));
  const std::size_t blank = citation.find(' ');
  if (page == nullptr || blank == std::string::npos) return std::nullopt;
  std::string text;
  for (const Place& place : places_of(std::string_view(citation).substr(blank + 1))) {
    const Lines section = find_section(*page, place.section);
    const Lines wanted = place.item.empty() ? section : item_of(section, place.item);
    if (wanted.empty()) return std::nullopt;
    if (!place.item.empty()) text += fmt::format("{}{}\n\n", text.empty() ? "" : "\n", section.front());
    else if (!text.empty()) text += "\n";
    text += text_of(wanted);
  }
  return text.empty() ? std::nullopt : std::optional(text);
}

std::vector<std::string> table_row(std::string_view page, std::string_view section, std::string_view key) {
  for (std::vector<std::string>& row : rows_of(page, section))
    if (row.front() == key) return row;
  return {};
}

std::vector<std::string> table_keys(std::string_view page, std::string_view section) {
  std::vector<std::string> keys;
  for (const std::vector<std::string>& row : rows_of(page, section)) keys.push_back(row.front());
  return keys;
}

std::vector<PageWord> page_words(std::string_view page) {
  std::vector<PageWord> words;
  const Page* found = find_page(page);
  if (found == nullptr) return words;
  std::string heading;
  for (const std::string_view line : found->lines) {
    if (const std::size_t depth = depth_of(line); depth != 0) heading = line.substr(depth + 1);
    else if (line.starts_with("|---")) words.pop_back();
    else if (is_row(line)) {
      const std::vector<std::string> cells = cells_of(line);
      words.push_back({heading, cells.front(), cells.back()});
    }
  }
  return words;
}

}  // namespace tscsim::cli

// Small things that every reader of text needs.
#pragma once

#include <string_view>

namespace tscsim::ops {

// Without blanks, tabs and line ends at either end.
constexpr std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

}  // namespace tscsim::ops

// Turns a diagnostic into the text that a user reads: place, finding, the source line with the fault
// underlined, and how to mend it.
#include "ops/error.h"

#include <algorithm>
#include <cctype>
#include <cstddef>

namespace tscsim::ops {
namespace {

constexpr std::size_t kShownBytes = 160;  // a longer source line is cut around the fault
constexpr std::size_t kLongestWord = 64;  // nothing longer is a misspelling

std::string place_text(const Place& place) {
  std::string text = place.file;
  if (place.line > 0) {
    text += ":" + std::to_string(place.line);
    if (place.column > 0) text += ":" + std::to_string(place.column);
  }
  return text;
}

bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

// Bytes of UTF-8 that begin a character: what a terminal advances by.
std::size_t display_width(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return !is_continuation(c); }));
}

std::string printable(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = c == '\t' ? ' ' : '?';
  return out;
}

// The part of `line` to show: without indentation, at most kShownBytes, with the byte at `fault` inside.
struct Window {
  std::size_t begin, end;
};

Window window_around(std::string_view line, std::size_t fault) {
  const std::size_t text_begin = line.find_first_not_of(" \t");
  Window window{std::min(text_begin == std::string_view::npos ? 0 : text_begin, fault), line.size()};
  if (window.end - window.begin <= kShownBytes) return window;
  if (fault - window.begin > kShownBytes / 2) window.begin = fault - kShownBytes / 2;
  window.end = std::min(line.size(), window.begin + kShownBytes);
  while (window.begin < fault && is_continuation(line[window.begin])) ++window.begin;
  while (window.end < line.size() && window.end > fault && is_continuation(line[window.end])) --window.end;
  return window;
}

std::string source_text(const Diagnostic& diagnostic) {
  std::string_view line = diagnostic.source_line;
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.remove_suffix(1);
  if (line.empty()) return {};
  if (diagnostic.place.column <= 0) {
    const Window window = window_around(line, std::min(line.find_first_not_of(" \t"), line.size()));
    return "\n    " + printable(line.substr(window.begin, window.end - window.begin));
  }
  const std::size_t fault = std::min(static_cast<std::size_t>(diagnostic.place.column - 1), line.size());
  const Window window = window_around(line, fault);
  const std::string_view before = line.substr(window.begin, fault - window.begin);
  const std::string_view marked = line.substr(fault, static_cast<std::size_t>(std::max(1, diagnostic.length)));
  const std::size_t room = std::max<std::size_t>(1, window.end - fault);
  const std::size_t marks = std::clamp<std::size_t>(display_width(marked), 1, room);
  return "\n    " + printable(line.substr(window.begin, window.end - window.begin)) + "\n    " +
         std::string(display_width(before), ' ') + "^" + std::string(marks - 1, '~');
}

std::string all_texts(const std::vector<Diagnostic>& diagnostics) {
  std::string text;
  for (const Diagnostic& diagnostic : diagnostics) text += (text.empty() ? "" : "\n\n") + to_text(diagnostic);
  return text;
}

std::string lower(std::string_view word) {
  std::string out(word);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

// Damerau-Levenshtein distance without repeated edits of one place: insert, delete, replace, swap neighbours.
std::size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> before_last(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    before_last.swap(last);
    last.swap(row);
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], before_last[j - 2] + 1);
    }
  }
  return row[b.size()];
}

}  // namespace

std::string to_text(const Diagnostic& diagnostic) {
  const std::string place = place_text(diagnostic.place);
  std::string text = (place.empty() ? "" : place + ": ") + "error: " + diagnostic.message + source_text(diagnostic);
  if (!diagnostic.mend.empty()) text += "\n  mend: " + diagnostic.mend;
  return text;
}

InputError::InputError(std::vector<Diagnostic> diagnostics)
    : std::runtime_error(all_texts(diagnostics)), diagnostics_(std::move(diagnostics)) {}

InputError::InputError(Diagnostic diagnostic) : InputError(std::vector<Diagnostic>{std::move(diagnostic)}) {}

std::string nearest_word(const std::string& word, const std::vector<std::string>& words) {
  if (word.empty() || word.size() > kLongestWord) return {};
  std::size_t best = std::max<std::size_t>(1, word.size() / 3) + 1;
  std::string nearest;
  for (const std::string& candidate : words) {
    const std::size_t distance = edit_distance(lower(word), lower(candidate));
    if (distance >= best) continue;
    best = distance;
    nearest = candidate;
  }
  return nearest;
}

}  // namespace tscsim::ops

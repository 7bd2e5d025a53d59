// Places, source lines and the order in which faults are shown.
#include "scenarios/diagnostics.h"

#include <algorithm>
#include <tuple>

#include "scenarios/yaml_tree.h"

namespace tscsim::scenarios {
namespace {

std::vector<std::string> split_lines(std::string_view text) {
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    lines.emplace_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

std::string all_words(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

std::string place_text(const ops::Place& place) {
  return place.file + ":" + std::to_string(place.line) + ":" + std::to_string(place.column);
}

}  // namespace

Diagnostics::Diagnostics(std::string file, std::string_view text) : file_(std::move(file)), lines_(split_lines(text)) {}

std::string Diagnostics::source_line(int line) const {
  if (line < 1 || static_cast<std::size_t>(line) > lines_.size()) return {};
  return lines_[static_cast<std::size_t>(line) - 1];
}

ops::Place Diagnostics::place(const YamlNode& node) const { return {file_, node.line, node.column}; }

void Diagnostics::add(const YamlNode& node, std::string message, std::string mend, std::size_t offset,
                      std::size_t length) {
  ops::Diagnostic diagnostic;
  diagnostic.place = place(node);
  diagnostic.message = std::move(message);
  diagnostic.mend = std::move(mend);
  diagnostic.source_line = source_line(node.line);
  const std::string& line = diagnostic.source_line;
  const auto begin = static_cast<std::size_t>(std::max(node.column - 1, 0));
  // Only a scalar that stands in the line as it was read can be underlined exactly.
  const bool verbatim =
      node.is(YamlNode::Kind::scalar) && begin <= line.size() && line.compare(begin, node.text.size(), node.text) == 0;
  if (verbatim) {
    const std::size_t whole = std::max<std::size_t>(node.text.size(), 1);
    if (offset >= whole) offset = whole - 1;
    diagnostic.place.column += static_cast<int>(offset);
    diagnostic.length = static_cast<int>(length != 0 ? length : whole - offset);
  }
  add(std::move(diagnostic));
}

void Diagnostics::add_clash(const YamlNode& node, const std::string& message, const std::string& verb,
                            const ops::Place& first, std::string mend) {
  ops::Diagnostic diagnostic;
  diagnostic.place = place(node);
  diagnostic.message = message + "\n  " + verb + " at " + place_text(first);
  diagnostic.mend = std::move(mend);
  add(std::move(diagnostic));
}

void Diagnostics::add(ops::Diagnostic diagnostic) {
  const ops::Place at = diagnostic.place;
  if (found_.size() < kMaxErrors) found_.push_back({std::move(diagnostic), at});
}

void Diagnostics::add_used(ops::Diagnostic diagnostic, const ops::Place& used_at) {
  diagnostic.message += "\n  used at " + place_text(used_at);
  if (found_.size() < kMaxErrors) found_.push_back({std::move(diagnostic), used_at});
}

void Diagnostics::add_unknown(const YamlNode& node, const std::string& what, const std::vector<std::string>& words,
                              const std::string& where) {
  const std::string nearest = node.is(YamlNode::Kind::scalar) ? ops::nearest_word(node.text, words) : std::string{};
  add(node, "unknown " + what + " " + found_text(node) + where,
      nearest.empty() ? "use one of " + all_words(words) : "did you mean '" + nearest + "'?");
}

std::vector<ops::Diagnostic> Diagnostics::all() const {
  std::vector<Found> sorted = found_;
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
    return std::tie(a.at.line, a.at.column) < std::tie(b.at.line, b.at.column);
  });
  std::vector<ops::Diagnostic> diagnostics;
  for (Found& found : sorted) diagnostics.push_back(std::move(found.diagnostic));
  return diagnostics;
}

void Diagnostics::throw_if_any() const {
  if (!found_.empty()) throw ops::InputError(all());
}

}  // namespace tscsim::scenarios

#include "mutator.h"

#include <algorithm>
#include <array>
#include <set>

namespace tscsim::fuzz {
namespace {

struct Part {
  std::size_t begin = 0, end = 0;
  std::size_t size() const { return end - begin; }
};

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

// Runs of characters: numbers (digits, with '_' between them), or words.
std::vector<Part> runs(std::string_view text, bool numbers) {
  std::vector<Part> found;
  for (std::size_t at = 0; at < text.size();) {
    const bool digit = is_digit(text[at]);
    if (!digit && !is_letter(text[at])) {
      ++at;
      continue;
    }
    const std::size_t begin = at;
    while (at < text.size() && (is_digit(text[at]) || (digit ? text[at] == '_' : is_letter(text[at])))) ++at;
    if (digit == numbers) found.push_back({begin, at});
  }
  return found;
}

std::vector<Part> lines_of(std::string_view text) {
  std::vector<Part> found;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size() - 1) + 1;
    found.push_back({begin, end});
    begin = end;
  }
  return found;
}

// A field: from a comma, or what opens a list of fields, to where the next one begins. Nested ones belong to it.
Part field_at(std::string_view text, std::size_t begin) {
  int depth = 0;
  std::size_t at = begin + 1;
  for (; at < text.size() && text[at] != '\n'; ++at) {
    if (text[at] == '{' || text[at] == '[' || text[at] == '(') ++depth;
    if ((text[at] == '}' || text[at] == ']' || text[at] == ')') && --depth < 0) break;
    if (text[at] == ',' && depth == 0) break;
  }
  return {begin + 1, at};
}

std::vector<std::size_t> field_starts(std::string_view text) {
  std::vector<std::size_t> found;
  for (std::size_t at = 0; at < text.size(); ++at)
    if (text[at] == ',' || text[at] == '{' || text[at] == '[' || text[at] == '(') found.push_back(at);
  return found;
}

// Where the widths of numbers end, and what the project's own rules turn at.
constexpr std::array<std::string_view, 44> kNumbers = {"0",
                                                       "1",
                                                       "2",
                                                       "3",
                                                       "7",
                                                       "8",
                                                       "10",
                                                       "16",
                                                       "31",
                                                       "32",
                                                       "63",
                                                       "64",
                                                       "65",
                                                       "100",
                                                       "127",
                                                       "128",
                                                       "255",
                                                       "256",
                                                       "999",
                                                       "1000",
                                                       "4095",
                                                       "4096",
                                                       "32767",
                                                       "65535",
                                                       "65536",
                                                       "1000000",
                                                       "2600000",
                                                       "16777215",
                                                       "2147483647",
                                                       "2147483648",
                                                       "4294967295",
                                                       "4294967296",
                                                       "1000000000",
                                                       "999999999",
                                                       "9007199254740993",
                                                       "9223372036",
                                                       "18446744073",
                                                       "4611686018427387904",
                                                       "9223372036854775807",
                                                       "9223372036854775808",
                                                       "18446744073709551615",
                                                       "18446744073709551616",
                                                       "340282366920938463463374607431768211455",
                                                       "00"};

constexpr std::string_view kMarks = "{}[]():,-\"'#&*!|>%@=.+/\\ \n\t\0\xff";

template <class T>
const T& any(const std::vector<T>& of, Dice& dice) {
  return of[dice.below(of.size())];
}

}  // namespace

Mutator::Mutator(Form form, const std::vector<std::string>& seeds) : form_(form) {
  constexpr std::size_t kMostWords = 4000, kMostLines = 4000;
  std::set<std::string> words;
  std::set<std::string> lines;
  for (const std::string& seed : seeds) {
    for (const Part& run : runs(seed, false))
      if (words.size() < kMostWords) words.insert(seed.substr(run.begin, run.size()));
    for (const Part& line : lines_of(seed))
      if (lines.size() < kMostLines && line.size() < 1000) lines.insert(seed.substr(line.begin, line.size()));
  }
  words_.assign(words.begin(), words.end());
  lines_.assign(lines.begin(), lines.end());
}

void Mutator::change_lines(std::string& text, Dice& dice) const {
  const std::vector<Part> lines = lines_of(text);
  if (lines.empty()) return;
  const Part from = any(lines, dice), to = any(lines, dice);
  const std::string line = text.substr(from.begin, from.size());
  switch (dice.below(5)) {
    case 0:  // doubled
      text.insert(to.begin, line);
      break;
    case 1:  // left out
      text.erase(from.begin, from.size());
      break;
    case 2:  // one of another file
      if (!lines_.empty()) text.insert(to.begin, any(lines_, dice));
      break;
    case 3: {  // swapped
      if (from.begin == to.begin) break;
      const Part first = from.begin < to.begin ? from : to, last = from.begin < to.begin ? to : from;
      const std::string one = text.substr(first.begin, first.size()), two = text.substr(last.begin, last.size());
      text.replace(last.begin, last.size(), one);
      text.replace(first.begin, first.size(), two);
      break;
    }
    default: {  // several left out
      const std::size_t begin = std::min(from.begin, to.begin), end = std::max(from.end, to.end);
      text.erase(begin, std::min(end - begin, text.size() / 2));
      break;
    }
  }
}

void Mutator::change_field(std::string& text, Dice& dice) const {
  const std::vector<std::size_t> starts = field_starts(text);
  if (starts.empty()) return change_word(text, dice);
  const std::size_t from_start = any(starts, dice);
  const Part from = field_at(text, from_start);
  const std::string field = text.substr(from.begin, from.size());
  const std::size_t to_start = any(starts, dice);
  const Part to = field_at(text, to_start);
  switch (dice.below(4)) {
    case 0:  // left out, with its comma
      if (text[from_start] == ',') text.erase(from_start, from.size() + 1);
      else text.erase(from.begin, from.size() + (from.end < text.size() && text[from.end] == ',' ? 1 : 0));
      break;
    case 1:  // added elsewhere
      text.insert(to.begin, field + ",");
      break;
    case 2:  // in another's place
      text.replace(to.begin, to.size(), field);
      break;
    default: {  // another's value under this key
      const std::size_t colon = field.find(':'), begin = text.find(':', to.begin);
      if (colon == std::string::npos || begin >= to.end) break;
      text.replace(begin, to.end - begin, field.substr(colon));
      break;
    }
  }
}

void Mutator::change_number(std::string& text, Dice& dice) const {
  const std::vector<Part> numbers = runs(text, true);
  if (numbers.empty()) return change_word(text, dice);
  const Part number = any(numbers, dice);
  std::string digits = text.substr(number.begin, number.size());
  switch (dice.below(8)) {
    case 0:
    case 1:
    case 2:
      digits = kNumbers[dice.below(kNumbers.size())];
      break;
    case 3: {
      const Part other = any(numbers, dice);
      digits = text.substr(other.begin, other.size());
      break;
    }
    case 4:  // one more or less, in the last digit
      digits.back() = static_cast<char>('0' + dice.below(10));
      break;
    case 5:
      digits += "0";
      break;
    case 6:
      if (digits.size() > 1) digits.pop_back();
      break;
    default:
      digits.insert(0, "-");
      break;
  }
  text.replace(number.begin, number.size(), digits);
}

void Mutator::change_word(std::string& text, Dice& dice) const {
  const std::vector<Part> words = runs(text, false);
  if (words.empty()) return change_bytes(text, dice);
  const Part word = any(words, dice), other = any(words, dice);
  std::string put = dice.chance(1, 2) || words_.empty() ? text.substr(other.begin, other.size()) : any(words_, dice);
  if (dice.chance(1, 16)) put = kNumbers[dice.below(kNumbers.size())];
  text.replace(word.begin, word.size(), put);
}

void Mutator::change_bytes(std::string& text, Dice& dice) const {
  const std::size_t at = dice.below(text.size() + 1);
  switch (dice.below(4)) {
    case 0:
      text.insert(at, 1, kMarks[dice.below(kMarks.size())]);
      break;
    case 1:
      if (at < text.size()) text.erase(at, 1);
      break;
    case 2:
      if (at < text.size()) text[at] = static_cast<char>(dice.below(256));
      break;
    default:
      if (dice.chance(1, 4)) text.resize(at);
      else if (at < text.size()) text[at] = kMarks[dice.below(kMarks.size())];
      break;
  }
}

void Mutator::change(std::string& text, Dice& dice) const {
  switch (dice.below(10)) {
    case 0:
    case 1:
      return change_lines(text, dice);
    case 2:
    case 3:
      return change_field(text, dice);
    case 4:
    case 5:
    case 6:
      return change_number(text, dice);
    case 7:
    case 8:
      return change_word(text, dice);
    default:
      return change_bytes(text, dice);
  }
}

// Without this, hardly a recording whose lines were changed would be read.
static std::string with_true_end(std::string text) {
  constexpr std::string_view kEntry = "{\"type\":\"entry\"", kEnd = "{\"type\":\"end\",\"entries\":";
  std::string out;
  std::size_t entries = 0;
  for (const Part& part : lines_of(text)) {
    const std::string line = text.substr(part.begin, part.size());
    if (line.starts_with(kEnd)) {
      const std::size_t behind = line.find_first_of(",}", kEnd.size());
      out += std::string(kEnd) + std::to_string(entries) + (behind == std::string::npos ? "}\n" : line.substr(behind));
      entries = 0;
      continue;
    }
    if (line.starts_with(kEntry)) ++entries;
    out += line;
  }
  if (entries != 0) out += (out.ends_with('\n') ? "" : "\n") + std::string(kEnd) + std::to_string(entries) + "}\n";
  return out;
}

std::string Mutator::finished(std::string text, Dice& dice, std::size_t max_bytes) const {
  if (text.size() > max_bytes && form_ == Form::recordings) {  // whole lines
    const std::size_t end = text.rfind('\n', max_bytes > 32 ? max_bytes - 32 : max_bytes);
    text.resize(end == std::string::npos ? max_bytes : end + 1);
  }
  if (form_ == Form::recordings && !dice.chance(1, 16)) text = with_true_end(std::move(text));
  if (text.size() > max_bytes) text.resize(max_bytes);
  return text;
}

std::string Mutator::changed(std::string text, Dice& dice, std::size_t max_bytes) const {
  for (std::size_t left = 1 + dice.below(4); left > 0; --left) change(text, dice);
  return finished(std::move(text), dice, max_bytes);
}

std::string Mutator::crossed(std::string_view one, std::string_view other, Dice& dice, std::size_t max_bytes) const {
  const std::vector<Part> first = lines_of(one), second = lines_of(other);
  if (first.empty() || second.empty()) return std::string(one.empty() ? other : one);
  const std::size_t keep = any(first, dice).end, from = any(second, dice).begin;
  return finished(std::string(one.substr(0, keep)) + std::string(other.substr(from)), dice, max_bytes);
}

}  // namespace tscsim::fuzz

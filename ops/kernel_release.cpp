#include "ops/kernel_release.h"

#include <algorithm>
#include <charconv>

namespace tscsim::ops {
namespace {

constexpr std::size_t kMostDigits = 4;
constexpr std::string_view kDigits = "0123456789";
constexpr std::string_view kProposalLetters = "abcdefghijklmnopqrstuvwxyz0123456789-";

bool starts_with_digit(std::string_view text) {
  return !text.empty() && kDigits.find(text.front()) != std::string_view::npos;
}

// Takes the digits at the beginning of `text`. nullopt, and nothing taken, when there are none or too many.
std::optional<int> take_number(std::string_view& text) {
  const std::size_t digits = std::min(text.find_first_not_of(kDigits), text.size());
  const std::string_view written = text.substr(0, digits);
  const std::string_view significant = written.substr(std::min(written.find_first_not_of('0'), written.size()));
  if (digits == 0 || significant.size() > kMostDigits) return std::nullopt;
  int number = 0;
  std::from_chars(significant.data(), significant.data() + significant.size(), number);
  text.remove_prefix(digits);
  return number;
}

std::string text_of(const KernelRelease& release) {
  std::string text = std::to_string(release.major) + "." + std::to_string(release.minor);
  if (release.patch >= 0) text += "." + std::to_string(release.patch);
  return release.proposal.empty() ? text : text + "+" + release.proposal;
}

// What `word` begins with, leading zeros and all; `rest` is what follows.
std::optional<KernelRelease> beginning_of(std::string_view word, std::string_view& rest) {
  KernelRelease release;
  const std::optional<int> major = take_number(word);
  if (!major || word.empty() || word.front() != '.') return std::nullopt;
  word.remove_prefix(1);
  const std::optional<int> minor = take_number(word);
  if (!minor || *major == 0) return std::nullopt;
  release.major = *major;
  release.minor = *minor;
  if (word.size() > 1 && word.front() == '.' && starts_with_digit(word.substr(1))) {
    std::string_view after = word.substr(1);
    if (const std::optional<int> patch = take_number(after)) {
      const bool abi = *patch == 0 && !after.empty() && after.front() == '-';
      if (!abi) release.patch = *patch;
      word = after;
    }
  }
  if (!word.empty() && word.front() == '+') {
    const std::string_view name = word.substr(1);
    const std::size_t end = std::min(name.find_first_not_of(kProposalLetters), name.size());
    release.proposal = name.substr(0, end);
    if (!release.proposal.empty()) word = name.substr(end);
  }
  rest = word;
  return release;
}

}  // namespace

std::optional<KernelRelease> kernel_release(std::string_view word) {
  std::string_view rest;
  std::optional<KernelRelease> release = beginning_of(word, rest);
  // Leading zeros do not come back.
  if (!release || !rest.empty() || text_of(*release) != word) return std::nullopt;
  return release;
}

std::string nearest_kernel_release(std::string_view word) {
  const std::size_t begin = word.find_first_of(kDigits);
  if (begin == std::string_view::npos || kernel_release(word)) return "";
  std::string_view rest;
  const std::optional<KernelRelease> release = beginning_of(word.substr(begin), rest);
  return release ? text_of(*release) : "";
}

std::string kernel_release_mend(std::string_view word) {
  const std::string nearest = nearest_kernel_release(word);
  return nearest.empty() ? "write it as in '6.12', '6.1.5' or '5.10+precise-tsc-v2'"
                         : "did you mean '" + nearest + "'?";
}

}  // namespace tscsim::ops

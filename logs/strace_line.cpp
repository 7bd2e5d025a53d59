#include "logs/strace_line.h"

#include <algorithm>
#include <charconv>

namespace tscsim::logs {
namespace {

constexpr std::int64_t kNsPerSecond = 1'000'000'000;
constexpr std::int64_t kMostSeconds = INT64_MAX / kNsPerSecond / 4;  // instants and what calls took are added

void skip_blanks(std::string_view& text) { text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size())); }

bool take(std::string_view& text, std::string_view word) {
  if (!text.starts_with(word)) return false;
  text.remove_prefix(word.size());
  return true;
}

template <class Int>
std::optional<Int> take_number(std::string_view& text, int base = 10) {
  Int number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (error != std::errc{}) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

// ".133456", up to nine digits; nothing is 0.
std::optional<std::int64_t> take_fraction_ns(std::string_view& text) {
  if (!take(text, ".")) return 0;
  std::int64_t ns = 0, unit = kNsPerSecond;
  while (!text.empty() && text.front() >= '0' && text.front() <= '9') {
    unit /= 10;
    ns += (text.front() - '0') * unit;
    text.remove_prefix(1);
  }
  return unit == kNsPerSecond ? std::nullopt : std::optional(ns);
}

// "[pid  2711] " or "2711 ", which is no time.
void take_pid(std::string_view& text, StraceLine& out) {
  std::string_view rest = text;
  const bool bracketed = take(rest, "[pid");
  skip_blanks(rest);
  const auto pid = take_number<int>(rest);
  if (!pid || *pid < 0 || rest.empty()) return;
  if (bracketed ? !take(rest, "]") : rest.front() != ' ') return;
  skip_blanks(rest);
  out.pid = *pid;
  text = rest;
}

// "03:00:37.202263 " or "1700000000.123456 ".
void take_time(std::string_view& text, StraceLine& out) {
  std::string_view rest = text;
  const auto first = take_number<std::int64_t>(rest);
  if (!first || *first < 0 || *first > kMostSeconds) return;
  std::int64_t seconds = *first;
  if (take(rest, ":")) {
    const auto minutes = take_number<std::int64_t>(rest);
    if (!minutes || !take(rest, ":")) return;
    const auto last = take_number<std::int64_t>(rest);
    const auto within = [](std::int64_t number, std::int64_t most) { return number >= 0 && number <= most; };
    if (!last || !within(*first, 23) || !within(*minutes, 59) || !within(*last, 60)) return;
    seconds = *first * 3600 + *minutes * 60 + *last;
    out.of_day = true;
  }
  const auto fraction = take_fraction_ns(rest);
  if (!fraction || !take(rest, " ")) return;
  skip_blanks(rest);
  out.at_ns = seconds * kNsPerSecond + *fraction;
  text = rest;
}

std::string_view take_fd_name(std::string_view& text) {
  if (!take(text, "<")) return {};
  const std::size_t end = text.find('>');
  const std::string_view name = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return name;
}

// " = -1 EINVAL (Invalid argument) <0.000019>", " = 8<anon_inode:kvm-vm> <0.000405>", " = ?".
std::optional<StraceResult> read_result(std::string_view text) {
  StraceResult out;
  skip_blanks(text);
  if (!take(text, "= ")) return std::nullopt;
  if (!take(text, "?")) {
    const bool hex = take(text, "0x");
    out.value = take_number<std::int64_t>(text, hex ? 16 : 10);
    if (!out.value) return std::nullopt;
    out.fd_name = take_fd_name(text);
    skip_blanks(text);
    if (*out.value == -1 && text.starts_with("E")) {
      out.error = text.substr(0, text.find(' '));
      text.remove_prefix(out.error.size());
    }
  }
  const std::size_t took = text.rfind('<');
  if (took == std::string_view::npos || !text.ends_with('>')) return out;
  text.remove_prefix(took + 1);
  const auto seconds = take_number<std::int64_t>(text);
  const auto fraction = take_fraction_ns(text);
  if (seconds && fraction && text == ">" && *seconds >= 0 && *seconds <= kMostSeconds)
    out.took_ns = *seconds * kNsPerSecond + *fraction;
  return out;
}

// Where the arguments end: the last ')' before " = ".
std::size_t end_of_arguments(std::string_view text) {
  const std::size_t result = text.rfind(") = ");
  return result != std::string_view::npos ? result : text.rfind(')');
}

bool read_call(std::string_view text, StraceLine& out) {
  StraceCall call;
  const auto fd = take_number<int>(text);
  if (!fd) return false;
  call.fd = *fd;
  call.fd_name = take_fd_name(text);
  if (!take(text, ", ")) return false;
  const std::size_t unfinished = text.find(" <unfinished ...>");
  const std::size_t end = unfinished != std::string_view::npos ? unfinished : end_of_arguments(text);
  if (end == std::string_view::npos) return false;
  const std::string_view arguments = text.substr(0, end);
  const std::size_t comma = arguments.find(',');
  call.name = arguments.substr(0, comma);
  if (comma != std::string_view::npos) {
    call.argument = arguments.substr(comma + 1);
    skip_blanks(call.argument);
  }
  out.call = call;
  if (unfinished != std::string_view::npos) return true;
  out.result = read_result(text.substr(end + 1));
  return out.result.has_value();
}

}  // namespace

std::optional<StraceLine> split_strace_line(std::string_view line) {
  StraceLine out;
  skip_blanks(line);
  take_pid(line, out);
  take_time(line, out);
  if (take(line, "<... ioctl resumed>")) {
    const std::size_t end = end_of_arguments(line);
    if (end == std::string_view::npos) return std::nullopt;
    out.result = read_result(line.substr(end + 1));
    return out.result ? std::optional(out) : std::nullopt;
  }
  if (!take(line, "ioctl(") || !read_call(line, out)) return std::nullopt;
  return out;
}

}  // namespace tscsim::logs

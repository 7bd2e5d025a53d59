#include "logs/explain_text.h"

#include <fmt/format.h>

#include <array>

namespace tscsim::logs {
namespace {

std::uint64_t magnitude(std::int64_t value) {
  return value < 0 ? 0 - static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value);
}

std::string grouped(std::uint64_t value) {
  std::string digits = std::to_string(value);
  for (std::size_t at = digits.size(); at > 3;) digits.insert(at -= 3, "_");
  return digits;
}

std::string seconds_text(std::int64_t ns) {
  return fmt::format("{}{}.{:06} s", ns < 0 ? "-" : "", magnitude(ns) / 1'000'000'000,
                     magnitude(ns) % 1'000'000'000 / 1000);
}

}  // namespace

std::string ns_text(std::int64_t ns) {
  struct Unit {
    std::uint64_t ns;
    const char* name;
  };
  constexpr std::array kUnits = {Unit{1'000'000'000, "s"}, Unit{1'000'000, "ms"}, Unit{1'000, "us"}};
  const std::uint64_t size = magnitude(ns);
  const char* const sign = ns < 0 ? "-" : "";
  for (const Unit& unit : kUnits) {
    if (size < unit.ns) continue;
    const std::uint64_t thousandths =
        (size / (unit.ns / 1000) * 2 + (size % (unit.ns / 1000) * 2 >= unit.ns / 1000 ? 2 : 0)) / 2;
    return fmt::format("{}{}.{:03} {}", sign, grouped(thousandths / 1000), thousandths % 1000, unit.name);
  }
  return fmt::format("{}{} ns", sign, size);
}

std::string signed_text(std::uint64_t value) {
  const auto number = static_cast<std::int64_t>(value);
  return (number < 0 ? "-" : "") + grouped(magnitude(number));
}

std::optional<std::int64_t> ns_of_cycles(std::int64_t cycles, std::uint32_t khz) {
  if (khz == 0) return std::nullopt;
  const __int128 ns = __int128{cycles} * 1'000'000 / khz;
  if (ns > INT64_MAX || ns < INT64_MIN) return std::nullopt;
  return static_cast<std::int64_t>(ns);
}

std::string cycles_text(std::int64_t cycles, std::uint32_t khz) {
  const char* const sign = cycles > 0 ? "+" : "";
  std::string text = fmt::format("{}{} cycles", sign, signed_text(static_cast<std::uint64_t>(cycles)));
  if (const auto ns = ns_of_cycles(cycles, khz)) text += fmt::format(" ({}{})", sign, ns_text(*ns));
  return text;
}

std::string vcpus_text(const std::vector<int>& vcpus) {
  if (vcpus.size() == 1) return fmt::format("vCPU {}", vcpus.front());
  std::string text = "vCPUs ";
  for (std::size_t i = 0; i < vcpus.size(); ++i) {
    if (i != 0) text += i + 1 == vcpus.size() ? " and " : ", ";
    text += std::to_string(vcpus[i]);
  }
  return text;
}

std::string moment_text(const ops::Recording& recording, std::size_t entry) {
  const ops::Entry& at = recording.entries[entry];
  const bool imported = at.op.kind == ops::OpKind::observed;
  const std::uint64_t tsc = at.traced.empty() ? at.bracket.tsc.lo : at.traced.front().tsc;
  std::string text = "at " + seconds_text(at.op.at_ns);
  if (imported && tsc != 0) {
    text = "at TSC " + grouped(tsc);
    if (recording.header.profile.host_khz != 0) text += fmt::format(" (+{})", seconds_text(at.op.at_ns));
  }
  if (imported && !at.note.empty()) text += fmt::format(" [{}]", at.note.substr(0, at.note.find(' ')));
  return text;
}

}  // namespace tscsim::logs

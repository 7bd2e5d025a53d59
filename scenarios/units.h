// Numbers as authors write them: with digit groups, and with a unit wherever one is needed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tscsim::scenarios {

// A value, or why the text is none: what was expected or found wrong, and how to mend it.
template <class T>
struct Parsed {
  std::optional<T> value;
  std::string message;
  std::string mend;
};

// "400 ms", "+2 ms" in ns.
Parsed<std::int64_t> parse_duration_ns(std::string_view text);

// "2.6 GHz", "2_596_127 kHz" in kHz: a whole number from 1 to 2^31 - 1, as KVM's own limit.
Parsed<std::uint32_t> parse_frequency_khz(std::string_view text);

// "250 ppm", "-3 ppb" in parts per 10^9, at most 10% either way.
Parsed<std::int64_t> parse_ratio_ppb(std::string_view text);

// "1_000", "0x10", "-5" within [min, max].
Parsed<std::int64_t> parse_integer(std::string_view text, std::int64_t min, std::int64_t max);

// "2_600_000": groups of three digits.
std::string grouped(std::int64_t number);

// "3 GHz", "2.445 GHz", "2596127 kHz": the shortest exact form.
std::string frequency_text(std::uint32_t khz);

}  // namespace tscsim::scenarios

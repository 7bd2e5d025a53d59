// One reader of decimal numbers serves all units; each unit adds its words and its range.
#include "scenarios/units.h"

#include <array>
#include <cctype>
#include <limits>
#include <utility>

#include "ops/expression.h"

namespace tscsim::scenarios {
namespace {

using Wide = __int128;

constexpr std::size_t kMaxDigits = 24;  // fits 128 bits with room for a unit's factor

std::string quoted(std::string_view text) {
  constexpr std::size_t kShown = 60;
  return "'" + std::string(text.substr(0, kShown)) + (text.size() > kShown ? "...'" : "'");
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// A signed decimal number, digits / 10^decimals, and the word that follows it.
struct Quantity {
  Wide digits = 0;
  int decimals = 0;
  bool negative = false;
  bool has_number = false;
  std::string_view number;  // as written
  std::string_view unit;
};

Quantity read_quantity(std::string_view text) {
  Quantity quantity;
  text = trim(text);
  std::size_t at = 0;
  if (at < text.size() && (text[at] == '-' || text[at] == '+')) quantity.negative = text[at++] == '-';
  bool point = false;
  std::size_t digits = 0;
  for (; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '.' && !point && digits > 0) {
      point = true;
    } else if (is_digit(c) && digits < kMaxDigits) {
      quantity.digits = quantity.digits * 10 + (c - '0');
      quantity.decimals += point;
      ++digits;
    } else if (c != '_' || digits == 0 || !is_digit(text[at - 1])) {
      break;
    }
  }
  quantity.has_number = digits > 0 && is_digit(text[at - 1]);
  quantity.number = text.substr(0, at);
  quantity.unit = trim(text.substr(at));
  return quantity;
}

// quantity * factor when that is whole.
std::optional<Wide> whole(const Quantity& quantity, Wide factor) {
  Wide value = quantity.digits * factor;
  for (int i = 0; i < quantity.decimals; ++i) {
    if (value % 10 != 0) return std::nullopt;
    value /= 10;
  }
  return quantity.negative ? -value : value;
}

struct UnitWord {
  std::string_view word;
  Wide factor;
};

template <std::size_t N>
const UnitWord* find_unit(const std::array<UnitWord, N>& units, std::string_view word) {
  for (const UnitWord& unit : units)
    if (unit.word == word) return &unit;
  return nullptr;
}

std::string three_ways(const Quantity& quantity, const char* a, const char* b, const char* c) {
  const std::string number = quantity.has_number ? std::string(quantity.number) : "1";
  return "write '" + number + " " + a + "', '" + number + " " + b + "' or '" + number + " " + c + "'";
}

}  // namespace

Parsed<std::int64_t> parse_duration_ns(std::string_view text) {
  try {
    if (const auto ns = ops::parse_duration(text)) return {*ns, {}, {}};
  } catch (const ops::ExpressionError& error) {
    return {{}, quoted(text) + ": " + error.what(), error.mend};
  }
  return {
      {}, "expected a duration with a unit, found " + quoted(text), three_ways(read_quantity(text), "ms", "us", "ns")};
}

Parsed<std::uint32_t> parse_frequency_khz(std::string_view text) {
  // Factors to Hz.
  constexpr std::array<UnitWord, 4> kUnits{{{"GHz", 1'000'000'000}, {"MHz", 1'000'000}, {"kHz", 1'000}, {"Hz", 1}}};
  const Quantity quantity = read_quantity(text);
  const UnitWord* unit = quantity.has_number ? find_unit(kUnits, quantity.unit) : nullptr;
  if (!unit)
    return {{}, "expected a frequency with a unit, found " + quoted(text), three_ways(quantity, "GHz", "MHz", "kHz")};
  const std::optional<Wide> hz = whole(quantity, unit->factor);
  if (!hz || *hz % 1000 != 0)
    return {{}, quoted(text) + " is not a whole number of kHz", "KVM counts frequencies in whole kHz"};
  const Wide khz = *hz / 1000;
  if (khz < 1 || khz > std::numeric_limits<std::int32_t>::max())
    return {{}, quoted(text) + " is outside 1 kHz to 2_147_483_647 kHz", "write a frequency such as '2.6 GHz'"};
  return {static_cast<std::uint32_t>(khz), {}, {}};
}

Parsed<std::int64_t> parse_ratio_ppb(std::string_view text) {
  constexpr std::array<UnitWord, 2> kUnits{{{"ppm", 1000}, {"ppb", 1}}};
  constexpr Wide kLimit = 100'000'000;
  const Quantity quantity = read_quantity(text);
  const UnitWord* unit = quantity.has_number ? find_unit(kUnits, quantity.unit) : nullptr;
  if (!unit) {
    const std::string number = quantity.has_number ? std::string(quantity.number) : "1";
    return {{},
            "expected a ratio with a unit, found " + quoted(text),
            "write '" + number + " ppm' or '" + number + " ppb'"};
  }
  const std::optional<Wide> ppb = whole(quantity, unit->factor);
  if (!ppb) return {{}, quoted(text) + " is not a whole number of ppb", "write it in ppb, rounded"};
  if (*ppb > kLimit || *ppb < -kLimit) return {{}, quoted(text) + " is outside -100_000 ppm to 100_000 ppm", ""};
  return {static_cast<std::int64_t>(*ppb), {}, {}};
}

Parsed<std::int64_t> parse_integer(std::string_view text, std::int64_t min, std::int64_t max) {
  const std::string range = grouped(min) + " to " + grouped(max);
  try {
    if (const auto value = ops::Expression::parse(text, ops::Unit::cycles).as_constant()) {
      if (*value < min || *value > max) return {{}, quoted(text) + " is outside " + range, ""};
      return {static_cast<std::int64_t>(*value), {}, {}};
    }
  } catch (const ops::ExpressionError&) {  // said below, in the words of the caller's language
  }
  return {{}, "expected a whole number from " + range + ", found " + quoted(text), ""};
}

std::string grouped(std::int64_t number) {
  std::string digits = std::to_string(number);
  const std::size_t first = number < 0 ? 1 : 0;
  for (std::size_t at = digits.size(); at > first + 3; at -= 3) digits.insert(at - 3, "_");
  return digits;
}

std::string frequency_text(std::uint32_t khz) {
  const auto with_unit = [khz](std::uint32_t unit_khz, const char* word) {
    std::string fraction = std::to_string(unit_khz + khz % unit_khz).substr(1);
    while (!fraction.empty() && fraction.back() == '0') fraction.pop_back();
    return std::to_string(khz / unit_khz) + (fraction.empty() ? "" : "." + fraction) + " " + word;
  };
  return khz >= 1'000'000 ? with_unit(1'000'000, "GHz") : grouped(khz) + " kHz";
}

}  // namespace tscsim::scenarios

// Products of 64-bit integers need 128 bits, and every division says which way it rounds. Results that do not
// fit their type are errors unless the name says that they are cut.
#pragma once

#include <cstdint>
#include <limits>
#include <stdexcept>
#include <type_traits>

namespace tscsim::sim {

using U128 = unsigned __int128;
using I128 = __int128;

// `value` as a To (a 64-bit or smaller integer). Throws std::overflow_error when it does not fit.
template <class To, class From>
constexpr To checked_cast(From value) {
  static_assert(sizeof(To) <= 8 && std::is_integral_v<To>);
  constexpr auto kMin = static_cast<I128>(std::numeric_limits<To>::min());
  constexpr auto kMax = static_cast<U128>(std::numeric_limits<To>::max());
  const bool negative = value < From{};
  const bool fits = negative ? static_cast<I128>(value) >= kMin : static_cast<U128>(value) <= kMax;
  if (!fits) throw std::overflow_error("a number does not fit its type");
  return static_cast<To>(value);
}

constexpr U128 mul(std::uint64_t a, std::uint64_t b) { return static_cast<U128>(a) * b; }

// floor(a * b / 2^shift) modulo 2^64; shift 0 to 127. A product cut to 64 bits, as fixed-point scaling needs
// it.
constexpr std::uint64_t mul_shift_right(std::uint64_t a, std::uint64_t b, unsigned shift) {
  return static_cast<std::uint64_t>(mul(a, b) >> shift);
}

// floor(a * b / divisor). Throws std::overflow_error when it does not fit, std::domain_error for a divisor of
// 0.
constexpr std::uint64_t mul_div(std::uint64_t a, std::uint64_t b, std::uint64_t divisor) {
  if (divisor == 0) throw std::domain_error("division by zero");
  return checked_cast<std::uint64_t>(mul(a, b) / divisor);
}

// a / divisor rounded towards minus infinity; divisor > 0.
constexpr I128 floor_div(I128 a, I128 divisor) {
  if (divisor <= 0) throw std::domain_error("the divisor is not positive");
  const I128 quotient = a / divisor;
  return a % divisor < 0 ? quotient - 1 : quotient;
}

// floor(a * b / divisor) of signed numbers, towards minus infinity; divisor > 0. Throws as mul_div does.
constexpr std::int64_t mul_div_floor(std::int64_t a, std::int64_t b, std::int64_t divisor) {
  return checked_cast<std::int64_t>(floor_div(static_cast<I128>(a) * b, divisor));
}

}  // namespace tscsim::sim

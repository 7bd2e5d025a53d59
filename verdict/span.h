// A number that is known from both sides: exactly on the model, up to a measured bracket on real KVM.
#pragma once

#include <algorithm>
#include <cstdint>

namespace tscsim::verdict {

using Wide = __int128;

struct Span {
  Wide lo = 0;
  Wide hi = 0;

  static Span exactly(Wide value) { return {value, value}; }
  static Span nothing_known() { return {-(Wide{1} << 64), Wide{1} << 64}; }
  bool exact() const { return lo == hi; }
  // False: nothing is known. No cycles or nanoseconds of a VM's life are as far apart.
  bool known() const { return hi - lo < Wide{1} << 62; }
  Wide middle() const { return lo + (hi - lo) / 2; }
  // The least absolute value that it can have, and the greatest.
  Wide least() const { return lo > 0 ? lo : hi < 0 ? -hi : 0; }
  Wide most() const { return std::max(hi, -lo); }

  friend Span operator+(Span a, Span b) { return {a.lo + b.lo, a.hi + b.hi}; }
  friend Span operator-(Span a, Span b) { return {a.lo - b.hi, a.hi - b.lo}; }
  friend bool operator==(const Span&, const Span&) = default;
};

constexpr Wide floor_div(Wide a, Wide b) {
  const Wide quotient = a / b;
  return quotient - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0);
}

// A difference of two 64-bit counters, the nearer way round.
inline Span wrapped(Span difference) {
  const Wide lo{static_cast<std::int64_t>(static_cast<std::uint64_t>(difference.lo))};
  return {lo, lo + (difference.hi - difference.lo)};
}

// Nanoseconds as cycles and back, rounded down.
inline Span cycles_of(Span ns, std::uint64_t khz) {
  return {floor_div(ns.lo * khz, 1'000'000), floor_div(ns.hi * khz, 1'000'000)};
}
inline Span ns_of(Span cycles, std::uint64_t khz) {
  return {floor_div(cycles.lo * 1'000'000, khz), floor_div(cycles.hi * 1'000'000, khz)};
}

}  // namespace tscsim::verdict

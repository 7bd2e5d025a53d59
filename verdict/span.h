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
  bool exact() const { return lo == hi; }
  Wide middle() const { return lo + (hi - lo) / 2; }
  // The least absolute value that it can have.
  Wide least() const { return lo > 0 ? lo : hi < 0 ? -hi : 0; }

  friend Span operator+(Span a, Span b) { return {a.lo + b.lo, a.hi + b.hi}; }
  friend Span operator-(Span a, Span b) { return {a.lo - b.hi, a.hi - b.lo}; }
  friend bool operator==(const Span&, const Span&) = default;
};

constexpr Wide floor_div(Wide a, Wide b) {
  const Wide quotient = a / b;
  return quotient - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0);
}

// Nanoseconds as cycles and back, rounded down.
inline Span cycles_of(Span ns, std::uint64_t khz) {
  return {floor_div(ns.lo * khz, 1'000'000), floor_div(ns.hi * khz, 1'000'000)};
}
inline Span ns_of(Span cycles, std::uint64_t khz) {
  return {floor_div(cycles.lo * 1'000'000, khz), floor_div(cycles.hi * 1'000'000, khz)};
}

}  // namespace tscsim::verdict

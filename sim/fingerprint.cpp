// Each step is a bijection of the state, so a difference is never lost by what follows it.
#include "sim/fingerprint.h"

#include <cstddef>

namespace tscsim::sim {
namespace {

// The finaliser of SplitMix64 (Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", 2014).
std::uint64_t mix(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

}  // namespace

void Fingerprint::add(std::uint64_t value) { state_ = mix(state_ + 0x9e3779b97f4a7c15u) ^ mix(value); }

void Fingerprint::add(std::string_view text) {
  add(text.size());
  for (const char c : text) add(static_cast<std::uint64_t>(static_cast<unsigned char>(c)));
}

std::string Fingerprint::text() const {
  std::string text(16, '0');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = "0123456789abcdef"[state_ >> (60 - 4 * i) & 0xf];
  return text;
}

}  // namespace tscsim::sim

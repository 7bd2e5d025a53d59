// One number for all that a run did, in order. Two runs with the same fingerprint did the same things; a
// fingerprint that changes between compilers, machines or runs of one seed is a bug even when all
// expectations hold. It guards against accidents, not against forgery.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tscsim::sim {

class Fingerprint {
 public:
  void add(std::uint64_t value);
  void add(std::string_view text);  // its length counts, so "ab" + "c" differs from "a" + "bc"

  std::uint64_t value() const { return state_; }
  std::string text() const;  // 16 hexadecimal digits

 private:
  std::uint64_t state_ = 0x243f6a8885a308d3u;  // digits of pi: any number that is not special
};

}  // namespace tscsim::sim

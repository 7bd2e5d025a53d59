// Random numbers that depend on nothing but the seed, the actor's name and how many the actor has drawn:
// adding an actor does not disturb its neighbours, and every compiler and machine gives the same values.
//
// The generator is Philox4x32-10: Salmon, Moraes, Dror, Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3",
// SC11. The seed is the key; the counter is the actor (upper half) and the block within its stream (lower
// half).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tscsim::sim {

using PhiloxCounter = std::array<std::uint32_t, 4>;
using PhiloxKey = std::array<std::uint32_t, 2>;

PhiloxCounter philox4x32_10(PhiloxCounter counter, PhiloxKey key);

class Stream {
 public:
  Stream(std::uint64_t seed, std::string_view actor_name);

  // What comes next is the beginning of part `index` of the stream, of 2^40: 2^24 blocks of two numbers each. Draws of many runs
  // each have a part of their own.
  void seek(std::uint64_t index);

  std::uint64_t next();  // 0 to 2^64 - 1, each equally likely

  // lo to hi, both included, each equally likely; lo <= hi (std::invalid_argument).
  std::int64_t uniform(std::int64_t lo, std::int64_t hi);

 private:
  std::uint64_t below(std::uint64_t end);

  PhiloxKey key_;
  std::uint64_t actor_;
  std::uint64_t block_ = 0;
  std::array<std::uint64_t, 2> ready_{};
  std::size_t ready_count_ = 0;
};

}  // namespace tscsim::sim

// Philox and the unbiased choice from a range; both on integers only.
#include "sim/random.h"

#include <stdexcept>

#include "sim/wide.h"

namespace tscsim::sim {
namespace {

constexpr int kRounds = 10;
constexpr std::uint32_t kMultiplier0 = 0xd2511f53, kMultiplier1 = 0xcd9e8d57;  // table 2 of the paper
constexpr std::uint32_t kWeyl0 = 0x9e3779b9, kWeyl1 = 0xbb67ae85;  // golden ratio and sqrt(3) - 1, times 2^32

std::uint32_t low(std::uint64_t value) { return static_cast<std::uint32_t>(value); }
std::uint32_t high(std::uint64_t value) { return static_cast<std::uint32_t>(value >> 32); }
std::uint64_t join(std::uint32_t lower, std::uint32_t upper) { return static_cast<std::uint64_t>(upper) << 32 | lower; }

PhiloxCounter one_round(const PhiloxCounter& c, const PhiloxKey& key) {
  const std::uint64_t product0 = std::uint64_t{kMultiplier0} * c[0];
  const std::uint64_t product1 = std::uint64_t{kMultiplier1} * c[2];
  return {high(product1) ^ c[1] ^ key[0], low(product1), high(product0) ^ c[3] ^ key[1], low(product0)};
}

std::uint64_t hash_of(std::string_view name) {  // FNV-1a, 64 bits
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

}  // namespace

PhiloxCounter philox4x32_10(PhiloxCounter counter, PhiloxKey key) {
  for (int round = 0; round < kRounds; ++round) {
    counter = one_round(counter, key);
    key[0] += kWeyl0;
    key[1] += kWeyl1;
  }
  return counter;
}

Stream::Stream(std::uint64_t seed, std::string_view actor_name)
    : key_{low(seed), high(seed)}, actor_(hash_of(actor_name)) {}

void Stream::seek(std::uint64_t index) {
  block_ = index << 24;
  ready_count_ = 0;
}

std::uint64_t Stream::next() {
  if (ready_count_ == 0) {
    const PhiloxCounter out = philox4x32_10({low(block_), high(block_), low(actor_), high(actor_)}, key_);
    ++block_;
    ready_ = {join(out[2], out[3]), join(out[0], out[1])};
    ready_count_ = ready_.size();
  }
  return ready_[--ready_count_];
}

// Takes the upper half of next() * end, and draws again in the few cases that would make some values likelier
// (Lemire, "Fast Random Integer Generation in an Interval", 2019).
std::uint64_t Stream::below(std::uint64_t end) {
  const std::uint64_t surplus = -end % end;  // 2^64 mod end
  U128 product = mul(next(), end);
  while (static_cast<std::uint64_t>(product) < surplus) product = mul(next(), end);
  return static_cast<std::uint64_t>(product >> 64);
}

std::int64_t Stream::uniform(std::int64_t lo, std::int64_t hi) {
  if (lo > hi) throw std::invalid_argument("a range ends before it begins");
  const std::uint64_t span = static_cast<std::uint64_t>(hi) - static_cast<std::uint64_t>(lo);
  const std::uint64_t step = span == UINT64_MAX ? next() : below(span + 1);
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(lo) + step);
}

}  // namespace tscsim::sim

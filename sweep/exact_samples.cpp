#include "sweep/exact_samples.h"

namespace tscsim::sweep {
namespace {

constexpr std::uint64_t kHalf = std::uint64_t{1} << 63;

// Whether a row of falling deviates that begins below `first` has an even length: true with probability exp(-first).
bool falls_evenly(sim::Stream& stream, std::uint64_t first) {
  bool even = true;
  for (std::uint64_t last = first, next; (next = stream.next()) < last; last = next) even = !even;
  return even;
}

// True with probability exp(-1/2).
bool root_of_e(sim::Stream& stream) { return falls_evenly(stream, kHalf); }

bool all_roots(sim::Stream& stream, std::uint64_t times) {
  for (std::uint64_t i = 0; i < times; ++i)
    if (!root_of_e(stream)) return false;
  return true;
}

// True with probability exp(-x (2k + x) / (2k + 2)); step B of the paper.
bool step_b(sim::Stream& stream, std::uint64_t k, std::uint64_t x) {
  const std::int64_t choices = static_cast<std::int64_t>(2 * k + 2);
  bool even = true;
  for (std::uint64_t last = x;; even = !even) {
    const std::uint64_t next = stream.next();
    if (next >= last) return even;
    const std::int64_t choice = stream.uniform(0, choices - 1);
    if (choice == 0) return even;
    if (choice == 1 && stream.next() >= x) return even;
    last = next;
  }
}

bool accepted(sim::Stream& stream, std::uint64_t k, std::uint64_t x) {
  for (std::uint64_t i = 0; i <= k; ++i)
    if (!step_b(stream, k, x)) return false;
  return true;
}

}  // namespace

Sample exponential(sim::Stream& stream) {
  for (std::uint64_t whole = 0;; ++whole) {
    const std::uint64_t first = stream.next();
    if (falls_evenly(stream, first)) return {whole, first};
  }
}

Sample half_normal(sim::Stream& stream) {
  for (;;) {
    std::uint64_t k = 0;
    while (root_of_e(stream)) ++k;
    if (k > 1 && !all_roots(stream, k * (k - 1))) continue;
    const std::uint64_t x = stream.next();
    if (accepted(stream, k, x)) return {k, x};
  }
}

}  // namespace tscsim::sweep

#include "sweep/exact_samples.h"

#include "sim/wide.h"

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

// True with probability exp(-(whole + fraction / 2^64)).
bool falls(sim::Stream& stream, const Sample& exponent) {
  return all_roots(stream, 2 * exponent.whole) && falls_evenly(stream, exponent.fraction);
}

// How far from the mean, in units of 2^-64, a value lies that is rounded to `distance`: `within` says where in its cell.
sim::U128 magnitude(std::int64_t distance, std::uint64_t within) {
  if (distance == 0) return within < kHalf ? kHalf - within : within - kHalf;
  const auto whole = static_cast<std::uint64_t>(distance < 0 ? -distance : distance);
  return (static_cast<sim::U128>(whole) << 64) - kHalf + within;
}

// (y - nearest)(y + nearest) / (2 deviation^2): what the density at y is below that at `nearest` by, as an exponent. The
// magnitudes are in units of 2^-64; y - nearest is at most about one deviation.
Sample exponent_of(sim::U128 y, sim::U128 nearest, std::uint64_t deviation) {
  const sim::U128 less = (y - nearest) / deviation, more = (y + nearest) / deviation;  // in 2^-64 of a deviation
  const auto product = [](sim::U128 a, std::uint64_t b) {                              // a * b / 2^64
    return static_cast<std::uint64_t>(a >> 64) * sim::U128{b} + (sim::mul(static_cast<std::uint64_t>(a), b) >> 64);
  };
  const sim::U128 twice = product(more, static_cast<std::uint64_t>(less)) + (less >> 64 != 0 ? more : sim::U128{0});
  return {static_cast<std::uint64_t>(twice >> 65), static_cast<std::uint64_t>(twice >> 1)};
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

// As algorithm N, whose k begins at `least` here: with k = least + j the density's exp(-k^2 / 2) is that of `least` times
// exp(-least j) exp(-j^2 / 2), the first of which is what j is drawn by.
Sample half_normal_from(sim::Stream& stream, std::uint64_t least) {
  for (;;) {
    std::uint64_t j = 0;
    while (all_roots(stream, 2 * least)) ++j;
    if (!all_roots(stream, j * j)) continue;
    const std::uint64_t x = stream.next();
    if (accepted(stream, least + j, x)) return {least + j, x};
  }
}

std::int64_t normal_between(sim::Stream& stream, std::int64_t deviation, std::int64_t low, std::int64_t high) {
  const bool around_mean = low <= 0 && high >= 0;
  const sim::U128 nearest = around_mean ? 0 : magnitude(low > 0 ? low : high, 0);
  for (;;) {
    const std::int64_t distance = stream.uniform(low, high);
    const sim::U128 y = magnitude(distance, stream.next());
    if (falls(stream, exponent_of(y, nearest, static_cast<std::uint64_t>(deviation)))) return distance;
  }
}

}  // namespace tscsim::sweep

// Where a swept parameter's values come from. Values are integers in a fixed unit, and every draw is made of integers only, so
// that a run has the same values on every machine and compiler:
//
//   uniform(100 ms, 2 s)                  each value from 100 ms to 2 s equally likely, both included
//   normal(0 ms, 3 ms)                    mean, standard deviation; a third and fourth argument bound it (no value beyond is drawn)
//   exponential(5 ms)                     mean; from the second argument on (0), up to the third
//   choice(0 ms, 1 ms, 10 ms)             each of them equally likely; one that stands twice, twice as likely
//   grid(0 ms, 100 ms, 10 ms)             from, to, step: run after run; several grids make their product
//   empirical(delays.txt)                 a line of the file, each equally likely: one value with its unit; '#' begins a comment
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "sim/random.h"

namespace tscsim::sweep {

// What a value counts: a time in ns, a rate in kHz, a share in parts per 10^9, or a number.
enum class Unit : std::uint8_t { ns, khz, ppb, number };

std::string_view name_of(Unit unit);

class Distribution {
 public:
  // Throws std::invalid_argument that says what was expected. `folder`: where empirical()'s files are.
  static Distribution parse(std::string_view text, const std::filesystem::path& folder = {});

  // One value; `run` matters to grids only.
  std::int64_t draw(sim::Stream& stream, std::uint64_t run) const;

  // A value from the middle, at which a scenario can be looked at.
  std::int64_t typical() const;

  // How an author would write `value`: "1500000 ns".
  std::string written(std::int64_t value) const;

  Unit unit() const { return unit_; }
  std::uint64_t grid_points() const { return shape_ == Shape::grid ? points_ : 0; }  // 0: no grid
  void set_stride(std::uint64_t runs) { stride_ = runs; }  // of a grid: so many runs stay at a point
  // The text, and for a file its values' hash: equal sources make equal draws.
  const std::string& source() const { return source_; }

 private:
  enum class Shape : std::uint8_t { uniform, normal, exponential, choice, grid, empirical };
  std::int64_t unbounded(sim::Stream& stream) const;
  std::int64_t within_bounds(sim::Stream& stream) const;
  void check() const;
  void read_values(const std::string& path);

  Shape shape_{};
  Unit unit_ = Unit::number;
  std::vector<std::int64_t> arguments_;  // of choice and empirical: the values
  std::int64_t low_ = INT64_MIN, high_ = INT64_MAX;
  std::uint64_t points_ = 0, stride_ = 1;
  std::string source_;
};

}  // namespace tscsim::sweep

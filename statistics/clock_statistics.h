// Statistics of clock readings: the rate as a least-squares line, the Allan deviation, skews between vCPUs as a matrix.
// Floating point lives here and not in the model: what these numbers come from is exact, what they say is an estimate.
#pragma once

#include <Eigen/Core>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "statistics/series.h"

namespace tscsim::statistics {

// value = offset + rate * time, in counts (ns or cycles) and ns.
struct Fit {
  double rate = 0;          // counts per ns: 1 for a clock in ns that runs true, GHz for a TSC
  double residual_rms = 0;  // counts
  double residual_max = 0;  // counts, as an absolute value
};

// Nothing below two readings at different times.
std::optional<Fit> fit_line(const Series& series);

struct AllanPoint {
  double tau_s = 0;
  double deviation = 0;  // of the relative rate
  int terms = 0;         // second differences that it is the mean of
};

// The overlapping Allan deviation at one, two, four, ... times the distance of the readings (IEEE Std 1139). The clock's counts are
// divided by `rate` first, which makes ns of cycles. `refused` says why there is none: fewer than three readings, or
// distances that differ by more than one part in a hundred.
struct Allan {
  std::vector<AllanPoint> points;
  std::string refused;
};
Allan allan_deviation(const Series& series, double rate);

// Entry (i, j): what series j read minus what series i read at the same due instant, where that is greatest as an absolute
// value; NaN where the two have no instant in common. All of one clock.
Eigen::MatrixXd skew_matrix(std::span<const Series> of_one_clock);

}  // namespace tscsim::statistics

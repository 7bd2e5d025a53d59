#include "statistics/clock_statistics.h"

#include <Eigen/QR>
#include <cmath>
#include <limits>
#include <map>

#include "base/interrupt.h"

namespace tscsim::statistics {
namespace {

// Differences of 64-bit counts are exact as long as they are taken before they become floating point.
double since(std::uint64_t value, std::uint64_t first) {
  return static_cast<double>(static_cast<std::int64_t>(value - first));
}

Eigen::VectorXd times_of(const Series& series) {
  Eigen::VectorXd x(static_cast<Eigen::Index>(series.readings.size()));
  for (Eigen::Index i = 0; i < x.size(); ++i)
    x(i) =
        static_cast<double>(series.readings[static_cast<std::size_t>(i)].taken_ns - series.readings.front().taken_ns);
  return x;
}

Eigen::VectorXd counts_of(const Series& series) {
  Eigen::VectorXd y(static_cast<Eigen::Index>(series.readings.size()));
  for (Eigen::Index i = 0; i < y.size(); ++i)
    y(i) = since(series.readings[static_cast<std::size_t>(i)].value, series.readings.front().value);
  return y;
}

// Why no Allan deviation can be had of readings at these times.
std::string unevenness(const Eigen::VectorXd& x) {
  if (x.size() < 3) return "needs three readings";
  const double step = x(x.size() - 1) / static_cast<double>(x.size() - 1);
  for (Eigen::Index i = 1; i < x.size(); ++i)
    if (!(step > 0) || std::abs(x(i) - x(i - 1) - step) > step / 100) return "needs readings at equal distances";
  return "";
}

AllanPoint allan_point(const Eigen::VectorXd& phase_ns, Eigen::Index m, double step_ns) {
  const Eigen::Index terms = phase_ns.size() - 2 * m;
  const Eigen::VectorXd second = phase_ns.tail(terms) - 2 * phase_ns.segment(m, terms) + phase_ns.head(terms);
  const double tau_ns = step_ns * static_cast<double>(m);
  return {tau_ns / 1e9, std::sqrt(second.squaredNorm() / (2 * tau_ns * tau_ns * static_cast<double>(terms))),
          static_cast<int>(terms)};
}

}  // namespace

std::optional<Fit> fit_line(const Series& series) {
  if (series.readings.size() < 2 || series.readings.front().taken_ns == series.readings.back().taken_ns)
    return std::nullopt;
  const Eigen::VectorXd x = times_of(series), y = counts_of(series);
  Eigen::MatrixXd design(x.size(), 2);
  design << Eigen::VectorXd::Ones(x.size()),
      x / x(x.size() - 1);  // of like size, so that the solution is well conditioned
  const Eigen::Vector2d line = design.colPivHouseholderQr().solve(y);
  const Eigen::VectorXd residual = y - design * line;
  return Fit{line(1) / x(x.size() - 1), std::sqrt(residual.squaredNorm() / static_cast<double>(x.size())),
             residual.cwiseAbs().maxCoeff()};
}

Allan allan_deviation(const Series& series, double rate) {
  const Eigen::VectorXd x = times_of(series);
  Allan allan;
  allan.refused = unevenness(x);
  if (!allan.refused.empty()) return allan;
  const double step_ns = x(x.size() - 1) / static_cast<double>(x.size() - 1);
  const Eigen::VectorXd phase_ns = counts_of(series) / rate - x;
  for (Eigen::Index m = 1; 2 * m < x.size(); m *= 2) allan.points.push_back(allan_point(phase_ns, m, step_ns));
  return allan;
}

Eigen::MatrixXd skew_matrix(std::span<const Series> of_one_clock) {
  const auto size = static_cast<Eigen::Index>(of_one_clock.size());
  Eigen::MatrixXd skew = Eigen::MatrixXd::Constant(size, size, std::numeric_limits<double>::quiet_NaN());
  for (Eigen::Index i = 0; i < size; ++i) {
    base::throw_if_interrupted();
    std::map<std::int64_t, std::uint64_t> at;
    for (const Reading& reading : of_one_clock[static_cast<std::size_t>(i)].readings) at[reading.at_ns] = reading.value;
    for (Eigen::Index j = 0; j < size; ++j)
      for (const Reading& reading : of_one_clock[static_cast<std::size_t>(j)].readings) {
        const auto other = at.find(reading.at_ns);
        if (other == at.end()) continue;
        const double difference = since(reading.value, other->second);
        if (std::isnan(skew(i, j)) || std::abs(difference) > std::abs(skew(i, j))) skew(i, j) = difference;
      }
  }
  return skew;
}

}  // namespace tscsim::statistics

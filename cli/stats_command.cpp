// tscsim stats: rates, Allan deviations and skews of what a recording's clocks showed.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <iterator>
#include <span>

#include "cli/commands.h"
#include "cli/judged.h"
#include "cli/session.h"
#include "cli/text.h"
#include "statistics/clock_statistics.h"
#include "storage/recordings.h"

namespace tscsim::cli {
namespace {

using statistics::Series;

// ns of a clock in ns, cycles of a TSC.
const char* unit_of(const Series& series) { return series.counts_cycles() ? "cycles" : "ns"; }

std::string rate_text(const Series& series, const statistics::Fit& fit) {
  return series.counts_cycles() ? fmt::format("{:.3f} kHz", fit.rate * 1e6)
                                : fmt::format("{:+.3f} ppb", (fit.rate - 1) * 1e9);
}

std::string allan_text(const statistics::Allan& allan) {
  if (!allan.refused.empty()) return "none: it " + allan.refused;
  std::string text;
  for (const statistics::AllanPoint& point : allan.points)
    text += fmt::format("{}{:.1e} at {:.3g} s", text.empty() ? "" : ", ", point.deviation, point.tau_s);
  return text;
}

std::string series_text(const Series& series) {
  std::string text = fmt::format("  vcpu {:<3} {} readings", series.vcpu, series.readings.size());
  const auto fit = statistics::fit_line(series);
  if (!fit) return text + "; no rate: it needs two at different times\n";
  text += fmt::format(", rate {}, off the line by {:.1f} {} rms, {:.1f} at most\n", rate_text(series, *fit),
                      fit->residual_rms, unit_of(series), fit->residual_max);
  return text +
         fmt::format("           Allan deviation {}\n", allan_text(statistics::allan_deviation(series, fit->rate)));
}

std::string skew_text(std::span<const Series> clock) {
  const Eigen::MatrixXd skew = statistics::skew_matrix(clock);
  std::string text =
      fmt::format("  skew, {}, of the column's vCPU against the row's\n          ", unit_of(clock.front()));
  for (const Series& column : clock) text += fmt::format("{:>14}", fmt::format("vcpu {}", column.vcpu));
  for (Eigen::Index i = 0; i < skew.rows(); ++i) {
    text += fmt::format("\n  vcpu {:<3}", clock[static_cast<std::size_t>(i)].vcpu);
    for (Eigen::Index j = 0; j < skew.cols(); ++j)
      text += std::isnan(skew(i, j)) ? fmt::format("{:>14}", "-") : fmt::format("{:>14.0f}", skew(i, j));
  }
  return text + "\n";
}

// The series of one clock stand together.
std::vector<std::span<const Series>> clocks_of(const std::vector<Series>& all) {
  std::vector<std::span<const Series>> clocks;
  for (auto first = all.begin(); first != all.end();) {
    const auto last =
        std::find_if(first, all.end(), [&](const Series& series) { return series.clock != first->clock; });
    clocks.emplace_back(first, last);
    first = last;
  }
  return clocks;
}

std::string text_of(const std::string& name, const std::vector<Series>& all) {
  std::string text = name + "\n";
  if (all.empty()) text += "  no clock is read; add a step such as 'sample: {every: 1 ms, for: 100 ms}'\n";
  for (const auto& clock : clocks_of(all)) {
    text += clock.front().clock + "\n";
    for (const Series& series : clock) text += series_text(series);
    if (clock.size() > 1) text += skew_text(clock);
  }
  return text;
}

Json json_of(const Series& series) {
  Json json = {
      {"clock", series.clock}, {"vcpu", series.vcpu}, {"unit", unit_of(series)}, {"readings", series.readings.size()}};
  const auto fit = statistics::fit_line(series);
  if (!fit) return json;
  json["rate_per_ns"] = fit->rate;
  json["residual_rms"] = fit->residual_rms;
  json["residual_max"] = fit->residual_max;
  const statistics::Allan allan = statistics::allan_deviation(series, fit->rate);
  if (!allan.refused.empty()) json["no_allan_deviation"] = allan.refused;
  for (const statistics::AllanPoint& point : allan.points)
    json["allan_deviation"].push_back({{"tau_s", point.tau_s}, {"deviation", point.deviation}, {"terms", point.terms}});
  return json;
}

Json skew_json(std::span<const Series> clock) {
  const Eigen::MatrixXd skew = statistics::skew_matrix(clock);
  Json rows = Json::array();
  for (Eigen::Index i = 0; i < skew.rows(); ++i) {
    Json row = Json::array();
    for (Eigen::Index j = 0; j < skew.cols(); ++j)
      row.push_back(std::isnan(skew(i, j)) ? Json(nullptr) : Json(skew(i, j)));
    rows.push_back(row);
  }
  return {{"clock", clock.front().clock}, {"rows_minus", rows}};
}

Json json_of(const std::string& name, const std::string& file, const std::vector<Series>& all) {
  Json clocks = Json::array(), skews = Json::array();
  for (const Series& series : all) clocks.push_back(json_of(series));
  for (const auto& clock : clocks_of(all)) skews.push_back(skew_json(clock));
  return {{"name", name}, {"file", file}, {"clocks", clocks}, {"skews", skews}};
}

int run(const Arguments& arguments) {
  Json documents = Json::array();
  const auto tell = [&](const std::string& file, const ops::Recording& recording) {
    const std::vector<Series> all = statistics::series_of(recording);
    if (arguments.json()) documents.push_back(json_of(recording.header.scenario, file, all));
    else std::cout << text_of(recording.header.scenario, all);
  };
  require_scenarios_for_model_options(arguments.positional, arguments);
  std::vector<std::string> files;
  std::copy_if(arguments.positional.begin(), arguments.positional.end(), std::back_inserter(files), is_scenario);
  require_replacements(files, arguments);
  for (const std::string& path : arguments.positional) {
    if (is_scenario(path))
      for (const scenarios::Scenario& scenario : load_for_model(path, arguments)) {
        ops::Recording recording = run_on_model(scenario, arguments);
        recording.header.scenario = scenarios::label(scenario);
        tell(path, recording);
      }
    else
      for (const ops::Recording& recording : storage::read_recordings(path)) tell(path, recording);
  }
  if (arguments.json())
    print({{"command", "stats"}, {"summary", {{"count", documents.size()}}}, {"recordings", documents}});
  return kAllHeld;
}

}  // namespace

Command stats_command() {
  return {"stats",
          "FILE|RECORDING...",
          "rates (least squares), Allan deviations and skews between vCPUs of the clocks that were read",
          "tscsim stats scenarios/kvmclock/invariant-across-vcpus.yaml",
          add_model_options,
          run};
}

}  // namespace tscsim::cli

// What a comparison shows of each run: metrics, captures, how many expectations held.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/world/runner.h"
#include "scenarios/evaluate.h"
#include "scenarios/metrics.h"
#include "scenarios/scenario.h"

namespace tscsim::cli {

struct Column {
  enum class Shows : std::uint8_t {
    tsc_jump,
    tsc_skew,
    kvmclock_jump,
    kvmclock_skew,
    master_clock,
    guest_metric,
    capture,
    expectations
  };
  Shows shows{};
  std::string name;
  std::string unit;                           // "cycles", "ns"; empty: a count, a word
  const scenarios::Metric* metric = nullptr;  // of a Linux guest
};

enum class Mark : std::uint8_t { none, best, worst };

struct Cell {
  std::string text;                  // with digit groups; empty: there is no value
  std::string plain;                 // for programs
  std::optional<ops::Wide> badness;  // less is better; empty: it is not judged
  Mark mark = Mark::none;
};

// One run of one variant.
struct Run {
  scenarios::Scenario scenario;
  ops::Recording recording;
  std::vector<scenarios::Verdict> verdicts;
  model::RunMetrics metrics;  // with a Linux guest: empty
};

// Of the metrics named; of none, those that are shown unless one says which. A capture must be one of a variant's. Throws
// UsageError.
std::vector<Column> columns_named(const std::vector<std::string>& names,
                                  const std::vector<scenarios::Scenario>& variants);
std::vector<Column> usual_columns(bool linux_guest);

Cell cell_of(const Column& column, const Run& run);

}  // namespace tscsim::cli

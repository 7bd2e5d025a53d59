#include "sweep/evaluation.h"

#include <algorithm>
#include <stdexcept>

#include "model/kvm/era.h"
#include "scenarios/files.h"
#include "sweep/pool.h"

namespace tscsim::sweep {

using Meant = scenarios::SweepSpec::Meant;

std::vector<Policy> known_policies() {
  const std::string newest(model::kNewestKernel);
  std::vector<Policy> all;
  for (const char* kernel : {"3.3", "4.11", "5.9", "6.7", "6.14"}) all.push_back({kernel, kernel, ""});
  all.push_back({newest, newest, ""});
  for (const char* proposal : {"5.10+precise-tsc-v2", "7.4+clock-v6"}) all.push_back({proposal, proposal, ""});
  for (const char* heuristic : {"never", "always", "same-value"})
    all.push_back({newest + " " + heuristic, newest, heuristic});
  return all;
}

Situation load_situation(const std::string& path, const scenarios::ParseOptions& options) {
  const std::string text = scenarios::read_bounded(path);
  const scenarios::Scenario scenario = scenarios::parse_scenario(text, path, options);
  if (scenario.sweep.meant == Meant::unsaid)
    throw ops::InputError(ops::Diagnostic{{path, 0, 0},
                                          "this scenario does not say what is meant",
                                          "add 'sweep: {meant: together, vary: ...}' (docs/evaluation.md)",
                                          {},
                                          1});
  return {scenario.meta.name, scenario.meta.title, path, text, scenario.sweep, options};
}

std::uint64_t Cell::wrong() const {
  const QuantityAggregate& error = of(Told::error);
  const auto right = error.histogram.find(0);
  return error.runs + error.outside - (right == error.histogram.end() ? 0 : right->second);
}

std::optional<Cell> judge(const Situation& situation, const Policy& policy, const Trial& trial) {
  SubjectSpec spec;
  spec.text = situation.text;
  spec.file = situation.file;
  spec.options = situation.options;
  spec.kernel = policy.kernel;
  spec.heuristic = policy.heuristic;
  spec.seed = trial.seed;
  spec.variations = variations_of(situation.sweep, situation.file);
  try {
    const bool together = situation.sweep.meant == Meant::together;
    spec.quantities = {Quantity::parse(together ? "tsc_skew" : situation.sweep.error), Quantity::parse("master_clock"),
                       Quantity::parse("kvmclock_jump")};
  } catch (const std::invalid_argument& error) {
    throw ops::InputError(ops::Diagnostic{{situation.file, 0, 0}, error.what(), "mend it under 'sweep'", {}, 1});
  }
  const Subject subject(spec);
  Inputs inputs;
  inputs.runs = trial.runs;
  inputs.batch = subject.compiled_once() ? 2048 : 64;
  BatchPool pool(subject, inputs, {0, inputs.own_batches(), 1}, trial.threads, trial.interrupted);
  Cell cell;
  std::uint64_t batches = 0;
  for (; const auto batch = pool.take(); ++batches) cell.runs.add(*batch);
  if (batches != inputs.own_batches()) return std::nullopt;
  return cell;
}

Cell sum_of(const std::vector<const Cell*>& cells) {
  Cell sum;
  for (const Cell* cell : cells)
    if (cell->impossible.empty()) sum.runs.add(cell->runs);
  return sum;
}

}  // namespace tscsim::sweep

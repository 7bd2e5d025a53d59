// What the commands that run scenarios share: finding files, applying options, running on a target.
#pragma once

#include <string>
#include <vector>

#include "cli/arguments.h"
#include "ops/recording.h"
#include "scenarios/evaluate.h"
#include "scenarios/scenario.h"

namespace tscsim::cli {

// --kernel, --heuristic, --seed
void add_model_options(po::options_description& options);

// The folder of the shipped scenarios.
std::string library_folder();

// All scenario files of the given files and folders, in order, each once.
std::vector<std::string> scenario_files(const std::vector<std::string>& paths);

// Throws ops::InputError for a --kernel or --heuristic that the model does not know.
void check_model_options(const Arguments& arguments);

// Loads a scenario and applies --kernel and --heuristic.
scenarios::Scenario load(const std::string& path, const Arguments& arguments);

ops::Recording run_on_model(const scenarios::Scenario& scenario, const Arguments& arguments);

// Real KVM; `on` is "native". Throws UsageError for another name, TargetError when it cannot be used.
class Target {
 public:
  explicit Target(const std::string& on);
  const ops::TargetProfile& profile() const { return profile_; }
  ops::Recording run(const scenarios::Scenario& scenario, const Arguments& arguments) const;
  // Several in a row, where the target's start costs; the recordings in the same order.
  std::vector<ops::Recording> run_all(const std::vector<scenarios::Scenario>& batch, const Arguments& arguments) const;
  std::size_t batch() const { return 1; }  // how many scenarios to hand over at once

 private:
  ops::TargetProfile profile_;
};

struct Tally {
  int held = 0, failed = 0, unsure = 0, not_run = 0;
};
Tally tally(const std::vector<scenarios::Verdict>& verdicts);

}  // namespace tscsim::cli

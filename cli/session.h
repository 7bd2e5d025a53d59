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

// Loads a scenario and applies --kernel and --heuristic.
scenarios::Scenario load(const std::string& path, const Arguments& arguments);

ops::Recording run_on_model(const scenarios::Scenario& scenario, const Arguments& arguments);

// Real KVM; `on` is "native". Throws UsageError for another name, TargetError when it cannot be used.
class Target {
 public:
  explicit Target(const std::string& on);
  const ops::TargetProfile& profile() const { return profile_; }
  ops::Recording run(const scenarios::Scenario& scenario, const Arguments& arguments) const;

 private:
  ops::TargetProfile profile_;
};

// What the scenario's host has and the target lacks, as "needs: ..."; empty when there is nothing.
std::string unmet_need(const ops::HostSpec& host, const ops::TargetProfile& profile);

// The expectations on a recording; all of them not run when the target lacks what the scenario's host has.
std::vector<scenarios::Verdict> judge(const scenarios::Scenario& scenario, const ops::Recording& recording);

struct Tally {
  int held = 0, failed = 0, unsure = 0, not_run = 0;
};
Tally tally(const std::vector<scenarios::Verdict>& verdicts);

}  // namespace tscsim::cli

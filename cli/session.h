// What the commands that run scenarios share: finding files, applying options, running on a target.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/arguments.h"
#include "kvm_backend/lab/lab.h"
#include "model/world/simulation.h"
#include "ops/error.h"
#include "ops/recording.h"
#include "scenarios/evaluate.h"
#include "scenarios/scenario.h"

namespace tscsim::cli {

// --kernel, --heuristic, --seed, and those of procedures
void add_model_options(OptionList& options);

// --procedure, --procedures
void add_procedure_options(OptionList& options);
scenarios::ParseOptions parse_options(const Arguments& arguments);

// --no-trace, --noisy
void add_lab_options(OptionList& options);

// --bring: programs of this machine for a lab machine.
void add_bring_option(OptionList& options);
std::vector<std::string> brought(const Arguments& arguments);

// Throws UsageError for a name that is none.
kvm_backend::lab::LabTarget lab_target_named(std::string name);

// All scenario files of the given files, folders and names of shipped scenarios, in order, each once; "-" is standard input.
std::vector<std::string> scenario_files(const std::vector<std::string>& paths);

// --threads
void add_threads_option(OptionList& options);
unsigned threads_of(const Arguments& arguments);

// "OLD=NEW", or "NEW" for all of its kind.
scenarios::ProcedureReplacement replacement_from(const std::string& text);

// Throws ops::InputError for words that the model does not know; an empty one is its own choice.
void check_model(const std::string& kernel, const std::string& heuristic);

// Throws ops::InputError for a --kernel or --heuristic that the model does not know.
void check_model_options(const Arguments& arguments);

// Loads a scenario and applies --kernel and --heuristic.
scenarios::Scenario load(const std::string& path, const Arguments& arguments);

// Applies --heuristic and a --kernel of one version to one that is loaded.
scenarios::Scenario with_model_options(scenarios::Scenario scenario, const Arguments& arguments);

// What a scenario makes for the model: one, or one for each version of --kernel or else of its `kernels`.
std::vector<scenarios::Scenario> for_model(const scenarios::Scenario& scenario, const Arguments& arguments);
std::vector<scenarios::Scenario> load_for_model(const std::string& path, const Arguments& arguments);

// Throws UsageError for a --procedure that is none, or that replaces nothing in any of the files. Those that cannot be read
// are for their reader to refuse.
void require_replacements(const std::vector<std::string>& files, const Arguments& arguments);

ops::Recording run_on_model(const scenarios::Scenario& scenario, const Arguments& arguments,
                            model::Tracing tracing = model::Tracing::off);

// What became of one scenario on a target: a recording, or wrong input, or a failure of the target.
struct Ran {
  std::optional<ops::Recording> recording;
  std::vector<ops::Diagnostic> wrong_input;
  std::string failure;  // of the target
  bool begun = true;    // false: the target failed before the scenario's turn came
};

// Real KVM under a name: "native", this machine's /dev/kvm, or "lab:...", a stock kernel under emulation.
class Target {
 public:
  virtual ~Target() = default;
  virtual std::string name() const = 0;
  // Calls `done` for each scenario, in order. Throws TargetError when the target cannot be had at all. An interrupt throws
  // ops::Interrupted, after `done` for those that ran to their end.
  virtual void run(const std::vector<scenarios::Scenario>& scenarios, const Arguments& arguments,
                   const std::function<void(std::size_t, const Ran&)>& done) = 0;
  // What this KVM is and honours; in the lab, a boot finds it out.
  virtual ops::TargetProfile profile(const Arguments& arguments) = 0;
  virtual bool runs_beside_others() const = 0;  // without harm to what it measures
  virtual std::size_t batch() const = 0;        // how many scenarios to hand over at once, as far as there is a choice
};

// The lab's defaults, with notices on standard error.
kvm_backend::lab::LabOptions lab_options(const kvm_backend::lab::LabTarget& target, const Arguments& arguments);

// What --on names: "native", "lab:6.12", several with commas, or "all". Throws UsageError for an unknown name.
std::vector<std::unique_ptr<Target>> targets_of(const std::string& on);

// In order. Throws what went wrong with the first that has no recording.
std::vector<ops::Recording> run_all(Target& target, const std::vector<scenarios::Scenario>& batch,
                                    const Arguments& arguments);

struct Tally {
  int held = 0, failed = 0, unsure = 0, not_run = 0;
};
Tally tally(const std::vector<scenarios::Verdict>& verdicts);

}  // namespace tscsim::cli

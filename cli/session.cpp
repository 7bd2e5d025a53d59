#include "cli/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "cli/interrupt.h"
#include "kvm_backend/native_executor.h"
#include "kvm_backend/probe.h"
#include "model/kvm/era.h"
#include "model/world/simulation.h"
#include "ops/error.h"

namespace tscsim::cli {
namespace {

kvm_backend::NativeOptions native_options() {
  kvm_backend::NativeOptions options;
  options.interrupted = &interrupt_flag();
  return options;
}

ops::Recording run(const scenarios::Scenario& scenario, ops::Executor& executor, const Arguments& arguments) {
  ops::Recording recording = ops::run_program(scenario.program, executor, arguments.number("seed"),
                                              [](std::size_t, std::size_t) { throw_if_interrupted(); });
  recording.header.tool_version = TSCSIM_VERSION;
  return recording;
}

}  // namespace

void add_model_options(po::options_description& options) {
  options.add_options()
      ("kernel", po::value<std::string>()->value_name("VERSION"), "kernel of the modelled host, e.g. 6.12")
      ("heuristic", po::value<std::string>()->value_name("NAME"), "synchronisation policy instead of the kernel's own")
      ("seed", po::value<std::uint64_t>()->default_value(1)->value_name("N"), "seed, kept in the recording");
}

std::string library_folder() {
  std::error_code ignored;
  const auto installed = std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path().parent_path() /
                         "share/tscsim/scenarios";
  return std::filesystem::is_directory(installed, ignored) ? installed.string() : TSCSIM_LIBRARY;
}

std::vector<std::string> scenario_files(const std::vector<std::string>& paths) {
  std::vector<std::string> files;
  std::set<std::string> seen;
  for (const std::string& path : paths) {
    const std::vector<std::string> found = scenarios::find_scenarios(path);
    if (found.empty())
      throw ops::InputError(ops::Diagnostic{{path, 0, 0}, "there is no scenario (*.yaml) in this folder", "", "", 1});
    for (const std::string& file : found)
      if (seen.insert(file).second) files.push_back(file);
  }
  return files;
}

void check_model_options(const Arguments& arguments) {
  ops::TargetProfile profile;
  profile.kernel = arguments.has("kernel") ? arguments.text("kernel") : std::string(model::kNewestKernel);
  profile.heuristic = arguments.text("heuristic");
  model::machine_config(profile);
}

scenarios::Scenario load(const std::string& path, const Arguments& arguments) {
  scenarios::Scenario scenario = scenarios::load_scenario(path);
  if (arguments.has("kernel")) scenario.program.host.kernel = arguments.text("kernel");
  if (arguments.has("heuristic")) scenario.program.heuristic = arguments.text("heuristic");
  return scenario;
}

ops::Recording run_on_model(const scenarios::Scenario& scenario, const Arguments& arguments) {
  const auto executor = model::simulate(scenario.program.host, scenario.program.heuristic);
  return run(scenario, *executor, arguments);
}

Target::Target(const std::string& on) {
  if (on != "native") {
    const bool near = !ops::nearest_word(on, {"native"}).empty();
    throw UsageError(fmt::format("unknown target '{}'; {}", on,
                                 near ? "did you mean 'native'?" : "this version knows 'native' (this machine's /dev/kvm)"));
  }
  profile_ = kvm_backend::probe_target(native_options());
}

ops::Recording Target::run(const scenarios::Scenario& scenario, const Arguments& arguments) const {
  kvm_backend::NativeOptions options = native_options();
  options.profile = profile_;
  const auto executor = kvm_backend::open_native(options);
  return cli::run(scenario, *executor, arguments);
}

std::vector<ops::Recording> Target::run_all(const std::vector<scenarios::Scenario>& batch, const Arguments& arguments) const {
  std::vector<ops::Recording> recordings;
  for (const scenarios::Scenario& scenario : batch) recordings.push_back(run(scenario, arguments));
  return recordings;
}

Tally tally(const std::vector<scenarios::Verdict>& verdicts) {
  Tally result;
  for (const scenarios::Verdict& verdict : verdicts) {
    switch (verdict.state) {
      case scenarios::State::held: ++result.held; break;
      case scenarios::State::failed: ++result.failed; break;
      case scenarios::State::unsure: ++result.unsure; break;
      case scenarios::State::not_run: ++result.not_run; break;
    }
  }
  return result;
}

}  // namespace tscsim::cli

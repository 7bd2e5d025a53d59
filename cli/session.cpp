#include "cli/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <set>
#include <sstream>
#include <thread>

#include "cli/interrupt.h"
#include "cli/kernel_option.h"
#include "cli/progress.h"
#include "kvm_backend/lab/lab.h"
#include "kvm_backend/native_batch.h"
#include "kvm_backend/probe.h"
#include "model/kvm/era.h"
#include "model/world/simulation.h"
#include "ops/error.h"
#include "scenarios/procedure_alone.h"
#include "scenarios/procedure_library.h"

namespace tscsim::cli {

namespace lab = kvm_backend::lab;

namespace {

constexpr std::string_view kLabPrefix = "lab:";
constexpr std::size_t kBatch = 100;  // of the lab: two boots, side by side

kvm_backend::NativeOptions native_options() {
  kvm_backend::NativeOptions options;
  options.interrupted = &interrupt_flag();
  return options;
}

class NativeTarget final : public Target {
 public:
  std::string name() const override { return "native"; }
  ops::TargetProfile profile(const Arguments&) override {
    if (!profile_) profile_ = kvm_backend::probe_target(native_options());
    return *profile_;
  }
  bool runs_beside_others() const override { return false; }
  std::size_t batch() const override { return 1; }

  void run(const std::vector<scenarios::Scenario>& scenarios, const Arguments& arguments,
           const std::function<void(std::size_t, const Ran&)>& done) override {
    kvm_backend::NativeBatch batch;
    batch.options = native_options();
    batch.options.profile = profile(arguments);
    batch.seed = arguments.number("seed");
    std::vector<const ops::Program*> programs;
    for (const scenarios::Scenario& scenario : scenarios) programs.push_back(&scenario.program);
    Progress progress("scenarios on native", 0, programs.size());
    if (programs.size() > 1) batch.progress = [&](std::size_t ready) { progress.show(ready); };
    std::vector<kvm_backend::NativeResult> results = kvm_backend::run_side_by_side(programs, batch);
    if (programs.size() > 1) progress.finish();
    for (std::size_t i = 0; i < results.size(); ++i) {
      if (!results[i].recording && results[i].wrong_input.empty()) continue;  // interrupted before
      if (results[i].recording) results[i].recording->header.tool_version = TSCSIM_VERSION;
      done(i, {std::move(results[i].recording), std::move(results[i].wrong_input), ""});
    }
    throw_if_interrupted();
  }

 private:
  std::optional<ops::TargetProfile> profile_;
};

class LabRunner final : public Target {
 public:
  // Host i of a scenario runs on target i; one target alone is every host's.
  explicit LabRunner(std::vector<lab::LabTarget> targets) : targets_(std::move(targets)) {}
  std::string name() const override {
    std::string text;
    for (const lab::LabTarget& target : targets_)
      text += fmt::format("{}{}{}", text.empty() ? "" : "+", kLabPrefix, target.name);
    return text;
  }
  bool runs_beside_others() const override { return true; }
  std::size_t batch() const override { return kBatch; }

  ops::TargetProfile profile(const Arguments& arguments) override {
    return run_all(*this, {scenarios::Scenario{}}, arguments).front().header.profile;
  }

  // All of them in one boot, so `done` is called after it.
  void run(const std::vector<scenarios::Scenario>& scenarios, const Arguments& arguments,
           const std::function<void(std::size_t, const Ran&)>& done) override {
    std::vector<ops::Program> programs;
    for (const scenarios::Scenario& scenario : scenarios) programs.push_back(scenario.program);
    std::vector<lab::LabPlace> places;
    for (const lab::LabTarget& target : targets_) {
      places.push_back({target, lab_options(target, arguments)});
      places.back().options.seed = arguments.number("seed");
      places.back().options.trace = !arguments.has("no-trace");
    }
    std::vector<lab::LabResult> results = lab::run_in_lab(places, programs);
    bool interrupted = false;
    for (std::size_t i = 0; i < results.size(); ++i) {
      interrupted = interrupted || results[i].interrupted;
      if (results[i].interrupted) continue;
      Ran ran{std::move(results[i].recording), {}, std::move(results[i].failure), results[i].begun};
      if (results[i].wrong_input) ran.wrong_input.push_back(*results[i].wrong_input);
      if (ran.recording) ran.recording->header.tool_version = TSCSIM_VERSION;
      done(i, ran);
    }
    if (interrupted) throw ops::Interrupted();
  }

 private:
  std::vector<lab::LabTarget> targets_;
};

std::string unknown_target(const std::string& name) {
  std::vector<std::string> names = {"native", "all"};
  for (const lab::LabTarget& target : lab::lab_targets()) names.push_back(std::string(kLabPrefix) + target.name);
  return fmt::format("unknown target '{}'{}", name,
                     suggestion(name, names, fmt::format("there are {}", fmt::join(names, ", "))));
}

// "lab:6.1+lab:6.12": a target for each host.
std::vector<lab::LabTarget> lab_targets_of(const std::string& names) {
  std::vector<lab::LabTarget> targets;
  std::istringstream parts(names);
  for (std::string name; std::getline(parts, name, '+');) {
    if (name == "native")
      throw UsageError("only lab targets can be joined by '+'; 'native' runs all hosts of a scenario itself");
    const auto target =
        name.rfind(kLabPrefix, 0) == 0 ? lab::find_lab_target(name.substr(kLabPrefix.size())) : std::nullopt;
    if (!target) throw UsageError(unknown_target(name));
    targets.push_back(*target);
  }
  if (targets.empty()) throw UsageError(unknown_target(names));
  return targets;
}

}  // namespace

lab::LabOptions lab_options(const lab::LabTarget& target, const Arguments& arguments) {
  lab::LabOptions options =
      lab::default_lab_options(target, arguments.has("noisy") ? lab::Mode::noisy : lab::Mode::exact);
  options.machine.interrupted = &interrupt_flag();
  options.notice = [](const std::string& text) { std::cerr << text + "\n" << std::flush; };
  return options;
}

void add_model_options(OptionList& options) {
  options.text("kernel", "VERSION[,...]", "kernel of the modelled host, e.g. 6.12");
  options.text(
      "heuristic", "NAME|PARAMETERS",
      "synchronisation policy instead of the kernel's own, e.g. window=500ms,zero_write=value (tscsim list parameters)");
  options.number("seed", "N", "seed, kept in the recording", 1);
  add_procedure_options(options);
}

void add_procedure_options(OptionList& options) {
  options.texts("procedure", "[OLD=]NEW",
                "a VMM procedure in the place of another, or of all of its kind, e.g. qemu/migrate=documented/migrate");
  options.texts("procedures", "DIR", "a folder of VMM procedures, before the shipped ones");
}

void add_lab_options(OptionList& options) {
  options.flag("no-trace", "in the lab: do not record KVM's trace events");
  options.flag("noisy", "in the lab: time is this machine's, as on a real host, and does not count instructions");
}

void add_bring_option(OptionList& options) {
  options.texts("bring", "PROGRAM",
                "in the lab: a program of this machine, with its libraries, or a file or folder; may be repeated");
}

std::vector<std::string> brought(const Arguments& arguments) { return arguments.texts("bring"); }

lab::LabTarget lab_target_named(std::string name) {
  if (name.rfind("lab:", 0) == 0) name.erase(0, 4);
  if (const auto target = lab::find_lab_target(name)) return *target;
  std::vector<std::string> names;
  for (const lab::LabTarget& target : lab::lab_targets()) names.push_back(target.name);
  throw UsageError(
      fmt::format("unknown lab target '{}'{}", name, suggestion(name, names, "'tscsim lab list' lists them")));
}

namespace {

// A path, or a shipped scenario by its name.
std::vector<std::string> found_by(const std::string& word) {
  std::error_code ignored;
  const bool is_path = word.find('/') != std::string::npos || word == "-" || std::filesystem::exists(word, ignored);
  if (is_path) return scenarios::find_scenarios(word);
  for (const std::string& file : scenarios::find_scenarios(scenarios::library_folder()))
    if (std::filesystem::path(file).stem() == word) return {file};
  return scenarios::find_scenarios(word);
}

}  // namespace

std::vector<std::string> scenario_files(const std::vector<std::string>& paths) {
  std::vector<std::string> files;
  std::set<std::string> seen;
  for (const std::string& path : paths) {
    const std::vector<std::string> found = found_by(path);
    if (found.empty())
      throw ops::InputError(ops::Diagnostic{{path, 0, 0}, "there is no scenario (*.yaml) in this folder", "", "", 1});
    for (const std::string& file : found)
      if (seen.insert(file).second) files.push_back(file);
  }
  return files;
}

void check_model_options(const Arguments& arguments) {
  const std::vector<std::string> kernels = kernels_of(arguments);
  if (kernels.empty()) check_model("", arguments.text("heuristic"));
  for (const std::string& kernel : kernels) check_model(kernel, arguments.text("heuristic"));
}

void check_model(const std::string& kernel, const std::string& heuristic) {
  ops::TargetProfile profile;
  profile.kernel = kernel.empty() ? std::string(model::kNewestKernel) : kernel;
  profile.heuristic = heuristic;
  model::machine_config(profile);
  notice_newer_kernel(profile.kernel);
}

void add_threads_option(OptionList& options) {
  options.number("threads", "N", "0: as many as there are processors", 0);
}

unsigned threads_of(const Arguments& arguments) {
  const std::uint64_t threads = arguments.number("threads");
  if (threads > 1024) throw UsageError(fmt::format("--threads {}: at most 1024", threads));
  return threads != 0 ? static_cast<unsigned>(threads) : std::max(1u, std::thread::hardware_concurrency());
}

scenarios::ProcedureReplacement replacement_from(const std::string& text) {
  const auto equals = text.find('=');
  if (equals == std::string::npos) return {"", text};
  return {text.substr(0, equals), text.substr(equals + 1)};
}

scenarios::ParseOptions parse_options(const Arguments& arguments) {
  scenarios::ParseOptions options;
  for (const std::string& folder : arguments.texts("procedures")) {
    std::error_code ignored;
    if (!std::filesystem::is_directory(folder, ignored))
      throw UsageError(fmt::format("--procedures {}: there is no such folder", folder));
    options.procedure_folders.push_back(folder);
  }
  for (const std::string& given : arguments.texts("procedure")) options.replace.push_back(replacement_from(given));
  return options;
}

scenarios::Scenario load(const std::string& path, const Arguments& arguments) {
  return with_model_options(scenarios::load_scenario(path, parse_options(arguments)), arguments);
}

namespace {

scenarios::Scenario on_kernel(scenarios::Scenario scenario, const std::string& kernel, const Arguments& arguments) {
  for (ops::HostSpec& host : scenario.program.hosts)
    if (!kernel.empty()) host.kernel = kernel;
  if (arguments.has("heuristic")) scenario.program.heuristic = arguments.text("heuristic");
  notice_newer_kernels(scenario.program);
  return scenario;
}

}  // namespace

scenarios::Scenario with_model_options(scenarios::Scenario scenario, const Arguments& arguments) {
  return on_kernel(std::move(scenario), one_kernel_of(arguments), arguments);
}

std::vector<scenarios::Scenario> for_model(const scenarios::Scenario& scenario, const Arguments& arguments) {
  const std::vector<std::string> kernels = kernels_of(arguments);
  std::vector<scenarios::Scenario> copies;
  if (kernels.empty())
    for (const scenarios::Scenario& copy : scenarios::for_each_kernel(scenario))
      copies.push_back(on_kernel(copy, "", arguments));
  for (const std::string& kernel : kernels) {
    copies.push_back(on_kernel(scenario, kernel, arguments));
    if (kernels.size() > 1) copies.back().meta.kernel = kernel;  // so that label() tells them apart
  }
  return copies;
}

std::vector<scenarios::Scenario> load_for_model(const std::string& path, const Arguments& arguments) {
  return for_model(scenarios::load_scenario(path, parse_options(arguments)), arguments);
}

namespace {

// A scenario, or the plainest that uses a procedure; nullopt for a file that cannot be read.
std::optional<scenarios::Scenario> readable(const std::string& file, const scenarios::ParseOptions& options) {
  try {
    return scenarios::is_procedure_file(file) ? scenarios::scenario_of_procedure(file, options)
                                              : scenarios::load_scenario(file, options);
  } catch (const ops::InputError&) {
    return std::nullopt;
  }
}

bool uses(const scenarios::Scenario& scenario, const std::string& procedure) {
  return std::any_of(scenario.procedures.begin(), scenario.procedures.end(),
                     [&](const scenarios::ProcedureUse& use) { return use.name == procedure; });
}

// Which of --procedure's replacements took place in some file, and which name a procedure at all.
struct Replacements {
  explicit Replacements(std::vector<scenarios::ProcedureReplacement> given)
      : all(std::move(given)), known(all.size()), done(all.size()) {}

  std::vector<scenarios::ProcedureReplacement> all;
  std::vector<bool> known, done;
  std::vector<std::string> names;  // of all procedures that there are for some file
};

void look_for(Replacements& replacements, const std::string& file, const Arguments& arguments) {
  const scenarios::ParseOptions with = parse_options(arguments);
  scenarios::ParseOptions without = with;
  without.replace.clear();
  scenarios::ProcedureLibrary library(file, without);
  if (replacements.names.empty()) replacements.names = library.names();
  const auto own = readable(file, without);
  for (std::size_t i = 0; i < replacements.all.size(); ++i) {
    const auto& [old_name, new_name] = replacements.all[i];
    const scenarios::Procedure* made = library.find(new_name);
    if (made == nullptr) continue;
    replacements.known[i] = true;
    const auto variant = readable(file, with);
    // What cannot be read with it, or without, is for its reader to refuse.
    const bool took_place =
        !own || !variant || ((old_name.empty() || uses(*own, old_name)) && uses(*variant, made->name));
    if (took_place) replacements.done[i] = true;
  }
}

}  // namespace

void require_replacements(const std::vector<std::string>& files, const Arguments& arguments) {
  if (files.empty() || !arguments.has("procedure")) return;
  Replacements replacements(parse_options(arguments).replace);
  for (const std::string& file : files) look_for(replacements, file, arguments);
  for (std::size_t i = 0; i < replacements.all.size(); ++i) {
    const auto& [old_name, new_name] = replacements.all[i];
    const std::string where = files.size() == 1 ? "the scenario" : "none of the scenarios";
    if (!replacements.known[i])
      throw UsageError(fmt::format("--procedure: there is no procedure '{}'{}", new_name,
                                   suggestion(new_name, replacements.names, "see 'tscsim list procedures'")));
    if (!replacements.done[i])
      throw UsageError(
          fmt::format("--procedure '{}{}' replaces nothing: {} {}", old_name.empty() ? "" : old_name + "=", new_name,
                      where, files.size() == 1 ? "uses none that it could replace" : "uses one that it could replace"));
  }
}

ops::Recording run_on_model(const scenarios::Scenario& scenario, const Arguments& arguments, model::Tracing tracing) {
  const auto executor = model::simulate(scenario.program.hosts, scenario.program.heuristic, tracing);
  ops::Recording recording = ops::run_program(scenario.program, *executor, arguments.number("seed"),
                                              [](std::size_t, std::size_t) { throw_if_interrupted(); });
  recording.header.tool_version = TSCSIM_VERSION;
  return recording;
}

std::vector<std::unique_ptr<Target>> targets_of(const std::string& on) {
  std::vector<std::unique_ptr<Target>> targets;
  std::istringstream names(on);
  for (std::string name; std::getline(names, name, ',');) {
    if (name == "native" || name == "all") targets.push_back(std::make_unique<NativeTarget>());
    if (name == "all")
      for (const lab::LabTarget& target : lab::lab_targets())
        targets.push_back(std::make_unique<LabRunner>(std::vector{target}));
    if (name == "native" || name == "all") continue;
    targets.push_back(std::make_unique<LabRunner>(lab_targets_of(name)));
  }
  if (targets.empty()) throw UsageError("--on names no target");
  return targets;
}

std::vector<ops::Recording> run_all(Target& target, const std::vector<scenarios::Scenario>& batch,
                                    const Arguments& arguments) {
  std::vector<ops::Recording> recordings;
  target.run(batch, arguments, [&](std::size_t, const Ran& ran) {
    if (!ran.wrong_input.empty()) throw ops::InputError(ran.wrong_input);
    if (!ran.recording) throw ops::TargetError(ran.failure);
    recordings.push_back(*ran.recording);
  });
  return recordings;
}

Tally tally(const std::vector<scenarios::Verdict>& verdicts) {
  Tally result;
  for (const scenarios::Verdict& verdict : verdicts) {
    switch (verdict.state) {
      case scenarios::State::held:
        ++result.held;
        break;
      case scenarios::State::failed:
        ++result.failed;
        break;
      case scenarios::State::unsure:
        ++result.unsure;
        break;
      case scenarios::State::not_run:
        ++result.not_run;
        break;
    }
  }
  return result;
}

}  // namespace tscsim::cli

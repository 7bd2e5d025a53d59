// tscsim lab: the stock kernels under emulation: what there is, fetching it, looking inside.
#include <fmt/format.h>

#include <algorithm>
#include <iostream>

#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/session.h"
#include "cli/text.h"
#include "crosscheck/linux_check.h"
#include "kvm_backend/lab/cache.h"
#include "kvm_backend/lab/lab.h"
#include "kvm_backend/lab/linux_experiments.h"
#include "ops/error.h"
#include "storage/files.h"
#include "storage/recordings.h"

namespace tscsim::cli {
namespace {

namespace lab = kvm_backend::lab;

constexpr const char* kExample = "tscsim lab fetch 6.12";

std::string emulator_name(lab::Emulator emulator) { return emulator == lab::Emulator::qemu ? "QEMU" : "Bochs"; }

std::vector<lab::LabTarget> targets_named(const std::vector<std::string>& names) {
  if (names.empty() || names == std::vector<std::string>{"all"}) return lab::lab_targets();
  std::vector<lab::LabTarget> targets;
  for (const std::string& name : names) targets.push_back(lab_target_named(name));
  return targets;
}

lab::Cache open_cache() {
  return lab::Cache([](const std::string& text) { std::cerr << text << std::endl; }, &interrupt_flag());
}

int list(const Arguments& arguments) {
  const lab::Cache cache = open_cache();
  Json items = Json::array();
  for (const lab::LabTarget& target : lab::lab_targets()) {
    const bool ready = cache.has_kernel(target) && cache.has_emulator(target.emulator);
    items.push_back({{"name", "lab:" + target.name},
                     {"kernel", target.kernel},
                     {"module", target.module},
                     {"emulator", emulator_name(target.emulator)},
                     {"suite", target.suites.front()},
                     {"fetched", ready}});
    if (!arguments.json())
      std::cout << fmt::format("lab:{:<12} {:<10} under {:<6} Debian {:<9} {}\n", target.name, target.module,
                               emulator_name(target.emulator), target.suites.front(),
                               ready ? "fetched" : "not fetched");
  }
  if (arguments.json()) print({{"command", "lab list"}, {"cache", cache.folder().string()}, {"targets", items}});
  else
    std::cout << fmt::format(
        "\ncache: {}\nAny other kernel: lab:amd-SUITE, lab:intel-SUITE/PACKAGE, e.g. lab:amd-trixie-backports\n",
        cache.folder().string());
  return kAllHeld;
}

int fetch(const std::vector<std::string>& names, const Arguments& arguments) {
  lab::Cache cache = open_cache();
  Json items = Json::array();
  int status = kAllHeld;
  for (const lab::LabTarget& target : targets_named(names)) {
    throw_if_interrupted();
    std::string package, reason;
    try {
      cache.emulator(target.emulator);
      package = cache.kernel(target).package;
    } catch (const ops::TargetError& error) {
      reason = error.what();
      status = kNotAvailable;
    }
    items.push_back({{"name", "lab:" + target.name}, {"package", package}, {"reason", reason}});
    if (!arguments.json())
      std::cout << fmt::format("lab:{:<12} {}\n", target.name, reason.empty() ? package : "not available: " + reason);
  }
  if (arguments.json()) print({{"command", "lab fetch"}, {"targets", items}});
  return status;
}

// The command's own output and exit status.
int run_inside(const lab::LabTarget& target, const std::string& command, const Arguments& arguments) {
  const lab::CommandEnd end = lab::command_in_lab(target, command, lab_options(target, arguments), brought(arguments));
  if (arguments.json())
    print({{"command", "lab boot"}, {"target", "lab:" + target.name}, {"output", end.output}, {"status", end.status}});
  else std::cout << end.output << std::flush;
  return end.status;
}

int boot(const std::vector<std::string>& words, const Arguments& arguments) {
  if (words.empty()) throw UsageError("'lab boot' needs a target\nexample: tscsim lab boot 6.12 -- uname -r");
  const lab::LabTarget target = lab_target_named(words.front());
  if (words.size() > 1)
    return run_inside(target, fmt::format("{}", fmt::join(words.begin() + 1, words.end(), " ")), arguments);
  const auto findings = lab::doctor_in_lab(target, lab_options(target, arguments));
  Json items = Json::array();
  for (const auto& finding : findings) {
    items.push_back({{"name", finding.name}, {"value", finding.value}, {"note", finding.note}});
    if (arguments.json()) continue;
    std::cout << fmt::format("{:<26} {}\n", finding.name, finding.value);
    if (!finding.note.empty()) std::cout << fmt::format("{:<26}   {}\n", "", finding.note);
  }
  if (arguments.json()) print({{"command", "lab boot"}, {"target", "lab:" + target.name}, {"findings", items}});
  return kAllHeld;
}

const ops::LinuxExperiment& experiment_named(const std::string& name) {
  std::vector<std::string> names;
  for (const ops::LinuxExperiment& experiment : lab::linux_experiments()) {
    if (experiment.name == name) return experiment;
    names.push_back(experiment.name);
  }
  throw UsageError(
      fmt::format("unknown experiment '{}'{}", name, suggestion(name, names, "'tscsim lab observe' lists them")));
}

int list_experiments(const Arguments& arguments) {
  Json items = Json::array();
  for (const ops::LinuxExperiment& experiment : lab::linux_experiments()) {
    items.push_back({{"name", experiment.name}, {"title", experiment.title}, {"options", experiment.machine.options}});
    if (!arguments.json()) std::cout << fmt::format("{:<22} {}\n", experiment.name, experiment.title);
  }
  if (arguments.json()) print({{"command", "lab observe"}, {"experiments", items}});
  return kAllHeld;
}

// One recording under the model: what it derives, and each thing that it does not.
int compare(const std::string& file, const ops::LinuxRecording& recording, const Arguments& arguments, Json& items) {
  using crosscheck::Verdict;
  const crosscheck::LinuxResult result = crosscheck::check_linux(recording);
  Json mismatches = Json::array();
  for (const crosscheck::LinuxObservation& observation : result.observations)
    if (observation.verdict == Verdict::mismatch)
      mismatches.push_back(fmt::format("line {}: {}: {}", observation.event + 2, observation.what, observation.text));
  items.push_back({{"file", file},
                   {"experiment", recording.header.experiment.name},
                   {"kernel", recording.header.kernel},
                   {"exact", result.count(Verdict::exact)},
                   {"bracketed", result.count(Verdict::bracketed)},
                   {"undecided", result.count(Verdict::undecided)},
                   {"mismatches", mismatches}});
  if (!arguments.json()) {
    std::cout << fmt::format("{}  {}: {} on Linux {}: {} exact, {} bracketed, {} undecided, {} mismatch\n",
                             mismatches.empty() ? "agree   " : "MISMATCH", file, recording.header.experiment.name,
                             recording.header.kernel, result.count(Verdict::exact), result.count(Verdict::bracketed),
                             result.count(Verdict::undecided), mismatches.size());
    for (const Json& mismatch : mismatches) std::cout << "  " << mismatch.get<std::string>() << "\n";
  }
  return mismatches.empty() ? kAllHeld : kFailed;
}

int verify(const std::vector<std::string>& files, const Arguments& arguments) {
  if (files.empty()) throw UsageError("'lab verify' needs a recording\nexample: tscsim lab verify backward.jsonl.xz");
  Json items = Json::array();
  int status = kAllHeld;
  for (const std::string& file : files)
    status = std::max(status, compare(file, storage::read_linux_recording(file), arguments, items));
  if (arguments.json()) print({{"command", "lab verify"}, {"recordings", items}});
  return status;
}

// The kernel itself is the guest here.
int observe(const std::vector<std::string>& words, const Arguments& arguments) {
  if (words.empty()) return list_experiments(arguments);
  if (words.size() != 2 || !arguments.has("output"))
    throw UsageError(
        "'lab observe' needs an experiment, a target and -o FILE\nexample: tscsim lab observe backward intel-6.12 -o backward.jsonl.xz");
  const ops::LinuxExperiment& experiment = experiment_named(words[0]);
  const lab::LabTarget target = lab_target_named(words[1]);
  const std::string file = arguments.text("output");
  storage::require_folder_of(file);
  const ops::LinuxRecording recording = lab::observe_in_lab(target, experiment, lab_options(target, arguments));
  storage::write_linux_recording(file, recording);
  Json items = Json::array();
  const int status = compare(file, recording, arguments, items);
  if (arguments.json()) print({{"command", "lab observe"}, {"target", "lab:" + target.name}, {"recordings", items}});
  return status;
}

int run(const Arguments& arguments) {
  const std::string verb = arguments.positional.front();
  const std::vector<std::string> rest(arguments.positional.begin() + 1, arguments.positional.end());
  if (verb == "list") return list(arguments);
  if (verb == "fetch") return fetch(rest, arguments);
  if (verb == "boot") return boot(rest, arguments);
  if (verb == "observe") return observe(rest, arguments);
  if (verb == "verify") return verify(rest, arguments);
  throw UsageError(fmt::format("'lab' knows list, fetch, boot, observe and verify, not '{}'{}", verb,
                               suggestion(verb, {"list", "fetch", "boot", "observe", "verify"})));
}

}  // namespace

Command lab_command() {
  return {
      "lab",
      "list|fetch [TARGET...]|boot TARGET [-- COMMAND]|observe [EXPERIMENT TARGET]|verify REC...",
      "stock kernels with their own KVM under emulation: list the targets, fetch what they need, boot one, see what a "
      "kernel makes of a TSC that is moved under it",
      kExample,
      [](OptionList& options) {
        options.text("output,o", "FILE", "observe: where the recording goes");
        options.flag("noisy", "boot: time is this machine's, as on a real host, and does not count instructions");
        add_bring_option(options);
      },
      run};
}

}  // namespace tscsim::cli

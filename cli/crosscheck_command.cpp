// tscsim crosscheck, record and verify: scenarios on real KVM, compared with the model.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <future>
#include <iostream>
#include <optional>

#include "base/interrupt.h"
#include "cli/commands.h"
#include "cli/crosscheck_report.h"
#include "cli/interrupt.h"
#include "cli/keeper.h"
#include "cli/session.h"
#include "cli/text.h"
#include "ops/error.h"
#include "scenarios/undone.h"
#include "storage/files.h"
#include "storage/recordings.h"

namespace tscsim::cli {
namespace {

std::string kept_path(const std::string& name, const std::string& target) {
  // Artefact stores refuse a colon in a file's name.
  std::string word = target;
  std::replace(word.begin(), word.end(), ':', '-');
  return fmt::format("out/{}-{}.jsonl", name, word);
}

void announce(const ops::TargetProfile& profile) {
  std::cerr << fmt::format("target {}: Linux {}, TSC {} kHz{}{}\n", profile.target, profile.kernel,
                           number_text(profile.host_khz), profile.tsc_scaling ? ", scaling" : ", no TSC scaling",
                           profile.honours_tsc_offset ? "" : ", TSC offsets are accepted and not honoured");
}

void announce(const ops::Header& header) {
  for (int host = 0; host < header.hosts(); ++host) announce(header.host(host).profile);
}

// Real machines take as long as a scenario's time says.
constexpr std::int64_t kLongest_ns = 120'000'000'000;

std::int64_t length_ns(const scenarios::Scenario& scenario) {
  const auto& timeline = scenario.program.timeline;
  return timeline.empty() ? 0 : timeline.back().op.at_ns;
}

// A scenario, and the file that it was read from.
struct Loaded {
  scenarios::Scenario scenario;
  std::string file;
};

// Scenarios that cannot be read are reported and counted once, whatever the targets.
std::vector<Loaded> load_all(const Arguments& arguments, CrosscheckReport& report) {
  const std::vector<std::string> files = scenario_files(arguments.positional);
  require_replacements(files, arguments);
  std::vector<Loaded> loaded;
  for (const std::string& file : files) {
    try {
      loaded.push_back({load(file, arguments), file});
    } catch (const ops::InputError& error) {
      report.unreadable(file, error.what());
    }
  }
  return loaded;
}

class Crosscheck {
 public:
  Crosscheck(const Arguments& arguments, CrosscheckReport& report, RecordingKeeper& keeper)
      : arguments_(arguments), report_(report), keeper_(keeper) {
    for (Loaded& loaded : load_all(arguments, report)) {
      if (length_ns(loaded.scenario) > kLongest_ns) {
        too_long_.push_back(std::move(loaded));
        continue;
      }
      scenarios_.push_back(std::move(loaded.scenario));
      files_.push_back(std::move(loaded.file));
    }
  }

  // Targets of the lab run beside each other, as far as there are CPUs, and are compared in the order in which they
  // were named. The native one runs alone: company would widen its brackets. Throws ops::Interrupted when all that was
  // finished has been kept and reported.
  void run(std::vector<std::unique_ptr<Target>>& targets) {
    for (const auto& target : targets)
      for (const Loaded& loaded : too_long_)
        report_.not_run({loaded.scenario.meta.name, loaded.file}, target->name(),
                        "needs: the model; it would take " + time_text(length_ns(loaded.scenario)));
    if (scenarios_.empty()) return;
    finished_.resize(targets.size());
    std::vector<std::future<void>> under_way(targets.size());
    for (std::size_t i = 0; i < targets.size(); ++i)
      if (targets[i]->runs_beside_others())
        under_way[i] = std::async(std::launch::async, [this, i, &target = *targets[i]] { run_to_end(target, i); });
    for (std::size_t i = 0; i < targets.size(); ++i) {
      try {
        if (under_way[i].valid()) compare_all(*targets[i], i, under_way[i]);
        else run_alone(*targets[i]);
      } catch (const ops::TargetError& error) {
        if (targets.size() == 1) throw;
        report_.unavailable(targets[i]->name(), error.what());
      } catch (const ops::Interrupted&) {
        interrupted_ = true;
      }
    }
    if (interrupted_) end_early(targets.size());
  }

  // Whether there is something to report: what was recorded, compared, or found not to run.
  bool has_results() const { return handed_over_ != 0 || !report_.empty(); }

 private:
  struct Finished {
    std::size_t scenario;
    Ran ran;
  };

  void run_alone(Target& target) {
    if (interrupted_) return;
    target.run(scenarios_, arguments_, [&](std::size_t k, const Ran& ran) { take(target, k, ran); });
  }

  // On a thread of its own; what it finished is there even if it throws.
  void run_to_end(Target& target, std::size_t i) {
    target.run(scenarios_, arguments_, [&](std::size_t k, const Ran& ran) { finished_[i].push_back({k, ran}); });
  }

  void compare_all(const Target& target, std::size_t i, std::future<void>& under_way) {
    bool interrupted = false;
    try {
      under_way.get();
    } catch (const ops::Interrupted&) {
      interrupted = true;
    }
    // First, since comparing may take longer than there is time after an interrupt.
    for (const Finished& finished : finished_[i])
      if (finished.ran.recording) keeper_.add(*finished.ran.recording);
    for (const Finished& finished : finished_[i]) compare(target, finished.scenario, finished.ran);
    if (interrupted) throw ops::Interrupted();
  }

  void take(const Target& target, std::size_t k, const Ran& ran) {
    if (ran.recording) keeper_.add(*ran.recording);
    compare(target, k, ran);
  }

  // After an interrupt everything is kept, and as much compared as there is time for.
  static constexpr std::chrono::milliseconds kPatience{400};

  bool out_of_time() {
    if (interrupt_flag().load() && !saved_) {
      keeper_.save_unsaved();
      saved_ = true;
    }
    return base::interrupted();
  }

  void compare(const Target& target, std::size_t k, const Ran& ran) {
    const scenarios::Scenario& scenario = scenarios_[k];
    RecordedScenario subject{scenario.meta.name, files_[k]};
    ++handed_over_;
    if (!ran.wrong_input.empty()) return report_.not_run(subject, target.name(), ran.wrong_input.front().message);
    if (!ran.recording) return report_.lost(subject, target.name(), ran.failure);
    const base::Grace grace(kPatience);
    if (out_of_time()) {
      ++not_compared_;
      return;
    }
    if (announced_ != target.name()) announce(ran.recording->header);
    announced_ = target.name();
    try {
      subject.verdicts = scenarios::evaluate(scenario, *ran.recording);
      subject.undone = scenarios::undone(scenario, *ran.recording, subject.verdicts);
      subject.kept = kept_path(subject.name, target.name());
      report_.compare(subject, *ran.recording);
    } catch (const base::Interrupted&) {
      ++not_compared_;
      interrupted_ = true;
    }
  }

  void end_early(std::size_t targets) {
    keeper_.save_unsaved();
    const std::size_t left = scenarios_.size() * targets - handed_over_;
    std::string text = fmt::format("interrupted, {} not run to the end", left);
    if (not_compared_ != 0) {
      text += fmt::format(", {} recorded and not compared", not_compared_);
      if (arguments_.has("keep")) text += fmt::format(" (tscsim verify {})", arguments_.text("keep"));
    }
    report_.interrupted(text);
    throw ops::Interrupted();
  }

  const Arguments& arguments_;
  CrosscheckReport& report_;
  RecordingKeeper& keeper_;
  std::vector<scenarios::Scenario> scenarios_;
  std::vector<std::string> files_;  // of each
  std::vector<Loaded> too_long_;
  std::vector<std::vector<Finished>> finished_;  // by target
  std::size_t handed_over_ = 0, not_compared_ = 0;
  bool interrupted_ = false;
  bool saved_ = false;  // since the interrupt
  std::string announced_;
};

int run_crosscheck(const Arguments& arguments) {
  if (arguments.has("junit")) storage::require_folder_of(arguments.text("junit"));
  RecordingKeeper keeper(arguments);
  auto targets = targets_of(arguments.text("on"));
  CrosscheckReport report(lines_of(arguments));
  Crosscheck crosscheck(arguments, report, keeper);
  try {
    crosscheck.run(targets);
  } catch (const ops::Interrupted&) {
    if (crosscheck.has_results()) report.finish("crosscheck", arguments);
    throw;
  }
  keeper.save();
  return report.finish("crosscheck", arguments);
}

ops::Recording record_on(const std::string& on, const scenarios::Scenario& scenario, const Arguments& arguments) {
  if (on == "model" && ops::has_linux_guest(scenario.program))
    throw UsageError(fmt::format(
        "'{}' has a Linux guest, whose runs are not recorded\n  next: 'tscsim run' and 'tscsim verdict' take the scenario",
        scenario.meta.name));
  if (on == "model") return run_on_model(scenario, arguments);
  const auto targets = targets_of(on);
  if (targets.size() != 1) throw UsageError("'record' runs on one target");
  ops::Recording recording = run_all(*targets.front(), {scenario}, arguments).front();
  announce(recording.header);
  return recording;
}

int run_record(const Arguments& arguments) {
  if (!arguments.has("output")) throw UsageError("'record' needs -o FILE for the recording");
  storage::require_folder_of(arguments.text("output"));
  check_model_options(arguments);
  require_replacements(arguments.positional, arguments);
  const scenarios::Scenario scenario = load(arguments.positional.front(), arguments);
  const ops::Recording recording = record_on(arguments.text("on"), scenario, arguments);
  const base::WritingStops writing_stops;
  const std::string fingerprint = ops::fingerprint(recording);
  storage::write_recordings(arguments.text("output"), {&recording, 1});
  if (arguments.json())
    print({{"command", "record"},
           {"summary", {{"entries", recording.entries.size()}, {"fingerprint", fingerprint}}},
           {"file", arguments.text("output")}});
  else
    std::cout << fmt::format("{}: {} entries, fingerprint {}\n", arguments.text("output"), recording.entries.size(),
                             fingerprint);
  return kAllHeld;
}

void require_same_scenario(const scenarios::Scenario& scenario, const ops::Recording& recording,
                           const std::string& path) {
  if (recording.header.scenario_hash == scenario.program.hash) return;
  throw ops::InputError(ops::Diagnostic{
      {path, 1, 0},
      fmt::format("this is a recording of '{}' with hash {}, not of '{}' with hash {}", recording.header.scenario,
                  recording.header.scenario_hash, scenario.meta.name, scenario.program.hash),
      "record the scenario again, or name the file it was recorded from",
      "",
      1});
}

bool is_recording(const std::filesystem::path& path) {
  const std::string name = path.filename().string();
  return name.ends_with(".jsonl") || name.ends_with(".jsonl.xz");
}

// The file itself, or the recordings below the folder, sorted. Throws ops::InputError for a folder without any.
std::vector<std::string> recording_files(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  if (!fs::is_directory(path, error)) return {path};
  std::vector<std::string> files;
  auto entry = fs::recursive_directory_iterator(path, fs::directory_options::skip_permission_denied, error);
  for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    std::error_code ignored;
    if (is_recording(entry->path()) && entry->is_regular_file(ignored)) files.push_back(entry->path().string());
  }
  const auto refuse = [&](const std::string& what, const std::string& mend) {
    throw ops::InputError(ops::Diagnostic{{path, 0, 0}, what, mend, "", 1});
  };
  if (error) refuse("cannot be listed: " + error.message(), "");
  if (files.empty()) refuse("holds no recording", "recordings are files that end in .jsonl or .jsonl.xz");
  std::sort(files.begin(), files.end());
  return files;
}

void verify_file(const std::string& path, const std::optional<scenarios::Scenario>& scenario,
                 CrosscheckReport& report) {
  const std::vector<ops::Recording> recordings = storage::read_recordings(path);
  if (recordings.empty())
    throw ops::InputError(
        ops::Diagnostic{{path, 0, 0}, "holds no recording", "record one with 'tscsim record'", "", 1});
  for (const ops::Recording& recording : recordings) {
    throw_if_interrupted();
    RecordedScenario subject{recordings.size() == 1 ? path : fmt::format("{}:{}", path, recording.header.scenario),
                             path};
    if (scenario) {
      require_same_scenario(*scenario, recording, path);
      subject.verdicts = scenarios::evaluate(*scenario, recording);
      subject.undone = scenarios::undone(*scenario, recording, subject.verdicts);
    }
    report.compare(subject, recording);
  }
}

// A file that cannot be read, or that is no recording, is reported, and the others are compared.
void verify_path(const std::string& path, const std::optional<scenarios::Scenario>& scenario,
                 CrosscheckReport& report) {
  std::vector<std::string> files;
  try {
    files = recording_files(path);
  } catch (const ops::InputError& error) {
    return report.unreadable(path, error.what());
  }
  for (const std::string& file : files) {
    try {
      verify_file(file, scenario, report);
    } catch (const ops::InputError& error) {
      report.unreadable(file, error.what());
    }
  }
}

int run_verify(const Arguments& arguments) {
  if (arguments.has("junit")) storage::require_folder_of(arguments.text("junit"));
  CrosscheckReport report(lines_of(arguments));
  std::optional<scenarios::Scenario> scenario;
  if (arguments.has("scenario")) {
    require_replacements({arguments.text("scenario")}, arguments);
    scenario = scenarios::load_scenario(arguments.text("scenario"), parse_options(arguments));
  } else if (arguments.has("procedure")) {
    throw UsageError("--procedure is for the scenario that --scenario names");
  }
  try {
    for (const std::string& path : arguments.positional) verify_path(path, scenario, report);
  } catch (const ops::Interrupted&) {
    if (report.empty()) throw;
    report.interrupted("interrupted, and the rest was not compared");
    report.finish("verify", arguments);
    throw;
  }
  return report.finish("verify", arguments);
}

void add_target_option(OptionList& options, const char* names) { options.text("on", "TARGET", names, "native"); }

}  // namespace

Command crosscheck_command() {
  return {
      "crosscheck",
      "FILE|DIR...",
      "run scenarios on real KVM and demand that the model derives every value it returned",
      "tscsim crosscheck scenarios --on native",
      [](OptionList& options) {
        add_target_option(
            options,
            "native: this machine's /dev/kvm; lab:6.12, lab:intel-6.1, ... (tscsim lab list); lab:6.1+lab:6.12, one for each host; several with commas; all");
        options.number("seed", "N", "seed, kept in the recording", 1);
        options.text("junit", "FILE", "also write a JUnit report");
        add_procedure_options(options);
        add_brief_option(options);
        add_keep_option(options);
        add_lab_options(options);
      },
      run_crosscheck};
}

Command record_command() {
  return {"record",
          "FILE",
          "run a scenario on a target and keep the recording",
          "tscsim record scenarios/thread/boot-writes-zero.yaml --on native -o boot.jsonl",
          [](OptionList& options) {
            add_target_option(options, "native: this machine's /dev/kvm; lab:6.12, lab:intel-6.1, ...; model");
            options.text("output,o", "FILE", "where the recording goes");
            add_model_options(options);
            add_lab_options(options);
          },
          run_record};
}

Command verify_command() {
  return {"verify",
          "REC|DIR...",
          "compare recordings, made here or elsewhere, with the model",
          "tscsim verify boot.jsonl",
          [](OptionList& options) {
            options.text("scenario", "FILE",
                         "also judge this scenario's expectations; it must be the one that was recorded");
            add_brief_option(options);
            options.text("junit", "FILE", "also write a JUnit report");
            add_procedure_options(options);
          },
          run_verify};
}

}  // namespace tscsim::cli

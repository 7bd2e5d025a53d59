// tscsim crosscheck, record and verify: scenarios on real KVM, compared with the model.
#include <fmt/format.h>

#include <algorithm>
#include <future>
#include <iostream>

#include "cli/commands.h"
#include "cli/crosscheck_report.h"
#include "cli/interrupt.h"
#include "cli/keeper.h"
#include "cli/session.h"
#include "cli/text.h"
#include "ops/error.h"
#include "storage/files.h"
#include "storage/recordings.h"

namespace tscsim::cli {
namespace {

std::string kept_path(const std::string& name, const std::string& target) {
  return fmt::format("out/{}-{}.jsonl", name, target);
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

// Scenarios that cannot be read are reported and counted once, whatever the targets.
std::vector<scenarios::Scenario> load_all(const Arguments& arguments, CrosscheckReport& report) {
  std::vector<scenarios::Scenario> loaded;
  for (const std::string& file : scenario_files(arguments.positional)) {
    try {
      loaded.push_back(load(file, arguments));
    } catch (const ops::InputError& error) {
      report.unreadable();
      std::cerr << error.what() << "\n";
    }
  }
  return loaded;
}

class Crosscheck {
 public:
  Crosscheck(const Arguments& arguments, CrosscheckReport& report, RecordingKeeper& keeper)
      : arguments_(arguments), report_(report), keeper_(keeper), loaded_(load_all(arguments, report)) {
    const auto long_ones =
        std::stable_partition(loaded_.begin(), loaded_.end(),
                              [](const scenarios::Scenario& scenario) { return length_ns(scenario) <= kLongest_ns; });
    too_long_.assign(long_ones, loaded_.end());
    loaded_.erase(long_ones, loaded_.end());
  }

  // Targets of the lab run beside each other, as far as there are CPUs, and are compared in the order in which they
  // were named. The native one runs alone: company would widen its brackets.
  void run(std::vector<std::unique_ptr<Target>>& targets) {
    for (const auto& target : targets)
      for (const scenarios::Scenario& scenario : too_long_)
        report_.not_run(scenario.meta.name, target->name(),
                        "needs: the model; it would take " + time_text(length_ns(scenario)));
    if (loaded_.empty()) return;
    std::vector<std::future<std::vector<Ran>>> under_way(targets.size());
    for (std::size_t i = 0; i < targets.size(); ++i)
      if (targets[i]->runs_beside_others())
        under_way[i] = std::async(std::launch::async, [this, &target = *targets[i]] { return run_to_end(target); });
    for (std::size_t i = 0; i < targets.size(); ++i) {
      throw_if_interrupted();
      try {
        if (under_way[i].valid()) compare_all(*targets[i], under_way[i].get());
        else targets[i]->run(loaded_, arguments_, [&](std::size_t k, const Ran& ran) { compare(*targets[i], k, ran); });
      } catch (const ops::TargetError& error) {
        if (targets.size() == 1) throw;
        report_.unavailable(targets[i]->name(), error.what());
      }
    }
  }

 private:
  std::vector<Ran> run_to_end(Target& target) const {
    std::vector<Ran> all;
    target.run(loaded_, arguments_, [&](std::size_t, const Ran& ran) { all.push_back(ran); });
    return all;
  }

  void compare_all(const Target& target, const std::vector<Ran>& all) {
    for (std::size_t i = 0; i < all.size(); ++i) compare(target, i, all[i]);
  }

  void compare(const Target& target, std::size_t i, const Ran& ran) {
    const scenarios::Scenario& scenario = loaded_[i];
    const std::string& name = scenario.meta.name;
    if (!ran.wrong_input.empty()) return report_.not_run(name, target.name(), ran.wrong_input.front().message);
    if (!ran.recording) return report_.lost(name, target.name(), ran.failure);
    if (announced_ != target.name()) announce(ran.recording->header);
    announced_ = target.name();
    keeper_.add(*ran.recording);
    report_.compare(name, *ran.recording, scenarios::evaluate(scenario, *ran.recording),
                    kept_path(name, target.name()));
  }

  const Arguments& arguments_;
  CrosscheckReport& report_;
  RecordingKeeper& keeper_;
  std::vector<scenarios::Scenario> loaded_;
  std::vector<scenarios::Scenario> too_long_;
  std::string announced_;
};

int run_crosscheck(const Arguments& arguments) {
  if (arguments.has("junit")) storage::require_folder_of(arguments.text("junit"));
  RecordingKeeper keeper(arguments);
  auto targets = targets_of(arguments.text("on"));
  CrosscheckReport report(!arguments.json());
  Crosscheck crosscheck(arguments, report, keeper);
  crosscheck.run(targets);
  keeper.save();
  return report.finish("crosscheck", arguments);
}

ops::Recording record_on(const std::string& on, const scenarios::Scenario& scenario, const Arguments& arguments) {
  if (on == "model") return run_on_model(scenario, arguments);
  const auto targets = targets_of(on);
  if (targets.size() != 1) throw UsageError("'record' runs on one target");
  const ops::Recording recording = run_all(*targets.front(), {scenario}, arguments).front();
  announce(recording.header);
  return recording;
}

int run_record(const Arguments& arguments) {
  if (!arguments.has("output")) throw UsageError("'record' needs -o FILE for the recording");
  storage::require_folder_of(arguments.text("output"));
  check_model_options(arguments);
  const scenarios::Scenario scenario = load(arguments.positional.front(), arguments);
  const ops::Recording recording = record_on(arguments.text("on"), scenario, arguments);
  storage::write_recordings(arguments.text("output"), {&recording, 1});
  if (arguments.json())
    print({{"command", "record"},
           {"summary", {{"entries", recording.entries.size()}, {"fingerprint", ops::fingerprint(recording)}}},
           {"file", arguments.text("output")}});
  else
    std::cout << fmt::format("{}: {} entries, fingerprint {}\n", arguments.text("output"), recording.entries.size(),
                             ops::fingerprint(recording));
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

int run_verify(const Arguments& arguments) {
  if (arguments.has("junit")) storage::require_folder_of(arguments.text("junit"));
  CrosscheckReport report(!arguments.json());
  for (const std::string& path : arguments.positional) {
    const std::vector<ops::Recording> recordings = storage::read_recordings(path);
    for (const ops::Recording& recording : recordings) {
      throw_if_interrupted();
      std::vector<scenarios::Verdict> verdicts;
      if (arguments.has("scenario")) {
        const scenarios::Scenario scenario =
            scenarios::load_scenario(arguments.text("scenario"), parse_options(arguments));
        require_same_scenario(scenario, recording, path);
        verdicts = scenarios::evaluate(scenario, recording);
      }
      const bool one = recordings.size() == 1;
      report.compare(one ? path : fmt::format("{}:{}", path, recording.header.scenario), recording, verdicts, "");
    }
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
          "REC...",
          "compare recordings, made here or elsewhere, with the model",
          "tscsim verify boot.jsonl",
          [](OptionList& options) {
            options.text("scenario", "FILE",
                         "also judge this scenario's expectations; it must be the one that was recorded");
            options.text("junit", "FILE", "also write a JUnit report");
            add_procedure_options(options);
          },
          run_verify};
}

}  // namespace tscsim::cli

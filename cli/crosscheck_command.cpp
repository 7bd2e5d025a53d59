// tscsim crosscheck, record and verify: scenarios on real KVM, compared with the model.
#include <fmt/format.h>

#include <array>
#include <filesystem>
#include <iostream>

#include "cli/commands.h"
#include "cli/files.h"
#include "cli/interrupt.h"
#include "cli/junit.h"
#include "cli/session.h"
#include "cli/text.h"
#include "crosscheck/checker.h"
#include "ops/error.h"

namespace tscsim::cli {
namespace {

using crosscheck::Verdict;

constexpr std::array kVerdicts = {Verdict::exact, Verdict::bracketed, Verdict::undecided, Verdict::mismatch,
                                  Verdict::unsupported};

struct Counts {
  std::array<std::size_t, crosscheck::kVerdicts> of{};
  void add(const crosscheck::Result& result) {
    for (const Verdict v : kVerdicts) of[static_cast<std::size_t>(v)] += result.count(v);
  }
  std::size_t operator[](Verdict v) const { return of[static_cast<std::size_t>(v)]; }
  Json json() const {
    Json object = Json::object();
    for (const Verdict v : kVerdicts) object[std::string(crosscheck::name_of(v))] = (*this)[v];
    return object;
  }
  std::string text() const {
    std::string text;
    for (const Verdict v : kVerdicts) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", (*this)[v], crosscheck::name_of(v));
    return text;
  }
};

struct Report {
  Counts counts;
  Tally expectations;
  std::size_t errors = 0;
  std::size_t not_run = 0;
  Json unavailable = Json::array();  // targets, with the reason
  Json items = Json::array();
  std::vector<JunitCase> junit;

  int status() const {
    if (errors != 0) return kBadUsage;
    return counts[Verdict::mismatch] == 0 && expectations.failed == 0 ? kAllHeld : kFailed;
  }
  Json summary() const {
    Json object = counts.json();
    object["expectations"] = {{"held", expectations.held},
                              {"failed", expectations.failed},
                              {"unsure", expectations.unsure},
                              {"not_run", expectations.not_run}};
    object["errors"] = errors;
    object["not_run"] = not_run;
    object["unavailable"] = unavailable;
    return object;
  }
};

// Where the evidence went. That it cannot be kept is no reason to be silent about the disagreement.
std::string keep(const ops::Recording& recording, const std::string& path) {
  std::error_code unable;  // write_recording() says why
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), unable);
  try {
    write_recording(path, recording);
  } catch (const ops::InputError& error) {
    return fmt::format("  not kept  {}\n", error.what());
  }
  return fmt::format("  kept      {}\n  again     tscsim verify {}\n", path, path);
}

// Compares one recording, prints it, adds it to the report.
void compare(const std::string& name, const ops::Recording& recording, const std::vector<scenarios::Verdict>& verdicts,
             const std::string& kept, bool text, Report& report) {
  const crosscheck::Result result = crosscheck::check(recording);
  Counts counts;
  counts.add(result);
  report.counts.add(result);
  const Tally t = tally(verdicts);
  report.expectations.held += t.held;
  report.expectations.failed += t.failed;
  report.expectations.unsure += t.unsure;
  report.expectations.not_run += t.not_run;

  std::string trouble;
  for (const crosscheck::Mismatch& mismatch : result.mismatches) trouble += mismatch.explanation + "\n";
  if (result.unchecked_entries != 0)
    trouble += fmt::format("  {} later operations were not compared: the state is not known after a mismatch\n",
                           result.unchecked_entries);
  std::string failed_expectations;
  for (const scenarios::Verdict& v : verdicts)
    if (v.state == scenarios::State::failed) failed_expectations += verdict_lines({v}, true);
  if ((!trouble.empty() || !failed_expectations.empty()) && !kept.empty()) trouble += keep(recording, kept);
  report.junit.push_back({"crosscheck " + recording.header.profile.target, name, trouble + failed_expectations, ""});
  Json observations = Json::array();
  for (const crosscheck::Observation& o : result.observations) {
    if (o.verdict == Verdict::exact || o.verdict == Verdict::bracketed) continue;
    observations.push_back({{"entry", o.entry}, {"what", o.what}, {"verdict", crosscheck::name_of(o.verdict)}});
  }
  report.items.push_back({{"name", name},
                          {"target", recording.header.profile.target},
                          {"summary", counts.json()},
                          {"explanation", trouble},
                          {"not_exact_nor_bracketed", observations},
                          {"expectations", verdicts_json(verdicts)}});
  if (!text) return;
  const bool good = trouble.empty() && failed_expectations.empty();
  std::cout << fmt::format("{:<9} {:<42} {}; expectations: {} held, {} unsure, {} not run\n", good ? "agree" : "DISAGREE",
                           name, counts.text(), t.held, t.unsure, t.not_run);
  std::cout << trouble << failed_expectations << std::flush;
}

int finish(const std::string& command, const Arguments& arguments, const ops::TargetProfile* profile, const Report& report) {
  if (arguments.has("junit")) write_file(arguments.text("junit"), junit_xml("tscsim " + command, report.junit));
  if (arguments.json()) {
    Json document = {{"command", command}, {"summary", report.summary()}};
    if (profile != nullptr) document["target"] = {{"name", profile->target}, {"kernel", profile->kernel}};
    document["recordings"] = report.items;
    print(document);
  } else {
    std::cout << report.counts.text();
    if (report.not_run != 0) std::cout << fmt::format("; {} scenarios not run", report.not_run);
    if (!report.unavailable.empty()) std::cout << fmt::format("; {} targets not available", report.unavailable.size());
    std::cout << "\n";
  }
  return report.status();
}

std::string kept_path(const std::string& name, const std::string& target) {
  return fmt::format("out/{}-{}.jsonl", name, target);
}

void announce(const ops::TargetProfile& profile) {
  std::cerr << fmt::format("target {}: Linux {}, TSC {} kHz{}{}\n", profile.target, profile.kernel,
                           number_text(profile.host_khz), profile.tsc_scaling ? ", scaling" : ", no TSC scaling",
                           profile.honours_tsc_offset ? "" : ", TSC offsets are accepted and not honoured");
}

// Scenarios that cannot be read are reported and counted once, whatever the targets.
std::vector<scenarios::Scenario> load_all(const Arguments& arguments, Report& report) {
  std::vector<scenarios::Scenario> loaded;
  for (const std::string& file : scenario_files(arguments.positional)) {
    try {
      loaded.push_back(load(file, arguments));
    } catch (const ops::InputError& error) {
      ++report.errors;
      std::cerr << error.what() << "\n";
    }
  }
  return loaded;
}

// An operand that cannot be evaluated because the target refused what it rests on says something about the target.
void not_run(const std::string& name, const std::string& target, const std::string& why, bool text, Report& report) {
  ++report.not_run;
  report.items.push_back({{"name", name}, {"target", target}, {"not_run", why}});
  report.junit.push_back({"crosscheck " + target, name, "", why});
  if (text) std::cout << fmt::format("not run   {:<42} {}\n", name, why) << std::flush;
}

void crosscheck_on(Target& target, const std::vector<scenarios::Scenario>& loaded, const Arguments& arguments, Report& report) {
  const bool text = !arguments.json();
  bool announced = false;
  target.run(loaded, arguments, [&](std::size_t i, const Ran& ran) {
    const scenarios::Scenario& scenario = loaded[i];
    const std::string& name = scenario.meta.name;
    if (!ran.wrong_input.empty()) return not_run(name, target.name(), ran.wrong_input.front().message, text, report);
    if (!ran.recording) return not_run(name, target.name(), ran.failure, text, report);
    if (!announced) announce(ran.recording->header.profile);
    announced = true;
    compare(name, *ran.recording, scenarios::evaluate(scenario, *ran.recording), kept_path(name, target.name()), text, report);
  });
}

int run_crosscheck(const Arguments& arguments) {
  if (arguments.has("junit")) require_folder_of(arguments.text("junit"));
  const auto targets = targets_of(arguments.text("on"));
  Report report;
  const std::vector<scenarios::Scenario> loaded = load_all(arguments, report);
  for (const auto& target : targets) {
    throw_if_interrupted();
    try {
      crosscheck_on(*target, loaded, arguments, report);
    } catch (const ops::TargetError& error) {
      if (targets.size() == 1) throw;
      report.unavailable.push_back({{"target", target->name()}, {"reason", error.what()}});
      std::cerr << fmt::format("target {}: not available: {}\n", target->name(), error.what());
    }
  }
  const int status = finish("crosscheck", arguments, nullptr, report);
  return report.unavailable.size() == targets.size() ? static_cast<int>(kNotAvailable) : status;
}

ops::Recording record_on(const std::string& on, const scenarios::Scenario& scenario, const Arguments& arguments) {
  if (on == "model") return run_on_model(scenario, arguments);
  const auto targets = targets_of(on);
  if (targets.size() != 1) throw UsageError("'record' runs on one target");
  const ops::Recording recording = run_all(*targets.front(), {scenario}, arguments).front();
  announce(recording.header.profile);
  return recording;
}

int run_record(const Arguments& arguments) {
  if (!arguments.has("output")) throw UsageError("'record' needs -o FILE for the recording");
  require_folder_of(arguments.text("output"));
  check_model_options(arguments);
  const scenarios::Scenario scenario = load(arguments.positional.front(), arguments);
  const ops::Recording recording = record_on(arguments.text("on"), scenario, arguments);
  write_recording(arguments.text("output"), recording);
  if (arguments.json())
    print({{"command", "record"},
           {"summary", {{"entries", recording.entries.size()}, {"fingerprint", ops::fingerprint(recording)}}},
           {"file", arguments.text("output")}});
  else
    std::cout << fmt::format("{}: {} entries, fingerprint {}\n", arguments.text("output"), recording.entries.size(),
                             ops::fingerprint(recording));
  return kAllHeld;
}

void require_same_scenario(const scenarios::Scenario& scenario, const ops::Recording& recording, const std::string& path) {
  if (recording.header.scenario_hash == scenario.program.hash) return;
  throw ops::InputError(ops::Diagnostic{{path, 1, 0},
                                        fmt::format("this is a recording of '{}' with hash {}, not of '{}' with hash {}",
                                                    recording.header.scenario, recording.header.scenario_hash,
                                                    scenario.meta.name, scenario.program.hash),
                                        "record the scenario again, or name the file it was recorded from", "", 1});
}

int run_verify(const Arguments& arguments) {
  if (arguments.has("junit")) require_folder_of(arguments.text("junit"));
  Report report;
  for (const std::string& path : arguments.positional) {
    throw_if_interrupted();
    const ops::Recording recording = read_recording(path);
    std::vector<scenarios::Verdict> verdicts;
    if (arguments.has("scenario")) {
      const scenarios::Scenario scenario = scenarios::load_scenario(arguments.text("scenario"));
      require_same_scenario(scenario, recording, path);
      verdicts = scenarios::evaluate(scenario, recording);
    }
    compare(path, recording, verdicts, "", !arguments.json(), report);
  }
  return finish("verify", arguments, nullptr, report);
}

void add_target_option(po::options_description& options, const char* names) {
  options.add_options()("on", po::value<std::string>()->default_value("native")->value_name("TARGET"), names);
}

}  // namespace

Command crosscheck_command() {
  return {"crosscheck", "FILE|DIR...", "run scenarios on real KVM and demand that the model derives every value it returned",
          "tscsim crosscheck scenarios --on native",
          [](po::options_description& options) {
            add_target_option(options, "native: this machine's /dev/kvm; lab:6.12, lab:intel-6.1, ... (tscsim lab list); several with commas; all");
            options.add_options()("seed", po::value<std::uint64_t>()->default_value(1)->value_name("N"),
                                  "seed, kept in the recording")("junit", po::value<std::string>()->value_name("FILE"),
                                                                 "also write a JUnit report");
            add_trace_option(options);
          },
          run_crosscheck};
}

Command record_command() {
  return {"record", "FILE", "run a scenario on a target and keep the recording",
          "tscsim record scenarios/thread/boot-writes-zero.yaml --on native -o boot.jsonl",
          [](po::options_description& options) {
            add_target_option(options, "native: this machine's /dev/kvm; lab:6.12, lab:intel-6.1, ...; model");
            options.add_options()("output,o", po::value<std::string>()->value_name("FILE"), "where the recording goes");
            add_model_options(options);
            add_trace_option(options);
          },
          run_record};
}

Command verify_command() {
  return {"verify", "REC...", "compare recordings, made here or elsewhere, with the model", "tscsim verify boot.jsonl",
          [](po::options_description& options) {
            options.add_options()("scenario", po::value<std::string>()->value_name("FILE"),
                                  "also judge this scenario's expectations; it must be the one that was recorded")(
                "junit", po::value<std::string>()->value_name("FILE"), "also write a JUnit report");
          },
          run_verify};
}

}  // namespace tscsim::cli

// tscsim check: the regression run, one line for each scenario.
#include <fmt/format.h>

#include <filesystem>
#include <iostream>
#include <map>
#include <system_error>

#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/junit.h"
#include "cli/last_run.h"
#include "cli/notices.h"
#include "cli/session.h"
#include "cli/text.h"
#include "ops/error.h"
#include "storage/files.h"

namespace tscsim::cli {
namespace {

// Of a folder, for --brief.
struct Folder {
  int passed = 0, wrong = 0, others = 0;
};

struct Report {
  std::map<std::string, Folder> folders;
  int passed = 0, failed = 0, errors = 0, skipped = 0, nothing_expected = 0;
  Json scenarios = Json::array();
  std::vector<JunitCase> junit;
  ScenariosInFiles checked, not_passed;  // for --failed
};

// Below the library, or the folder that was named: "thread", "vmm/qemu".
std::string folder_of(const std::string& file) {
  std::error_code ignored;
  const std::filesystem::path path = std::filesystem::path(file).parent_path();
  const std::filesystem::path below = path.lexically_relative(scenarios::library_folder());
  const bool shipped = !below.empty() && *below.begin() != "..";
  return shipped ? below.begin()->string() : path.string();
}

std::string folders_text(const Report& report) {
  std::string text;
  for (const auto& [name, folder] : report.folders) {
    text += fmt::format("{:<16} {:>4} passed", name, folder.passed);
    if (folder.wrong != 0) text += fmt::format(", {} failed", folder.wrong);
    if (folder.others != 0) text += fmt::format(", {} that expect nothing or need another kernel", folder.others);
    text += "\n";
  }
  return text;
}

std::string state_of(const Tally& t) {
  if (t.failed + t.unsure != 0) return "failed";
  if (t.held != 0) return "passed";
  return t.not_run != 0 ? "skipped" : "nothing_expected";
}

int& count_of(Report& report, const std::string& state) {
  if (state == "passed") return report.passed;
  if (state == "failed") return report.failed;
  return state == "skipped" ? report.skipped : report.nothing_expected;
}

JunitCase junit_case(const std::string& name, const std::string& file, const std::string& state,
                     const std::string& bad) {
  if (state == "failed") return {"check", name, JunitState::failure, "expectation", bad, file};
  if (state == "skipped") return {"check", name, JunitState::skipped, "", bad, file};
  if (state == "nothing_expected") return {"check", name, JunitState::skipped, "", "nothing is expected", file};
  return {"check", name, JunitState::passed, "", "", file};
}

// Why a kernel that the scenario or --kernel names is too old for it; empty when none is.
std::string unmet_kernel(const scenarios::Scenario& scenario) {
  for (const ops::HostSpec& host : scenario.program.hosts) {
    if (host.kernel.empty()) continue;
    if (std::string need = scenarios::unmet_kernel(scenario, host.kernel); !need.empty()) return need;
  }
  return "";
}

void check_one(const scenarios::Scenario& scenario, const std::string& file, const Arguments& arguments,
               Report& report) {
  const bool text = !arguments.json();
  const std::string name = scenarios::label(scenario);
  if (const std::string need = unmet_kernel(scenario); !need.empty()) {
    ++report.skipped;
    report.junit.push_back(junit_case(name, file, "skipped", need));
    report.scenarios.push_back({{"name", name}, {"file", file}, {"state", "skipped"}, {"detail", need}});
    ++report.folders[folder_of(file)].others;
    if (text && !arguments.has("brief")) std::cout << fmt::format("{:<8} {:<46} {}\n", "skipped", name, need);
    return;
  }
  const ops::Recording recording = run_on_model(scenario, arguments);
  const auto verdicts = scenarios::evaluate(scenario, recording);
  const Tally t = tally(verdicts);
  const std::string state = state_of(t);
  ++count_of(report, state);
  Folder& folder = report.folders[folder_of(file)];
  ++(state == "passed" ? folder.passed : state == "failed" ? folder.wrong : folder.others);
  report.checked.insert(scenario_in_file(file, name));
  if (state == "failed") report.not_passed.insert(scenario_in_file(file, name));
  const std::string bad = verdict_lines(verdicts, true);
  report.junit.push_back(junit_case(name, file, state, bad));
  report.scenarios.push_back({{"name", name},
                              {"file", file},
                              {"state", state},
                              {"fingerprint", ops::fingerprint(recording)},
                              {"expectations", verdicts_json(verdicts)}});
  if (!text || (arguments.has("brief") && state != "failed")) return;
  if (state == "nothing_expected") std::cout << fmt::format("{:<8} {:<46} nothing is expected\n", "nothing", name);
  else
    std::cout << fmt::format("{:<8} {:<46} {} held, {} failed, {} not run\n{}", state, name, t.held,
                             t.failed + t.unsure, t.not_run, bad);
}

// By -k: part of its name or its file; by --failed: it did not pass the last time.
bool is_chosen(const std::string& name, const std::string& file, const Arguments& arguments) {
  if (arguments.has("failed")) {
    static const ScenariosInFiles failed = last_failed();
    if (!failed.contains(scenario_in_file(file, name)) && !failed.contains(scenario_in_file(file, ""))) return false;
  }
  const std::string word = arguments.text("select");
  return name.find(word) != std::string::npos || file.find(word) != std::string::npos;
}

// A scenario that cannot be read is an error; the others still run.
void check_file(const std::string& file, const Arguments& arguments, Report& report) {
  std::string name = file;
  try {
    const std::vector<scenarios::Scenario> all = load_for_model(file, arguments);
    report.checked.insert(scenario_in_file(file, ""));
    for (const scenarios::Scenario& scenario : all) {
      name = scenarios::label(scenario);
      if (!is_chosen(name, file, arguments)) continue;
      check_one(scenario, file, arguments, report);
    }
  } catch (const ops::InputError& error) {
    if (!is_chosen(name, file, arguments)) return;
    report.not_passed.insert(scenario_in_file(file, name == file ? "" : name));
    const std::string why = std::string(error.what()) + "\n";
    ++report.errors;
    report.junit.push_back({"check", name, JunitState::error, "input", why, file});
    report.scenarios.push_back({{"name", name}, {"file", file}, {"state", "error"}, {"detail", why}});
    if (!arguments.json()) std::cout << fmt::format("{:<8} {}\n", "error", name);
    std::cerr << why;
  }
}

// With --failed alone, where those are.
std::vector<std::string> paths_of(const Arguments& arguments) {
  if (!arguments.positional.empty()) return arguments.positional;
  if (!arguments.has("failed")) return {scenarios::library_folder()};
  std::vector<std::string> files;
  std::error_code ignored;
  for (const auto& [file, label] : last_failed())
    if (std::filesystem::exists(file, ignored)) files.push_back(file);
  return files;
}

// Why none was chosen, though there are files.
UsageError none_chosen(const Arguments& arguments) {
  const std::string word = arguments.text("select");
  return UsageError(arguments.has("failed") ? "--failed: none of these failed the last time"
                                            : fmt::format("-k {}: no scenario has this in its name or path", word));
}

void print_summary(const Report& report, bool complete, const Arguments& arguments) {
  if (arguments.json()) {
    Json object = {{"command", "check"},
                   {"summary",
                    {{"passed", report.passed},
                     {"failed", report.failed},
                     {"errors", report.errors},
                     {"skipped", report.skipped},
                     {"nothing_expected", report.nothing_expected}}},
                   {"scenarios", report.scenarios}};
    if (!complete) object["interrupted"] = true;
    return print(object);
  }
  if (arguments.has("brief")) std::cout << folders_text(report);
  std::cout << fmt::format("{} passed, {} failed, {} errors, {} skipped", report.passed, report.failed, report.errors,
                           report.skipped);
  if (report.nothing_expected != 0) std::cout << fmt::format(", {} that expect nothing", report.nothing_expected);
  std::cout << "\n";
}

int run(const Arguments& arguments) {
  const std::vector<std::string> paths = paths_of(arguments);
  check_model_options(arguments);
  if (arguments.has("junit")) storage::require_folder_of(arguments.text("junit"));
  Report report;
  const std::vector<std::string> files = scenario_files(paths);
  require_replacements(files, arguments);
  const bool complete = done_before_interrupt([&] {
    for (const std::string& file : files) {
      throw_if_interrupted();
      check_file(file, arguments, report);
    }
  });
  keep_failed(report.checked, report.not_passed);
  if (complete && report.scenarios.empty() && !files.empty()) throw none_chosen(arguments);
  if (files.empty()) notice("nothing failed the last time, so there is nothing to check");
  if (arguments.has("junit"))
    storage::write_file(arguments.text("junit"), junit_xml("tscsim check", report.junit, notices()));
  print_summary(report, complete, arguments);
  if (!complete) return interrupted_status();
  if (report.errors != 0) return kBadUsage;
  if (report.failed != 0) return kFailed;
  return report.passed == 0 ? kNothingChecked : kAllHeld;
}

}  // namespace

Command check_command() {
  return {"check",
          "[PATH...]",
          "the regression run on the model: every scenario, one line each (default: the shipped ones)",
          "tscsim check scenarios/thread --junit check.xml",
          [](OptionList& options) {
            add_model_options(options);
            options.text("junit", "FILE", "also write a JUnit report");
            options.text("select,k", "WORD", "only scenarios with this in their name or path");
            options.flag("brief", "a line for each folder instead of one for each scenario; what failed in full");
            options.flag("failed", "only scenarios that failed when they were checked last");
          },
          run};
}

}  // namespace tscsim::cli

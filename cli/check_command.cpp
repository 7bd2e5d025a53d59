// tscsim check: the regression run, one line for each scenario.
#include <fmt/format.h>

#include <iostream>

#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/junit.h"
#include "cli/session.h"
#include "cli/text.h"
#include "ops/error.h"
#include "storage/files.h"

namespace tscsim::cli {
namespace {

struct Report {
  int passed = 0, failed = 0, errors = 0, skipped = 0;
  Json scenarios = Json::array();
  std::vector<JunitCase> junit;
};

std::string state_of(const Tally& t) {
  if (t.failed + t.unsure != 0) return "failed";
  return t.held == 0 && t.not_run != 0 ? "skipped" : "passed";
}

// Why a kernel that the scenario or --kernel names is too old for it; empty when none is.
std::string unmet_kernel(const scenarios::Scenario& scenario) {
  for (const ops::HostSpec& host : scenario.program.hosts) {
    if (host.kernel.empty()) continue;
    if (std::string need = scenarios::unmet_kernel(scenario, host.kernel); !need.empty()) return need;
  }
  return "";
}

void check_one(const scenarios::Scenario& scenario, const Arguments& arguments, Report& report) {
  const bool text = !arguments.json();
  const std::string name = scenarios::label(scenario);
  if (const std::string need = unmet_kernel(scenario); !need.empty()) {
    ++report.skipped;
    report.junit.push_back({"check", name, "", need});
    report.scenarios.push_back({{"name", name}, {"state", "skipped"}, {"detail", need}});
    if (text) std::cout << fmt::format("{:<8} {:<46} {}\n", "skipped", name, need);
    return;
  }
  const ops::Recording recording = run_on_model(scenario, arguments);
  const auto verdicts = scenarios::evaluate(scenario, recording);
  const Tally t = tally(verdicts);
  const std::string state = state_of(t);
  (state == "passed" ? report.passed : state == "failed" ? report.failed : report.skipped) += 1;
  const std::string bad = verdict_lines(verdicts, true);
  report.junit.push_back({"check", name, state == "failed" ? bad : "", state == "skipped" ? bad : ""});
  report.scenarios.push_back({{"name", name},
                              {"state", state},
                              {"fingerprint", ops::fingerprint(recording)},
                              {"expectations", verdicts_json(verdicts)}});
  if (text)
    std::cout << fmt::format("{:<8} {:<46} {} held, {} failed, {} not run\n{}", state, name, t.held,
                             t.failed + t.unsure, t.not_run, bad);
}

// A scenario that cannot be read is an error; the others still run.
void check_file(const std::string& file, const Arguments& arguments, Report& report) {
  std::string name = file;
  try {
    for (const scenarios::Scenario& scenario : load_for_model(file, arguments)) {
      name = scenarios::label(scenario);
      check_one(scenario, arguments, report);
    }
  } catch (const ops::InputError& error) {
    const std::string why = std::string(error.what()) + "\n";
    ++report.errors;
    report.junit.push_back({"check", name, why, ""});
    report.scenarios.push_back({{"name", name}, {"state", "error"}, {"detail", why}});
    if (!arguments.json()) std::cout << fmt::format("{:<8} {}\n", "error", name);
    std::cerr << why;
  }
}

int run(const Arguments& arguments) {
  const std::vector<std::string> paths =
      arguments.positional.empty() ? std::vector<std::string>{scenarios::library_folder()} : arguments.positional;
  check_model_options(arguments);
  if (arguments.has("junit")) storage::require_folder_of(arguments.text("junit"));
  Report report;
  const bool complete = done_before_interrupt([&] {
    for (const std::string& file : scenario_files(paths)) {
      throw_if_interrupted();
      check_file(file, arguments, report);
    }
  });
  if (arguments.has("junit")) storage::write_file(arguments.text("junit"), junit_xml("tscsim check", report.junit));
  if (arguments.json()) {
    Json object = {{"command", "check"},
                   {"summary",
                    {{"passed", report.passed},
                     {"failed", report.failed},
                     {"errors", report.errors},
                     {"skipped", report.skipped}}},
                   {"scenarios", report.scenarios}};
    if (!complete) object["interrupted"] = true;
    print(object);
  } else {
    std::cout << fmt::format("{} passed, {} failed, {} errors, {} skipped\n", report.passed, report.failed,
                             report.errors, report.skipped);
  }
  if (!complete) return interrupted_status();
  if (report.errors != 0) return kBadUsage;
  return report.failed == 0 ? kAllHeld : kFailed;
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
          },
          run};
}

}  // namespace tscsim::cli

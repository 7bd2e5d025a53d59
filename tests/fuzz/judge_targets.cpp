// Recordings and scenarios that are read without an error, through the cross-check, verdict, lint and statistics.
#include <array>

#include "crosscheck/checker.h"
#include "crosscheck/linux_check.h"
#include "hunt/hunt.h"
#include "logs/explain.h"
#include "model/world/simulation.h"
#include "ops/ftrace_text.h"
#include "scenarios/evaluate.h"
#include "scenarios/scenario.h"
#include "seeds.h"
#include "statistics/clock_statistics.h"
#include "statistics/series.h"
#include "target.h"
#include "verdict/lint.h"
#include "verdict/report.h"

#include <sstream>

namespace tscsim::fuzz {
namespace {

// Fewer histories than a user's check follows: there are no others in kind.
constexpr crosscheck::Limits kLimits{64, 4};

void judge(const verdict::Course& course) {
  verdict::verdict_text(course, {true});
  verdict::verdict_json(course);
  verdict::why_master_clock_off(course);
  verdict::why_offsets_differ(course);
  verdict::LintReport report = verdict::lint(course);
  verdict::lint_text(report);
  verdict::lint_json({report});
  verdict::lint_sarif({report}, "0");
}

void run_judge(std::string_view input) {
  constexpr std::size_t kMostEntries = 60;
  refuses_or_runs([&] {
    std::istringstream in{std::string(input)};
    ops::Recording recording = ops::read_json_lines(in, "REC");
    if (recording.entries.size() > kMostEntries) return;
    logs::explain(recording);
    for (int host = 0; host < recording.header.hosts(); ++host) ops::ftrace_of(recording, host);
    if (ops::is_observed(recording)) return;
    crosscheck::check(recording, kLimits);
    judge(verdict::follow(std::move(recording)));
  });
}

// Simulated time costs what happens in it: a Linux guest has a thousand ticks a second.
bool is_short(const ops::Program& program) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  constexpr std::int64_t kLongest = 4000 * kSecond, kLongestWithGuest = 2 * kSecond;
  constexpr std::size_t kMostSteps = 200;
  if (program.setup.size() + program.timeline.size() > kMostSteps) return false;
  bool guest = false;
  std::int64_t end = 0;
  for (const auto* part : {&program.setup, &program.timeline})
    for (const ops::Step& step : *part) {
      guest = guest || ops::needs_linux_guest(step.op.kind);
      end = std::max(end, step.op.at_ns);
    }
  return end <= (guest ? kLongestWithGuest : kLongest);
}

// The model's own recording is one that the model allows.
void run_on_model(std::string_view input) {
  refuses_or_runs([&] {
    const scenarios::Scenario scenario = scenarios::parse_scenario(input, "-");
    if (!is_short(scenario.program)) return;
    const auto world = model::simulate(scenario.program.hosts, scenario.program.heuristic, model::Tracing::on);
    const ops::Recording recording = ops::run_program(scenario.program, *world, 1);
    scenarios::evaluate(scenario, recording);
    std::istringstream again(text_of(recording));
    promise(ops::read_json_lines(again, "REC") == recording, "the model's recording is read as it was written");
    judge(verdict::follow(scenario.program));
    const crosscheck::Result result = crosscheck::check(recording, kLimits);
    if (!result.mismatches.empty()) std::fprintf(stderr, "%s\n", result.mismatches.front().explanation.c_str());
    promise(result.mismatches.empty(), "the cross-check accepts the model's own recording");
  });
}

void run_linux_check(std::string_view input) {
  refuses_or_runs([&] {
    std::istringstream in{std::string(input)};
    crosscheck::check_linux(ops::read_linux_recording(in, "REC"));
  });
}

// Drafts of the hunt's grammar, as scenarios.
std::vector<std::string> drafts(std::uint64_t count) {
  hunt::Ground ground;
  ground.pcpus = 2;
  ground.clocksource_changes = ground.tsc_jumps = ground.suspends = ground.pcpu_hotplug = ground.marks_unstable =
      ground.hyperv = ground.steal_time = true;
  std::vector<std::string> texts;
  for (std::uint64_t i = 0; i < count; ++i) texts.push_back(hunt::to_yaml(hunt::draft_of_run({}, ground, i)));
  return texts;
}

std::vector<std::string> run_seeds(const std::string& source) {
  std::vector<std::string> texts = scenario_texts(source);
  for (std::string& text : drafts(100)) texts.push_back(std::move(text));
  return texts;
}

std::vector<std::string> judge_seeds(const std::string& source) {
  std::vector<std::string> texts;
  for (const ops::Recording& recording : short_recordings(source)) texts.push_back(text_of(recording));
  for (const std::string& text : drafts(100)) {
    const ops::Program program = scenarios::parse_scenario(text, "-").program;
    ops::Recording recording = ops::run_program(program, *model::simulate(program.hosts, ""), 1);
    recording.entries.resize(std::min<std::size_t>(recording.entries.size(), 40));
    texts.push_back(text_of(recording));
  }
  return texts;
}

std::vector<std::string> linux_check_seeds(const std::string& source) { return linux_texts(source, 12); }

constexpr std::array kTargets = {
    Target{"judge", "a recording through check, verdict and lint", run_judge, judge_seeds, Form::recordings, 30000},
    Target{"run", "a scenario run on the model, and its recording through the same", run_on_model, run_seeds,
           Form::text, 4500},
    Target{"linux-check", "a recording of Linux through its check", run_linux_check, linux_check_seeds, Form::text,
           20000},
};

}  // namespace

std::span<const Target> judge_targets() { return kTargets; }

}  // namespace tscsim::fuzz

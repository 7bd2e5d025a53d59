// tscsim lint: the named findings of scenarios and recordings, for people, for programs and for code scanning.
#include <fmt/format.h>

#include <deque>
#include <iostream>
#include <sstream>

#include "cli/commands.h"
#include "cli/judged.h"
#include "cli/text.h"
#include "logs/explain.h"
#include "ops/error.h"
#include "ops/spec_citation.h"
#include "verdict/lint.h"

namespace tscsim::cli {
namespace {

using verdict::Level;

struct Threshold {
  const char* option;
  verdict::Wide verdict::Thresholds::*member;
  const char* help;
};
constexpr Threshold kThresholds[] = {
    {"discarded", &verdict::Thresholds::discarded_ns, "written-value-discarded: from this error on"},
    {"before-entry", &verdict::Thresholds::before_entry_ns, "tsc-before-long-step: from this time on"},
    {"split", &verdict::Thresholds::split_ns, "clock-tsc-split: from this difference on"},
    {"realtime", &verdict::Thresholds::realtime_ns, "realtime-unsynchronised: from this difference on"},
    {"stop", &verdict::Thresholds::stop_ns, "ctrl-missing: from this time on"},
    {"overdue", &verdict::Thresholds::overdue_ns, "overdue-timers: from this delay on"},
};

std::uint64_t to_ms(verdict::Wide ns) { return static_cast<std::uint64_t>(ns / 1'000'000); }

verdict::Thresholds thresholds_of(const Arguments& arguments) {
  verdict::Thresholds thresholds;
  for (const Threshold& t : kThresholds) thresholds.*t.member = verdict::Wide{arguments.number(t.option)} * 1'000'000;
  return thresholds;
}

std::set<std::string> disabled_of(const Arguments& arguments) {
  std::set<std::string> disabled;
  std::istringstream names(arguments.text("disable"));
  for (std::string name; std::getline(names, name, ',');) {
    std::vector<std::string> known;
    for (const verdict::FindingInfo& info : verdict::all_findings()) known.emplace_back(info.id);
    if (verdict::find_finding(name) == nullptr)
      throw UsageError(
          fmt::format("no finding is called '{}'{}", name, suggestion(name, known, "see 'tscsim lint --list'")));
    disabled.insert(name);
  }
  return disabled;
}

std::optional<Level> fails_from(const Arguments& arguments) {
  const std::string word = arguments.text("fail-on");
  for (const Level level : {Level::note, Level::warning, Level::error})
    if (word == name_of(level)) return level;
  if (word == "never") return std::nullopt;
  throw UsageError(fmt::format("--fail-on '{}': expected note, warning, error or never", word));
}

int list_findings(const Arguments& arguments) {
  Json list = Json::array();
  for (const verdict::FindingInfo& info : verdict::all_findings()) {
    list.push_back({{"id", info.id},
                    {"level", name_of(info.level)},
                    {"explanation", info.explanation},
                    {"consequence", info.consequence},
                    {"cure", info.cure},
                    {"source", ops::spec_citation(ops::kVmmSpec, info.source)}});
    if (!arguments.json())
      std::cout << fmt::format("{:<24} {:<8} {}\n", info.id, name_of(info.level), info.explanation);
  }
  if (arguments.json()) print({{"command", "lint"}, {"summary", {{"count", list.size()}}}, {"findings", list}});
  return kAllHeld;
}

struct Totals {
  std::size_t notes = 0, warnings = 0, errors = 0, undecided = 0;
  bool fails = false;

  void add(const verdict::LintReport& report, std::optional<Level> from) {
    for (const verdict::Finding& finding : report.findings) {
      ++(finding.level == Level::note ? notes : finding.level == Level::warning ? warnings : errors);
      fails = fails || (from && finding.level >= *from);
    }
    undecided += report.undecided.size();
    fails = fails || report.course->departure;
  }
};

// The findings that a recording made from outside shows, under lint's names. All others cannot be decided on it.
void add_seen(const ops::Recording& recording, const std::set<std::string>& disabled, verdict::Course& course,
              verdict::LintReport& report) {
  course.recording = recording;
  report.course = &course;
  report.name = recording.header.scenario;
  std::set<std::string> found;
  for (const logs::Finding& seen : logs::explain(recording).findings) {
    const bool off = seen.id == "host-clocksource" || seen.id == "host-tsc-backwards" || seen.id == "old-kvmclock" ||
                     seen.id == "master-clock-vetoed";
    const std::string id = off ? "master-clock-off" : seen.id;
    const verdict::FindingInfo* info = verdict::find_finding(id);
    if (info == nullptr || disabled.contains(id)) continue;
    found.insert(id);
    report.findings.push_back(
        {info, info->level, course.moments.size(), {seen.vcpus.begin(), seen.vcpus.end()}, seen.text});
    course.moments.emplace_back().entry = seen.entry;
  }
  for (const verdict::FindingInfo& info : verdict::all_findings())
    if (!found.contains(std::string(info.id)) && !disabled.contains(std::string(info.id)))
      report.undecided.push_back({&info, "the recording was made from outside: what was asked of KVM is not known"});
}

int run(const Arguments& arguments) {
  if (arguments.has("list")) return list_findings(arguments);
  if (arguments.positional.empty()) throw UsageError("'lint' needs scenarios or recordings");
  const verdict::Thresholds thresholds = thresholds_of(arguments);
  const std::set<std::string> disabled = disabled_of(arguments);
  const std::optional<Level> from = fails_from(arguments);
  std::deque<verdict::Course> courses;  // which the reports point into
  std::vector<verdict::LintReport> reports;
  Totals totals;
  const auto take = [&](verdict::LintReport report, const JudgedFile& where) {
    report.file = where.file;
    report.header_line = where.header_line;
    report.vm = where.vm;
    report.vms = where.vms;
    totals.add(report, from);
    reports.push_back(std::move(report));
  };
  judge_all(arguments, {[&](const JudgedFile& where, const verdict::Course& course) {
                          courses.push_back(course);
                          take(verdict::lint(courses.back(), thresholds, disabled), where);
                        },
                        [&](const JudgedFile& where, const ops::Recording& recording) {
                          verdict::LintReport report;
                          add_seen(recording, disabled, courses.emplace_back(), report);
                          take(std::move(report), where);
                        }});
  const std::string format = arguments.text("format");
  const std::string count = fmt::format("{} files: {} errors, {} warnings, {} notes, {} not decidable", reports.size(),
                                        totals.errors, totals.warnings, totals.notes, totals.undecided);
  if (format == "sarif") {
    std::cout << verdict::lint_sarif(reports, TSCSIM_VERSION) << "\n";
  } else if (format == "json") {
    print({{"command", "lint"},
           {"summary",
            {{"errors", totals.errors},
             {"warnings", totals.warnings},
             {"notes", totals.notes},
             {"not_decidable", totals.undecided}}},
           {"files", Json::parse(verdict::lint_json(reports))}});
  } else {
    for (const verdict::LintReport& report : reports) std::cout << verdict::lint_text(report);
    std::cout << count << "\n";
  }
  return totals.fails ? kFailed : kAllHeld;
}

}  // namespace

Command lint_command() {
  Command command{"lint",
                  "[FILE|RECORDING...]",
                  "mistakes in what a VMM does to its guest's clocks, by name, with consequence and cure",
                  "tscsim lint scenarios/lint --fail-on error --disable ctrl-missing",
                  [](OptionList& options) {
                    add_model_options(options);
                    options.flag("list", "all findings, and no more");
                    options.text("disable", "ID,...", "findings that are not looked for");
                    options.text("fail-on", "LEVEL", "exit status 1 from this level on: note, warning, error or never",
                                 "warning");
                    const verdict::Thresholds defaults;
                    for (const Threshold& t : kThresholds)
                      options.number(t.option, "MS", t.help, to_ms(defaults.*t.member));
                  },
                  run};
  command.formats.emplace_back("sarif");
  return command;
}

}  // namespace tscsim::cli

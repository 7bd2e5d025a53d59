// Every finding has a scenario that triggers it and one that does not; neither can go dead.
#include "verdict/lint.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "scenarios/procedure_alone.h"
#include "verdict/testing.h"

namespace tscsim::verdict {
namespace {

using Ids = std::set<std::string>;

// Notes that every scenario of its kind has are not part of it.
Ids ids_of(const LintReport& report, Level from = Level::warning) {
  Ids ids;
  for (const Finding& finding : report.findings)
    if (finding.level >= from) ids.insert(std::string(finding.info->id));
  return ids;
}

struct Row {
  const char* id;
  Ids besides;     // that come with it of necessity
  Ids when_clean;  // and that the clean one has
};
const Row kRows[] = {
    {"interleaved-create", {"master-clock-off", "no-common-generation"}, {}},
    {"no-common-generation", {"master-clock-off"}, {}},
    {"khz-after-create", {"master-clock-off", "no-common-generation"}, {}},
    {"khz-silent-250ppm", {}, {}},
    {"khz-missing", {}, {}},
    {"written-value-discarded", {}, {}},
    {"zero-is-not-reset", {}, {}},
    {"reset-absorbed", {}, {}},
    {"write-pass-too-long", {"master-clock-off", "no-common-generation", "tsc-before-long-step"}, {}},
    {"tsc-before-long-step", {}, {}},
    {"clock-tsc-split", {}, {}},
    {"clock-after-run", {"clock-missing", "clock-tsc-split"}, {}},
    {"clock-missing", {"clock-tsc-split"}, {}},
    {"clock-stale", {"clock-tsc-split"}, {}},
    {"clock-flags-passthrough", {}, {}},
    {"realtime-without-tsc", {"clock-tsc-split"}, {}},
    {"realtime-unsynchronised", {}, {}},
    {"deadline-before-tsc", {}, {}},
    {"deadline-before-lapic", {}, {}},
    {"deadline-zero", {}, {}},
    {"ctrl-lost", {}, {}},
    {"ctrl-missing", {}, {}},
    {"page-newer-than-tsc", {"clock-tsc-split"}, {}},
    {"master-clock-off", {}, {}},
    {"ignored-write", {}, {}},
    {"vmclock-not-bumped", {}, {}},
    {"overdue-timers", {}, {}},
};

TEST(Lint, EveryFindingIsInTheTable) {
  Ids rows, known;
  for (const Row& row : kRows) rows.insert(row.id);
  for (const FindingInfo& info : all_findings()) known.insert(std::string(info.id));
  EXPECT_EQ(rows, known);
  EXPECT_EQ(std::size(kRows), all_findings().size());
}

TEST(Lint, EachFindingIsFoundAndOnlyWhereItIs) {
  for (const Row& row : kRows) {
    const Level from = find_finding(row.id)->level == Level::note ? Level::note : Level::warning;
    const Course found = course_of_file(std::string("lint/") + row.id + "-found.yaml");
    Ids expected = row.besides;
    expected.insert(row.id);
    EXPECT_EQ(ids_of(lint(found), from), expected) << row.id;
    EXPECT_TRUE(lint(found).undecided.empty()) << row.id;
    const Course clean = course_of_file(std::string("lint/") + row.id + "-clean.yaml");
    EXPECT_EQ(ids_of(lint(clean), from), row.when_clean) << row.id << ", clean";
    EXPECT_FALSE(row.when_clean.contains(row.id)) << row.id;
  }
}

// By the plainest scenario that uses it. Each row is what the spec says of that VMM.
TEST(Lint, AProcedureIsJudgedByItself) {
  const struct {
    const char* procedure;
    Ids found;
  } rows[] = {
      {"cloud-hypervisor/restore-before-2026-06",
       {"interleaved-create", "no-common-generation", "master-clock-off", "realtime-without-tsc", "clock-tsc-split",
        "ctrl-lost", "tsc-before-long-step"}},
      {"cloud-hypervisor/pause-resume", {}},
      {"crosvm/restore-command-line", {"clock-missing", "clock-tsc-split", "ctrl-lost", "tsc-before-long-step"}},
      {"crosvm/suspend-resume-again", {"clock-stale", "clock-tsc-split"}},
      {"documented/migrate", {}},
      {"dragonball/restore", {"deadline-before-lapic", "ctrl-lost"}},
      {"firecracker/restore-before-1.16",
       {"clock-flags-passthrough", "realtime-without-tsc", "clock-tsc-split", "ctrl-lost"}},
      {"qemu/reset-before-7.0", {"zero-is-not-reset"}},
      {"qemu/stop-cont", {"clock-tsc-split"}},
  };
  for (const auto& row : rows) {
    const std::string file = std::string(TSCSIM_SOURCE_DIR) + "/scenarios/procedures/" + row.procedure + ".yaml";
    ASSERT_TRUE(scenarios::is_procedure_file(file)) << file;
    EXPECT_EQ(ids_of(lint(follow(scenarios::scenario_of_procedure(file, {}).program))), row.found) << row.procedure;
  }
  EXPECT_FALSE(scenarios::is_procedure_file(std::string(TSCSIM_SOURCE_DIR) + "/scenarios/lint/clock-stale-found.yaml"));
}

TEST(Lint, WhatIsDisabledIsNotFound) {
  for (const Row& row : kRows) {
    const Course found = course_of_file(std::string("lint/") + row.id + "-found.yaml");
    EXPECT_FALSE(ids_of(lint(found, {}, {row.id}), Level::note).contains(row.id)) << row.id;
  }
}

// A recording of the same scenario, followed by the cross-check's machinery, has the same findings at the same operations,
// but for what only a scenario tells.
TEST(Lint, ARecordingHasTheFindingsOfItsScenario) {
  const Ids needs_a_scenario{"vmclock-not-bumped", "realtime-unsynchronised"};
  for (const Row& row : kRows) {
    if (needs_a_scenario.contains(row.id)) continue;
    const Course scenario = course_of_file(std::string("lint/") + row.id + "-found.yaml");
    const Course recording = follow(scenario.recording);
    ASSERT_FALSE(recording.departure) << row.id << ": " << recording.departure->explanation;
    EXPECT_EQ(ids_of(lint(recording)), ids_of(lint(scenario))) << row.id;
  }
}

TEST(Lint, WhatARecordingCannotTellIsSaid) {
  const Course recording = follow(course_of_file("lint/realtime-unsynchronised-found.yaml").recording);
  Ids open;
  for (const Undecided& undecided : lint(recording).undecided) open.insert(std::string(undecided.info->id));
  EXPECT_TRUE(open.contains("realtime-unsynchronised"));
  EXPECT_TRUE(open.contains("vmclock-not-bumped") ||
              ids_of(lint(recording), Level::note).contains("vmclock-not-bumped") == false);
}

// SARIF 2.1.0, sections 3.13 to 3.30: what a viewer needs.
TEST(Lint, SarifHasItsStructure) {
  const Course course = course_of_file("lint/interleaved-create-found.yaml");
  LintReport report = lint(course);
  report.file = "interleaved-create-found.yaml";
  const auto sarif = nlohmann::json::parse(lint_sarif({report}, "1.0"));
  EXPECT_EQ(sarif.at("version"), "2.1.0");
  EXPECT_NE(sarif.at("$schema").get<std::string>().find("sarif-2.1.0"), std::string::npos);
  ASSERT_EQ(sarif.at("runs").size(), 1u);
  const auto& run = sarif.at("runs")[0];
  EXPECT_EQ(run.at("tool").at("driver").at("name"), "tscsim");
  Ids rules;
  for (const auto& rule : run.at("tool").at("driver").at("rules")) {
    EXPECT_TRUE(rules.insert(rule.at("id")).second);
    EXPECT_FALSE(rule.at("shortDescription").at("text").get<std::string>().empty());
  }
  EXPECT_EQ(rules.size(), all_findings().size());
  ASSERT_EQ(run.at("results").size(), report.findings.size());
  for (const auto& result : run.at("results")) {
    EXPECT_TRUE(rules.contains(result.at("ruleId")));
    EXPECT_TRUE((Ids{"none", "note", "warning", "error"}).contains(result.at("level")));
    EXPECT_FALSE(result.at("message").at("text").get<std::string>().empty());
    const auto& place = result.at("locations").at(0).at("physicalLocation");
    EXPECT_FALSE(place.at("artifactLocation").at("uri").get<std::string>().empty());
    EXPECT_GT(place.at("region").at("startLine").get<int>(), 0);
  }
}

// The second recording of a file: its header is line 87, so that entry 38 is line 125.
TEST(Lint, AFindingOfTheSecondVmHasItsOwnLine) {
  const Course course = follow(course_of_file("lint/interleaved-create-found.yaml").recording);
  LintReport report = lint(course);
  ASSERT_FALSE(report.findings.empty());
  report.file = "two VMs #1.jsonl";
  report.header_line = 87;
  report.vm = report.vms = 2;
  const std::size_t entry = course.moments[report.findings.front().moment].entry;
  EXPECT_TRUE(lint_text(report).starts_with("two VMs #1.jsonl, VM 2, entry " + std::to_string(entry + 1) + ": "))
      << lint_text(report);
  const auto sarif = nlohmann::json::parse(lint_sarif({report}, "1.0"));
  const auto& place = sarif.at("runs")[0].at("results")[0].at("locations")[0].at("physicalLocation");
  EXPECT_EQ(place.at("region").at("startLine").get<std::size_t>(), 87 + entry + 1);
  EXPECT_EQ(place.at("artifactLocation").at("uri"), "two%20VMs%20%231.jsonl");
  EXPECT_EQ(nlohmann::json::parse(lint_json({report}))[0].at("vm"), 2);
}

TEST(Lint, AFileIsToldRelativeToTheWorkingDirectory) {
  const Course course = course_of_file("lint/clock-missing-found.yaml");
  const auto uri = [&](const std::string& file) {
    Course elsewhere = course;
    for (ops::Place& place : elsewhere.places) place.file = file;
    const auto sarif = nlohmann::json::parse(lint_sarif({lint(elsewhere)}, "1.0"));
    const auto& place = sarif.at("runs")[0].at("results")[0].at("locations")[0].at("physicalLocation");
    return place.at("artifactLocation").at("uri").get<std::string>();
  };
  const std::string here = std::filesystem::current_path().string();
  EXPECT_EQ(uri(here + "/a/b.yaml"), "a/b.yaml");
  EXPECT_EQ(uri("./a/../b.yaml"), "b.yaml");
  EXPECT_EQ(uri("/nowhere/100%.yaml"), "file:///nowhere/100%25.yaml");
}

TEST(Lint, WhatIsNotDecidableIsANotification) {
  const Course recording = follow(course_of_file("lint/realtime-unsynchronised-found.yaml").recording);
  LintReport report = lint(recording);
  report.file = "r.jsonl";
  ASSERT_FALSE(report.undecided.empty());
  const auto sarif = nlohmann::json::parse(lint_sarif({report}, "1.0"));
  const auto& invocation = sarif.at("runs")[0].at("invocations").at(0);
  EXPECT_TRUE(invocation.at("executionSuccessful").get<bool>());
  const auto& notes = invocation.at("toolExecutionNotifications");
  ASSERT_EQ(notes.size(), report.undecided.size());
  EXPECT_EQ(notes[0].at("descriptor").at("id"), std::string(report.undecided[0].info->id));
  EXPECT_NE(notes[0].at("message").at("text").get<std::string>().find(report.undecided[0].why), std::string::npos);
}

}  // namespace
}  // namespace tscsim::verdict

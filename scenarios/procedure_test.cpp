// Procedures: what a use is written out into, one in the place of another, and that the shipped ones are in order. What is
// said when one is wrong is in refused/procedure-*.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "scenarios/procedure_library.h"
#include "scenarios/scenario.h"
#include "scenarios/test_files.h"

namespace tscsim::scenarios {
namespace {

constexpr const char* kHead = "name: t\nhosts: {a: {}, b: {}}\nvm: {vcpus: 2}\ntimeline:\n";

Scenario parse(const std::string& lines, const ParseOptions& options = {{source_path("testdata/procedures")}, {}}) {
  return parse_scenario(kHead + lines, "t.yaml", options);
}

std::string name_of_host(const Scenario& scenario, const ops::Step& step) {
  return scenario.program.hosts[static_cast<std::size_t>(step.op.host)].name;
}

std::vector<std::string> steps_of(const Scenario& scenario) {
  std::vector<std::string> out;
  for (const ops::Step& step : scenario.program.timeline) {
    std::string text = std::to_string(step.op.at_ns / 1000) + " " + name_of_host(scenario, step) + " " +
                       std::string(ops::name_of(step.op.kind));
    if (step.op.vcpu != ops::kVm) text += " " + std::to_string(step.op.vcpu);
    if (step.value) text += " (" + step.value->text() + ")";
    else if (step.op.value != 0) text += " " + std::to_string(step.op.value);
    if (!step.capture.empty()) text += " -> " + step.capture;
    out.push_back(text);
  }
  return out;
}

// A unit is no name, though a capture is called `s`.
TEST(Procedure, IsWrittenOutIntoSteps) {
  const Scenario scenario = parse("  - {at: 1 s, migrate: {to: b, with: by-hand, way: 200 ms}}\n");
  EXPECT_THAT(steps_of(scenario),
              testing::ElementsAre("990000 b create_vm", "1000000 a get_msr 0 -> migrate1_tsc_0",
                                   "1001000 a get_msr 1 -> migrate1_tsc_1", "1001000 a get_clock -> migrate1_s",
                                   "1001000 a save_memory", "1200000 b create_vcpu 0",
                                   "1200010 b set_msr 0 (migrate1_tsc_0 + (200 ms))", "1201000 b create_vcpu 1",
                                   "1201010 b set_msr 1 (migrate1_tsc_1 + (200 ms))", "1201010 b load_memory",
                                   "1201010 b set_msr 1 (migrate1_tsc_0 + 1 s)", "1201010 b set_tsc_khz 0 2000000",
                                   "1201010 b set_tsc_khz 1 2000000", "1203010 b set_clock (migrate1_s + 1 s)"));
  EXPECT_EQ(scenario.tolerated.size(), 2U);
  for (const ops::Step& step : scenario.program.timeline) {
    EXPECT_EQ(step.procedure, "by-hand");
    EXPECT_EQ(step.used_at, (ops::Place{"t.yaml", 5, 5}));
    EXPECT_EQ(step.place.file, source_path("testdata/procedures") + "/by-hand.yaml");
  }
  ASSERT_EQ(scenario.procedures.size(), 1U);
  EXPECT_EQ(scenario.procedures.front().kind, "migrate");
}

TEST(Procedure, EachUseHasItsOwnCaptures) {
  const Scenario scenario = parse(
      "  - {at: 1 s, migrate: {to: b, with: by-hand}}\n"
      "  - {at: 2 s, migrate: {to: a, with: by-hand, as: back}}\n"
      "  - {at: 3 s, migrate: {to: b, with: by-hand}}\n"
      "expect:\n  - {back_tsc_0 - migrate1_tsc_0: {at_least: 0}}\n  - {migrate3_s: {at_least: back_s}}\n");
  EXPECT_EQ(scenario.expectations.size(), 2U);
}

TEST(Procedure, OneTakesThePlaceOfAnother) {
  const std::string line = "  - {at: 1 s, migrate: {to: b, with: by-hand, way: 1 s}}\n";
  const std::string folder = source_path("testdata/procedures");
  const std::vector<ops::Step> direct = parse("  - {at: 1 s, migrate: {to: b, with: nothing}}\n").program.timeline;
  for (const ProcedureReplacement& replacement :
       {ProcedureReplacement{"", "nothing"}, ProcedureReplacement{"by-hand", "nothing"}}) {
    const Scenario scenario = parse(line, {{folder}, {replacement}});
    EXPECT_EQ(scenario.program.timeline.size(), direct.size());
    EXPECT_EQ(scenario.procedures.front().name, "nothing");
  }
  EXPECT_EQ(parse(line, {{folder}, {{"other", "nothing"}}}).procedures.front().name, "by-hand");
  EXPECT_THROW(parse(line, {{folder}, {{"", "noting"}}}), ops::InputError);
}

// A restore reads what its own snapshot saved.
TEST(Procedure, ARestoreBringsItsSnapshot) {
  const Scenario scenario = parse(
      "  - {at: 1 s, snapshot: {with: firecracker/snapshot}}\n"
      "  - {at: 2 s, restore: {with: firecracker/restore, of: snapshot1, to: b}}\n",
      {{}, {{"", "crosvm/restore"}}});
  EXPECT_EQ(scenario.procedures.at(0).name, "crosvm/snapshot");
  EXPECT_EQ(scenario.procedures.at(1).name, "crosvm/restore");
}

TEST(Procedure, IsPartOfTheScenariosHash) {
  const std::string lines = "  - {at: 1 s, migrate: {to: b, with: p}}\n";
  const std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / "tscsim-procedures";
  std::filesystem::create_directories(folder);
  const std::string text = read_text(source_path("testdata/procedures/nothing.yaml"));
  const auto hash_with = [&](const std::string& story) {
    std::ofstream(folder / "p.yaml") << "story: " << story << "\n"
                                     << std::string(text).replace(text.find("nothing"), 7, "p");
    return parse(lines, {{folder.string()}, {}}).program.hash;
  };
  EXPECT_NE(hash_with("one"), hash_with("two"));
  std::filesystem::remove_all(folder);
}

TEST(Procedure, AStartMakesTheVm) {
  const Scenario scenario = parse_scenario(
      "name: t\nvm: {vcpus: 2, kvmclock: on}\ntimeline:\n  - {at: 0 s, start: {with: qemu/start}}\n", "t.yaml");
  EXPECT_TRUE(scenario.program.setup.empty());
  EXPECT_EQ(scenario.program.timeline.front().op.kind, ops::OpKind::create_vm);
  EXPECT_EQ(scenario.program.timeline.back().op.kind, ops::OpKind::wrmsr) << "the guest enables kvmclock";
}

// ---- a Linux guest ----

constexpr const char* kLinux = "name: t\nhosts: {a: {}, b: {}}\nvm: {vcpus: 2, guest: {kernel: 6.12}}\ntimeline:\n";

bool is_of_guest(const ops::Step& step) {
  return step.op.kind == ops::OpKind::pause_vm || step.op.kind == ops::OpKind::resume_vm ||
         step.op.kind == ops::OpKind::boot_guest;
}

// "1000000 a pause_vm": what is done to the guest, in the order of time.
std::vector<std::string> guest_steps(const std::string& lines, const ParseOptions& options = {}) {
  const Scenario scenario = parse_scenario(kLinux + lines, "t.yaml", options);
  std::vector<std::string> out;
  for (const ops::Step& step : scenario.program.timeline)
    if (is_of_guest(step))
      out.push_back(std::to_string(step.op.at_ns / 1000) + " " + name_of_host(scenario, step) + " " +
                    std::string(ops::name_of(step.op.kind)));
  return out;
}

TEST(ProcedureAndGuest, TheFirstRunLetsItGoOn) {
  using testing::ElementsAre;
  EXPECT_THAT(guest_steps("  - {at: 1 s, pause: {with: qemu/stop-cont, for: 5 s}}\n"),
              ElementsAre("1000000 a pause_vm", "6000000 a resume_vm"));
  EXPECT_THAT(guest_steps("  - {at: 1 s, migrate: {to: b, with: qemu/migrate, downtime: 1 s, entry_gap: 7 ms}}\n"),
              ElementsAre("1000000 a pause_vm", "2007000 b resume_vm"));
  EXPECT_THAT(guest_steps("  - {at: 1 s, snapshot: {with: firecracker/snapshot, save_gap: 1 ms}}\n"),
              ElementsAre("1000000 a pause_vm", "1001000 a resume_vm"))
      << "there is no run: the end";
  EXPECT_THAT(guest_steps("  - {at: 1 s, reset: {with: qemu/reset}}\n"),
              ElementsAre("1000000 a pause_vm", testing::EndsWith("a boot_guest")));
  EXPECT_THAT(guest_steps("  - {at: 1 s, hotplug: {with: qemu/hotplug}}\n"), ElementsAre());
  EXPECT_THAT(guest_steps("  - {at: 0 s, start: {with: qemu/start}}\n"),
              ElementsAre(testing::EndsWith("a boot_guest")));
  EXPECT_THAT(guest_steps("  - {at: 1 s, pause: {with: qemu/stop-cont}}\n", {{}, {{"", "firecracker/pause-resume"}}}),
              ElementsAre("1000000 a pause_vm", "11000000 a resume_vm"))
      << "one in the place of another";
}

// Who has paused the guest lets it go on.
TEST(ProcedureAndGuest, AGuestThatIsPausedStaysSo) {
  EXPECT_THAT(guest_steps("  - {at: 1 s, pause_vm: }\n"
                          "  - {at: 2 s, migrate: {to: b, with: qemu/migrate-paused, paused: 1 s}}\n"
                          "  - {at: 20 s, resume_vm: }\n"
                          "  - {at: 20 s, pause: {with: qemu/stop-cont, for: 1 s}}\n"),
              testing::ElementsAre("1000000 a pause_vm", "20000000 b resume_vm", "20000000 b pause_vm",
                                   "21000000 b resume_vm"));
}

// Without a Linux guest nobody is stopped, and a recording of real calls stays as it is.
TEST(ProcedureAndGuest, NoStepsWithoutOne) {
  const Scenario scenario = parse("  - {at: 1 s, pause: {with: qemu/stop-cont}}\n");
  for (const ops::Step& step : scenario.program.timeline) EXPECT_FALSE(is_of_guest(step));
}

// ---- the shipped ones ----

// Each that stops a VM stops the guest once, at its begin, and lets it go on, not before and not on another host than it is.
TEST(ShippedProcedures, StopALinuxGuest) {
  ProcedureLibrary library("", {});
  for (const std::string& name : library.names()) {
    const Procedure& procedure = *library.find(name);
    const std::string kind(name_of(procedure.kind));
    if (procedure.kind == ProcedureKind::start || procedure.kind == ProcedureKind::hotplug) continue;
    std::string lines, use = "with: " + name;
    if (!procedure.of.empty()) {
      const Procedure& before = *library.find(procedure.of.front());
      const std::string first(name_of(before.kind));
      lines = "  - {at: 5 s, " + first + ": {with: " + before.name + ", as: before}}\n";
      use += ", of: before";
    }
    const bool moves = procedure.kind == ProcedureKind::migrate;
    if (moves) use += ", to: b";
    if (procedure.kind == ProcedureKind::restore) use += ", to: a";
    lines += "  - {at: 60 s, " + kind + ": {" + use + "}}\n";
    const Scenario scenario = parse_scenario(kLinux + lines, "t.yaml", {});
    int pauses = 0, goes_on = 0;
    std::int64_t last_ns = 0;
    for (const ops::Step& step : scenario.program.timeline) {
      if (step.procedure != name || !is_of_guest(step)) continue;
      const bool pause = step.op.kind == ops::OpKind::pause_vm;
      (pause ? pauses : goes_on)++;
      EXPECT_TRUE(!pause || step.op.at_ns == 60'000'000'000) << name;
      EXPECT_GE(step.op.at_ns, last_ns) << name;
      EXPECT_TRUE(pause || name_of_host(scenario, step) == (moves ? "b" : "a")) << name;
      last_ns = step.op.at_ns;
    }
    EXPECT_EQ(pauses, 1) << name;
    EXPECT_EQ(goes_on, 1) << name;
  }
}

std::set<std::string> used_by_the_library() {
  std::set<std::string> used;
  for (const std::string& path : find_scenarios(source_path("")))
    for (const ProcedureUse& use : load_scenario(path).procedures) used.insert(use.name);
  return used;
}

TEST(ShippedProcedures, AreUsedByAScenarioAndNamedInTheManual) {
  const std::set<std::string> used = used_by_the_library();
  const std::string manual = read_text(source_path("../docs/procedures.md"));
  ProcedureLibrary library("", {});
  const std::vector<std::string> names = library.names();
  EXPECT_GE(names.size(), 40U);
  for (const std::string& name : names) {
    const Procedure* procedure = library.find(name);
    ASSERT_NE(procedure, nullptr) << name;
    EXPECT_TRUE(used.contains(name)) << name << " is in no scenario";
    EXPECT_THAT(manual, testing::HasSubstr("`" + name + "`"));
    EXPECT_FALSE(procedure->steps_text.empty()) << name;
    for (const std::string& before : procedure->of)
      EXPECT_NE(library.find(before), nullptr) << name << " of " << before;
  }
}

}  // namespace
}  // namespace tscsim::scenarios

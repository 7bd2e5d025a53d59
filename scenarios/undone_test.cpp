#include "scenarios/undone.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace tscsim::scenarios {
namespace {

using ops::OpKind;

// The entries of a target that can do all but `impossible`.
ops::Recording recorded(const Scenario& scenario, std::initializer_list<OpKind> impossible) {
  ops::Recording recording;
  for (const auto* part : {&scenario.program.setup, &scenario.program.timeline})
    for (const ops::Step& step : *part) {
      ops::Entry& entry = recording.entries.emplace_back();
      entry.op = step.op;
      entry.supported = std::find(impossible.begin(), impossible.end(), step.op.kind) == impossible.end();
      if (!entry.supported) entry.note = "needs: another machine";
    }
  recording.header.profile.pcpus = 2;
  return recording;
}

Scenario scenario_of(const std::string& body) { return parse_scenario("name: t\n" + body, "t.yaml"); }

const char* const kMoves = R"(
host: {pcpus: 2}
vm: {vcpus: 2}
timeline:
  - {at: 1 s, vcpu: 0, run: }
  - {at: 2 s, vcpu: 0, move_vcpu: 1}
  - {at: 3 s, vcpu: 0, move_vcpu: 0}
  - {at: 4 s, vcpu: 0, set_tsc_khz: 1 GHz}
  - {at: 5 s, vcpu: 0, rdtsc: a}
)";

std::vector<Verdict> verdicts(std::initializer_list<State> states) {
  std::vector<Verdict> all;
  for (const State state : states) all.push_back({0, {}, "", state, ""});
  return all;
}

TEST(Undone, IsAScenarioWithoutItsKindOfSteps) {
  const Scenario scenario = scenario_of(std::string(kMoves) + "expect:\n  - {a: {at_least: 1}}\n");
  const ops::Recording without_moves = recorded(scenario, {OpKind::move_vcpu});
  EXPECT_EQ(undone(scenario, without_moves, verdicts({State::not_run})),
            "needs: another machine; 2 of 2 steps 'move_vcpu' were not done");
  EXPECT_EQ(undone(scenario, without_moves, verdicts({State::not_run, State::held})), "") << "something was decided";
  EXPECT_EQ(undone(scenario, without_moves, verdicts({State::not_run, State::failed})), "");
  EXPECT_EQ(undone(scenario, without_moves, verdicts({State::not_run, State::unsure})), "");
  EXPECT_EQ(undone(scenario, recorded(scenario, {}), verdicts({State::not_run})), "") << "every step was done";
  EXPECT_EQ(undone(scenario, recorded(scenario, {OpKind::rdtsc, OpKind::run}), verdicts({State::not_run})), "")
      << "a reading that is missing changes nothing";
  EXPECT_EQ(undone(scenario, recorded(scenario, {OpKind::set_tsc_khz}), verdicts({State::not_run})),
            "needs: another machine; 1 of 1 steps 'set_tsc_khz' were not done");
}

TEST(Undone, OneMissingStepIsEnoughWhereNothingWasDecided) {
  const Scenario scenario = scenario_of(std::string(kMoves) + "expect:\n  - {a: {at_least: 1}}\n");
  ops::Recording recording = recorded(scenario, {OpKind::move_vcpu});
  for (ops::Entry& entry : recording.entries)
    if (entry.op.kind == OpKind::move_vcpu && entry.op.value == 0) entry.supported = true;
  EXPECT_EQ(undone(scenario, recording, verdicts({State::not_run})),
            "needs: another machine; 1 of 2 steps 'move_vcpu' were not done");
}

// Everything is on pCPU 0 already, so moving there succeeds and moves nothing.
TEST(Undone, OnOnePcpuNoMoveIsOne) {
  const Scenario scenario = scenario_of(std::string(kMoves) + "expect:\n  - {a: {at_least: 1}}\n");
  ops::Recording recording = recorded(scenario, {});
  recording.header.profile.pcpus = 1;
  EXPECT_EQ(undone(scenario, recording, verdicts({State::not_run})),
            "needs: 2 pCPUs (here 1); 2 of 2 steps 'move_vcpu' were not done");
  EXPECT_EQ(undone(scenario, recording, verdicts({State::held})), "");
  recording.header.profile.pcpus = 2;
  EXPECT_EQ(undone(scenario, recording, verdicts({State::not_run})), "");
}

TEST(Undone, WithoutExpectationsAnyStepIsEnough) {
  const Scenario scenario = scenario_of(kMoves);
  EXPECT_EQ(undone(scenario, recorded(scenario, {OpKind::move_vcpu}), {}), "");
  EXPECT_NE(undone(scenario, recorded(scenario, {OpKind::move_vcpu, OpKind::set_tsc_khz}), {}), "");
}

// Probes stand between the steps and belong to none.
TEST(Undone, ProbesCountForNothing) {
  const Scenario scenario = scenario_of(kMoves);
  ops::Recording recording = recorded(scenario, {OpKind::move_vcpu, OpKind::set_tsc_khz});
  ops::Entry probe;
  probe.op.kind = OpKind::set_msr;
  probe.op.probe = true;
  recording.entries.insert(recording.entries.begin(), 20, probe);
  EXPECT_NE(undone(scenario, recording, {}), "");
}

}  // namespace
}  // namespace tscsim::scenarios

#include "hunt/hunt.h"

#include <gtest/gtest.h>

#include "hunt/properties.h"
#include "hunt/shrink.h"
#include "model/world/simulation.h"

namespace tscsim::hunt {
namespace {

std::vector<Execution> on_model(const std::vector<scenarios::Scenario>& batch, bool wrong) {
  std::vector<Execution> runs;
  for (const scenarios::Scenario& s : batch) {
    const auto executor = model::simulate(s.program.hosts, "");
    runs.push_back({ops::run_program(s.program, *executor, 1), ""});
    if (!wrong) continue;
    for (ops::Entry& e : runs.back().recording->entries)  // a KVM whose guests always read an odd TSC
      if (e.op.kind == ops::OpKind::rdtsc) e.outcome.fields[0].value |= 1;
  }
  return runs;
}

const Observer kSilent = {[](const Tally&) {}, [](const Find&) {}, [](const Find&) {}};

TEST(Hunt, DraftsDependOnSeedAndNumberAlone) {
  const Options options;
  const Ground ground;
  EXPECT_EQ(to_yaml(draft_of_run(options, ground, 7)), to_yaml(draft_of_run(options, ground, 7)));
  EXPECT_NE(to_yaml(draft_of_run(options, ground, 7)), to_yaml(draft_of_run(options, ground, 8)));
  Options other = options;
  other.seed = 2;
  EXPECT_NE(to_yaml(draft_of_run(options, ground, 7)), to_yaml(draft_of_run(other, ground, 7)));
}

TEST(Hunt, EveryDraftIsAScenario) {
  Ground ground;
  ground.clocksource_changes = true;
  for (std::uint64_t i = 0; i < 500; ++i) EXPECT_NO_THROW(to_scenario(draft_of_run({}, ground, i))) << i;
}

TEST(Hunt, TheModelAgreesWithItself) {
  Options options;
  options.runs = 100;
  const Outcome outcome = hunt(
      options, {}, [](const auto& b) { return on_model(b, false); }, kSilent);
  EXPECT_EQ(outcome.tally.runs, 100u);
  EXPECT_TRUE(outcome.finds.empty()) << outcome.finds.front().explanation << "\n"
                                     << to_yaml(outcome.finds.front().draft);
}

TEST(Hunt, AWrongKvmIsFoundAndShrunk) {
  Options options;
  options.runs = 100;
  options.most_finds = 1;
  const Outcome outcome = hunt(
      options, {}, [](const auto& b) { return on_model(b, true); }, kSilent);
  ASSERT_EQ(outcome.finds.size(), 1u);
  EXPECT_LE(outcome.finds.front().draft.steps.size(), 2u);
  EXPECT_NE(to_yaml(outcome.finds.front().draft).find("rdtsc"), std::string::npos);
}

TEST(Hunt, WhatTheTargetDiesOfIsAFind) {
  Options options;
  options.runs = 3;
  const auto dies_once = [](const std::vector<scenarios::Scenario>& batch) {
    std::vector<Execution> runs = on_model(batch, false);
    if (batch.front().meta.name == "hunt-1-1") runs.front() = {std::nullopt, "soft lockup"};
    return runs;
  };
  const Outcome outcome = hunt(options, {}, dies_once, kSilent);
  EXPECT_EQ(outcome.tally.runs, 3u);
  ASSERT_EQ(outcome.finds.size(), 1u);
  EXPECT_EQ(outcome.finds.front().name, "hunt-1-1");
  EXPECT_EQ(outcome.finds.front().explanation, "soft lockup");
}

TEST(Hunt, ShrinkingKeepsWhatMatters) {
  Draft draft;
  for (int i = 0; i < 20; ++i) draft.steps.push_back({1, std::to_string(i)});
  const auto fails = [](const Draft& d) {
    int seen = 0;
    for (const DraftStep& s : d.steps) seen += (s.body == "3" || s.body == "17") ? 1 : 0;
    return seen == 2;
  };
  int asked = 0;
  const Draft small = shrink(draft, 500, [&](const std::vector<Draft>& drafts) {
    ++asked;
    std::vector<bool> answers;
    for (const Draft& d : drafts) answers.push_back(fails(d));
    return answers;
  });
  EXPECT_LE(asked, 12) << "groups, each of which may cost a boot";
  ASSERT_EQ(small.steps.size(), 2u);
  EXPECT_EQ(small.steps[0].body, "3");
  EXPECT_EQ(small.steps[1].body, "17");
}

TEST(Hunt, PropertiesHoldOnTheModel) {
  for (const Property& property : properties()) {
    for (const char* kernel : {"5.10", "6.1", "6.12", ""}) {
      Options options;
      options.runs = 60;
      const auto find = hunt_property(property, {kernel, ""}, options, [](std::uint64_t) {});
      EXPECT_FALSE(find.has_value()) << property.name << " on " << kernel << ": " << find->violation << "\n"
                                     << to_yaml(find->draft);
    }
  }
}

}  // namespace
}  // namespace tscsim::hunt

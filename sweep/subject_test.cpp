// A run of the compiled scenario is the run of the scenario that is read with these values.
#include "sweep/subject.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/world/runner.h"
#include "ops/error.h"

namespace tscsim::sweep {
namespace {

constexpr const char* kMigration = R"(
name: t
hosts: {a: {}, b: {}}
vm: {vcpus: 3, kvmclock: on}
timeline:
  - {at: 0 s, vcpu: all, run: }
  - {at: 2 s, vcpu: all, gap: 1 ms, rdtsc: }
  - {at: 2 s, vcpu: 0, read_pvclock: before}
  - {at: 3 s, migrate: {from: a, to: b, with: qemu/migrate}}
  - {at: 10 s, vcpu: 0, read_pvclock: after}
  - {at: 10 s, vcpu: 1, rdtsc: }
  - {at: 10 s, get_clock: clock}
)";

Subject subject_of(const std::string& text, const std::vector<std::string>& variations,
                   const std::vector<std::string>& shown) {
  SubjectSpec spec;
  spec.text = text;
  for (const std::string& variation : variations) spec.variations.push_back(parse_variation(variation));
  for (const std::string& one : shown) spec.quantities.push_back(Quantity::parse(one));
  return Subject(spec);
}

void compare_with_scenarios_that_are_read(const Subject& subject, std::uint64_t runs, int& ran) {
  Worker worker(subject);
  for (std::uint64_t run = 0; run < runs; ++run) {
    RunResult found;
    worker.run(run, found);
    RunResult expected{Fate::refused, found.drawn, std::vector<Seen>(found.seen.size()), true, ""};
    try {
      const scenarios::Scenario scenario = subject.scenario(found.drawn);
      model::RunRequest request;
      std::vector<Quantity> quantities = subject.spec().quantities;
      for (Quantity& quantity : quantities) quantity.request(request);
      const model::Compiled compiled = model::compile(scenario.program, request);
      model::Runner runner(compiled);
      expected.fate = runner.run() ? Fate::ran : Fate::failed;
      for (std::size_t i = 0; i < quantities.size(); ++i)
        expected.seen[i] = quantities[i].of(runner, runner.metrics(), subject.hosts());
      ++ran;
    } catch (const ops::InputError&) {
    }
    ASSERT_EQ(found.fate, expected.fate) << "run " << run << ": " << found.trouble;
    ASSERT_EQ(found.seen, expected.seen) << "run " << run;
  }
}

TEST(Subject, RunsAreThoseOfTheScenarioWithTheirValues) {
  const std::vector<std::string> shown{"tsc_jump",     "kvmclock_jump",  "tsc_skew",
                                       "master_clock", "after - before", "lost = before.tsc - after.tsc + 1"};
  const std::vector<std::vector<std::string>> rows{
      {"downtime=uniform(10 ms, 3 s)", "vcpu_gap=exponential(1 ms)"},
      {"entry_gap=uniform(0 ms, 20 ms)", "clock_gap=uniform(0 ms, 20 ms)"},  // many are refused
      {"lead=uniform(0 ms, 4 s)"},                                           // before time 0: refused
      {"hosts.b.realtime_error=normal(0 ms, 3 ms)", "hosts.b.tsc_error=normal(0 ppm, 20 ppm)",
       "hosts.a.uptime=uniform(1 s, 1 h)"},
      {"timeline.2.gap=uniform(0 ms, 2 ms)", "8:at=uniform(1999 ms, 2002 ms)", "12:at=uniform(9 s, 11 s)"},
  };
  for (const auto& row : rows) {
    const Subject subject = subject_of(kMigration, row, shown);
    EXPECT_TRUE(subject.compiled_once()) << row.front() << ": " << subject.slow();
    int ran = 0;
    compare_with_scenarios_that_are_read(subject, 150, ran);
    EXPECT_GT(ran, 20) << row.front();
  }
}

TEST(Subject, WhatDoesNotFollowIsReadAnew) {
  const std::vector<std::vector<std::string>> rows{
      {"vm.vcpus=choice(1, 2, 3)"},           // other operations; vCPU 1 is missing in some
      {"hosts.b.tsc=uniform(2 GHz, 3 GHz)"},  // the compiled rate of what is converted
  };
  for (const auto& row : rows) {
    const Subject subject = subject_of(kMigration, row, {"tsc_jump", "after - before"});
    EXPECT_FALSE(subject.compiled_once()) << row.front();
    int ran = 0;
    compare_with_scenarios_that_are_read(subject, 60, ran);
    EXPECT_GT(ran, 10) << row.front();
  }
}

TEST(Subject, AVariationWithoutAName) {
  for (const std::string& text : {std::string("uniform(1, 2)"), std::string("=uniform(1, 2)"),
                                  std::string("  =uniform(1, 2)"), std::string("\0=uniform(1, 2)", 15)})
    EXPECT_THROW(parse_variation(text), std::invalid_argument) << text;
}

TEST(Subject, NamesThatNameNothing) {
  const std::vector<std::pair<std::string, std::string>> rows{
      {"down_time=uniform(1 ms, 2 ms)", "no procedure of this scenario has such a parameter"},
      {"99:at=uniform(1 ms, 2 ms)", "line 99 has no key 'at'"},
      {"x:at=uniform(1 ms, 2 ms)", "before ':' stands no line number"},
      {"timeline.at=uniform(1 ms, 2 ms)", "'at' stands where one of 7 items of a list is counted"},
      {"timeline.8.at=uniform(1 ms, 2 ms)", "'8' stands where one of 7 items of a list is counted"},
      {"hosts.a.tsc.x=uniform(1 ms, 2 ms)", "expected a frequency"},
      {"hosts.b.colour=uniform(1 ms, 2 ms)", "unknown key 'colour'"},
      {"downtime=uniform(1, 2)", "expected a duration"},
  };
  for (const auto& [variation, message] : rows) {
    try {
      subject_of(kMigration, {variation}, {"tsc_jump"});
      ADD_FAILURE() << variation << " is taken";
    } catch (const ops::InputError& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr(message)) << variation;
    }
  }
}

}  // namespace
}  // namespace tscsim::sweep

// A compiled run is the same run: every value that ops::run_program() records of a step, the runner has, too, for all
// shipped scenarios and for random operation lists, on kernels of every era. Before that, it is shown that a difference
// would be noticed.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "hunt/draft.h"
#include "hunt/grammar.h"
#include "hunt/hunt.h"
#include "model/kvm/era.h"
#include "model/world/runner.h"
#include "model/world/simulation.h"
#include "ops/error.h"
#include "scenarios/evaluate.h"
#include "scenarios/scenario.h"
#include "sim/allocation_counter.h"

namespace tscsim {
namespace {

using model::Compiled;
using model::Runner;
using model::RunRequest;
using model::SlotKind;
using ops::OpKind;

// Appends looks at everything that a run leaves behind, so that a difference in state is one in values.
ops::Program with_last_looks(ops::Program program) {
  std::vector<int> vcpus(program.hosts.size());
  std::int64_t last_ns = 0;
  for (const auto* steps : {&program.setup, &program.timeline})
    for (const ops::Step& step : *steps) {
      if (step.op.kind == OpKind::create_vm) vcpus[static_cast<std::size_t>(step.op.host)] = 0;
      if (step.op.kind == OpKind::create_vcpu) ++vcpus[static_cast<std::size_t>(step.op.host)];
      last_ns = std::max(last_ns, step.op.at_ns);
    }
  const auto look = [&](std::size_t host, OpKind kind, int vcpu, std::uint32_t msr = 0) {
    ops::Step step;
    step.op.kind = kind;
    step.op.host = static_cast<std::int32_t>(host);
    step.op.vcpu = vcpu;
    step.op.msr = msr;
    step.op.at_ns = last_ns + 400'000'000;
    program.timeline.push_back(step);
  };
  for (std::size_t host = 0; host < vcpus.size(); ++host) {
    if (vcpus[host] == 0) continue;
    look(host, OpKind::get_clock, ops::kVm);
    look(host, OpKind::peek_hyperv_page, ops::kVm);
    for (int vcpu = 0; vcpu < vcpus[host]; ++vcpu) {
      for (const OpKind kind :
           {OpKind::get_tsc_offset, OpKind::get_tsc_khz, OpKind::peek_pvclock, OpKind::peek_steal_time, OpKind::rdtsc,
            OpKind::read_pvclock, OpKind::peek_steal_time, OpKind::get_tsc_offset})
        look(host, kind, vcpu);
      for (const std::uint32_t msr : {ops::msr::kIa32Tsc, ops::msr::kIa32TscAdjust})
        look(host, OpKind::get_msr, vcpu, msr);
    }
  }
  return program;
}

struct Reference {
  std::vector<ops::Entry> entries;  // of steps
  bool refused = false;
};

Reference reference_of(const ops::Program& program) {
  Reference reference;
  try {
    const auto executor = model::simulate(program.hosts, program.heuristic);
    for (ops::Entry& entry : ops::run_program(program, *executor, 1).entries)
      if (!entry.op.probe) reference.entries.push_back(std::move(entry));
  } catch (const ops::InputError&) {
    reference.refused = true;
  }
  return reference;
}

// What differs first, or nothing.
std::string difference(const Reference& reference, Runner& runner) {
  const bool ran = runner.run();
  if (ran == reference.refused) return ran ? "only the reference is refused" : "refused: " + runner.failure().message;
  for (std::size_t i = 0; i < reference.entries.size(); ++i) {
    const ops::Entry& entry = reference.entries[i];
    const ops::Outcome* outcome = runner.outcome(i);
    const std::string what = "step " + std::to_string(i) + ", " + std::string(ops::name_of(entry.op.kind));
    if ((outcome != nullptr) != entry.supported) return what + ": supported by one of the two";
    if (outcome && !(*outcome == entry.outcome)) return what + " on vCPU " + std::to_string(entry.op.vcpu) + " differs";
  }
  return {};
}

std::string difference(const ops::Program& scenario) {
  const ops::Program program = with_last_looks(scenario);
  RunRequest request;
  request.outcomes = true;
  const Compiled compiled = model::compile(program, request);
  Runner runner(compiled);
  const Reference reference = reference_of(program);
  const std::string first = difference(reference, runner);
  return first.empty() ? difference(reference, runner) : first;  // and again: nothing is left of the first run
}

constexpr std::array kKernels = {"2.6.37", "3.2",  "3.10", "3.16", "4.2",  "4.9", "5.4",
                                 "5.10",   "5.16", "6.1",  "6.12", "6.19", "7.3", "7.4"};

ops::Program on_kernel(ops::Program program, const char* kernel) {
  for (ops::HostSpec& host : program.hosts) host.kernel = kernel;
  return program;
}

std::vector<scenarios::Scenario> shipped() {
  std::vector<scenarios::Scenario> all;
  for (const std::string& file : scenarios::find_scenarios(TSCSIM_SOURCE_DIR "/scenarios"))
    for (scenarios::Scenario& one : scenarios::for_each_kernel(scenarios::load_scenario(file)))
      if (!ops::has_linux_guest(one.program)) all.push_back(std::move(one));
  return all;
}

TEST(CompiledRuns, ADifferenceIsNoticed) {
  const ops::Program program = shipped().front().program;
  ops::Program other = program;
  other.hosts.front().uptime_ns += 1'000;
  RunRequest request;
  request.outcomes = true;
  const Compiled compiled = model::compile(with_last_looks(program), request);
  Runner runner(compiled);
  EXPECT_EQ(difference(reference_of(with_last_looks(program)), runner), "");
  EXPECT_NE(difference(reference_of(with_last_looks(other)), runner), "");
}

TEST(CompiledRuns, EveryShippedScenarioIsTheSame) {
  for (const scenarios::Scenario& scenario : shipped())
    EXPECT_EQ(difference(scenario.program), "") << scenarios::label(scenario);
}

TEST(CompiledRuns, EveryShippedScenarioIsTheSameOnOtherKernels) {
  for (const scenarios::Scenario& scenario : shipped())
    for (const char* kernel : kKernels) {
      const bool no_parameters = kernel == kKernels[0] || kernel == kKernels[1];  // of the heuristic before 3.3
      if (!scenario.program.heuristic.empty() && no_parameters) continue;
      EXPECT_EQ(difference(on_kernel(scenario.program, kernel)), "") << scenarios::label(scenario) << " on " << kernel;
    }
}

hunt::Ground everything() {
  hunt::Ground ground;
  ground.pcpus = 2;
  ground.clocksource_changes = ground.tsc_jumps = ground.suspends = ground.pcpu_hotplug = true;
  ground.marks_unstable = ground.hyperv = ground.steal_time = true;
  return ground;
}

TEST(CompiledRuns, ThousandsOfRandomListsAreTheSame) {
  hunt::Options options;
  options.seed = 20260725;
  for (std::uint64_t number = 0; number < 4'000; ++number) {
    const hunt::Draft draft = hunt::draft_of_run(options, everything(), number);
    const char* kernel = kKernels[number % kKernels.size()];
    ASSERT_EQ(difference(on_kernel(hunt::to_scenario(draft).program, kernel)), "")
        << "run " << number << " of seed " << options.seed << " on " << kernel << "\n"
        << hunt::to_yaml(draft);
  }
}

// ---- what varies ----

constexpr const char* kMigration = R"(
name: moved
title: A migration by value
source: made for this test
hosts:
  a: {kernel: 6.1, tsc: 2 GHz}
  b: {kernel: 6.12, tsc: 2 GHz}
vm: {vcpus: 2, kvmclock: on}
timeline:
  - {at: 0 s, vcpu: all, run: }
  - {at: 1 s, vcpu: all, rdtsc: }
  - {at: 1 s, vcpu: all, read_pvclock: }
  - {at: 1 s, get_clock: clock}
  - {at: 1 s, vcpu: 0, get_msr: IA32_TSC, as: saved}
  - {at: 2 s, transfer: {from: a, to: b}}
  - {at: 2 s, vcpu: all, gap: 100 ms, set_msr: {IA32_TSC: saved + 7 ms}}
  - {at: 2500 ms, set_clock: clock}
  - {at: 2500 ms, vcpu: all, kvmclock: on}
  - {at: 2500 ms, vcpu: all, run: }
  - {at: 2500 ms, vcpu: all, rdtsc: }
  - {at: 2500 ms, vcpu: 1, read_pvclock: after}
)";

ops::Program migration() { return scenarios::parse_scenario(kMigration, "").program; }

std::size_t step_of(const ops::Program& program, OpKind kind, std::int32_t host, std::int32_t vcpu) {
  for (std::size_t i = 0; i < program.timeline.size(); ++i) {
    const ops::Operation& op = program.timeline[i].op;
    if (op.kind == kind && op.host == host && op.vcpu == vcpu) return program.setup.size() + i;
  }
  throw std::logic_error("no such step");
}

ops::Step& step_at(ops::Program& program, std::size_t index) { return program.timeline[index - program.setup.size()]; }

TEST(CompiledRuns, SlotsAreTheProgramWithOtherNumbers) {
  const ops::Program program = migration();
  const std::size_t write = step_of(program, OpKind::set_msr, 1, 0);
  const std::size_t clock = step_of(program, OpKind::set_clock, 1, ops::kVm);
  const struct {
    model::Slot slot;
    std::int64_t value;
    void (*change)(ops::Program&, std::size_t step);
  } rows[] = {
      {{SlotKind::at, clock},
       2'050'000'000,
       [](ops::Program& p, std::size_t s) { step_at(p, s).op.at_ns = 2'050'000'000; }},
      {{SlotKind::shift, write},
       123'456'789,
       [](ops::Program& p, std::size_t s) {
         for (; s < p.setup.size() + p.timeline.size(); ++s) step_at(p, s).op.at_ns += 123'456'789;
       }},
      {{SlotKind::literal, write},
       3'000'000,
       [](ops::Program& p, std::size_t s) {
         step_at(p, s).value = ops::Expression::parse("saved + 3 ms", ops::Unit::cycles);
       }},
      {{SlotKind::realtime_error_ns, 1},
       -5'000,
       [](ops::Program& p, std::size_t) { p.hosts[1].realtime_error_ns = -5'000; }},
      {{SlotKind::realtime_drift_ppb, 0},
       40'000,
       [](ops::Program& p, std::size_t) { p.hosts[0].realtime_drift_ppb = 40'000; }},
      {{SlotKind::realtime_ns, 0}, 1'234'567, [](ops::Program& p, std::size_t) { p.hosts[0].realtime_ns = 1'234'567; }},
      {{SlotKind::uptime_ns, 1},
       90'000'000'001,
       [](ops::Program& p, std::size_t) { p.hosts[1].uptime_ns = 90'000'000'001; }},
      {{SlotKind::tsc_khz, 1}, 2'000'100, [](ops::Program& p, std::size_t) { p.hosts[1].tsc_khz = 2'000'100; }},
      {{SlotKind::tsc_error_ppb, 0}, -31'000, [](ops::Program& p, std::size_t) { p.hosts[0].tsc_error_ppb = -31'000; }},
      {{SlotKind::pcpu_tsc_offset, 1, 0},
       77'777,
       [](ops::Program& p, std::size_t) { p.hosts[1].pcpus[0].tsc_offset = 77'777; }},
  };
  for (const auto& row : rows) {
    ops::Program other = program;
    row.change(other, row.slot.index);
    other = with_last_looks(other);
    std::stable_sort(other.timeline.begin(), other.timeline.end(),
                     [](const ops::Step& a, const ops::Step& b) { return a.op.at_ns < b.op.at_ns; });
    RunRequest request;
    request.captures = {"after", "after.tsc", "saved", "clock.host_tsc"};
    request.slots = {row.slot};
    const Compiled compiled = model::compile(program, request);
    Runner runner(compiled);
    ASSERT_TRUE(runner.run());
    runner.set(0, row.value);
    ASSERT_TRUE(runner.run());
    const Reference reference = reference_of(other);
    const auto recorded = [&](OpKind kind, int host, ops::Field field) -> std::optional<ops::Wide> {
      for (const ops::Entry& entry : reference.entries)
        if (entry.op.kind == kind && entry.op.host == host) return *entry.outcome.find(field);
      return std::nullopt;
    };
    EXPECT_EQ(runner.captured(0), recorded(OpKind::read_pvclock, 1, ops::Field::ns)) << static_cast<int>(row.slot.kind);
    EXPECT_EQ(runner.captured(1), recorded(OpKind::read_pvclock, 1, ops::Field::tsc))
        << static_cast<int>(row.slot.kind);
    EXPECT_EQ(runner.captured(2), recorded(OpKind::get_msr, 0, ops::Field::value)) << static_cast<int>(row.slot.kind);
    EXPECT_EQ(runner.captured(3), recorded(OpKind::get_clock, 0, ops::Field::host_tsc))
        << static_cast<int>(row.slot.kind);
  }
}

TEST(CompiledRuns, WhatCannotBeEvaluatedStopsTheRun) {
  ops::Program program = migration();
  const std::size_t write = step_of(program, OpKind::set_msr, 1, 0);
  step_at(program, write).value =
      ops::Expression::parse("saved * saved * 1000000000000000000 * 1000000000000000000", ops::Unit::cycles);
  const Compiled overflow = model::compile(program);
  Runner runner(overflow);
  EXPECT_FALSE(runner.run());
  EXPECT_EQ(runner.failure().message, "the value does not fit 128 bits");
  EXPECT_EQ(runner.failure().place.line, step_at(program, write).place.line);
  EXPECT_TRUE(reference_of(program).refused);

  program = migration();
  RunRequest request;
  request.slots = {{SlotKind::at, write}};
  const Compiled compiled = model::compile(program, request);
  Runner early(compiled);
  EXPECT_TRUE(early.run());
  early.set(0, 500'000'000);  // before what it needs is captured
  EXPECT_FALSE(early.run());
  EXPECT_EQ(early.failure().message, "this step needs what is captured only after it");
}

TEST(CompiledRuns, AWrongRequestIsRefused) {
  const ops::Program program = migration();
  const auto refused = [&](const RunRequest& request) {
    try {
      model::compile(program, request);
    } catch (const ops::InputError&) {
      return true;
    }
    return false;
  };
  EXPECT_FALSE(refused({}));
  EXPECT_TRUE(refused({{}, {"nothing"}}));
  EXPECT_TRUE(refused({{}, {"saved.nonsense"}}));
  EXPECT_TRUE(refused({{{SlotKind::at, 0}}, {}})) << "the set-up has no times";
  EXPECT_TRUE(refused({{{SlotKind::value, 1'000}}, {}}));
  EXPECT_TRUE(refused({{{SlotKind::uptime_ns, 2}}, {}}));
  EXPECT_TRUE(refused({{{SlotKind::literal, step_of(program, OpKind::set_msr, 1, 0), 1}}, {}}));
}

// Metrics are those of `expect`: an expectation of exactly that value holds, and of one more fails.
scenarios::State judged(const scenarios::Scenario& scenario, scenarios::Subject subject, ops::Wide value) {
  scenarios::Scenario with = scenario;
  scenarios::Expectation expectation;
  expectation.subject = subject;
  const bool ns = subject == scenarios::Subject::kvmclock_skew || subject == scenarios::Subject::kvmclock_jump;
  expectation.unit = ns ? ops::Unit::ns : ops::Unit::cycles;
  expectation.right = ops::Expression::constant(value);
  if (value < 0)
    expectation.right = ops::Expression::parse("-" + ops::Expression::constant(-value).text(), expectation.unit);
  with.expectations = {expectation};
  with.meta.since.clear();
  const auto executor = model::simulate(with.program.hosts, with.program.heuristic);
  return scenarios::evaluate(with, ops::run_program(with.program, *executor, 1)).back().state;
}

TEST(CompiledRuns, MetricsAreThoseOfExpectations) {
  int compared = 0;
  for (const scenarios::Scenario& scenario : shipped()) {
    RunRequest request;
    request.metrics = true;
    const Compiled compiled = model::compile(scenario.program, request);
    Runner runner(compiled);
    if (!runner.run()) continue;
    const auto compare = [&](scenarios::Subject subject, std::optional<ops::Wide> value) {
      if (!value) return;
      ++compared;
      EXPECT_EQ(judged(scenario, subject, *value), scenarios::State::held)
          << scenarios::label(scenario) << static_cast<int>(subject);
      EXPECT_EQ(judged(scenario, subject, *value + 1), scenarios::State::failed) << scenarios::label(scenario);
    };
    const model::RunMetrics metrics = runner.metrics();
    compare(scenarios::Subject::tsc_jump, metrics.tsc_jump);
    compare(scenarios::Subject::tsc_skew, metrics.tsc_skew);
    compare(scenarios::Subject::kvmclock_jump, metrics.kvmclock_jump);
    compare(scenarios::Subject::kvmclock_skew, metrics.kvmclock_skew);
  }
  EXPECT_GT(compared, 60);
}

TEST(CompiledRuns, MasterClockIsWhatTheLastGetClockSaid) {
  for (const scenarios::Scenario& scenario : shipped()) {
    RunRequest request;
    request.metrics = true;
    const Compiled compiled = model::compile(scenario.program, request);
    Runner runner(compiled);
    if (!runner.run()) continue;
    std::vector<std::optional<bool>> last(scenario.program.hosts.size());
    const auto executor = model::simulate(scenario.program.hosts, scenario.program.heuristic);
    for (const ops::Entry& entry : ops::run_program(scenario.program, *executor, 1).entries)
      if (const std::uint64_t* flags = entry.outcome.find(ops::Field::flags);
          flags && entry.op.kind == OpKind::get_clock)
        last[static_cast<std::size_t>(entry.op.host)] = (*flags & ops::clock_flag::kTscStable) != 0;
    for (std::size_t host = 0; host < last.size(); ++host)
      EXPECT_EQ(runner.master_clock(host), last[host]) << scenarios::label(scenario) << ", host " << host;
  }
}

TEST(CompiledRuns, NothingIsAllocatedAfterAFirstRun) {
  RunRequest request;
  request.slots = {{SlotKind::shift, step_of(migration(), OpKind::set_msr, 1, 0)}};
  request.captures = {"after"};
  request.metrics = true;
  const Compiled compiled = model::compile(migration(), request);
  Runner runner(compiled);
  runner.run();
  const std::size_t before = sim::allocation_count();
  ops::Wide sum = 0;
  for (int i = 0; i < 100; ++i) {
    runner.set(0, i * 1'000);
    ASSERT_TRUE(runner.run());
    sum += *runner.captured(0) + *runner.metrics().tsc_jump;
  }
  EXPECT_EQ(sim::allocation_count(), before);
  EXPECT_NE(sum, 0);
  Runner another(compiled);
  EXPECT_GT(sim::allocation_count(), before) << "the counter counts";
}

}  // namespace
}  // namespace tscsim

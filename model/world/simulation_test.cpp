#include "model/world/simulation.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "ops/error.h"
#include "ops/testing.h"

namespace tscsim::model {
namespace {

using ops::OpKind;
using ops::step;

constexpr std::int64_t kMs = 1'000'000;

// Two vCPUs with kvmclock on two pCPUs, without master clock: what one entry requests reaches the other after 100 ms.
ops::Recording run(const char* kernel, std::int64_t second_entry_ns, std::int64_t sleep_ns = 0) {
  ops::Program program;
  program.hosts.front().kernel = kernel;
  program.hosts.front().tsc_clocksource = false;
  program.setup = {step(OpKind::create_vm, 0), step(OpKind::create_vcpu, 0, 0), step(OpKind::create_vcpu, 0, 1)};
  for (int i = 0; i < 2; ++i)
    program.setup.push_back(
        step(OpKind::set_msr, 0, i,
             (ops::layout::kPvclockPages + static_cast<std::uint64_t>(i) * ops::layout::kPageStride) | 1,
             ops::msr::kKvmSystemTimeNew));
  program.timeline = {step(OpKind::run, 1 * kMs, 0), step(OpKind::run, 2 * kMs, 1),
                      step(OpKind::run, second_entry_ns, 0)};
  if (sleep_ns != 0)
    program.timeline.insert(program.timeline.end() - 1,
                            step(OpKind::suspend_host, 50 * kMs, ops::kVm, static_cast<std::uint64_t>(sleep_ns)));
  const auto executor = simulate(program.hosts, "");
  return ops::run_program(program, *executor, 1);
}

std::uint64_t last_version(const ops::Recording& recording) {
  std::uint64_t version = 0;
  for (const ops::Entry& e : recording.entries)
    if (e.op.kind == OpKind::peek_pvclock && e.op.vcpu == 0) version = *e.outcome.find(ops::Field::version);
  return version;
}

TEST(Simulation, DelayedWorkRunsWhenItIsDue) {
  const struct {
    const char* kernel;
    std::int64_t entry_ns;
    std::uint64_t version;
    const char* why;
  } rows[] = {
      {"6.12", 50 * kMs, 2, "before the 100 ms are over nothing reaches vCPU 0"},
      {"6.12", 103 * kMs, 2, "requested at 1 ms, it is over at the tick after 100 ms, which is at 104 ms"},
      {"6.12", 104 * kMs, 4, "kvmclock_update_work has run"},
      {"4.7", 99 * kMs, 2, "before 4.8 reckoned from the tick before the request, at 0 ms"},
      {"4.7", 100 * kMs, 4, "kvmclock_update_work has run"},
      {"6.19", 50 * kMs, 4, "since 6.19 the update reaches all vCPUs at once"},
  };
  for (const auto& row : rows) EXPECT_EQ(last_version(run(row.kernel, row.entry_ns)), row.version) << row.why;
}

TEST(Simulation, ADelayStandsWhileTheHostSleeps) {
  // 5.10: later kernels renew the pages when the host is about to sleep.
  EXPECT_EQ(last_version(run("5.10", 10'103 * kMs, 10'000 * kMs)), 2u);
  EXPECT_EQ(last_version(run("5.10", 10'104 * kMs, 10'000 * kMs)), 4u);
}

TEST(Simulation, ThePeriodicUpdateComesEvery300Seconds) {
  EXPECT_EQ(last_version(run("6.12", 299'000 * kMs)), 4u);
  EXPECT_EQ(last_version(run("6.12", 301'000 * kMs)), 4u);  // both updates before one entry are one new page
}

TEST(Simulation, SameProgramSameFingerprint) {
  EXPECT_EQ(ops::fingerprint(run("6.12", 50 * kMs)), ops::fingerprint(run("6.12", 50 * kMs)));
  EXPECT_NE(ops::fingerprint(run("6.12", 50 * kMs)), ops::fingerprint(run("6.12", 51 * kMs)));
}

TEST(Simulation, UnknownKernelsAndHeuristicsAreRefused) {
  const struct {
    const char* kernel;
    const char* heuristic;
    const char* message;
  } rows[] = {{"banana", "", "unknown kernel 'banana'"},
              {"2.6", "", "unknown kernel '2.6'"},
              {"6.12", "windou", "unknown heuristic 'windou'"},
              {"5.10+precise-tsc", "", "unknown kernel '5.10+precise-tsc'"},
              {"5.9+precise-tsc-v2", "", "unknown kernel '5.9+precise-tsc-v2'"}};
  for (const auto& row : rows) {
    ops::HostSpec spec;
    spec.kernel = row.kernel;
    try {
      simulate({spec}, row.heuristic);
      ADD_FAILURE() << row.message;
    } catch (const ops::InputError& error) {
      EXPECT_EQ(error.diagnostics().front().message, row.message);
    }
  }
}

TEST(Simulation, APcpuThatIsNotThereIsNotSupported) {
  ops::Program program;
  program.setup = {step(OpKind::create_vm, 0), step(OpKind::create_vcpu, 0, 0)};
  program.timeline = {step(OpKind::move_vcpu, 0, 0, 7)};
  const auto executor = simulate(program.hosts, "");
  const ops::Recording recording = ops::run_program(program, *executor, 1);
  const ops::Entry* move = nullptr;
  for (const ops::Entry& e : recording.entries)
    if (e.op.kind == OpKind::move_vcpu) move = &e;
  ASSERT_NE(move, nullptr);
  EXPECT_FALSE(move->supported);
  EXPECT_EQ(move->note, "needs: pCPU 7 online (this host has 1)");
}

ops::Step on(int host, ops::Step s) {
  s.op.host = host;
  return s;
}

TEST(Simulation, HostsShareScenarioTimeAndTheMemoryThatIsCarried) {
  ops::Program program;
  program.hosts.resize(2);
  program.hosts[0].tsc_khz = 2'000'000;
  program.hosts[1].tsc_khz = 1'000'000;
  program.hosts[1].uptime_ns = 60'000'000'000;
  program.hosts[1].realtime_error_ns = -5;
  program.setup = {step(OpKind::create_vm, 0), step(OpKind::create_vcpu, 0, 0),
                   step(OpKind::set_msr, 0, 0, ops::layout::kPvclockPages | 1, ops::msr::kKvmSystemTimeNew)};
  program.timeline = {step(OpKind::run, kMs, 0),
                      step(OpKind::peek_pvclock, 2 * kMs, 0),
                      step(OpKind::save_memory, 2 * kMs),
                      on(1, step(OpKind::create_vm, 3 * kMs)),
                      on(1, step(OpKind::create_vcpu, 3 * kMs, 0)),
                      on(1, step(OpKind::load_memory, 3 * kMs)),
                      on(1, step(OpKind::peek_pvclock, 3 * kMs, 0))};
  const auto executor = simulate(program.hosts, "");
  const ops::Recording recording = ops::run_program(program, *executor, 1);
  const auto peeked = [&](int host) {
    const auto entry = std::find_if(recording.entries.begin(), recording.entries.end(), [&](const ops::Entry& e) {
      return e.op.kind == OpKind::peek_pvclock && !e.op.probe && e.op.host == host;
    });
    return entry->outcome;
  };
  EXPECT_NE(*peeked(0).find(ops::Field::version), 0u);
  EXPECT_EQ(peeked(0), peeked(1)) << "the page lies as it was";
  const ops::Bracket& last = recording.entries.back().bracket;
  EXPECT_EQ(last.tsc.lo, 60'003'000'000u) << "b's own counter, 60 s old at scenario time 0";
  EXPECT_EQ(last.realtime_ns.lo, static_cast<std::uint64_t>(program.hosts[1].realtime_ns) + 3 * kMs - 5);
  EXPECT_EQ(recording.header.host(1).zero_tsc, 60'000'000'000u);
  EXPECT_EQ(recording.header.host(0).zero_tsc, 7'200'000'000'000u);
}

}  // namespace
}  // namespace tscsim::model

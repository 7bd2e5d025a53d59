// What KVM counts in jiffies, where the phase and the length of a tick are not known: all that may be is allowed, nothing else.
#include <gtest/gtest.h>

#include <algorithm>

#include "crosscheck/checker.h"
#include "crosscheck/hypothesis.h"
#include "model/world/simulation.h"
#include "ops/testing.h"

namespace tscsim::crosscheck {
namespace {

using ops::OpKind;
using ops::step;

constexpr std::int64_t kUs = 1'000, kMs = 1'000'000, kSecond = 1'000'000'000;

ops::Recording record(const ops::Program& program) {
  const auto executor = model::simulate(program.hosts, program.heuristic);
  return ops::run_program(program, *executor, 1);
}

bool agrees(const ops::Recording& recording) { return check(recording).mismatches.empty(); }

ops::Program with_page(const char* kernel) {
  ops::Program program;
  program.hosts.front().kernel = kernel;
  program.setup = {step(OpKind::create_vm, 0), step(OpKind::create_vcpu, 0, 0),
                   step(OpKind::set_msr, 0, 0, ops::layout::kPvclockPages | 1, ops::msr::kKvmSystemTimeNew)};
  program.timeline.push_back(step(OpKind::run, 5 * kSecond, 0));
  return program;
}

// Ten vCPUs use up an interval of the limiter; one comes `gap` after the first of them, and is run. Then vCPU 0's page says
// whether another interval had begun.
ops::Program creations(std::int64_t gap_ns, std::int64_t phase_ns = 0) {
  ops::Program program = with_page("7.2");
  program.hosts.front().uptime_ns += phase_ns;
  const std::int64_t first_ns = 10 * kSecond;
  for (int i = 1; i <= 10; ++i) program.timeline.push_back(step(OpKind::create_vcpu, first_ns, i));
  program.timeline.push_back(step(OpKind::create_vcpu, first_ns + gap_ns, 11));
  for (int i = 0; i <= 10; ++i) program.timeline.push_back(step(OpKind::run, first_ns + 10 * kSecond, i));
  program.timeline.push_back(step(OpKind::run, first_ns + 10 * kSecond, 0));
  program.timeline.push_back(step(OpKind::run, first_ns + 11 * kSecond, 11));
  program.timeline.push_back(step(OpKind::run, first_ns + 11 * kSecond, 0));
  return program;
}

std::vector<ops::Entry*> pages_of_vcpu_0(ops::Recording& recording) {
  std::vector<ops::Entry*> found;
  for (ops::Entry& entry : recording.entries)
    if (entry.op.kind == OpKind::peek_pvclock && entry.op.vcpu == 0) found.push_back(&entry);
  return found;
}

// From the last run of vCPU 0 before vCPU 11's first to the one after it.
bool renewed(ops::Recording& recording) {
  const auto pages = pages_of_vcpu_0(recording);
  const auto version = [](const ops::Entry& entry) { return *entry.outcome.find(ops::Field::version); };
  for (std::size_t i = 1; i < pages.size(); ++i)
    if (pages[i]->op.at_ns >= 21 * kSecond && version(*pages[i]) != version(*pages[i - 1])) return true;
  return false;
}

// The same where KVM did not renew the page.
ops::Recording not_renewed(ops::Recording recording) {
  const ops::Entry* before = nullptr;
  for (ops::Entry* page : pages_of_vcpu_0(recording))
    if (page->op.at_ns < 21 * kSecond) before = page;
    else page->outcome = before->outcome;
  return recording;
}

// The same where vCPU 11 was created so much earlier, by the clock that jiffies follow.
ops::Recording created_earlier(ops::Recording recording, std::uint64_t ns) {
  for (ops::Entry& entry : recording.entries) {
    if (entry.op.kind != OpKind::create_vcpu || entry.op.vcpu != 11) continue;
    entry.bracket.base_ns.lo -= ns;
    entry.bracket.base_ns.hi -= ns;
  }
  return recording;
}

ops::Recording of_tick(ops::Recording recording, std::uint32_t tick_ns) {
  recording.header.profile.tick_ns = tick_ns;
  return recording;
}

TEST(Jiffies, TheModelsIntervalEndsAtATick) {
  int at_1002_ms = 0;
  for (std::int64_t phase_ns = 0; phase_ns < 4 * kMs; phase_ns += kMs) {
    for (const std::int64_t gap_ns : {999 * kMs, 1000 * kMs}) {
      ops::Recording recording = record(creations(gap_ns, phase_ns));
      EXPECT_FALSE(renewed(recording)) << gap_ns << " " << phase_ns;
      EXPECT_TRUE(agrees(recording));
    }
    ops::Recording open = record(creations(1002 * kMs, phase_ns)), over = record(creations(1004 * kMs, phase_ns));
    at_1002_ms += renewed(open) ? 1 : 0;
    EXPECT_TRUE(renewed(over)) << phase_ns;
    for (const ops::Recording& recording : {open, over}) EXPECT_TRUE(agrees(of_tick(recording, 4'000'000))) << phase_ns;
  }
  EXPECT_EQ(at_1002_ms, 2) << "half of the phases";
}

TEST(Jiffies, WhetherTheIntervalHasEndedIsOpenForATick) {
  const ops::Recording over = record(creations(1020 * kMs));
  EXPECT_FALSE(agrees(not_renewed(over)));
  const struct {
    std::int64_t gap_ns;
    std::uint32_t tick_ns;  // 0: not known
    bool may_renew, may_not;
  } rows[] = {{1000 * kMs - kUs, 4'000'000, false, true}, {1000 * kMs, 4'000'000, false, true},
              {1000 * kMs + kUs, 4'000'000, true, true},  {1004 * kMs - kUs, 4'000'000, true, true},
              {1004 * kMs + kUs, 4'000'000, true, false}, {1004 * kMs + kUs, 0, true, true},
              {1010 * kMs - kUs, 0, true, true},          {1010 * kMs + kUs, 0, true, false},
              {1000 * kMs - kUs, 0, false, true},         {1001 * kMs - kUs, 1'000'000, true, true},
              {1001 * kMs + kUs, 1'000'000, true, false}};
  for (const auto& row : rows) {
    const auto earlier = static_cast<std::uint64_t>(1020 * kMs - row.gap_ns);
    const ops::Recording moved = of_tick(created_earlier(over, earlier), row.tick_ns);
    EXPECT_EQ(agrees(moved), row.may_renew) << row.gap_ns << " ns, tick " << row.tick_ns;
    EXPECT_EQ(agrees(not_renewed(moved)), row.may_not) << row.gap_ns << " ns, tick " << row.tick_ns;
  }
}

// What one question was answered with holds for the next one in the same interval.
TEST(Jiffies, AnIntervalHasOneEnd) {
  ops::Program program = creations(1001 * kMs);
  program.timeline.insert(program.timeline.begin() + 12, step(OpKind::create_vcpu, 11 * kSecond + 1003 * kUs, 12));
  ops::Recording recording = record(program);
  EXPECT_TRUE(agrees(of_tick(recording, 4'000'000)));
}

TEST(Jiffies, TheyStandWhileTheHostSleeps) {
  ops::Program program = creations(3 * kSecond);
  program.timeline.insert(program.timeline.begin() + 11,
                          step(OpKind::suspend_host, 10'500 * kMs, ops::kVm, 2'500'000'000));
  ops::Recording recording = record(program);
  EXPECT_FALSE(renewed(recording)) << "half a second was awake";
  EXPECT_TRUE(agrees(recording));
}

// NTP slews CLOCK_MONOTONIC, which jiffies follow, by 500 ppm at the most; in the lab nobody does.
TEST(Jiffies, AreSlewedWhereNtpMayRun) {
  const ops::Recording over = record(creations(1020 * kMs));
  for (const auto& [target, may] : {std::pair{"native", true}, {"lab:amd-7.2", false}}) {
    ops::Recording moved = created_earlier(over, 20 * kMs + 400 * kUs);
    moved.header.profile.target = target;
    EXPECT_EQ(agrees(moved), may) << target;
  }
}

// The delayed update of all vCPUs, up to 6.18.
TEST(Jiffies, WhatIsPutOffIsNeverEarlySinceTheWheelOf4_8) {
  for (const auto& [kernel, at_95_ms] : {std::pair{"6.12", false}, {"4.7", true}}) {
    ops::Program program = with_page(kernel);
    program.setup.push_back(step(OpKind::create_vcpu, 0, 1));
    // vCPU 1's page is enabled when all else is at rest: its next entry has vCPU 0's page renewed, 100 ms later.
    program.timeline.insert(program.timeline.begin(), step(OpKind::run, 4 * kSecond, 1));
    program.timeline.push_back(step(OpKind::run, 9 * kSecond, 0));
    constexpr std::uint64_t kPage = ops::layout::kPvclockPages + ops::layout::kPageStride;
    program.timeline.push_back(step(OpKind::set_msr, 10 * kSecond, 1, kPage | 1, ops::msr::kKvmSystemTimeNew));
    program.timeline.push_back(step(OpKind::run, 10 * kSecond, 1));
    program.timeline.push_back(step(OpKind::run, 10 * kSecond + 120 * kMs, 0));
    ops::Recording late = record(program);
    // It reads the clock that is moved below.
    std::erase_if(late.entries, [](const ops::Entry& entry) { return entry.op.kind == OpKind::get_clock; });
    const auto at = [&](std::uint64_t earlier_ns) {
      ops::Recording moved = late;
      for (ops::Entry& entry : moved.entries) {
        if (entry.op.at_ns != 10 * kSecond + 120 * kMs) continue;
        entry.bracket.base_ns.lo -= earlier_ns;
        entry.bracket.base_ns.hi -= earlier_ns;
      }
      return moved;
    };
    EXPECT_TRUE(agrees(at(0))) << kernel;
    EXPECT_TRUE(agrees(at(15 * kMs))) << kernel;
    EXPECT_EQ(agrees(at(25 * kMs)), at_95_ms) << kernel;
    EXPECT_FALSE(agrees(at(35 * kMs))) << kernel;
  }
}

TEST(Jiffies, ADelayIsWholeTicks) {
  ops::TargetProfile profile;
  profile.target = "lab:amd-6.12";
  const auto delay = [&](std::uint32_t tick_ns, std::uint64_t ns) {
    profile.tick_ns = tick_ns;
    return Jiffies(profile).delay(ns);
  };
  EXPECT_EQ(delay(4'000'000, kSecond), (ops::Range{1'000'000'000, 1'000'000'000}));
  EXPECT_EQ(delay(3'333'333, kSecond), (ops::Range{999'999'900, 999'999'900}));
  EXPECT_EQ(delay(3'333'333, 100 * kMs), (ops::Range{99'999'990, 99'999'990}));
  EXPECT_EQ(delay(0, kSecond), (ops::Range{999'999'900, 1'000'000'000}));
  profile.target = "native";
  EXPECT_EQ(delay(4'000'000, kSecond), (ops::Range{999'500'000, 1'000'500'000}));
}

}  // namespace
}  // namespace tscsim::crosscheck

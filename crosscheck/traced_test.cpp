// The cross-check of somebody else's VMM: its guest does what nobody recorded, signals end KVM_RUN, its threads call at the
// same time, and the recorder may have come late. The truth is the model's; what a recorder does not see is taken out.
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <tuple>
#include <utility>

#include "crosscheck/checker.h"
#include "model/world/simulation.h"
#include "ops/testing.h"

namespace tscsim::crosscheck {
namespace {

using ops::OpKind;
using ops::step;

constexpr std::int64_t kMs = 1'000'000;

ops::Program vcpus(int count, std::vector<ops::Step> timeline) {
  ops::Program program;
  program.hosts.front().kernel = "6.12";
  program.setup = {step(OpKind::create_vm, 0)};
  for (int i = 0; i < count; ++i) program.setup.push_back(step(OpKind::create_vcpu, 0, i));
  program.timeline = std::move(timeline);
  return program;
}

// What a recorder sees: the VMM's calls.
ops::Recording traced(const ops::Program& program) {
  const auto executor = model::simulate(program.hosts, program.heuristic);
  ops::Recording recording = ops::run_program(program, *executor, 1);
  std::erase_if(recording.entries, [](const ops::Entry& e) {
    return e.op.probe || (ops::is_guest(e.op.kind) && e.op.kind != OpKind::run);
  });
  for (ops::Entry& entry : recording.entries) {
    entry.thread = 1;
    entry.bracket.tsc.hi += 5000;
    entry.bracket.base_ns.hi += 2000;
    entry.bracket.realtime_ns.hi += 2000;
  }
  recording.header.vmm = "vmm";
  return recording;
}

ops::Entry& last(ops::Recording& recording, OpKind kind) {
  return *std::find_if(recording.entries.rbegin(), recording.entries.rend(),
                       [&](const ops::Entry& e) { return e.op.kind == kind; });
}

std::string why(const ops::Recording& recording) {
  const Result result = check(recording);
  return result.mismatches.empty() ? "" : result.mismatches.front().explanation;
}

ops::Program guest_that_writes(std::uint32_t msr, std::uint64_t value, std::vector<ops::Step> then) {
  std::vector<ops::Step> timeline = {step(OpKind::set_msr, 0, 0, 5'000'000'000, ops::msr::kIa32Tsc),
                                     step(OpKind::run, kMs, 0), step(OpKind::wrmsr, 2 * kMs, 0, value, msr)};
  timeline.insert(timeline.end(), then.begin(), then.end());
  return vcpus(1, timeline);
}

TEST(Traced, WhatTheGuestWroteIsSeenWhereTheVmmReadsIt) {
  const auto read = [](std::uint32_t msr) { return step(OpKind::get_msr, 3 * kMs, 0, 0, msr); };
  const struct {
    std::uint32_t msr;
    std::uint64_t value;
    std::vector<ops::Step> then;
  } rows[] = {
      {ops::msr::kKvmSystemTimeNew, 0x2001, {step(OpKind::kvmclock_ctrl, 3 * kMs, 0), read(ops::msr::kKvmSystemTime)}},
      {ops::msr::kKvmSystemTimeNew,
       0x2001,
       {step(OpKind::kvmclock_ctrl, 3 * kMs, 0)}},  // where the page is nobody asks
      {ops::msr::kIa32TscAdjust,
       77'000'000,
       {read(ops::msr::kIa32Tsc), read(ops::msr::kIa32TscAdjust), read(ops::msr::kIa32Tsc)}},
      {ops::msr::kIa32Tsc, 9'000'000'000, {read(ops::msr::kIa32Tsc), read(ops::msr::kIa32TscAdjust)}},
      {ops::msr::kKvmWallClockNew, 0x3000, {read(ops::msr::kKvmWallClock)}},
      {ops::msr::kKvmStealTime, 0x4001, {read(ops::msr::kKvmStealTime)}},
  };
  for (const auto& row : rows) {
    ops::Recording recording = traced(guest_that_writes(row.msr, row.value, row.then));
    EXPECT_EQ(why(recording), "") << ops::msr_name(row.msr);
    recording.header.vmm.clear();  // our own guest does what it is told
    EXPECT_NE(why(recording), "") << ops::msr_name(row.msr);
  }
}

TEST(Traced, NobodyWritesWhileTheVcpuIsNotRun) {
  ops::Recording recording =
      traced(guest_that_writes(ops::msr::kIa32TscAdjust, 77,
                               {step(OpKind::get_msr, 3 * kMs, 0, 0, ops::msr::kIa32TscAdjust),
                                step(OpKind::get_msr, 4 * kMs, 0, 0, ops::msr::kIa32TscAdjust)}));
  EXPECT_EQ(why(recording), "");
  last(recording, OpKind::get_msr).outcome.fields[0].value = 78;
  EXPECT_NE(why(recording), "");
}

// The adjustment says by how much the TSC was moved; nothing else may have moved it.
TEST(Traced, AChangedTscIsAMismatchHoweverTheGuestMayWrite) {
  ops::Recording recording = traced(guest_that_writes(ops::msr::kIa32TscAdjust, 77'000'000,
                                                      {step(OpKind::get_msr, 3 * kMs, 0, 0, ops::msr::kIa32TscAdjust),
                                                       step(OpKind::get_msr, 3 * kMs, 0, 0, ops::msr::kIa32Tsc)}));
  EXPECT_EQ(why(recording), "");
  last(recording, OpKind::get_msr).outcome.fields[0].value += 10'000'000;
  EXPECT_NE(why(recording), "");
}

// In which of several KVM_RUNs it wrote is open; that kvmclock_ctrl still failed after the first tells.
TEST(Traced, AWriteMayComeInAnyRunInBetween) {
  const ops::Recording recording = traced(vcpus(
      1, {step(OpKind::run, kMs, 0), step(OpKind::kvmclock_ctrl, 2 * kMs, 0), step(OpKind::run, 3 * kMs, 0),
          step(OpKind::wrmsr, 4 * kMs, 0, 0x2001, ops::msr::kKvmSystemTimeNew), step(OpKind::run, 5 * kMs, 0),
          step(OpKind::kvmclock_ctrl, 6 * kMs, 0), step(OpKind::get_msr, 7 * kMs, 0, 0, ops::msr::kKvmSystemTimeNew)}));
  EXPECT_EQ(why(recording), "");
}

// The master clock comes with the first entry after the last vCPU has joined; KVM_GET_CLOCK's flags tell whether there was
// one. An interrupted KVM_RUN leaves both open, one that was only started (EAGAIN) cannot have entered.
TEST(Traced, AnInterruptedRunMayHaveEnteredTheGuestOrNot) {
  const auto clock_after = [](bool entered, int error) {
    std::vector<ops::Step> timeline = {step(OpKind::set_msr, 0, 0, 5'000'000'000, ops::msr::kIa32Tsc)};
    timeline.push_back(entered ? step(OpKind::run, kMs, 0) : step(OpKind::get_tsc_khz, kMs, 0));
    timeline.push_back(step(OpKind::get_clock, 2 * kMs));
    ops::Recording recording = traced(vcpus(1, timeline));
    ops::Entry& run = recording.entries[recording.entries.size() - 2];
    run.op.kind = OpKind::run;
    run.outcome = {};
    run.outcome.error = error;
    return recording;
  };
  EXPECT_EQ(why(clock_after(true, 0)), "");
  EXPECT_NE(why(clock_after(false, 0)), "");
  EXPECT_EQ(why(clock_after(true, EINTR)), "");
  EXPECT_EQ(why(clock_after(false, EINTR)), "");
  EXPECT_NE(why(clock_after(true, EAGAIN)), "");
  EXPECT_EQ(why(clock_after(false, EAGAIN)), "");
}

TEST(Traced, AGuestsMemoryEndsWhereItsVmmSays) {
  constexpr std::uint64_t kFarPage = 0x7000'0001;
  const auto page_at = [&](std::uint64_t memory_bytes) {
    ops::Recording recording = traced(vcpus(1, {step(OpKind::set_msr, kMs, 0, kFarPage, ops::msr::kKvmSystemTimeNew),
                                                step(OpKind::kvmclock_ctrl, 2 * kMs, 0)}));
    last(recording, OpKind::kvmclock_ctrl).outcome.error = 0;
    recording.header.memory_bytes = memory_bytes;
    return recording;
  };
  EXPECT_EQ(why(page_at(0x8000'0000)), "");
  EXPECT_NE(why(page_at(0x7000'0000)), "");
}

// The second write starts a generation of its own, so that vCPU 0's TSC afterwards tells which came first.
TEST(Traced, CallsThatOverlapAreTriedInBothOrders) {
  ops::Recording recording = traced(vcpus(2, {step(OpKind::set_msr, kMs, 0, 5'000'000'000, ops::msr::kIa32Tsc),
                                              step(OpKind::set_msr, kMs + 100, 1, 5'300'000'000, ops::msr::kIa32Tsc),
                                              step(OpKind::get_msr, 2 * kMs, 0, 0, ops::msr::kIa32Tsc),
                                              step(OpKind::get_msr, 3 * kMs, 1, 0, ops::msr::kIa32Tsc)}));
  auto& entries = recording.entries;
  const std::size_t first = 3;
  ASSERT_EQ(entries[first].op.kind, OpKind::set_msr);
  entries[first + 1].thread = 2;
  EXPECT_EQ(why(recording), "");
  std::swap(entries[first], entries[first + 1]);  // as if the other had begun first
  EXPECT_EQ(why(recording), "");
  EXPECT_EQ(check(recording).count(Verdict::undecided), 0u);
  entries[first].thread = entries[first + 1].thread;  // one thread makes one call after the other
  EXPECT_NE(why(recording), "");
}

// Its descriptor comes from the call that made it, whatever damage says about the brackets.
TEST(Traced, NothingIsCalledOnAVcpuBeforeItIsThere) {
  ops::Recording recording = traced(vcpus(2, {step(OpKind::set_msr, kMs, 0, 5'000'000'000, ops::msr::kIa32Tsc),
                                              step(OpKind::set_msr, kMs, 1, 5'000'000'000, ops::msr::kIa32Tsc)}));
  auto& entries = recording.entries;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    entries[i].thread = static_cast<std::int32_t>(i + 1);
    entries[i].bracket.base_ns.hi += 10 * kMs;
  }
  EXPECT_EQ(why(recording), "");
}

// One MSR for the VM, written by three threads at once: any may be last, as whoever reads it afterwards sees.
TEST(Traced, ThreeCallsThatOverlapAreTriedInEveryOrder) {
  constexpr std::uint64_t kPages[] = {0x280000, 0x281000, 0x282000};
  std::vector<ops::Step> timeline;
  for (int i = 0; i < 3; ++i) timeline.push_back(step(OpKind::set_msr, kMs, i, kPages[i], ops::msr::kKvmWallClockNew));
  timeline.push_back(step(OpKind::get_msr, 2 * kMs, 0, 0, ops::msr::kKvmWallClockNew));
  ops::Recording recording = traced(vcpus(3, timeline));
  recording.header.vmm.clear();  // no guest that may have written it
  const auto reads = [&](std::uint64_t value) {
    last(recording, OpKind::get_msr).outcome.fields[0].value = value;
    return recording;
  };
  for (ops::Entry& entry : recording.entries)
    if (entry.op.kind == OpKind::set_msr) entry.thread = 1 + entry.op.vcpu;
  for (const std::uint64_t page : kPages) {
    EXPECT_EQ(why(reads(page)), "") << page;
    EXPECT_EQ(check(reads(page)).count(Verdict::undecided), 0u) << page;
  }
  EXPECT_NE(why(reads(0x283000)), "");
  for (ops::Entry& entry : recording.entries) entry.thread = 1;
  EXPECT_NE(why(reads(kPages[0])), "") << "one thread makes one call after the other";
}

// The MSRs of one call are written one by one: another thread's may come in between on what is the VM's.
TEST(Traced, CallsThatOverlapMayTakeTurns) {
  const auto write = [](int vcpu, std::uint64_t page) {
    return step(OpKind::set_msr, kMs, vcpu, page, ops::msr::kKvmWallClockNew);
  };
  // The first call writes it twice, the second reads it and finds the first of these.
  ops::Recording recording = traced(
      vcpus(2, {write(0, 0x280000), write(0, 0x281000), step(OpKind::get_msr, kMs, 1, 0, ops::msr::kKvmWallClockNew)}));
  recording.header.vmm.clear();
  last(recording, OpKind::get_msr).outcome.fields[0].value = 0x280000;
  EXPECT_NE(why(recording), "");
  last(recording, OpKind::get_msr).thread = 2;
  EXPECT_EQ(why(recording), "");
  last(recording, OpKind::get_msr).op.vcpu = 0;
  EXPECT_NE(why(recording), "") << "a call holds its vCPU";
}

// A guest's write of its TSC is known by IA32_TSC_ADJUST. Where nobody read that, KVM is not to blame, and the reader is told.
TEST(Traced, ATscThatTheGuestMayHaveWrittenIsUndecided) {
  const auto read = [](std::int64_t at_ms, std::uint32_t msr) { return step(OpKind::get_msr, at_ms * kMs, 0, 0, msr); };
  constexpr std::uint64_t kWritten = 9'000'000'000'000;
  const ops::Recording unread = traced(guest_that_writes(ops::msr::kIa32Tsc, kWritten, {read(3, ops::msr::kIa32Tsc)}));
  const Result result = check(unread);
  EXPECT_EQ(result.count(Verdict::mismatch), 0u);
  ASSERT_EQ(result.count(Verdict::undecided), 1u);
  const auto hint = std::find_if(result.observations.begin(), result.observations.end(),
                                 [](const Observation& o) { return o.verdict == Verdict::undecided; });
  EXPECT_EQ(hint->what,
            "whether the guest has written vCPU 0's TSC, in the KVM_RUN of entry 3 at the latest; the VMM has not read "
            "IA32_TSC_ADJUST, which would tell");

  // From there it goes on: the next reading, without a KVM_RUN in between, is KVM's.
  ops::Recording twice = traced(
      guest_that_writes(ops::msr::kIa32Tsc, kWritten, {read(3, ops::msr::kIa32Tsc), read(4, ops::msr::kIa32Tsc)}));
  EXPECT_EQ(why(twice), "");
  last(twice, OpKind::get_msr).outcome.fields[0].value += 10'000'000;
  EXPECT_NE(why(twice), "");

  // IA32_TSC_ADJUST tells: moved with the TSC, it was the guest; where it was, it was not.
  ops::Recording told = traced(guest_that_writes(ops::msr::kIa32Tsc, kWritten,
                                                 {read(3, ops::msr::kIa32Tsc), read(4, ops::msr::kIa32TscAdjust)}));
  EXPECT_EQ(why(told), "");
  EXPECT_EQ(check(told).count(Verdict::undecided), 0u);
  last(told, OpKind::get_msr).outcome.fields[0].value = 0;
  EXPECT_NE(why(told), "");

  // Not so where the VMM has written IA32_TSC_ADJUST before it read it.
  const ops::Recording covered =
      traced(guest_that_writes(ops::msr::kIa32Tsc, kWritten,
                               {step(OpKind::set_msr, 3 * kMs, 0, 5, ops::msr::kIa32TscAdjust),
                                read(4, ops::msr::kIa32TscAdjust), read(5, ops::msr::kIa32Tsc)}));
  EXPECT_EQ(why(covered), "");
  EXPECT_EQ(check(covered).count(Verdict::undecided), 1u);
}

// Both numbers of the kvmclock MSR read the same; the loss of the master clock tells which one vCPU 0's guest has used.
TEST(Traced, TheOldClockMsrIsInferred) {
  for (const std::uint32_t msr : {ops::msr::kKvmSystemTime, ops::msr::kKvmSystemTimeNew}) {
    const ops::Recording recording =
        traced(guest_that_writes(msr, 0x2001,
                                 {step(OpKind::run, 3 * kMs, 0), step(OpKind::get_clock, 4 * kMs),
                                  step(OpKind::get_msr, 5 * kMs, 0, 0, ops::msr::kKvmSystemTimeNew)}));
    EXPECT_EQ(why(recording), "") << msr;
    const Result result = check(recording);
    ASSERT_EQ(result.inferred.size(), 1u) << msr;
    EXPECT_EQ(result.inferred.front().msr, msr);
    EXPECT_EQ(result.inferred.front().value, 0x2001u);
    EXPECT_EQ(result.inferred.front().told, recording.entries.size() - 1);
  }
}

// A recording from before KVM_SET_ONE_REG was recorded, of a kernel that has it, accuses nobody of a TSC that was written.
TEST(Traced, WhatMayHaveBeenWrittenByACallThatIsNotThereIsUndecided) {
  ops::Program program = vcpus(1, {step(OpKind::run, kMs, 0), step(OpKind::get_msr, 2 * kMs, 0, 0, ops::msr::kIa32Tsc),
                                   step(OpKind::get_msr, 3 * kMs, 0, 0, ops::msr::kIa32Tsc)});
  for (const auto& [kernel, sees_one_reg, accused] :
       {std::tuple{"6.12", false, true}, {"6.18", false, false}, {"6.18", true, true}}) {
    program.hosts.front().kernel = kernel;
    ops::Recording recording = traced(program);
    recording.header.sees_one_reg = sees_one_reg;
    last(recording, OpKind::get_msr).outcome.fields[0].value += 1'000'000'000;
    EXPECT_EQ(why(recording) != "", accused) << kernel << sees_one_reg;
    EXPECT_EQ(check(recording).count(Verdict::undecided), accused ? 0u : 1u) << kernel << sees_one_reg;
  }
}

TEST(Traced, NothingIsJudgedWhereTheRecorderCameLate) {
  ops::Recording recording = traced(vcpus(1, {step(OpKind::set_msr, kMs, 0, 5'000'000'000, ops::msr::kIa32Tsc),
                                              step(OpKind::get_msr, 2 * kMs, 0, 0, ops::msr::kIa32Tsc)}));
  for (std::size_t i = 0; i < 2; ++i) {
    recording.entries[i].supported = false;
    recording.entries[i].bracket = {};
  }
  last(recording, OpKind::get_msr).outcome.fields[0].value = 1;
  const Result result = check(recording);
  EXPECT_EQ(result.count(Verdict::unsupported), recording.entries.size());
  EXPECT_EQ(result.observations.size(), recording.entries.size());
}

}  // namespace
}  // namespace tscsim::crosscheck

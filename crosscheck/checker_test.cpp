// The cross-check against recordings of the model itself, whose brackets are widened as a real run's would be: the
// right values must pass for every widening, and a changed value must not.
#include "crosscheck/checker.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "model/world/simulation.h"
#include "ops/testing.h"

namespace tscsim::crosscheck {
namespace {

using ops::OpKind;
using ops::step;

ops::Program two_vcpus() {
  ops::Program program;
  program.name = "test";
  program.hosts.front().kernel = "6.12";
  program.setup = {step(OpKind::create_vm, 0), step(OpKind::create_vcpu, 0, 0), step(OpKind::create_vcpu, 0, 1)};
  for (int i = 0; i < 2; ++i)
    program.setup.push_back(
        step(OpKind::set_msr, 0, i,
             (ops::layout::kPvclockPages + static_cast<std::uint64_t>(i) * ops::layout::kPageStride) | 1,
             ops::msr::kKvmSystemTimeNew));
  return program;
}

ops::Program restore_and_read() {
  ops::Program program = two_vcpus();
  constexpr std::int64_t kMs = 1'000'000;
  for (int i = 0; i < 2; ++i)
    program.timeline.push_back(step(OpKind::set_msr, i * kMs, i, 7'000'000'000, ops::msr::kIa32Tsc));
  program.timeline.push_back(step(OpKind::set_clock, 2 * kMs, ops::kVm, 123'456'789));
  for (int i = 0; i < 2; ++i) program.timeline.push_back(step(OpKind::run, 3 * kMs, i));
  for (int i = 0; i < 2; ++i) program.timeline.push_back(step(OpKind::read_pvclock, 200 * kMs, i));
  program.timeline.push_back(step(OpKind::wrmsr, 201 * kMs, 1, 5'000'000'000, ops::msr::kIa32Tsc));
  for (int i = 0; i < 2; ++i) program.timeline.push_back(step(OpKind::rdtsc, 202 * kMs, i));
  program.timeline.push_back(step(OpKind::get_clock, 203 * kMs));
  return program;
}

ops::Recording record(const ops::Program& program) {
  const auto executor = model::simulate(program.hosts, program.heuristic);
  return ops::run_program(program, *executor, 1);
}

// What a real run knows: each reading lies somewhere in a bracket of this many cycles and nanoseconds.
ops::Recording widened(ops::Recording recording, std::uint64_t before, std::uint64_t after) {
  for (ops::Entry& entry : recording.entries) {
    for (ops::Range* range : {&entry.bracket.tsc, &entry.bracket.base_ns, &entry.bracket.realtime_ns}) {
      range->lo -= before;
      range->hi += after;
    }
  }
  return recording;
}

TEST(Checker, PointBracketsMakeEveryValueExact) {
  const Result result = check(record(restore_and_read()));
  EXPECT_EQ(result.count(Verdict::mismatch), 0u) << (result.mismatches.empty() ? "" : result.mismatches[0].explanation);
  EXPECT_EQ(result.count(Verdict::undecided), 0u);
  EXPECT_EQ(result.count(Verdict::bracketed), 0u);
  EXPECT_GT(result.count(Verdict::exact), 100u);
}

// Timers are not modelled: a deadline that has passed reads as it was written or 0, whatever real KVM says. One that lies
// ahead reads as it was written.
TEST(Checker, ADeadlineThatLiesAheadIsExact) {
  constexpr std::uint64_t kAhead = 1'000'000'000'000, kPassed = 1000;
  const struct {
    std::uint64_t deadline, seen;
    bool possible;
  } rows[] = {{kAhead, kAhead, true},   {kAhead, 0, false}, {kAhead, kAhead + 1, false},
              {kPassed, kPassed, true}, {kPassed, 0, true}, {kPassed, kPassed + 1, false}};
  for (const auto& row : rows) {
    ops::Program program = two_vcpus();
    program.setup.front().op.flags = ops::vm_flag::kIrqchip;
    program.timeline = {step(OpKind::set_lapic, 1000, 0, ops::timer_mode::kTscDeadline),
                        step(OpKind::set_msr, 1000, 0, row.deadline, ops::msr::kIa32TscDeadline),
                        step(OpKind::get_msr, 2000, 0, 0, ops::msr::kIa32TscDeadline)};
    ops::Recording recording = record(program);
    for (ops::Entry& entry : recording.entries)
      if (entry.op.kind == OpKind::get_msr && entry.op.msr == ops::msr::kIa32TscDeadline)
        entry.outcome.fields[0].value = row.seen;
    EXPECT_EQ(check(recording).count(Verdict::mismatch) == 0, row.possible) << row.deadline << " read as " << row.seen;
  }
}

TEST(Checker, WideBracketsStillAdmitTheTruth) {
  const std::uint64_t widths[][2] = {{1, 0}, {0, 1}, {500, 20'000}, {100'000, 3'000'000}};
  for (const auto& [before, after] : widths) {
    const Result result = check(widened(record(restore_and_read()), before, after));
    EXPECT_EQ(result.count(Verdict::mismatch), 0u)
        << before << " " << after << "\n"
        << (result.mismatches.empty() ? "" : result.mismatches[0].explanation);
    EXPECT_EQ(result.count(Verdict::undecided), 0u);
    EXPECT_GT(result.count(Verdict::exact), 60u);
  }
}

// Each value that was derived exactly is checked: one more or less is a mismatch.
TEST(Checker, AnyExactValueOffByOneIsAMismatch) {
  const ops::Recording good = widened(record(restore_and_read()), 500, 20'000);
  const Result result = check(good);
  int tried = 0;
  for (const Observation& o : result.observations) {
    if (o.verdict != Verdict::exact || o.what == "error") continue;
    ops::Recording bad = good;
    ops::Outcome& outcome = bad.entries[o.entry].outcome;
    for (std::size_t i = 0; i < outcome.count; ++i)
      if (ops::name_of(outcome.fields[i].field) == o.what) outcome.fields[i].value += 1;
    const Result refused = check(bad);
    EXPECT_EQ(refused.count(Verdict::mismatch), 1u) << "entry " << o.entry << " " << o.what;
    ++tried;
  }
  EXPECT_GT(tried, 60);
}

TEST(Checker, AValueOutsideTheBracketIsAMismatch) {
  ops::Recording bad = widened(record(restore_and_read()), 500, 500);
  for (ops::Entry& entry : bad.entries)
    if (entry.op.kind == OpKind::rdtsc && entry.op.vcpu == 0) entry.outcome.fields[0].value += 501;
  const Result result = check(bad);
  ASSERT_EQ(result.mismatches.size(), 1u);
  EXPECT_NE(result.mismatches[0].explanation.find("kvm       value = "), std::string::npos);
  EXPECT_NE(result.mismatches[0].explanation.find("model     value = "), std::string::npos);
}

TEST(Checker, AnErrorThatTheModelDoesNotGiveIsAMismatch) {
  ops::Recording bad = record(restore_and_read());
  bad.entries[0].outcome.error = 22;
  EXPECT_EQ(check(bad).count(Verdict::mismatch), 1u);
}

// Delayed work (kvmclock_update_work, 100 ms) may run any time after it is due; the page's version tells.
TEST(Checker, DelayedWorkMayComeLateButNotEarly) {
  ops::Program program = two_vcpus();
  constexpr std::int64_t kMs = 1'000'000;
  for (int i = 0; i < 2; ++i) program.timeline.push_back(step(OpKind::run, i * kMs, i));
  program.timeline.push_back(step(OpKind::run, 2 * kMs, 0));  // serves what vCPU 1's entry requested
  program.timeline.push_back(step(OpKind::run, 300 * kMs, 0));
  const ops::Recording in_time = record(program);
  EXPECT_EQ(check(in_time).count(Verdict::mismatch), 0u);

  const auto last_version = [](ops::Recording& r) -> std::uint64_t& {
    std::uint64_t* found = nullptr;
    for (ops::Entry& e : r.entries)
      if (e.op.kind == OpKind::peek_pvclock && e.op.vcpu == 0)
        for (std::size_t i = 0; i < e.outcome.count; ++i)
          if (e.outcome.fields[i].field == ops::Field::version) found = &e.outcome.fields[i].value;
    return *found;
  };
  ops::Recording late = in_time;
  last_version(late) -= 2;
  EXPECT_EQ(check(late).count(Verdict::mismatch), 0u);

  program.timeline.back().op.at_ns = 50 * kMs;
  ops::Recording early = record(program);
  EXPECT_EQ(check(early).count(Verdict::mismatch), 0u);
  last_version(early) += 2;
  EXPECT_EQ(check(early).count(Verdict::mismatch), 1u);
}

// A write whose distance to the window's edge is smaller than the bracket: either branch is possible.
ops::Recording open_window() {
  ops::Program program = two_vcpus();
  program.setup.pop_back();
  program.setup.pop_back();
  program.hosts.front().kernel = "6.12";
  program.timeline.push_back(step(OpKind::set_msr, 0, 0, 5'000'000'000, ops::msr::kIa32Tsc));
  constexpr std::uint64_t kTenMs_cycles = 26'000'000, kSecond_cycles = 2'600'000'000;
  program.timeline.push_back(
      step(OpKind::set_msr, 10'000'000, 1, 5'000'000'000 + kTenMs_cycles + kSecond_cycles, ops::msr::kIa32Tsc));
  return widened(record(program), 1000, 1000);
}

// What KVM then shows decides; where nothing shows it, the question is reported as undecided.
TEST(Checker, AnOpenWindowIsDecidedByTheOffsetOrReported) {
  const ops::Recording wide = open_window();
  EXPECT_EQ(check(wide).count(Verdict::mismatch), 0u);
  EXPECT_EQ(check(wide).count(Verdict::undecided), 0u) << "the offset attribute shows what happened";

  ops::Recording blind = wide;
  std::erase_if(blind.entries,
                [](const ops::Entry& e) { return e.op.kind == OpKind::get_tsc_offset && e.op.at_ns > 0; });
  EXPECT_EQ(check(blind).count(Verdict::mismatch), 0u);
  EXPECT_GT(check(blind).count(Verdict::undecided), 0u);
}

// The second write can be told in two ways. When that is one too many it is undecided, and what follows is not compared.
TEST(Checker, AnOperationWithTooManyHistoriesEndsTheComparison) {
  const ops::Recording recording = open_window();
  const auto write = std::find_if(recording.entries.begin(), recording.entries.end(), [](const ops::Entry& entry) {
    return entry.op.kind == OpKind::set_msr && entry.op.at_ns > 0;
  });
  const auto at = static_cast<std::size_t>(write - recording.entries.begin());

  const Limits enough{2, 0}, too_few{1, 0};
  EXPECT_EQ(check(recording, enough).unchecked_entries, 0u);
  const Result cut = check(recording, too_few), whole = check(recording);
  EXPECT_EQ(cut.unchecked_entries, recording.entries.size() - at);
  ASSERT_FALSE(cut.observations.empty());
  EXPECT_EQ(cut.observations.back().entry, at);
  EXPECT_EQ(cut.observations.back().verdict, Verdict::undecided);
  EXPECT_EQ(cut.count(Verdict::undecided), 1u);
  EXPECT_EQ(cut.observations.size() - 1,
            static_cast<std::size_t>(std::count_if(whole.observations.begin(), whole.observations.end(),
                                                   [&](const Observation& o) { return o.entry < at; })));

  const auto with_wrong_offset = [&](bool before, const Limits& limits) {
    ops::Recording wrong = recording;
    for (std::size_t i = 0; i < wrong.entries.size(); ++i)
      if (wrong.entries[i].op.kind == OpKind::get_tsc_offset && (i < at) == before)
        wrong.entries[i].outcome.fields[0].value += 5000;
    return check(wrong, limits).count(Verdict::mismatch);
  };
  EXPECT_EQ(with_wrong_offset(true, too_few), 1u) << "what came before it is compared";
  EXPECT_EQ(with_wrong_offset(false, too_few), 0u) << "what comes after it is not";
  EXPECT_EQ(with_wrong_offset(false, enough), 1u) << "but would be";
}

TEST(Checker, WhatWasOnlyObservedIsNotVerified) {
  ops::Recording recording = record(restore_and_read());
  ops::Entry seen;
  seen.op.kind = OpKind::observed;
  seen.call = "KVM_SET_MSRS";
  recording.entries.push_back(seen);
  EXPECT_THROW(check(recording), ops::InputError) << "the value of the call is not 0, it is not known";
}

TEST(Checker, UnsupportedOperationsAreCounted) {
  ops::Recording recording = record(restore_and_read());
  for (ops::Entry& entry : recording.entries)
    if (entry.op.kind == OpKind::rdtsc) entry.supported = false;
  EXPECT_EQ(check(recording).count(Verdict::unsupported), 2u);
}

// ---- two hosts ----

ops::Step on(int host, ops::Step s) {
  s.op.host = host;
  return s;
}

// A guest with a page on a goes to b, whose page then goes on from a's version.
ops::Program migration() {
  ops::Program program = two_vcpus();
  program.hosts.push_back(program.hosts.front());
  program.hosts[1].name = "b";
  program.hosts[1].kernel = "6.1";
  program.hosts[1].tsc_khz = 2'000'000;
  constexpr std::int64_t kMs = 1'000'000;
  for (int i = 0; i < 2; ++i) program.timeline.push_back(step(OpKind::run, kMs, i));
  program.timeline.push_back(step(OpKind::save_memory, 2 * kMs));
  for (ops::Step moved : program.setup) {
    if (moved.op.kind == OpKind::set_msr) continue;
    moved.op.at_ns = 3 * kMs;
    program.timeline.push_back(on(1, moved));
  }
  program.timeline.push_back(on(1, step(OpKind::load_memory, 3 * kMs)));
  program.timeline.push_back(on(1, step(OpKind::set_clock, 4 * kMs, ops::kVm, 123'456'789)));
  for (int i = 0; i < 2; ++i) program.timeline.push_back(on(1, step(OpKind::peek_pvclock, 4 * kMs, i)));
  for (int i = 0; i < 2; ++i)
    program.timeline.push_back(
        on(1, step(OpKind::set_msr, 4 * kMs, i, program.setup[static_cast<std::size_t>(3 + i)].op.value,
                   ops::msr::kKvmSystemTimeNew)));
  for (int i = 0; i < 2; ++i) program.timeline.push_back(on(1, step(OpKind::read_pvclock, 5 * kMs, i)));
  return program;
}

TEST(Checker, EachHostHasItsOwnHistory) {
  const ops::Recording recording = record(migration());
  const Result exact = check(recording);
  EXPECT_EQ(exact.count(Verdict::mismatch), 0u) << (exact.mismatches.empty() ? "" : exact.mismatches[0].explanation);
  EXPECT_EQ(exact.count(Verdict::exact), exact.observations.size());
  EXPECT_EQ(check(widened(recording, 3000, 5000)).count(Verdict::mismatch), 0u);
}

TEST(Checker, APageThatDidNotComeAlongIsAMismatch) {
  ops::Recording recording = record(migration());
  for (ops::Entry& entry : recording.entries)
    if (entry.op.host == 1 && entry.op.kind == OpKind::peek_pvclock && !entry.op.probe)
      for (std::size_t i = 0; i < entry.outcome.count; ++i) entry.outcome.fields[i].value = 0;
  const Result result = check(recording);
  ASSERT_EQ(result.count(Verdict::mismatch), 1u);
  EXPECT_NE(result.mismatches.front().explanation.find("on host 1"), std::string::npos);
}

}  // namespace
}  // namespace tscsim::crosscheck

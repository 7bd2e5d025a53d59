// Recordings made by hand, so that each rule of the evaluation is seen to pass and to fail.
#include "scenarios/evaluate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "scenarios/metrics.h"

namespace tscsim::scenarios {
namespace {

using ops::Field;
using ops::OpKind;

constexpr std::uint64_t kZeroTsc = 1'000'000'000'000;
constexpr std::uint64_t kZeroBase = 500'000'000'000;
constexpr std::uint64_t kZeroRealtime = 1'700'000'000'000'000'000;
constexpr std::uint32_t kKhz = 1'000'000;  // a cycle is a nanosecond

// A scenario with a recording in which every step succeeded when it was due; tests change what they are
// about.
class Tape {
 public:
  explicit Tape(const std::string& body) : scenario(parse_scenario("name: t\n" + body, "t.yaml")) {
    recording.header.scenario_hash = scenario.program.hash;
    recording.header.zero_tsc = kZeroTsc;
    recording.header.zero_base_ns = kZeroBase;
    recording.header.profile.target = "model";
    recording.header.profile.host_khz = kKhz;
    recording.header.other_hosts.assign(scenario.program.hosts.size() - 1, recording.header);
    for (const auto* steps : {&scenario.program.setup, &scenario.program.timeline})
      for (const ops::Step& step : *steps) add(step.op);
  }

  ops::Entry& step(std::size_t index) {  // of the timeline, not counting probes
    std::size_t left = index + scenario.program.setup.size();
    for (ops::Entry& entry : recording.entries)
      if (!entry.op.probe && left-- == 0) return entry;
    throw std::out_of_range("no such step");
  }

  Tape& returns(std::size_t index, Field field, std::uint64_t value) {
    step(index).outcome.add(field, value);
    return *this;
  }

  // What the readings of the timeline that return Field::value return, in order.
  Tape& values(const std::vector<std::uint64_t>& values) {
    std::size_t next = 0;
    for (ops::Entry& entry : recording.entries)
      if (!entry.op.probe && ops::primary_field(entry.op.kind) && next < values.size())
        entry.outcome.add(*ops::primary_field(entry.op.kind), values[next++]);
    return *this;
  }

  Tape& probe(OpKind kind, std::int32_t vcpu, std::int64_t at_ns, Field field, std::uint64_t value,
              std::uint32_t msr = 0) {
    ops::Operation op;
    op.kind = kind;
    op.vcpu = vcpu;
    op.msr = msr;
    op.at_ns = at_ns;
    op.probe = true;
    add(op).outcome.add(field, value);
    return *this;
  }

  // Real hardware: each operation takes its turn `late_ns` late and its bracket is that wide.
  Tape& on_hardware(std::int64_t late_ns) {
    recording.header.profile.target = "native";
    for (ops::Entry& entry : recording.entries) set_bracket(entry, late_ns);
    return *this;
  }

  std::vector<Verdict> verdicts() const { return evaluate(scenario, recording); }
  Verdict verdict(std::size_t index = 0) const { return verdicts().at(index); }

  Scenario scenario;
  ops::Recording recording;

 private:
  ops::Entry& add(const ops::Operation& op) {
    ops::Entry entry;
    entry.op = op;
    set_bracket(entry, 0);
    recording.entries.push_back(entry);
    return recording.entries.back();
  }
  static void set_bracket(ops::Entry& entry, std::int64_t late_ns) {
    const auto lo = static_cast<std::uint64_t>(entry.op.at_ns);
    const auto hi = static_cast<std::uint64_t>(entry.op.at_ns + late_ns);
    entry.bracket.tsc = {kZeroTsc + lo, kZeroTsc + hi};
    entry.bracket.base_ns = {kZeroBase + lo, kZeroBase + hi};
    entry.bracket.realtime_ns = {kZeroRealtime + lo, kZeroRealtime + hi};
  }
};

const char* const kTwoReadings = R"(
vm: {vcpus: 2}
timeline:
  - {at: 1 s, vcpu: 0, rdtsc: a}
  - {at: 1 s, vcpu: 1, rdtsc: b}
expect:
  - )";

struct ValueCase {
  const char* expectation;
  std::uint64_t a, b;
  State model;
  std::int64_t late_ns;
  State hardware;
  const char* why;
};

TEST(Evaluate, DecidesCapturedValues) {
  const ValueCase cases[] = {
      {"{b: {is: a}}", 1000, 1000, State::held, 100, State::unsure, "equal, but lateness may have made it so"},
      {"{b: {is: a}}", 1000, 1001, State::failed, 100, State::unsure, "one cycle apart"},
      {"{b: {is: a}}", 1000, 5000, State::failed, 100, State::failed, "further apart than lateness"},
      {"{b: {is: a, within: 1 us}}", 1000, 1500, State::held, 100, State::held, "tolerance holds the slack"},
      {"{b: {is: a, within: 1 us}}", 1000, 2000, State::held, 100, State::unsure, "on the edge"},
      {"{b: {is: a, within: 1 us}}", 1000, 2001, State::failed, 100, State::unsure, "one beyond the edge"},
      {"{b: {is: a, within: 1 us}}", 1000, 3001, State::failed, 100, State::failed, "beyond edge and slack"},
      {"{b: {is_not: a}}", 1000, 1000, State::failed, 100, State::unsure, "equal"},
      {"{b: {is_not: a}}", 1000, 1001, State::held, 100, State::unsure, "unequal by less than the slack"},
      {"{b: {is_not: a}}", 1000, 5000, State::held, 100, State::held, "unequal by more"},
      {"{b: {at_least: a}}", 1000, 1000, State::held, 100, State::unsure, "at the bound"},
      {"{b: {at_least: a}}", 1000, 999, State::failed, 100, State::unsure, "one below"},
      {"{b: {at_least: a}}", 5000, 1000, State::failed, 100, State::failed, "far below"},
      {"{b: {at_most: a}}", 1000, 1000, State::held, 100, State::unsure, "at the bound"},
      {"{b: {at_most: a}}", 1000, 1001, State::failed, 100, State::unsure, "one above"},
      {"{b: {at_most: a}}", 5000, 1000, State::held, 100, State::held, "far below"},
      {"{a: {is: 1000 + 1 s}}", 1'000'001'000, 0, State::held, 100, State::unsure, "durations are cycles"},
      {"{a: {is: 1 s}}", 2'000'000'000, 0, State::failed, 100, State::failed, "a second off"},
      {"{b: {is: a - 10}}", 5, ~std::uint64_t{4}, State::held, 0, State::held, "cycles wrap at 2^64"},
  };
  for (const ValueCase& one : cases) {
    Tape tape(std::string(kTwoReadings) + one.expectation + "\n");
    tape.values({one.a, one.b});
    EXPECT_EQ(tape.verdict().state, one.model) << one.expectation << ": " << one.why;
    tape.on_hardware(one.late_ns);
    EXPECT_EQ(tape.verdict().state, one.hardware) << one.expectation << " late: " << one.why;
  }
}

TEST(Evaluate, PrintsBothSidesAndTheSlack) {
  Tape tape(std::string(kTwoReadings) + "{b: {is: a}}\n");
  tape.values({2'200'000'000, 1'000'000'000});
  EXPECT_EQ(tape.verdict().detail, "found 1_000_000_000 cycles, expected 2_200_000_000 cycles");
  EXPECT_EQ(tape.verdict().text, "b is a");
  EXPECT_EQ(tape.verdict().place.line, 8);
  tape.on_hardware(100);
  EXPECT_EQ(tape.verdict().detail, "found 1_000_000_000 cycles, expected 2_200_000_000 cycles; slack 205 cycles");
}

// Lateness is the spread over set-up and timeline: a VM created 5 us before scenario time 0 counts as 5 us
// early.
TEST(Evaluate, SetUpBeforeTimeZeroWidensTheSlack) {
  Tape tape(std::string(kTwoReadings) + "{a: {is: 1 s, within: 1 us}}\n");
  tape.values({1'000'000'000, 0}).on_hardware(100);
  EXPECT_EQ(tape.verdict().state, State::held);
  tape.recording.entries[0].bracket.tsc = {kZeroTsc - 5000, kZeroTsc - 4000};
  EXPECT_EQ(tape.verdict().state, State::unsure);
}

TEST(Evaluate, LatenessAfterTheReadingDoesNotMatter) {
  Tape tape(R"(
timeline:
  - {at: 1 s, vcpu: 0, rdtsc: a}
  - {at: 2 s, vcpu: 0, rdtsc: later}
expect:
  - {a: {is: 1 s, within: 1 us}}
)");
  tape.values({1'000'000'000, 2'000'000'000}).on_hardware(100);
  tape.step(1).bracket.tsc.hi += 1'000'000;
  EXPECT_EQ(tape.verdict().state, State::held);
  tape.step(0).bracket.tsc.hi += 1'000'000;
  EXPECT_EQ(tape.verdict().state, State::unsure);
}

// ---- offsets ----

const char* const kOffsets = R"(
vm: {vcpus: 2}
timeline:
  - {at: 0 s, vcpu: 0, set_msr: {IA32_TSC: 5}}
  - {at: 1 ms, vcpu: 1, set_msr: {IA32_TSC: 5}}
expect:
  - )";

TEST(Evaluate, ComparesOffsetsBitForBit) {
  const struct {
    const char* expectation;
    std::uint64_t o0, o1;
    State state;
  } cases[] = {
      {"{tsc_offset: {of: all, is: equal}}", 7, 7, State::held},
      {"{tsc_offset: {of: all, is: equal}}", 7, 8, State::failed},
      {"{tsc_offset: {of: all, is: unequal}}", 7, 8, State::held},
      {"{tsc_offset: {of: all, is: unequal}}", 7, 7, State::failed},
  };
  for (const auto& one : cases) {
    Tape tape(std::string(kOffsets) + one.expectation + "\n");
    tape.probe(OpKind::get_tsc_offset, 0, 1'000'000, Field::value, one.o0);
    tape.probe(OpKind::get_tsc_offset, 1, 1'000'000, Field::value, one.o1);
    EXPECT_EQ(tape.verdict().state, one.state) << one.expectation;
    tape.on_hardware(100'000);
    EXPECT_EQ(tape.verdict().state, one.state) << one.expectation << " on hardware";
    tape.recording.header.profile.honours_tsc_offset = false;
    EXPECT_EQ(tape.verdict().state, State::not_run);
    EXPECT_EQ(tape.verdict().detail, "needs: honoured TSC offset");
  }
}

TEST(Evaluate, TakesTheLastOffsetAtOrBeforeTheInstant) {
  Tape tape(std::string(kOffsets) +
            "{tsc_offset: {of: all, is: equal}, at: 1 ms}\n  - {tsc_offset: {of: all, is: unequal}}\n");
  for (const std::int32_t vcpu : {0, 1}) tape.probe(OpKind::get_tsc_offset, vcpu, 1'000'000, Field::value, 7);
  tape.probe(OpKind::get_tsc_offset, 1, 1'000'001, Field::value, 8);
  EXPECT_EQ(tape.verdict(0).state, State::held);
  EXPECT_EQ(tape.verdict(1).state, State::held);
}

TEST(Evaluate, OffsetThatAWriteLeftDependsOnTheHost) {
  Tape tape(std::string(kOffsets) + "{tsc_offset: {of: 0, is: -1000}}\n");
  tape.probe(OpKind::get_tsc_offset, 0, 0, Field::value, ~std::uint64_t{999});
  EXPECT_EQ(tape.verdict().state, State::held);
  EXPECT_EQ(tape.verdict().detail, "vCPU 0: found -1_000 cycles, expected -1_000 cycles");
  tape.on_hardware(100);
  EXPECT_EQ(tape.verdict().state, State::not_run);
  EXPECT_THAT(tape.verdict().detail, testing::HasSubstr("needs: a simulated host"));
}

TEST(Evaluate, OffsetThatWasSetIsExactOnHardware) {
  Tape tape(R"(
timeline:
  - {at: 0 s, vcpu: 0, get_tsc_offset: saved}
  - {at: 1 s, vcpu: 0, set_tsc_offset: saved - 100}
  - {at: 1 s, vcpu: 0, get_tsc_offset: o}
  - {at: 2 s, vcpu: 0, set_tsc_offset: 1000}
expect:
  - {o: {is: saved - 100}}
  - {tsc_offset: {of: 0, is: 1000}}
)");
  tape.values({5000, 4900}).probe(OpKind::get_tsc_offset, 0, 2'000'000'000, Field::value, 1000);
  tape.on_hardware(100'000);
  EXPECT_EQ(tape.verdict(0).state, State::held) << tape.verdict(0).detail;
  EXPECT_EQ(tape.verdict(1).state, State::held) << tape.verdict(1).detail;
  tape.step(2).outcome.fields[0].value = 4901;
  EXPECT_EQ(tape.verdict(0).state, State::failed);
}

// With a constant offset the guest's TSC stands where the host's does.
TEST(Evaluate, GuestTscUnderASetOffsetDependsOnTheHost) {
  Tape tape(R"(
vm: {vcpus: 2}
timeline:
  - {at: 0 s, vcpu: all, set_tsc_offset: 0}
  - {at: 1 s, vcpu: 0, rdtsc: a}
  - {at: 1 s, vcpu: 1, rdtsc: b}
expect:
  - {a: {is: 1 s, within: 1 ms}}
  - {b: {is: a, within: 1 ms}}
)");
  tape.values({1'000'000'000, 1'000'000'000}).on_hardware(100);
  EXPECT_EQ(tape.verdict(0).state, State::not_run) << tape.verdict(0).detail;
  EXPECT_EQ(tape.verdict(1).state, State::held) << tape.verdict(1).detail;
}

TEST(Evaluate, TscAdjustIsExactUntilTheGuestWritesItsTsc) {
  const auto tape_of = [](const std::string& write) {
    return Tape("timeline:\n  - {at: 1 s, vcpu: 0, wrmsr: {" + write +
                ": 1000}}\nexpect:\n  - {tsc_adjust: {of: 0, is: 1000}}\n");
  };
  for (const std::string write : {"IA32_TSC_ADJUST", "IA32_TSC"}) {
    Tape tape = tape_of(write);
    tape.probe(OpKind::get_msr, 0, 1'000'000'000, Field::value, 1000, ops::msr::kIa32TscAdjust);
    EXPECT_EQ(tape.verdict().state, State::held);
    tape.on_hardware(100);
    EXPECT_EQ(tape.verdict().state, write == "IA32_TSC" ? State::unsure : State::held) << write;
  }
}

// ---- clocks ----

TEST(Evaluate, MasterClockIsTheFlagOfTheLastGetClock) {
  Tape tape(R"(
timeline:
  - {at: 1 s, get_clock: c}
  - {at: 2 s, get_clock: d}
expect:
  - {master_clock: on, at: 1 s}
  - {master_clock: off}
  - {c.flags: {is: 14}}
)");
  tape.returns(0, Field::flags, 14).returns(1, Field::flags, 0).on_hardware(100);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(tape.verdict(i).state, State::held) << i;
  tape.step(0).outcome.fields[0].value = 0;
  tape.step(1).outcome.fields[0].value = 2;
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(tape.verdict(i).state, State::failed) << i;
}

TEST(Evaluate, RealtimeIsComparableOnlyAsADifference) {
  Tape tape(R"(
timeline:
  - {at: 0 s, get_clock: c}
  - {at: 1 s, get_clock: d}
expect:
  - {d.realtime - c.realtime: {is: 1 s, within: 1 us}}
  - {c.realtime: {is: 1700000000 s}}
)");
  tape.returns(0, Field::realtime, kZeroRealtime).returns(1, Field::realtime, kZeroRealtime + 1'000'000'000);
  EXPECT_EQ(tape.verdict(0).state, State::held);
  EXPECT_EQ(tape.verdict(1).state, State::held);
  tape.on_hardware(100);
  EXPECT_EQ(tape.verdict(0).state, State::held) << tape.verdict(0).detail;
  EXPECT_EQ(tape.verdict(1).state, State::not_run);
  tape.recording.header.profile.clock_has_realtime = false;
  EXPECT_EQ(tape.verdict(0).detail, "needs: KVM_CLOCK_REALTIME");
}

// CLOCK_REALTIME was slewed by 1 us between the steps; that much a claim on it is unsure.
TEST(Evaluate, WanderingOfTheWallClockIsSlack) {
  Tape tape(R"(
timeline:
  - {at: 0 s, get_clock: c}
  - {at: 1 s, get_clock: d}
expect:
  - {d.realtime - c.realtime: {is: 1 s, within: 1 us}}
  - {d - c: {is: 1 s, within: 1 us}}
)");
  tape.returns(0, Field::realtime, 0).returns(1, Field::realtime, 1'000'000'000);
  tape.returns(0, Field::clock, 0).returns(1, Field::clock, 1'000'000'000).on_hardware(10);
  tape.step(1).bracket.realtime_ns.lo += 1000;
  tape.step(1).bracket.realtime_ns.hi += 1000;
  EXPECT_EQ(tape.verdict(0).state, State::unsure);
  EXPECT_EQ(tape.verdict(1).state, State::held) << tape.verdict(1).detail;
}

// ---- skew and jump ----

TEST(Evaluate, SkewIsTheGreatestDifferenceAtOneInstant) {
  Tape tape(R"(
vm: {vcpus: 3}
timeline:
  - {at: 1 s, sample: {every: 1 ms, for: 2 ms, read: [rdtsc]}}
expect:
  - {tsc_skew: {is: 30}}
  - {tsc_skew: {at_most: 1 us}}
  - {tsc_skew: {is: 7}, at: 1 s}
  - {tsc_skew: {is: 0}}
)");
  tape.values({100, 107, 103, 1'000'120, 1'000'090, 1'000'100});
  EXPECT_EQ(tape.verdict(0).state, State::held) << tape.verdict(0).detail;
  EXPECT_EQ(tape.verdict(0).detail, "at 1_001_000_000 ns, vCPU 1 behind vCPU 0: found 30 cycles, expected 30 cycles");
  EXPECT_EQ(tape.verdict(1).state, State::held);
  EXPECT_EQ(tape.verdict(2).state, State::held);
  EXPECT_EQ(tape.verdict(3).state, State::failed);
  tape.on_hardware(10);
  EXPECT_EQ(tape.verdict(1).state, State::held);
  EXPECT_EQ(tape.verdict(3).state, State::failed) << "30 cycles are beyond the slack of 2 * 11 + 3 for rounding";
  tape.on_hardware(14);
  EXPECT_EQ(tape.verdict(3).state, State::unsure) << "and within 2 * 15 + 3";
}

TEST(Evaluate, SkewOfEqualTscsIsZero) {
  Tape tape(std::string(kTwoReadings) + "{tsc_skew: {is: 0}}\n");
  tape.values({1000, 1000});
  EXPECT_EQ(tape.verdict().state, State::held) << tape.verdict().detail;
  tape.on_hardware(10);
  EXPECT_EQ(tape.verdict().state, State::unsure);
}

const char* const kJump = R"(
timeline:
  - {at: 1 s, vcpu: 0, rdtsc: a}
  - {at: 2 s, vcpu: 0, rdtsc: b}
  - {at: 3 s, vcpu: 0, rdtsc: c}
expect:
  - )";

TEST(Evaluate, JumpIsTheStepOfGreatestMagnitude) {
  const struct {
    const char* expectation;
    State state;
  } cases[] = {
      {"{tsc_jump: {of: 0, is: -300 ms}}", State::held},
      {"{tsc_jump: {of: 0, is: 100 ms}}", State::failed},
      {"{tsc_jump: {of: all, is: -300 ms}}", State::held},
      {"{tsc_jump: {of: 0, is: 100 ms, from: 2 s}}", State::held},
  };
  for (const auto& one : cases) {
    Tape tape(std::string(kJump) + one.expectation + "\n");
    tape.values({1'000'000'000, 1'700'000'000, 2'800'000'000});
    EXPECT_EQ(tape.verdict().state, one.state) << one.expectation << " " << tape.verdict().detail;
  }
}

// Lost time is not 'at most' some time gained: the size of a jump is bounded, in both directions.
TEST(Evaluate, AtMostBoundsTheSizeOfAJump) {
  const struct {
    const char* expectation;
    std::uint64_t last;  // 2 s after a reading of 1.7 s, so a jump of 0 would be 2.7 s
    State model, hardware;
  } cases[] = {
      {"{tsc_jump: {of: 0, at_most: 10 ms, from: 2 s}}", 2'700'000'000, State::held, State::held},
      {"{tsc_jump: {of: 0, at_most: 10 ms, from: 2 s}}", 2'710'000'000, State::held, State::unsure},
      {"{tsc_jump: {of: 0, at_most: 10 ms, from: 2 s}}", 2'690'000'000, State::held, State::unsure},
      {"{tsc_jump: {of: 0, at_most: 10 ms, from: 2 s}}", 2'710'000'001, State::failed, State::unsure},
      {"{tsc_jump: {of: 0, at_most: 10 ms, from: 2 s}}", 2'689'999'999, State::failed, State::unsure},
      {"{tsc_jump: {of: 0, at_most: 10 ms, from: 2 s}}", 1'700'000'000, State::failed, State::failed},
      {"{tsc_jump: {of: 0, at_most: 10 ms, from: 2 s}}", 1, State::failed, State::failed},
      {"{tsc_jump: {of: 0, at_least: 10 ms, from: 2 s}}", 2'720'000'000, State::held, State::held},
      {"{tsc_jump: {of: 0, at_least: 10 ms, from: 2 s}}", 1, State::failed, State::failed},
      {"{tsc_jump: {of: 0, at_most: 0, from: 2 s}}", 2'699'999'999, State::failed, State::unsure},
  };
  for (const auto& one : cases) {
    Tape tape(std::string(kJump) + one.expectation + "\n");
    tape.values({1'000'000'000, 1'700'000'000, one.last});
    EXPECT_EQ(tape.verdict().state, one.model) << one.last << " " << tape.verdict().detail;
    tape.on_hardware(100);
    EXPECT_EQ(tape.verdict().state, one.hardware) << one.last << " " << tape.verdict().detail;
  }
}

TEST(Evaluate, AtMostSaysThatItCountsBothWays) {
  Tape tape(std::string(kJump) + "{tsc_jump: {of: 0, at_most: 10 ms}}\n");
  tape.values({1'000'000'000, 1'700'000'000, 1});
  EXPECT_EQ(tape.verdict().text, "tsc_jump of vCPU 0 at most 10 ms either way");
  EXPECT_NE(tape.verdict().detail.find("expected at most 10_000_000 cycles either way"), std::string::npos)
      << tape.verdict().detail;
}

TEST(Evaluate, AJumpThatLatenessMightHaveHiddenIsUnsure) {
  Tape tape(std::string(kJump) + "{tsc_jump: {of: 0, is: -300 ms, within: 1 ms}}\n");
  tape.values({1'000'000'000, 1'700'000'000, 2'999'999'950}).on_hardware(100);
  EXPECT_EQ(tape.verdict().state, State::unsure) << "+299.99995 ms is as great within the slack";
  tape.step(2).outcome.fields[0].value = 2'800'000'000;
  EXPECT_EQ(tape.verdict().state, State::held);
}

TEST(Evaluate, KvmclockJumpCountsNanoseconds) {
  Tape tape(R"(
vm: {kvmclock: on}
timeline:
  - {at: 1 s, vcpu: 0, read_pvclock: p}
  - {at: 9 s, vcpu: 0, read_pvclock: q}
expect:
  - {kvmclock_jump: {of: 0, is: -5 s, within: 1 us}}
)");
  tape.values({1'000'000'000, 4'000'000'500});
  EXPECT_EQ(tape.verdict().state, State::held) << tape.verdict().detail;
  tape.step(1).outcome.fields[0].value = 4'000'001'001;
  EXPECT_EQ(tape.verdict().state, State::failed);
}

// ---- refusals and missing needs ----

TEST(Evaluate, WhatIsSaidByKernelIsAskedOfThatKernel) {
  Tape tape(R"(
kernels: [5.10, 6.8]
timeline:
  - {at: 1 s, vcpu: 0, kvmclock_ctrl: , fails: {5.10: EINVAL, 6.8: no}}
  - {at: 2 s, vcpu: 0, get_tsc_khz: rate}
expect:
  all:
    - {rate: {is: rate}}
  6.8:
    - {rate: {at_most: rate}}
)");
  const auto states = [&](const char* kernel) {
    tape.recording.header.profile.kernel = kernel;
    std::string text;
    for (const Verdict& verdict : tape.verdicts()) text += std::string(name_of(verdict.state)) + " ";
    return text;
  };
  const std::string old = states("5.4");
  EXPECT_EQ(old, "not run not run not run ");
  tape.step(0).outcome.error = 22;
  EXPECT_EQ(states("6.1.20").substr(0, 5), "held ");
  EXPECT_EQ(states("6.1.20").size() / 5, 2U);
  EXPECT_EQ(states("6.12").substr(0, 7), "failed ");  // it is refused where it must not be
}

TEST(Evaluate, StepsSucceedUnlessTheyAreExpectedToFail) {
  const std::string body = R"(
timeline:
  - {at: 1 s, vcpu: 0, kvmclock_ctrl: , fails: EINVAL}
  - {at: 2 s, vcpu: 0, rdtsc: a}
)";
  Tape tape(body);
  ASSERT_EQ(tape.verdicts().size(), 1U);
  EXPECT_EQ(tape.verdict().state, State::failed);
  EXPECT_EQ(tape.verdict().detail, "it succeeded");
  tape.step(0).outcome.error = 22;
  EXPECT_EQ(tape.verdict().state, State::held);
  EXPECT_EQ(tape.verdict().text, "kvmclock_ctrl on vCPU 0 fails with EINVAL");
  tape.step(0).outcome.error = 14;
  EXPECT_EQ(tape.verdict().detail, "it failed with EFAULT");
  EXPECT_EQ(tape.verdict().state, State::failed);
  tape.step(1).outcome.error = 14;
  ASSERT_EQ(tape.verdicts().size(), 2U);
  EXPECT_EQ(tape.verdict(0).index, kImplicit);
  EXPECT_EQ(tape.verdict(0).text, "rdtsc on vCPU 0 succeeds");
  EXPECT_EQ(tape.verdict(0).detail, "the step at line 5 was refused: EFAULT");
}

TEST(Evaluate, WhatWasNotExecutedIsNotAPass) {
  Tape tape(R"(
timeline:
  - {at: 0 s, vcpu: 0, move_vcpu: 0}
  - {at: 1 s, vcpu: 0, rdtscp: a}
  - {at: 1 s, vcpu: 0, get_msr: IA32_TSC, as: b}
expect:
  - {a: {at_least: 0}}
  - {b: {at_least: 0}}
)");
  tape.values({1, 1});
  EXPECT_EQ(tape.verdict(0).state, State::held);
  tape.step(2).supported = false;
  tape.step(2).note = "needs: KVM_GET_MSRS";
  EXPECT_EQ(tape.verdict(0).state, State::held) << "it does not read that step";
  EXPECT_EQ(tape.verdict(1).state, State::not_run);
  EXPECT_EQ(tape.verdict(1).detail, "needs: KVM_GET_MSRS");
  tape.step(2).supported = true;
  tape.step(0).supported = false;
  tape.step(0).note = "needs: two pCPUs";
  EXPECT_EQ(tape.verdict(0).state, State::not_run) << "the world is not the one that the scenario means";
  EXPECT_EQ(tape.verdict(1).detail, "needs: two pCPUs");
}

TEST(Evaluate, WhatALinuxGuestWouldHaveSetUpIsNotMissedWithoutOne) {
  Tape tape(R"(
vm: {vcpus: 1, guest: {kernel: 6.12}}
timeline:
  - {at: 1 s, vcpu: 0, kvmclock_ctrl: }
)");
  tape.step(0).outcome.error = 22;
  ASSERT_EQ(tape.verdicts().size(), 1U);
  EXPECT_EQ(tape.verdict().state, State::failed);
  for (ops::Entry& entry : tape.recording.entries)
    if (entry.op.kind == OpKind::boot_guest) entry.supported = false;
  EXPECT_EQ(tape.verdict().state, State::not_run);
  EXPECT_EQ(tape.verdict().detail, "the step at line 5 was refused: EINVAL; needs: a Linux guest");
}

TEST(Evaluate, ARecordingThatWasInterruptedDecidesOnlyWhatItHolds) {
  Tape tape(std::string(kTwoReadings) + "{a: {is: 5}}\n  - {b: {is: 5}}\n");
  tape.values({5, 5});
  tape.recording.entries.pop_back();
  const auto verdicts = tape.verdicts();
  ASSERT_EQ(verdicts.size(), 3U);
  EXPECT_EQ(verdicts[0].index, kImplicit);
  EXPECT_EQ(verdicts[0].state, State::not_run);
  EXPECT_EQ(verdicts[1].state, State::held);
  EXPECT_EQ(verdicts[2].state, State::not_run);
}

TEST(Evaluate, RefusesARecordingOfSomethingElse) {
  Tape other(std::string(kTwoReadings) + "{a: {is: 5}}\n");
  other.recording.header.scenario_hash = "0";
  EXPECT_THROW(other.verdicts(), ops::InputError);
  Tape longer(std::string(kTwoReadings) + "{a: {is: 5}}\n");
  longer.recording.entries.push_back(longer.recording.entries.back());
  EXPECT_THROW(longer.verdicts(), ops::InputError);
  Tape swapped(std::string(kTwoReadings) + "{a: {is: 5}}\n");
  std::swap(swapped.step(0), swapped.step(1));
  EXPECT_THROW(swapped.verdicts(), ops::InputError);
}

TEST(Evaluate, CycleCountsHoldAtTheWrittenRateOnly) {
  const struct {
    const char* expectation;
    bool counts;
  } cases[] = {
      {"{a: {is: 1000}}", true},           {"{a: {is: 1 us}}", false},
      {"{b: {is: a + 1000}}", true},       {"{b: {is: a + 0}}", false},
      {"{b: {is: a, within: 5}}", true},   {"{b - a: {is: 2 us - 1 us}}", false},
      {"{tsc_skew: {at_most: 10}}", true}, {"{tsc_skew: {at_most: 1 us}}", false},
  };
  for (const auto& one : cases) {
    Tape tape("host: {tsc: 3 GHz}" + std::string(kTwoReadings) + one.expectation + "\n");
    tape.recording.header.profile.host_khz = 2'445'000;
    tape.values({1000, 1000}).on_hardware(1);
    EXPECT_EQ(tape.verdict().detail == "needs: tsc 3 GHz (here 2.445 GHz)", one.counts)
        << one.expectation << " " << tape.verdict().detail;
  }
}

TEST(Evaluate, NamesWhatTheHostLacks) {
  const struct {
    const char* host;
    void (*here)(ops::TargetProfile&);
    const char* detail;
  } cases[] = {
      {"{kernel: 5.10}", [](ops::TargetProfile& p) { p.kernel = "6.12.5-amd64"; },
       "needs: kernel 5.10 (here 6.12.5-amd64)"},
      {"{kernel: 6.12}", [](ops::TargetProfile& p) { p.kernel = "6.12.5-amd64"; }, ""},
      {"{clocksource: hpet}", [](ops::TargetProfile&) {}, "needs: a clocksource other than tsc"},
      {"{uptime: 1 h}", [](ops::TargetProfile& p) { p.tsc_clocksource = false; }, "needs: clocksource tsc"},
      {"{tsc_error: 3 ppm}", [](ops::TargetProfile&) {},
       "needs: a simulated host, with the clock errors that the scenario gives it"},
      {"{tsc_scaling: true}", [](ops::TargetProfile&) {}, "needs: tsc scaling"},
      {"{tsc_scaling: false}", [](ops::TargetProfile& p) { p.tsc_scaling = true; },
       "needs: a host without tsc scaling"},
  };
  for (const auto& one : cases) {
    Tape tape(std::string("host: ") + one.host + R"(
timeline:
  - {at: 0 s, vcpu: 0, set_tsc_khz: 1 GHz}
  - {at: 1 s, vcpu: 0, get_tsc_khz: k}
expect:
  - {k: {is: 1 GHz}}
)");
    tape.values({1'000'000}).on_hardware(1);
    one.here(tape.recording.header.profile);
    EXPECT_EQ(tape.verdict().state, *one.detail ? State::not_run : State::held) << one.host;
    if (*one.detail) {
      EXPECT_EQ(tape.verdict().detail, one.detail);
    }
  }
}

TEST(Evaluate, ProductsOfReadingsAreNotBounded) {
  Tape tape(std::string(kTwoReadings) + "{a * b: {is: 1000000}}\n");
  tape.values({1000, 1000});
  EXPECT_EQ(tape.verdict().state, State::held);
  tape.on_hardware(100);
  EXPECT_EQ(tape.verdict().state, State::unsure);
  EXPECT_EQ(tape.verdict().detail, "the expression multiplies or divides readings that lateness moves");
}

TEST(Evaluate, RateOfTheVcpuConvertsDurations) {
  Tape tape(R"(
timeline:
  - {at: 0 s, vcpu: 0, set_tsc_khz: 2 GHz}
  - {at: 1 s, vcpu: 0, rdtsc: a}
expect:
  - {a: {is: 1 s}}
)");
  tape.values({2'000'000'000});
  EXPECT_EQ(tape.verdict().state, State::held) << tape.verdict().detail;
}

TEST(Metrics, EachHasASentenceAndAnExampleThatParses) {
  for (const Metric& metric : metrics()) {
    EXPECT_EQ(metric.text.back(), '.') << metric.name;
    const std::string text =
        "name: t\nvm: {vcpus: 2, kvmclock: on, guest: {kernel: 6.12}}\ntimeline:\n"
        "  - {at: 1 s, sample: {every: 1 ms, for: 10 ms}}\n"
        "  - {at: 2 s, sample: {every: 1 ms, for: 10 ms, read: [monotonic, realtime, boottime, sched_clock, vdso_monotonic, user_tsc]}}\n"
        "expect:\n  - " +
        std::string(metric.example) + "\n";
    EXPECT_NO_THROW(parse_scenario(text, "t.yaml")) << metric.name;
    EXPECT_EQ(find_metric(metric.name)->subject, metric.subject);
    if (is_guest_metric(metric.subject)) continue;  // one subject has several names
    EXPECT_EQ(metric_name(metric.subject), metric.name);
  }
}

// A Linux guest's metrics on a recording of the model: each follows what was recorded, and an empty one is not a pass.
TEST(GuestMetrics, AreFoundInWhatWasRecorded) {
  const Scenario scenario = parse_scenario(R"(
name: t
vm: {vcpus: 2, guest: {kernel: 6.12}}
timeline:
  - {at: 1 s, vcpu: all, read_clock: monotonic}
  - {at: 2 s, pause_vm: }
  - {at: 5 s, resume_vm: }
  - {at: 6 s, vcpu: all, read_clock: monotonic}
expect:
  - {monotonic_jump: {is: -2 s}}
  - {monotonic_skew: {is: 300 ns}}
  - {monotonic_backwards: {is: 300 ns}}
  - {paused_time_kept: {is: 1 s, within: 1 us}}
  - {soft_lockup: {is: 1}}
  - {soft_lockup: {is: 0, of: 1}}
  - {clocksource: {is: tsc}}
)",
                                           "t.yaml");
  ops::Recording recording;
  recording.header.scenario_hash = scenario.program.hash;
  recording.header.profile.target = "model";
  for (const auto* steps : {&scenario.program.setup, &scenario.program.timeline})
    for (const ops::Step& step : *steps) recording.entries.emplace_back().op = step.op;
  std::uint64_t ns = 1'000'000'000;
  for (ops::Entry& entry : recording.entries) {
    if (entry.op.kind != ops::OpKind::read_clock) continue;
    const bool late = entry.op.at_ns == 6'000'000'000;
    entry.outcome.add(ops::Field::ns, (late ? ns + 3'000'000'000 : ns) - (entry.op.vcpu == 1 ? 300u : 0u));
  }
  const auto states = [&] {
    std::vector<std::string> out;
    for (const Verdict& verdict : evaluate(scenario, recording)) out.emplace_back(name_of(verdict.state));
    return out;
  };
  // Before the guest says anything: no lockup was seen, and which clocksource it has is not known.
  EXPECT_THAT(states(), testing::ElementsAre("held", "held", "held", "held", "failed", "held", "not run"));
  recording.entries.back().guest = {{ops::GuestEventKind::clocksource_switched, 0, 0, 1},
                                    {ops::GuestEventKind::soft_lockup, 0, 5'000'000'000, 22}};
  EXPECT_THAT(states(), testing::Each("held"));
  recording.header.profile.target = "native";
  EXPECT_THAT(states(), testing::Each("not run"));
}

// ---- two hosts ----

constexpr std::uint64_t kFiveMinutes = 300'000'000'000;

// b's wall clock is five minutes behind, or so the scenario says; on this tape it is `behind_ns`.
Tape late_by_the_wall(const char* target, std::uint64_t behind_ns) {
  Tape tape(R"(
hosts:
  a: {}
  b: {realtime_error: -5 min}
timeline:
  - {at: 1 s, get_clock: src}
  - {at: 2 s, transfer: {from: a, to: b}}
  - {at: 3 s, set_clock: {clock: src.clock, realtime: src.realtime, flags: [realtime]}}
  - {at: 3 s, get_clock: dst}
expect:
  - {dst.clock - src.clock: {at_most: 1 s}}
)");
  tape.on_hardware(1000);
  for (int host = 0; host < 2; ++host) tape.recording.header.host(host).profile.target = target;
  for (ops::Entry& entry : tape.recording.entries) {
    if (entry.op.host == 1) entry.bracket.realtime_ns.lo -= behind_ns, entry.bracket.realtime_ns.hi -= behind_ns;
    if (entry.op.kind != OpKind::get_clock) continue;
    entry.outcome.add(Field::clock, 700);
    entry.outcome.add(Field::realtime, entry.bracket.realtime_ns.lo);
  }
  return tape;
}

TEST(TwoHosts, WhatTheirWallClocksMissIsLateness) {
  EXPECT_EQ(late_by_the_wall("lab:amd-6.12", kFiveMinutes).verdict().state, State::held);
  EXPECT_EQ(late_by_the_wall("lab:amd-6.12", kFiveMinutes - 3'000'000'000).verdict().state, State::unsure);
  const Verdict native = late_by_the_wall("native", 0).verdict();
  EXPECT_EQ(native.state, State::not_run);
  EXPECT_THAT(native.detail, testing::HasSubstr("as host b"));
}

TEST(TwoHosts, AValueMayRestOnNeitherHostsCounter) {
  const struct {
    const char* offset;
    State state;
  } cases[] = {
      {"offset + src.host_tsc - dst.host_tsc", State::held},
      {"offset + src.host_tsc", State::not_run},
      {"offset - dst.host_tsc", State::not_run},
  };
  for (const auto& c : cases) {
    Tape tape(std::string(R"(
hosts: {a: {}, b: {}}
timeline:
  - {at: 1 s, get_clock: src}
  - {at: 1 s, vcpu: 0, get_tsc_offset: offset}
  - {at: 1 s, vcpu: 0, rdtsc: before}
  - {at: 2 s, transfer: {from: a, to: b}}
  - {at: 3 s, get_clock: dst}
  - {at: 3 s, vcpu: 0, set_tsc_offset: )") +
              c.offset + R"(}
  - {at: 3 s, vcpu: 0, rdtsc: after}
expect:
  - {after - before: {at_most: 1 s}}
)");
    tape.on_hardware(1000);
    for (ops::Entry& entry : tape.recording.entries) {
      if (entry.op.kind == OpKind::get_clock) entry.outcome.add(Field::host_tsc, kZeroTsc + 1);
      if (entry.op.kind == OpKind::get_tsc_offset || entry.op.kind == OpKind::rdtsc) entry.outcome.add(Field::value, 5);
    }
    const Verdict verdict = tape.verdict();
    EXPECT_EQ(verdict.state, c.state) << c.offset << ": " << verdict.detail;
    const bool named = verdict.detail.find("where this host's TSC stands") != std::string::npos;
    EXPECT_EQ(named, c.state == State::not_run) << verdict.detail;
  }
}

}  // namespace
}  // namespace tscsim::scenarios

// The worked examples of docs/spec/vmm-procedures.md 15, number for number.
#include <gtest/gtest.h>

#include "model/kvm/arithmetic.h"
#include "verdict/report.h"
#include "verdict/testing.h"

namespace tscsim::verdict {
namespace {

constexpr Wide kMs = 1'000'000, kSecond = 1'000'000'000;
constexpr std::uint32_t kKhz = 2'600'000;

// kvmclock counts cycles by a rounded multiplier: a nanosecond here and there (E15).
void expect_near(const std::optional<Span>& seen, Wide expected, const char* what) {
  ASSERT_TRUE(seen) << what;
  EXPECT_TRUE(seen->exact()) << what;
  const Wide off = seen->lo - expected;
  EXPECT_LE(off < 0 ? -off : off, formula::kPageRounding_ns)
      << what << ": " << static_cast<long long>(seen->lo) << ", expected " << static_cast<long long>(expected);
}
void expect_exactly(const std::optional<Span>& seen, Wide expected, const char* what) {
  ASSERT_TRUE(seen) << what;
  EXPECT_EQ(static_cast<long long>(seen->lo), static_cast<long long>(expected)) << what;
  EXPECT_EQ(seen->lo, seen->hi) << what;
}

const Measure& last_measure(const Case& c) { return c.measures.back(); }

// P1..R in ms after P1.
struct Timing {
  long long p1, p2, p3, p4, r;
  long long tsc_loss, clock_loss, split, tsc_early;
};

Course migration(const Timing& t) {
  const auto at = [](long long ms) { return std::to_string(1000 + ms) + " ms"; };
  std::string steps = "  - {at: 0 s, vcpu: 0, run: }\n";
  steps += "  - {at: " + at(t.p1) + ", vcpu: 0, get_msr: IA32_TSC, as: tsc}\n";
  steps += "  - {at: " + at(t.p2) + ", get_clock: clock}\n";
  steps += "  - {at: " + at(t.p3 - 1) + ", transfer: {from: a, to: b}}\n";
  steps += "  - {at: " + at(t.p3) + ", vcpu: 0, set_msr: {IA32_TSC: tsc}}\n";
  steps += "  - {at: " + at(t.p3) + ", vcpu: 0, kvmclock: on}\n";
  steps += "  - {at: " + at(t.p4) + ", set_clock: clock.clock}\n";
  steps += "  - {at: " + at(t.r) + ", vcpu: 0, run: }\n";
  return course_of("hosts: {a: {}, b: {}}\nvm: {vcpus: 1, kvmclock: on}", steps);
}

TEST(Examples, QemuMigrationThreeTimings) {  // 15.1
  const Timing rows[] = {{0, 5, 205, 208, 210, 205, 203, 2, 5},
                         {0, 105, 305, 310, 312, 305, 205, 100, 7},
                         {0, 5, 205, 60'205, 60'207, 205, 60'200, -59'995, 60'002}};
  for (const Timing& t : rows) {
    const Course course = migration(t);
    const Case c = examine(course);
    ASSERT_EQ(c.measures.size(), 1u);
    const Measure& m = last_measure(c);
    EXPECT_EQ(c.disturbances[0].kind, DisturbanceKind::migration);
    expect_exactly(m.vcpus[0].tsc_error, -t.tsc_loss * kMs * kKhz / 1'000'000, "E2");
    EXPECT_EQ(ns_of(*m.vcpus[0].tsc_error, kKhz).lo, formula::tsc_freeze_loss(t.p1 * kMs, t.p3 * kMs));
    expect_near(m.kvmclock_error, -t.clock_loss * kMs, "E1");
    expect_near(m.kvmclock_error, formula::kvmclock_pause_loss(t.p2 * kMs, t.p4 * kMs), "E1 by its formula");
    expect_near(m.split, t.split * kMs, "E3");
    expect_near(m.split, formula::clock_disagreement(t.p1 * kMs, t.p2 * kMs, t.p3 * kMs, t.p4 * kMs),
                "E3 by its formula");
    expect_exactly(m.vcpus[0].before_entry, t.tsc_early * kMs, "E4");
    EXPECT_EQ(m.vcpus[0].before_entry->lo, formula::run_before_entry(t.p3 * kMs, t.r * kMs));
  }
}

TEST(Examples, StopAndContinue) {  // 15.2
  std::string steps = "  - {at: 0 s, vcpu: 0, run: }\n";
  for (int i = 0; i < 3; ++i) {
    const std::string stop = std::to_string(1 + 11 * i), go = std::to_string(11 + 11 * i),
                      clock = "c" + std::to_string(i);
    steps += "  - {at: " + stop + " s, get_clock: " + clock + "}\n";
    steps += "  - {at: " + go + " s, set_clock: " + clock + ".clock}\n";
    steps += "  - {at: " + go + " s, vcpu: 0, run: }\n";
  }
  const Course course = course_of("vm: {vcpus: 1, kvmclock: on}", steps);
  const Case c = examine(course);
  ASSERT_EQ(c.measures.size(), 3u);
  Wide apart = 0;
  for (const Measure& m : c.measures) {
    expect_exactly(m.vcpus[0].tsc_step, 26'000'000'000, "the TSC counts on");
    expect_exactly(m.vcpus[0].tsc_error, 0, "and is not moved");
    expect_near(m.kvmclock_step, 0, "kvmclock stands");
    apart += m.split->lo;
  }
  EXPECT_LE(apart + 30 * kSecond, 6);
  EXPECT_GE(apart + 30 * kSecond, -6);
}

TEST(Examples, QemuBefore2016) {  // 15.3: P2 = P1, downtime 5 s and 100 ms of device state
  const Course before = migration({0, 0, 5'100, 5'100, 5'101, 0, 0, 0, 0});
  expect_near(last_measure(examine(before)).kvmclock_error, -5'100 * kMs, "E1 before 6053a86fe7bd");
  const Course after = migration({0, 5'000, 5'100, 5'100, 5'101, 0, 0, 0, 0});
  const Case c = examine(after);
  expect_near(last_measure(c).kvmclock_error, -100 * kMs, "E1 after it");
  expect_exactly(last_measure(c).vcpus[0].tsc_error, -5'100 * kMs * kKhz / 1'000'000, "E2 as before");
  expect_near(last_measure(c).split, 5'000 * kMs, "E3");
}

TEST(Examples, BootAbsorption) {  // 15.4
  const auto boot = [](const char* one, const char* look) {
    return course_of("vm: {vcpus: 1}", std::string("  - {at: 30 ms, vcpu: 0, set_msr: {IA32_TSC: 0}}\n") +
                                           "  - {at: " + one + ", vcpu: 0, set_msr: {IA32_TSC: 1}}\n  - {at: " + look +
                                           ", vcpu: 0, rdtsc: a}\n");
  };
  const Course early = boot("50 ms", "100 ms");
  const Case c = examine(early);
  expect_exactly(last_measure(c).vcpus[0].decision->in_force, 130'000'000 - 1, "what the 1 would have reset");
  expect_exactly(early.after(c.disturbances[0].end()).vcpus[0].tsc, 260'000'000, "counts from the creation");
  const Course late = boot("1100 ms", "1100 ms");
  expect_exactly(late.after(late.moments.size() - 1).vcpus[0].tsc, 1, "the last write is more than a second old");
}

TEST(Examples, Snap) {  // 15.5
  const model::TimeScale scale = model::ns_to_cycles(kKhz);
  EXPECT_EQ(scale.mul, 2791728742u);
  EXPECT_EQ(scale.shift, 2);
  EXPECT_EQ(model::scale_delta(19'800'000'000, scale), 51'479'999'992u);
  EXPECT_EQ(52'780'000'000 - (51'479'999'992 + 1), 1'300'000'007);
  const auto restored = [](Wide value) {
    return course_of(
        "vm: {vcpus: 1}",
        "  - {at: 0 s, vcpu: 0, set_msr: {IA32_TSC: 1}}\n  - {at: 19800 ms, vcpu: 0, set_msr: {IA32_TSC: " +
            std::to_string(static_cast<long long>(value)) + "}}\n  - {at: 19801 ms, vcpu: 0, run: }\n");
  };
  // KVM's raw clock does not count 19.8 s to the nanosecond: its rate is a rounded multiplier too.
  const Course first = restored(52'780'000'000);
  const Wide elapsed = decisions_of(first).back().since_ns.lo;
  EXPECT_LT(19'800 * kMs - elapsed, 2'000);
  const Wide expected = 1 + Wide{model::scale_delta(static_cast<std::uint64_t>(elapsed), scale)};
  const struct {
    Wide value;
    Fate fate;
  } rows[] = {{52'780'000'000, Fate::absorbed},
              {expected + 2'600'000'000, Fate::own_generation},  // the comparison is strict
              {expected + 2'599'999'999, Fate::absorbed}};
  for (const auto& row : rows) {
    const Course course = restored(row.value);
    const Decision last = decisions_of(course).back();
    EXPECT_EQ(last.fate, row.fate) << static_cast<long long>(row.value);
    expect_exactly(last.missed_by, row.value - expected, "from the value expected");
    if (row.fate != Fate::absorbed) continue;
    EXPECT_EQ(last.in_force.lo,
              formula::snap(Wide{course.op(last.moment).value}, course.after(last.moment).vcpus[0].tsc.lo))
        << "E6";
  }
}

TEST(Examples, ChainOfAbsorbedWrites) {  // 15.5b
  const struct {
    const char* kernel;
    Wide tsc;
    std::size_t absorbed;
  } rows[] = {{"6.6", 7'020'000'000, 3}, {"6.8", 4'680'000'001, 2}};
  for (const auto& row : rows) {
    const Course course = course_of(
        std::string("host: {kernel: ") + row.kernel + "}\nvm: {vcpus: 1}",
        "  - {at: 900 ms, vcpu: 0, set_msr: {IA32_TSC: 1}}\n  - {at: 1800 ms, vcpu: 0, set_msr: {IA32_TSC: 1}}\n"
        "  - {at: 2700 ms, vcpu: 0, set_msr: {IA32_TSC: 1}}\n  - {at: 2700 ms, vcpu: 0, run: }\n");
    std::size_t absorbed = 0;
    for (const Decision& d : decisions_of(course)) absorbed += d.fate == Fate::absorbed ? 1 : 0;
    EXPECT_EQ(absorbed, row.absorbed) << row.kernel;
    expect_exactly(course.after(course.moments.size() - 1).vcpus[0].tsc, row.tsc, row.kernel);
  }
}

TEST(Examples, InterleavedRestore) {  // 15.6
  const Course course = course_of("vm: {vcpus: 1}",
                                  "  - {at: 0 ms, vcpu: 0, set_msr: {IA32_TSC: 1_000_000_000_000}}\n"
                                  "  - {at: 2 ms, create_vcpu: 1}\n"
                                  "  - {at: 3 ms, vcpu: 1, set_msr: {IA32_TSC: 1_000_000_104_000}}\n"
                                  "  - {at: 5 ms, vcpu: all, run: }\n");
  const Case c = examine(course);
  expect_exactly(last_measure(c).vcpus[1].skew, -7'696'000, "vCPU 1 behind vCPU 0");
  EXPECT_EQ(cycles_of(Span::exactly(formula::skew(40'000, 0, 3 * kMs, 0)), kKhz).lo, -7'696'000) << "E7";
  EXPECT_FALSE(last_measure(c).master_after);
  const std::string text = verdict_text(course);
  for (const char* word : {"vCPU 1", "vCPU 0", "-7_696_000 cycles", "-2.96 ms", "generation of its own",
                           "creation of vCPU 1", "interleaved-create"})
    EXPECT_NE(text.find(word), std::string::npos) << word << "\n" << text;
  EXPECT_NE(why_master_clock_off(course).find("the creation of vCPU 1"), std::string::npos)
      << why_master_clock_off(course);
  EXPECT_NE(why_offsets_differ(course).find("2 values"), std::string::npos) << why_offsets_differ(course);
}

TEST(Examples, HotplugAtAnotherRate) {  // 15.8
  const Course course = course_of_file("lint/khz-after-create-found.yaml");
  EXPECT_EQ(course.after(course.moments.size() - 1).master_clock, false);
}

TEST(Examples, PageContinuity) {  // 15.9
  const model::TimeScale old{3186238974, -1};
  const std::uint64_t extrapolated = 3'639'151 + model::scale_delta(213'016'088'950 - 32'041'800'585, old);
  EXPECT_EQ(extrapolated, 67'131'895'449u);
  EXPECT_EQ(67'131'895'453u - extrapolated, 4u);
}

TEST(Examples, RealtimeNeverGoesBack) {  // 15.10
  const Course course =
      course_of("vm: {vcpus: 1, kvmclock: on}",
                "  - {at: 0 s, vcpu: 0, run: }\n  - {at: 1 s, get_clock: c}\n"
                "  - {at: 3 s, set_clock: {clock: c.clock, realtime: c.realtime + 100 s, flags: [realtime]}}\n"
                "  - {at: 3 s, vcpu: 0, run: }\n");
  const Case c = examine(course);
  expect_near(last_measure(c).kvmclock_error, -2 * kSecond, "all of the pause");
  EXPECT_EQ(formula::realtime_advance(kSecond, 3 * kSecond, 100 * kSecond, 0), 0);
  for (const NamedError& error : last_measure(c).errors)
    EXPECT_TRUE(error.name != ErrorName::realtime_advance || error.value.lo == 0) << "E5";
}

}  // namespace
}  // namespace tscsim::verdict

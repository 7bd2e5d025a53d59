// Which behaviours a guest's kernel has.
#include "model/guest/era.h"

#include <gtest/gtest.h>

#include "model/guest/timekeeper.h"
#include "model/guest/watchdog.h"

namespace tscsim::model::guest {
namespace {

GuestEra era(const char* kernel) { return guest_era_for(*KernelVersion::parse(kernel)); }

TEST(GuestEra, NewestIsTheDefault) { EXPECT_EQ(era("7.3"), GuestEra{}); }

TEST(GuestEra, OnlyKernelsThatWereRead) {
  EXPECT_FALSE(has_guest_era(*KernelVersion::parse("3.5")));
  for (const std::string_view kernel : {kOldestGuest, kNewestGuest})
    EXPECT_TRUE(has_guest_era(*KernelVersion::parse(kernel)));
}

// Each change begins exactly where its commit was released: the kernel before has the old behaviour.
TEST(GuestEra, Boundaries) {
  EXPECT_EQ(era("4.9").read, ReadArithmetic::signed_64);
  EXPECT_EQ(era("4.10").read, ReadArithmetic::unsigned_64);
  EXPECT_EQ(era("6.9").read, ReadArithmetic::unsigned_64);
  EXPECT_EQ(era("6.10").read, ReadArithmetic::exact);
  EXPECT_EQ(era("6.12").backward, BackwardStep::top_bit);
  EXPECT_EQ(era("6.13").backward, BackwardStep::seven_eighths);
  EXPECT_EQ(era("6.1").stop_flag, StopFlag::every_read);
  EXPECT_EQ(era("6.4").stop_flag, StopFlag::checks_only);
  EXPECT_EQ(era("6.7").watchdog, WatchdogRule::margins);
  EXPECT_EQ(era("6.8").watchdog, WatchdogRule::margins_below_a_second);
  // Stable series got these later, and real ones have them.
  EXPECT_EQ(era("5.10").watchdog, WatchdogRule::sixteenth_of_a_second);
  EXPECT_EQ(era("5.10.93").watchdog, WatchdogRule::sixteenth_of_a_second);
  EXPECT_EQ(era("5.10.94").watchdog, WatchdogRule::margins);
  EXPECT_EQ(era("5.10.223").watchdog, WatchdogRule::margins_below_a_second);
  EXPECT_EQ(era("6.1.20").watchdog, WatchdogRule::margins);
  EXPECT_EQ(era("6.1.176").watchdog, WatchdogRule::margins_below_a_second);
  EXPECT_FALSE(era("4.4").vdso_reads_first_vcpu);
  EXPECT_TRUE(era("4.5").vdso_reads_first_vcpu);
  EXPECT_EQ(era("4.9").sync_test, SyncTest::one_run);
  EXPECT_EQ(era("4.10").sync_test, SyncTest::with_adjust);
  EXPECT_FALSE(era("4.9").verifies_tsc_adjust);
  EXPECT_TRUE(era("4.10").verifies_tsc_adjust);
  EXPECT_EQ(era("4.10").steal_ticks, StealTicks::whole_ticks);
  EXPECT_EQ(era("4.11").steal_ticks, StealTicks::nanoseconds);
  EXPECT_EQ(era("5.0").sched_offset, SchedOffset::if_stable);
  EXPECT_EQ(era("5.1").sched_offset, SchedOffset::always);
  EXPECT_EQ(era("5.2").vdso, VdsoDelta::raised_to_base);
  EXPECT_EQ(era("5.3").vdso, VdsoDelta::only_above);
  EXPECT_FALSE(era("5.17").max_skew_configured);
  EXPECT_TRUE(era("5.18").max_skew_configured);
  EXPECT_FALSE(era("7.1").max_skew_configured);
  EXPECT_EQ(era("7.2").watchdog_timer, WatchdogTimer::after_expiry);
  EXPECT_EQ(era("7.3").watchdog_timer, WatchdogTimer::after_run);
  EXPECT_FALSE(era("5.0").kvmclock_yields_to_tsc);
  EXPECT_TRUE(era("5.1").kvmclock_yields_to_tsc);
}

TEST(GuestEra, EachSubjectIsToldForEveryKernel) {
  for (const char* kernel :
       {"3.6", "4.4", "4.19", "5.4", "5.10", "5.15", "6.1", "6.4", "6.6", "6.8", "6.12", "6.14", "6.19", "7.1", "7.3"})
    for (std::size_t i = 0; i < static_cast<std::size_t>(GuestSubject::count); ++i) {
      int told = 0;
      for (const GuestChange& change : guest_changes())
        if (change.subject == static_cast<GuestSubject>(i) && holds(change, *KernelVersion::parse(kernel))) ++told;
      EXPECT_GT(told, 0) << kernel << " " << name_of(static_cast<GuestSubject>(i));
    }
}

// Where the release is not known, what is said lies between two trees: the last one without and the first one with it.
TEST(GuestEra, WhatIsNotKnownExactlySaysSo) {
  int unknown = 0;
  for (const GuestChange& change : guest_changes()) {
    if (change.not_in.empty()) continue;
    ++unknown;
    const KernelVersion without = *KernelVersion::parse(change.not_in), with = *KernelVersion::parse(change.version);
    EXPECT_TRUE(with.at_least(without.major, without.minor)) << change.sentence;
    EXPECT_TRUE(change.not_in == kOldestGuest || !holds(change, without)) << change.sentence;
  }
  EXPECT_GT(unknown, 20);
}

// docs/spec/linux-guest.md 3.3: the table of exemptions.
TEST(WatchdogExemption, ByKernelAndMachine) {
  const WatchdogFacts invariant{.invariant_tsc = true}, plain{};
  const struct {
    const char* kernel;
    WatchdogFacts facts;
    bool exempt;
  } cases[] = {
      {"4.19", {.reliable = true}, true},
      {"4.19", {.nowatchdog = true}, false},
      {"5.4", {.nowatchdog = true}, true},
      {"5.10", invariant, false},
      {"5.15", invariant, true},
      {"5.15", plain, false},
      {"5.15", {.invariant_tsc = true, .tsc_adjust = false}, false},
      {"5.15", {.invariant_tsc = true, .nodes = 3}, false},
      {"6.6", {.invariant_tsc = true, .nodes = 4}, true},
      {"6.6", {.invariant_tsc = true, .nodes = 5}, false},
      {"6.12", {.invariant_tsc = true, .nodes = 8, .packages = 4}, true},
      {"6.12", {.invariant_tsc = true, .packages = 5}, false},
      {"6.19", {.watchdog = true, .invariant_tsc = true}, true},
      {"7.1", {.watchdog = true, .invariant_tsc = true}, false},
  };
  for (const auto& c : cases) EXPECT_EQ(tsc_is_exempt(era(c.kernel), c.facts), c.exempt) << c.kernel;
}

// From 6.13 on a difference between half and 7/8 of the mask is forward motion where time is accumulated.
TEST(ClocksourceDelta, BackwardMotionByEra) {
  const Clocksource clock = register_hz(1'000'000'000);
  constexpr std::uint64_t kHalf = std::uint64_t{1} << 63;
  EXPECT_EQ(clocksource_delta(clock, BackwardStep::accepted, 0, 1), ~std::uint64_t{0});
  EXPECT_EQ(clocksource_delta(clock, BackwardStep::top_bit, kHalf, 0), 0u);
  EXPECT_EQ(clocksource_delta(clock, BackwardStep::top_bit, kHalf - 1, 0), kHalf - 1);
  EXPECT_EQ(clocksource_delta(clock, BackwardStep::seven_eighths, kHalf, 0), kHalf);
  EXPECT_EQ(clocksource_delta(clock, BackwardStep::seven_eighths, clock.max_raw_delta, 0), clock.max_raw_delta);
  EXPECT_EQ(clocksource_delta(clock, BackwardStep::seven_eighths, clock.max_raw_delta + 1, 0), 0u);
}

}  // namespace
}  // namespace tscsim::model::guest

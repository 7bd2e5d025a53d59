#include "model/host/host_clock.h"

#include <gtest/gtest.h>

namespace tscsim::model {
namespace {

ops::HostSpec host(std::uint32_t khz = 2'600'000) {
  ops::HostSpec spec;
  spec.tsc_khz = khz;
  spec.uptime_ns = 1'000'000'000;
  return spec;
}

// From tests/vectors/guest-vectors.json, group clocksource_register (scale 1000).
TEST(HostClock, ClocksourceScaleIsLinuxs) {
  const struct {
    std::uint32_t khz, mult, shift;
  } rows[] = {
      {1'000'000, 8'388'608, 23}, {2'000'000, 4'194'304, 23}, {2'600'000, 6'452'775, 24},
      {3'000'000, 5'592'405, 24}, {999'999, 8'388'616, 23},   {2'596'127, 6'462'402, 24},
      {1'832'519, 9'155'275, 24}, {1'832'520, 4'577'635, 23}, {5'000'000, 3'355'443, 24},
  };
  for (const auto& row : rows) {
    const ClocksourceScale scale = clocksource_scale(row.khz);
    EXPECT_EQ(scale.mult, row.mult) << row.khz;
    EXPECT_EQ(scale.shift, row.shift) << row.khz;
  }
}

TEST(HostClock, TheTscCountsItsTrueRate) {
  const struct {
    std::int64_t error_ppb, now_ns;
    std::uint64_t tsc;
  } rows[] = {
      {0, 0, 2'600'000'000},
      {0, 1, 2'600'000'002},  // 2.6 cycles, rounded down
      {0, 1'000'000'000, 5'200'000'000},
      {1'000, 1'000'000'000, 5'200'005'200},  // 1 ppm fast, for two seconds
      {-1'000, 1'000'000'000, 5'199'994'800},
  };
  for (const auto& row : rows) {
    ops::HostSpec spec = host();
    spec.tsc_error_ppb = row.error_ppb;
    HostClock clock(spec);
    clock.advance_to(row.now_ns);
    EXPECT_EQ(clock.tsc(0), row.tsc) << row.error_ppb << " ppb after " << row.now_ns;
  }
}

TEST(HostClock, CountersOfPcpusDiffer) {
  ops::HostSpec spec = host();
  spec.pcpus = {{0}, {-1000}, {500}};
  HostClock clock(spec);
  EXPECT_EQ(clock.tsc(1), clock.tsc(0) - 1000);
  EXPECT_EQ(clock.tsc(2), clock.tsc(0) + 500);
}

TEST(HostClock, AJumpAheadTakesAlongTheClocksThatCountTheTsc) {
  HostClock clock(host());
  clock.advance_to(10'000'000);
  const std::uint64_t base = clock.base_ns(0), real = clock.realtime_ns();
  clock.jump_tsc(ops::kAllPcpus, 2'600'000);
  EXPECT_NEAR(static_cast<double>(clock.base_ns(0) - base), 1e6, 1);
  EXPECT_NEAR(static_cast<double>(clock.realtime_ns() - real), 1e6, 1);
}

TEST(HostClock, AJumpBackStopsTheClocksUntilTheTscHasCaughtUp) {
  HostClock clock(host());
  clock.advance_to(12'000'000);  // a tick
  const std::uint64_t base = clock.base_ns(0);
  clock.jump_tsc(ops::kAllPcpus, -2'600'000);
  EXPECT_EQ(clock.base_ns(0), base);
  clock.advance_to(13'000'000);
  EXPECT_EQ(clock.base_ns(0), base);
  clock.advance_to(14'000'000);
  EXPECT_EQ(clock.base_ns(0) - base, 1'000'000u);
}

TEST(HostClock, AnotherClocksourceDoesNotSeeTheJump) {
  ops::HostSpec spec = host();
  spec.tsc_clocksource = false;
  HostClock clock(spec);
  const std::uint64_t base = clock.base_ns(0), real = clock.realtime_ns();
  clock.jump_tsc(0, 2'600'000);
  EXPECT_EQ(clock.base_ns(0), base);
  EXPECT_EQ(clock.realtime_ns(), real);
  EXPECT_EQ(clock.tsc(0), 2'602'600'000u);
}

TEST(HostClock, SleepCountsInBaseTimeWhateverTheTscDid) {
  for (const bool restarts : {false, true}) {
    HostClock clock(host());
    clock.advance_to(1'000'000'000);
    const std::uint64_t base = clock.base_ns(0), real = clock.realtime_ns();
    clock.suspend(10'000'000'000, restarts);
    EXPECT_EQ(clock.base_ns(0) - base, 10'000'000'000u);
    EXPECT_EQ(clock.realtime_ns() - real, 10'000'000'000u);
    EXPECT_EQ(clock.tsc(0), restarts ? 0u : 31'200'000'000u);
    clock.advance_to(11'500'000'000);
    EXPECT_NEAR(static_cast<double>(clock.base_ns(0) - base), 10'500'000'000.0, 100);
    EXPECT_EQ(clock.base_pair(0)->tsc, clock.tsc(0));
  }
}

// KVM's reading together with the time is never below the timekeeper's own last reading, which pCPU 0 made at a tick.
TEST(HostClock, APairIsNeverBelowTheTimekeepersLastReading) {
  ops::HostSpec spec = host();
  spec.pcpus = {{0}, {-1'000'000}};
  HostClock clock(spec);
  clock.advance_to(4'000'100);
  HostClock at_tick(spec);
  at_tick.advance_to(4'000'000);
  EXPECT_EQ(clock.base_pair(1)->tsc, at_tick.tsc(0));
  EXPECT_EQ(clock.base_pair(0)->tsc, clock.tsc(0));
}

TEST(HostClock, TheRawClockCarriesTheTscsError) {
  ops::HostSpec spec = host(1'000'000);
  spec.tsc_error_ppb = 1'000;
  HostClock clock(spec);
  const std::uint64_t before = clock.base_ns(0);
  clock.advance_to(1'000'000'000);
  EXPECT_EQ(clock.base_ns(0) - before, 1'000'001'000u);
}

TEST(HostClock, ChangingTheClocksourceDoesNotMoveTheRawClock) {
  HostClock clock(host());
  clock.advance_to(123'456'789);
  const std::uint64_t before = clock.base_ns(0);
  clock.set_tsc_clocksource(false);
  EXPECT_EQ(clock.base_ns(0), before);
  EXPECT_FALSE(clock.base_pair(0).has_value());
  EXPECT_FALSE(clock.realtime_pair(0).has_value());
  clock.advance_to(223'456'789);
  EXPECT_EQ(clock.base_ns(0), before + 100'000'000);  // counts true time
  clock.set_tsc_clocksource(true);
  EXPECT_EQ(clock.base_ns(0), before + 100'000'000);
}

TEST(HostClock, WallClockErrorAndDrift) {
  ops::HostSpec spec = host();
  spec.realtime_ns = 1'000;
  spec.realtime_error_ns = -10;
  spec.realtime_drift_ppb = 500;
  HostClock clock(spec);
  EXPECT_EQ(clock.realtime_ns(), 990u);
  clock.advance_to(1'000'000'000);
  EXPECT_EQ(clock.realtime_ns(), 1'000'000'990u + 500);
}

// A tick is wherever the clock without the time asleep is a multiple of 4 ms, whatever the counter's error and a sleep before.
TEST(HostClock, ATicksTimeIsTheFirstAtWhichTheClockHasComeToIt) {
  for (const std::int64_t error_ppb : {0, 100'000, -100'000})
    for (const bool tsc : {true, false})
      for (const std::int64_t slept_ns : std::initializer_list<std::int64_t>{0, 7'000'000'123}) {
        ops::HostSpec spec = host();
        spec.tsc_error_ppb = error_ppb;
        spec.tsc_clocksource = tsc;
        HostClock clock(spec);
        clock.advance_to(1'000'003);
        if (slept_ns != 0) clock.suspend(slept_ns, false);
        const std::uint64_t tick = (clock.jiffies_ns(0) / 4'000'000 + 26) * 4'000'000;
        const std::int64_t at_ns = clock.when_jiffies(tick, 0);
        EXPECT_GT(at_ns, clock.now_ns() + 99'000'000);
        EXPECT_LT(at_ns, clock.now_ns() + 105'000'000);
        clock.advance_to(at_ns);
        EXPECT_GE(clock.jiffies_ns(0), tick);
        EXPECT_LT(clock.jiffies_ns(0), tick + 20'000) << "a counter that is fast is a little late";
        EXPECT_EQ(clock.when_jiffies(tick, 0), clock.now_ns()) << "it is over";
      }
}

TEST(HostClock, JiffiesStandWhileTheHostSleeps) {
  HostClock clock(host());
  const std::uint64_t jiffies_ns = clock.jiffies_ns(0), base_ns = clock.base_ns(0);
  clock.suspend(5'000'000'000, false);
  EXPECT_EQ(clock.jiffies_ns(0), jiffies_ns);
  EXPECT_EQ(clock.base_ns(0), base_ns + 5'000'000'000);
}

// A counter that all but stands: nobody waits for the end.
TEST(HostClock, ATickThatNeverComesIsFound) {
  ops::HostSpec spec = host();
  spec.tsc_error_ppb = -999'999'999;
  HostClock clock(spec);
  EXPECT_GT(clock.when_jiffies(clock.jiffies_ns(0) + 100'000'000, 0), 0);
}

// 292 years of nanoseconds are SimTime's range; the counter's product must not overflow there.
TEST(HostClock, LongTimesDoNotOverflow) {
  ops::HostSpec spec = host(2'147'483'647);
  spec.tsc_error_ppb = 999'999'999;
  spec.uptime_ns = 0;
  HostClock clock(spec);
  clock.advance_to(9'000'000'000'000'000'000);
  const u128 per_ns = u128{2'147'483'647} * 1'999'999'999;
  EXPECT_EQ(clock.tsc(0),
            static_cast<std::uint64_t>(u128{9'000'000'000'000'000'000u} * per_ns / 1'000'000'000'000'000u));
}

}  // namespace
}  // namespace tscsim::model

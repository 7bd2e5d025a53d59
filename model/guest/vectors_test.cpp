// Every row of the guest's numeric vectors (tests/vectors/guest-vectors.json; rows with an anchor were printed by real
// kernels).
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "model/guest/accounting.h"
#include "model/guest/clocksource.h"
#include "model/guest/detectors.h"
#include "model/guest/other_guests.h"
#include "model/guest/pvclock.h"
#include "model/guest/timekeeper.h"
#include "model/guest/tsc_sync.h"
#include "model/guest/watchdog.h"

namespace tscsim::model::guest {
namespace {

using nlohmann::json;

const json& vectors() {
  static const json all = [] {
    std::ifstream in(TSCSIM_SOURCE_DIR "/tests/vectors/guest-vectors.json");
    return json::parse(in);
  }();
  return all;
}

std::uint64_t u64(const json& row, const char* name) {
  const auto& text = row.at(name).get_ref<const std::string&>();
  if (text.front() == '-') return static_cast<std::uint64_t>(std::stoll(text));
  return std::stoull(text);
}
std::int64_t s64(const json& row, const char* name) { return static_cast<std::int64_t>(u64(row, name)); }
std::uint32_t u32(const json& row, const char* name) { return static_cast<std::uint32_t>(u64(row, name)); }
GuestEra era(const char* kernel) { return guest_era_for(*KernelVersion::parse(kernel)); }

template <class Check>
void for_each_row(const char* group, Check check) {
  const json& rows = vectors().at(group);
  ASSERT_GT(rows.size(), 0u);
  for (const json& row : rows) {
    SCOPED_TRACE(std::string(group) + ": " + row.dump());
    check(row);
  }
}

Clocksource clock_of(const json& row, const std::string& prefix = "") {
  Clocksource clock;
  clock.mult = u32(row, (prefix + "mult").c_str());
  clock.shift = u32(row, (prefix + "shift").c_str());
  clock.mask = ~std::uint64_t{0};
  if (row.contains("max_cycles")) clock.max_cycles = u64(row, "max_cycles");
  clock.max_raw_delta = (clock.mask >> 1) + (clock.mask >> 2) + (clock.mask >> 3);
  return clock;
}

TEST(GuestVectors, MultShift) {
  for_each_row("clocks_calc_mult_shift", [](const json& r) {
    EXPECT_EQ(mult_shift_for(u32(r, "from"), u32(r, "to"), u32(r, "maxsec")),
              (MultShift{u32(r, "mult"), u32(r, "shift")}));
  });
}

TEST(GuestVectors, Registration) {
  for_each_row("clocksource_register", [](const json& r) {
    const Clocksource clock = register_clocksource(u32(r, "freq"), u32(r, "scale"), u64(r, "mask"));
    EXPECT_EQ(clock.seconds, u64(r, "sec"));
    EXPECT_EQ(clock.mult, u32(r, "mult"));
    EXPECT_EQ(clock.shift, u32(r, "shift"));
    EXPECT_EQ(clock.maxadj, u32(r, "maxadj"));
    EXPECT_EQ(clock.max_cycles, u64(r, "max_cycles"));
    EXPECT_EQ(clock.max_idle_ns, u64(r, "max_idle_ns"));
    EXPECT_EQ(clock.max_raw_delta, u64(r, "max_raw_delta"));
  });
}

TEST(GuestVectors, OldLimits) {
  for_each_row("max_idle_ns_v3_10", [](const json& r) {
    Clocksource clock = clock_of(r);
    clock.maxadj = u32(r, "maxadj");
    clock.mask = u64(r, "mask");
    EXPECT_EQ(old_limits(clock).max_cycles, u64(r, "old_max_cycles"));
    EXPECT_EQ(old_limits(clock).max_idle_ns, u64(r, "old_max_idle_ns"));
  });
}

TEST(GuestVectors, OverflowThresholds) {
  for_each_row("overflow_thresholds", [](const json& r) {
    const Clocksource clock = clock_of(r);
    const OverflowLimits limits = overflow_limits(clock);
    EXPECT_EQ(limits.first_wrapping, u64(r, "first_wrapping_delta_u64_base0"));
    EXPECT_EQ(limits.first_wrapping_late, u64(r, "first_wrapping_delta_u64_base_max"));
    EXPECT_EQ(limits.first_negative, u64(r, "first_negative_delta_s64_base0"));
    EXPECT_EQ(limits.wrap_ns, u64(r, "wrap_amount_ns"));
    EXPECT_EQ(limits.wrap_ns / 1'000'000, u64(r, "u64_threshold_ms"));
    EXPECT_EQ(limits.wrap_ns / 2'000'000, u64(r, "s64_threshold_ms"));
    // The limits are limits of reads: one cycle decides.
    const auto read = [&](ReadArithmetic arithmetic, std::uint64_t delta) {
      return read_ns(clock, {arithmetic, BackwardStep::top_bit, false}, delta, 0);
    };
    EXPECT_GT(read(ReadArithmetic::unsigned_64, limits.first_wrapping - 1),
              read(ReadArithmetic::unsigned_64, limits.first_wrapping));
    EXPECT_GT(read(ReadArithmetic::signed_64, limits.first_negative - 1), 0);
    EXPECT_LT(read(ReadArithmetic::signed_64, limits.first_negative), 0);
  });
}

TEST(GuestVectors, TimekeeperRead) {
  const std::pair<const char*, ReadRule> columns[] = {
      {"v3_10_signed_unclamped", {ReadArithmetic::signed_64, BackwardStep::accepted, false}},
      {"v4_4_signed_clamped", {era("4.4").read, era("4.4").backward, false}},
      {"v4_19_to_v6_8_unsigned_clamped", {era("4.19").read, era("6.8").backward, false}},
      {"v4_19_to_v6_8_debug_timekeeping", {era("4.19").read, era("6.8").backward, true}},
      {"v6_12_plus", {era("6.12").read, era("7.1").backward, false}},
  };
  for_each_row("timekeeper_read", [&](const json& r) {
    for (const auto& [column, rule] : columns)
      EXPECT_EQ(read_ns(clock_of(r), rule, u64(r, "delta"), u64(r, "xtime_nsec_shifted")), s64(r, column)) << column;
  });
}

TEST(GuestVectors, VdsoRead) {
  const std::pair<const char*, const char*> columns[] = {
      {"v3_10_to_v4_19", "3.10"}, {"v3_10_to_v4_19", "4.19"}, {"v5_4_to_v6_4", "5.4"}, {"v5_4_to_v6_4", "6.4"},
      {"v6_6_to_v6_8", "6.6"},    {"v6_6_to_v6_8", "6.8"},    {"v6_12_plus", "6.12"},  {"v6_12_plus", "7.1"},
  };
  for_each_row("vdso_read", [&](const json& r) {
    for (const auto& [column, kernel] : columns)
      EXPECT_EQ(
          vdso_ns(clock_of(r), era(kernel).vdso, u64(r, "cycles"), u64(r, "cycle_last"), u64(r, "basetime_shifted")),
          u64(r, column))
          << column;
  });
  // A small negative difference of a counter of 63 bits, and one that has bit 62 set without being far above.
  Clocksource clock = register_hz(1'000'000'000);
  constexpr std::uint64_t kBase = 10'000'000'000'000;
  EXPECT_EQ(vdso_ns(clock, VdsoDelta::low_63_bits, kBase - 1, kBase, 0), 0u);
  EXPECT_EQ(vdso_ns(clock, VdsoDelta::exact, (std::uint64_t{1} << 63) | (kBase + 5), kBase, 0), 5u);
}

TEST(GuestVectors, TimekeepingAdvance) {
  for_each_row("timekeeping_advance", [](const json& r) {
    for (const char* kernel : {"4.4", "6.8", "6.13", "7.1"}) {
      const Clocksource clock = clock_of(r);
      TickBase base{u64(r, "cycle_last"), u64(r, "sec"), u64(r, "xtime_nsec_shifted")};
      const std::uint64_t offset = clocksource_delta(clock, era(kernel).backward, u64(r, "cycle_now"), base.cycle_last);
      EXPECT_EQ(cycle_interval(clock, u32(r, "HZ")), u64(r, "cycle_interval"));
      EXPECT_EQ(accumulate(clock, u32(r, "HZ"), offset, base), u64(r, "loops"));
      EXPECT_EQ(base, (TickBase{u64(r, "new_cycle_last"), u64(r, "new_sec"), u64(r, "new_xtime_nsec_shifted")}));
      EXPECT_EQ(offset - (base.cycle_last - u64(r, "cycle_last")), u64(r, "remaining_cycles"));
    }
  });
}

// docs/spec/linux-guest.md 4.4: up to 4.3 one cycle back is almost 2^64 forward, some nine thousand million rounds with
// interrupts off.
TEST(GuestVectors, OneCycleBackKillsAnOldGuest) {
  const Clocksource clock = register_hz(1'000'000'000);
  TickBase base{1'000'000'000'000, 5, 0};
  const std::uint64_t offset = clocksource_delta(clock, era("3.10").backward, base.cycle_last - 1, base.cycle_last);
  EXPECT_GT(accumulate(clock, 250, offset, base), 9'000'000'000u);
  EXPECT_EQ(base.sec, 5 + 18'446'744'073u);  // 584 years
}

TEST(GuestVectors, SignedEra) {
  for_each_row("getnstimeofday_signed_era", [](const json& r) {
    const Clocksource clock = clock_of(r);
    const SecondsLoop loop = getnstimeofday_loop(clock, u64(r, "delta"));
    EXPECT_EQ(loop.ns, s64(r, "nsecs_signed"));
    EXPECT_EQ(loop.iterations, u64(r, "loop_iterations"));
    EXPECT_EQ(loop.seconds_added, u32(r, "tv_sec_added"));
    EXPECT_EQ(loop.nsec, u64(r, "tv_nsec"));
    const std::int64_t exact =
        read_ns(clock, {ReadArithmetic::exact, BackwardStep::top_bit, false}, u64(r, "delta"), 0);
    EXPECT_EQ(loop.ns - exact, s64(r, "ktime_get_error_ns"));
  });
}

TEST(GuestVectors, PvclockRead) {
  for_each_row("pvclock_read", [](const json& r) {
    const TimeScale scale{u32(r, "tsc_to_system_mul"), static_cast<std::int8_t>(s64(r, "tsc_shift"))};
    const PvclockRecord record{u64(r, "tsc_timestamp"), u64(r, "system_time"), scale, 0};
    EXPECT_EQ(pvclock_ns(record, u64(r, "tsc")), u64(r, "result"));
    EXPECT_EQ(scale_delta(u64(r, "delta"), scale), u64(r, "scaled"));
  });
}

TEST(GuestVectors, PvclockTscKhz) {
  for_each_row("pvclock_tsc_khz", [](const json& r) {
    const TimeScale page{u32(r, "tsc_to_system_mul"), static_cast<std::int8_t>(s64(r, "tsc_shift"))};
    EXPECT_EQ(pvclock_tsc_khz(page), u32(r, "pvclock_tsc_khz"));
    EXPECT_EQ(cycles_to_ns(u32(r, "khz")), page);
  });
}

TEST(GuestVectors, LastValueSequence) {
  LastValue last;
  for_each_row("pvclock_last_value_sequence", [&last](const json& r) {
    EXPECT_EQ(last.value(), u64(r, "last_before"));
    EXPECT_EQ(last.not_before(u64(r, "raw")), u64(r, "returned"));
    EXPECT_EQ(last.value(), u64(r, "last_after"));
  });
  EXPECT_EQ(last.exchanges() + last.held_back(), vectors().at("pvclock_last_value_sequence").size());
}

TEST(GuestVectors, WallClockRead) {
  for_each_row("wallclock_read", [](const json& r) {
    const WallTime time = wall_time(u64(r, "sec"), u64(r, "nsec"), u64(r, "system_time_now"));
    EXPECT_EQ(time.sec, u64(r, "tv_sec"));
    EXPECT_EQ(time.nsec, u64(r, "tv_nsec"));
  });
}

// The group's columns are named by kernels.
constexpr std::pair<const char*, const char*> kWatchdogColumns[] = {
    {"v4_4_to_v5_10", "4.4"},  {"v4_4_to_v5_10", "5.10"}, {"v5_15", "5.15"},        {"v6_1", "6.1"},
    {"v6_4", "6.4"},           {"v6_4", "6.6"},           {"v6_8_to_v6_19", "6.8"}, {"v6_8_to_v6_19", "6.12"},
    {"v6_8_to_v6_19", "6.19"}, {"v7_1", "7.1"},
};

std::string_view name_of(WatchdogVerdict verdict) {
  constexpr std::string_view kNames[] = {"ok", "unstable", "skip", "reset"};
  return kNames[static_cast<std::size_t>(verdict)];
}

Clocksource watchdog_clock(const json& row, const std::string& prefix) {
  const std::uint32_t mult = u32(row, (prefix + "mult").c_str());
  if (mult == 8388608) return register_hz(1'000'000'000);
  return register_khz(mult == 5601368 ? 2'995'200 : 2'596'146);
}

TEST(GuestVectors, WatchdogDecision) {
  for_each_row("watchdog_decision", [](const json& r) {
    const Clocksource cs = watchdog_clock(r, "cs_"), wd = watchdog_clock(r, "wd_");
    ASSERT_EQ(cs.mult, u32(r, "cs_mult"));
    ASSERT_EQ(wd.mult, u32(r, "wd_mult"));
    for (const auto& [column, kernel] : kWatchdogColumns) {
      const WatchdogJudgement judgement =
          judge(era(kernel), cs, wd, {u64(r, "cs_last"), u64(r, "wd_last")}, {u64(r, "cs_now"), u64(r, "wd_now")});
      EXPECT_EQ(judgement.wd_ns, u64(r, "wd_nsec"));
      EXPECT_EQ(judgement.cs_ns, u64(r, "cs_nsec"));
      EXPECT_EQ(judgement.skew_ns(), s64(r, "skew"));
      EXPECT_EQ(name_of(judgement.verdict), r.at(std::string("decision_") + column)) << kernel;
      EXPECT_EQ(judgement.threshold_ns, u64(r, (std::string("threshold_") + column).c_str())) << kernel;
    }
  });
}

TEST(GuestVectors, WatchdogMargins) {
  const std::map<std::string, std::vector<const char*>> kernels = {
      {"v3.10, v4.4, v4.19, v5.4, v5.10.13", {"3.10", "4.4", "4.19", "5.4", "5.10.13"}},
      {"v5.15.100, v6.1.20", {"5.15.100", "6.1.20"}},
      {"v6.4.6, v6.6.9", {"6.4.6", "6.6.9"}},
      {"v6.8.1, v6.12, v6.14, v6.19", {"6.8.1", "6.12", "6.14", "6.19"}},
      {"v7.1.5", {"7.1.5"}},
  };
  const Clocksource tsc = register_khz(2'596'146), kvmclock = register_hz(1'000'000'000);
  for_each_row("watchdog_margins", [&](const json& r) {
    for (const char* kernel : kernels.at(r.at("kernel"))) {
      const GuestEra rules = era(kernel);
      const bool relative = rules.watchdog == WatchdogRule::relative;
      EXPECT_EQ(relative, r.at("rule").get<std::string>().front() == '(') << kernel;
      EXPECT_EQ(rules.watchdog == WatchdogRule::margins_below_a_second, r.at("max_interval") == "1000000000") << kernel;
      const std::string wanted = r.at("threshold_tsc_vs_kvmclock");
      // 7.1's is of an interval: half a second on both clocks.
      const WatchdogJudgement half = judge(rules, tsc, kvmclock, {}, {1'298'073'000, 500'000'000});
      EXPECT_EQ(std::to_string(relative ? half.threshold_ns : watchdog_threshold(rules, tsc, kvmclock)),
                wanted.substr(0, wanted.find(' ')))
          << kernel;
    }
  });
}

TEST(GuestVectors, Cyc2Ns) {
  for_each_row("cyc2ns", [](const json& r) {
    const Cyc2Ns clock = cyc2ns_for(u32(r, "khz"), u64(r, "tsc_at_setup"), u64(r, "ns_at_setup"));
    EXPECT_EQ(clock.scale, (MultShift{u32(r, "mul"), u32(r, "shift")}));
    EXPECT_EQ(clock.offset, u64(r, "offset"));
    EXPECT_EQ(clock.at(u64(r, "tsc_later")), u64(r, "sched_clock_later"));
  });
}

TEST(GuestVectors, StealAccount) {
  for_each_row("steal_account_process_time", [](const json& r) {
    const StealAccount account = account_steal(u64(r, "steal_clock"), u64(r, "prev"), u64(r, "maxtime"));
    EXPECT_EQ(account.accounted, u64(r, "accounted"));
    EXPECT_EQ(account.prev, u64(r, "new_prev"));
    EXPECT_EQ(left_of_tick(u64(r, "tick_ns"), account.accounted), u64(r, "tick_left_for_cputime"));
  });
  // Up to 4.18 a tick is stolen or it is not.
  constexpr std::uint64_t kTick = 4'000'000;
  EXPECT_EQ(account_steal_in_ticks(3'999'999, 0, kTick).accounted, 0u);
  EXPECT_EQ(account_steal_in_ticks(9'000'000, 1'000'000, kTick).accounted, 2 * kTick);
  EXPECT_EQ(account_steal_in_ticks(9'500'000, 1'000'000, kTick).prev, 9'000'000u);
}

TEST(GuestVectors, TaskTime) {
  for_each_row("update_rq_clock_task", [](const json& r) {
    for (const auto& [rule, column] :
         {std::pair{era("6.12").rq_steal, "new_prev_until_v6_12"}, {era("6.14").rq_steal, "new_prev_from_v6_14"}}) {
      const TaskTime time = update_rq_clock_task(rule, s64(r, "delta"), u64(r, "steal_clock"), u64(r, "prev_steal_rq"));
      EXPECT_EQ(time.steal_used, s64(r, "steal_used"));
      EXPECT_EQ(time.delta, s64(r, "clock_task_delta"));
      EXPECT_EQ(time.prev, u64(r, column)) << column;
    }
  });
}

TEST(GuestVectors, SoftLockup) {
  for_each_row("softlockup", [](const json& r) {
    EXPECT_EQ(lockup_units(u64(r, "touch_ns")), u64(r, "touch_units"));
    EXPECT_EQ(lockup_units(u64(r, "now_ns")), u64(r, "now_units"));
    const LockupReport report =
        soft_lockup(u64(r, "touch_ns"), u64(r, "now_ns"), static_cast<int>(u32(r, "watchdog_thresh")));
    EXPECT_EQ(report.stuck, r.at("lockup").get<bool>());
    EXPECT_EQ(report.seconds, u64(r, "reported_seconds"));
  });
}

TEST(GuestVectors, TscSyncModel) {
  for_each_row("tsc_sync_model", [](const json& r) {
    const SyncStretch all{s64(r, "target_minus_source_cycles"), u64(r, "min_handover_gap")};
    const SyncTestResult result =
        sync_test(era("6.12").sync_test, r.at("tsc_adjust").get<bool>(), std::span(&all, 1), all);
    EXPECT_EQ(result.passed, r.at("result") == "pass");
    EXPECT_EQ(result.runs, static_cast<int>(u32(r, "runs_used")));
    EXPECT_EQ(result.adjust, s64(r, "adjust"));
    EXPECT_EQ(result.final_skew, s64(r, "final_skew"));
    std::vector<std::string> warps;
    for (const std::uint64_t warp : result.warps) warps.push_back(std::to_string(warp));
    EXPECT_EQ(json(warps), r.at("log"));
  });
  // A skew that changes its sign in the middle: both see warps, and nothing is corrected.
  const SyncStretch moved[] = {{1000, 200}, {-1000, 200}};
  const SyncTestResult random = sync_test(SyncTest::with_adjust, true, moved, moved[1]);
  EXPECT_FALSE(random.passed);
  EXPECT_EQ(random.runs, 1);
  EXPECT_EQ(random.adjust, 0);
}

TEST(GuestVectors, HypervPage) {
  for_each_row("hyperv_tsc_page", [](const json& r) {
    EXPECT_EQ(reference_time(u64(r, "tsc"), u64(r, "tsc_scale"), u64(r, "tsc_offset")), u64(r, "reference_time_100ns"));
  });
}

TEST(GuestVectors, FreebsdTimecounter) {
  for_each_row("freebsd_timecounter", [](const json& r) {
    const TimecounterStep step = timecounter_step(u64(r, "frequency"), s64(r, "jump_ns"));
    EXPECT_EQ(step.ticks, u32(r, "delta_ticks_32bit"));
    EXPECT_EQ(step.observed_ns, u64(r, "observed_ns"));
  });
}

// A group that no test above reads would be evidence that is not used.
TEST(GuestVectors, EveryGroupIsRead) {
  const std::set<std::string> read = {"clocks_calc_mult_shift",
                                      "clocksource_register",
                                      "max_idle_ns_v3_10",
                                      "overflow_thresholds",
                                      "timekeeper_read",
                                      "vdso_read",
                                      "timekeeping_advance",
                                      "getnstimeofday_signed_era",
                                      "pvclock_read",
                                      "pvclock_tsc_khz",
                                      "pvclock_last_value_sequence",
                                      "wallclock_read",
                                      "watchdog_decision",
                                      "watchdog_margins",
                                      "cyc2ns",
                                      "steal_account_process_time",
                                      "update_rq_clock_task",
                                      "softlockup",
                                      "tsc_sync_model",
                                      "hyperv_tsc_page",
                                      "freebsd_timecounter"};
  for (const auto& [name, group] : vectors().items()) {
    if (name == "_readme") continue;
    EXPECT_TRUE(read.contains(name)) << name;
  }
}

}  // namespace
}  // namespace tscsim::model::guest

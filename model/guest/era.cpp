#include "model/guest/era.h"

#include <algorithm>
#include <initializer_list>

namespace tscsim::model::guest {
namespace {

ReadArithmetic read_for(KernelVersion v) {
  if (v.at_least(6, 10)) return ReadArithmetic::exact;
  return v.at_least(4, 10) ? ReadArithmetic::unsigned_64 : ReadArithmetic::signed_64;
}

BackwardStep backward_for(KernelVersion v) {
  if (v.at_least(6, 13)) return BackwardStep::seven_eighths;
  return v.at_least(4, 4) ? BackwardStep::top_bit : BackwardStep::accepted;
}

VdsoDelta vdso_for(KernelVersion v) {
  if (v.at_least(6, 10)) return VdsoDelta::exact;
  if (v.at_least(6, 6)) return VdsoDelta::low_63_bits;
  return v.at_least(5, 3) ? VdsoDelta::only_above : VdsoDelta::raised_to_base;
}

struct StableRelease {
  int major, minor, patch;
};

// Whether a stable series had got a change by then. Where the patch level is not given, the series' first release is meant.
bool backported(KernelVersion v, std::initializer_list<StableRelease> releases) {
  return std::any_of(releases.begin(), releases.end(), [v](const StableRelease& r) {
    return v.major == r.major && v.minor == r.minor && v.patch >= r.patch;
  });
}

// Seen on real kernels (docs/observed.md): 5.10.223 and 6.1.176 pass long intervals over, and 5.10.223 has the margins.
WatchdogRule watchdog_for(KernelVersion v) {
  if (v.at_least(7, 1)) return WatchdogRule::relative;
  if (v.at_least(6, 8) || backported(v, {{5, 10, 210}, {5, 15, 149}, {6, 1, 76}, {6, 6, 15}, {6, 7, 3}}))
    return WatchdogRule::margins_below_a_second;
  return v.at_least(5, 14) || backported(v, {{5, 10, 94}}) ? WatchdogRule::margins
                                                           : WatchdogRule::sixteenth_of_a_second;
}

WatchdogExemption exemption_for(KernelVersion v) {
  if (v.at_least(6, 12)) return WatchdogExemption::four_packages;
  if (v.at_least(6, 6)) return WatchdogExemption::four_nodes;
  if (v.at_least(5, 14)) return WatchdogExemption::two_nodes;
  return v.at_least(5, 4) ? WatchdogExemption::nowatchdog : WatchdogExemption::reliable_only;
}

StopFlag stop_flag_for(KernelVersion v) {
  if (v.at_least(6, 4)) return StopFlag::checks_only;
  return v.at_least(4, 4) ? StopFlag::every_read : StopFlag::soft_lockup_only;
}

RcuTouch rcu_touch_for(KernelVersion v) {
  if (v.at_least(6, 6)) return RcuTouch::after_three_rounds;
  if (v.at_least(5, 15)) return RcuTouch::from_now;
  return v.at_least(4, 4) ? RcuTouch::this_grace_period : RcuTouch::never;
}

SchedOffset sched_offset_for(KernelVersion v) {
  if (v.at_least(5, 1)) return SchedOffset::always;
  return v.at_least(4, 4) ? SchedOffset::if_stable : SchedOffset::none;
}

using enum GuestSubject;

// In the trees that the specification read: the first one. What was so before is not known.
constexpr std::string_view kFirstRead = "3.6";

constexpr GuestChange kChanges[] = {
    {"3.6", "4.10", timekeeping,
     "a read multiplies in signed 64 bits: from 18 min 19 s on (kvm-clock) it is in the past, and nothing is due", "",
     "4.5", kFirstRead},
    {"3.6", "4.4", timekeeping,
     "a clock that steps back is not stopped; only read_tsc() never falls below the last tick", "", "4.4", kFirstRead},
    {"3.6", "4.1", timekeeping, "limits are powers of two, less an eighth", "", "4.1", kFirstRead},
    {"3.6", "5.3", vdso, "a counter below the last tick is raised to it", "", "4.6", kFirstRead},
    {"3.6", "4.5", vdso, "the page of the vCPU that runs is read", "", "1.6", kFirstRead},
    {"3.6", "5.14", watchdog, "a clocksource that is off by more than 62.5 ms is unstable", "", "3.4", kFirstRead},
    {"3.6", "5.4", watchdog, "the TSC is watched unless it is said to be reliable", "", "3.3", kFirstRead},
    {"3.6", "7.1", watchdog, "each sample is taken on the next vCPU", "", "3.4", kFirstRead},
    {"3.6", "7.3", watchdog,
     "the timer expires half a second after it was due; where that has gone by, it runs again at once", "", "3.4",
     kFirstRead},
    {"3.6", "5.1", kvmclock, "kvm-clock is rated 400, above the TSC's 300", "", "1.7", kFirstRead},
    {"3.6", "4.4", kvmclock, "the stop flag suppresses the soft lockup that is about to be reported, and nothing else",
     "", "1.4", kFirstRead},
    {"3.6", "4.4", kvmclock, "sched_clock is kvmclock, without an offset", "", "1.8", kFirstRead},
    {"3.6", "5.15", detectors, "the soft lockup detector asks for the stop flag only before it reports", "", "5.1",
     kFirstRead},
    {"3.6", "4.10", tsc_sync, "one run of 20 ms; any warp marks the TSC unstable", "", "2.4", kFirstRead},
    {"3.6", "4.11", steal_time, "whole ticks are stolen or not", "", "6.2", kFirstRead},
    {"3.6", "6.14", steal_time, "what was stolen beyond the time that went by is carried over (clock_task)", "", "6.3",
     kFirstRead},
    {"4.1", "", timekeeping, "limits leave 11 % to NTP, and half of the time", "", "4.1", ""},
    {"4.4", "6.13", timekeeping, "a counter below the last tick counts as no progress", "", "4.4", "3.10"},
    {"4.4", "6.4", kvmclock, "every read of kvmclock consumes the stop flag and touches all watchdogs", "d63285e94af3",
     "1.4", "3.10"},
    {"4.4", "5.15", detectors, "touching RCU disables its stall detector for the grace period", "", "5.2", "3.10"},
    {"4.4", "", kvmclock, "sched_clock is kvmclock since its initialisation, if the page was stable then", "", "1.8",
     "3.10"},
    {"4.5", "", vdso, "vCPU 0's page is read, whatever vCPU runs", "dac16fba6fc5", "1.6", ""},
    {"4.10", "6.10", timekeeping,
     "a read multiplies in unsigned 64 bits: 2199 s (kvm-clock) or 1099 s too early until the next tick",
     "9c1645727b8f", "4.5", ""},
    {"4.10", "", tsc_sync, "TSC_ADJUST is made equal, corrected up to twice by the test, and verified later",
     "8b223bc7abe0, cc4db26899dc", "2.3", ""},
    {"4.11", "", steal_time, "steal time is accounted in nanoseconds", "", "6.2", "4.4"},
    {"4.19", "", kvmclock, "the TSC's frequency is the one that kvmclock's page says, and is not measured",
     "e10f78050323", "1.7", "4.4"},
    {"4.19", "", kvmclock, "without the stable bit at boot sched_clock goes at most a tick beyond the last tick", "",
     "1.8", "4.4"},
    {"5.1", "", kvmclock, "kvm-clock is rated 299 beside an invariant TSC, which is then chosen", "7539b174aef4", "1.7",
     ""},
    {"5.1", "", kvmclock, "sched_clock counts from its initialisation with a page that is not stable, too",
     "b5179ec41872", "1.8", ""},
    {"5.3", "6.6", vdso, "a counter that is not above the last tick gives the last tick's time", "7ac870747988", "4.6",
     ""},
    {"5.4", "5.14", watchdog, "tsc=nowatchdog exempts the TSC, too", "", "3.3", "4.19"},
    {"5.14", "6.8", watchdog,
     "a clocksource that is off by more than both clocks' margins is unstable: 400 us, 500 us from 6.4",
     "2e27e793e280, c37e85c135ce", "3.4", ""},
    {"5.14", "6.6", watchdog, "an invariant TSC with TSC_ADJUST on at most two memory nodes is not watched",
     "b50db7095fe0", "3.3", ""},
    {"5.15", "6.6", detectors,
     "touching RCU restarts its deadline from the jiffies of the moment, which may still be those before a jump", "",
     "5.2", "5.10"},
    {"5.15", "", detectors, "soft lockup and RCU stall detectors ask for the stop flag", "", "1.4, 5.1", "5.10"},
    {"5.18", "7.1", watchdog, "the margins' floor is a choice of the build (CONFIG_CLOCKSOURCE_WATCHDOG_MAX_SKEW_US)",
     "fc153c1c58cb", "3.4", ""},
    {"6.4", "", kvmclock, "reads leave the stop flag alone; the detectors ask for it", "8739c6811572", "1.4", ""},
    {"6.6", "6.10", vdso, "counter and difference are cut to 63 bits", "", "4.6", "6.4"},
    {"6.6", "6.12", watchdog, "the same with at most four memory nodes", "233756a640be", "3.3", ""},
    {"6.6", "", detectors, "touching RCU stops its detector until jiffies have moved", "", "5.2", "6.4"},
    {"6.8", "7.1", watchdog, "an interval above 1 s is passed over: a jump that long goes unnoticed", "644649553508",
     "3.4", ""},
    {"6.10", "", timekeeping, "a read is exact, however long the gap", "fcf190c36914", "4.5", ""},
    {"6.10", "", vdso, "a read is exact, however long the gap", "fcf190c36914", "4.6", ""},
    {"6.12", "", watchdog, "the same with at most four packages", "b4bac279319d", "3.3", ""},
    {"6.13", "", timekeeping,
     "only a difference above 7/8 of the mask counts as backward motion when time is accumulated", "76031d9536a0",
     "4.4", ""},
    {"6.14", "", steal_time, "what was stolen beyond the time that went by is dropped (clock_task)", "", "6.3", "6.12"},
    {"7.1", "", watchdog,
     "a clocksource that is off by a 256th of the interval is unstable; the sample stays on the boot vCPU", "", "3.6",
     "6.19"},
    {"7.1", "7.3", watchdog,
     "a guest that stood still for a second while both clocks counted condemns its TSC: intervals of microseconds are noise",
     "", "3.6", "6.19"},
    {"7.3", "", watchdog, "the timer expires half a second after it ran", "", "3.6", ""},
};

}  // namespace

bool has_guest_era(KernelVersion version) { return version.at_least(3, 6); }

GuestEra guest_era_for(KernelVersion v) {
  GuestEra era;
  era.read = read_for(v);
  era.backward = backward_for(v);
  era.vdso = vdso_for(v);
  era.vdso_reads_first_vcpu = v.at_least(4, 5);
  era.limits_with_reserve = v.at_least(4, 1);
  era.watchdog = watchdog_for(v);
  era.margin_floor_ns = v.at_least(6, 4) ? 250'000 : 200'000;
  era.max_skew_configured = v.at_least(5, 18) && !v.at_least(7, 1);
  era.watchdog_timer = v.at_least(7, 3) ? WatchdogTimer::after_run : WatchdogTimer::after_expiry;
  era.watchdog_exact_ns = v.at_least(6, 10);
  era.watchdog_rotates = !v.at_least(7, 1);
  era.exemption = exemption_for(v);
  era.stop_flag = stop_flag_for(v);
  era.lockup_asks = v.at_least(5, 15) ? LockupAsks::every_run : LockupAsks::before_report;
  era.rcu_asks = v.at_least(5, 15);
  era.rcu_touch = rcu_touch_for(v);
  era.rq_steal = v.at_least(6, 14) ? RqSteal::excess_dropped : RqSteal::excess_carried;
  era.steal_ticks = v.at_least(4, 11) ? StealTicks::nanoseconds : StealTicks::whole_ticks;
  era.sync_test = v.at_least(4, 10) ? SyncTest::with_adjust : SyncTest::one_run;
  era.verifies_tsc_adjust = v.at_least(4, 10);
  era.kvmclock_yields_to_tsc = v.at_least(5, 1);
  era.known_frequency = v.at_least(4, 19);
  era.sched_offset = sched_offset_for(v);
  era.filters_unstable_sched_clock = v.at_least(4, 19);
  return era;
}

std::string_view name_of(GuestSubject subject) {
  constexpr std::string_view kNames[] = {"kvmclock",  "timekeeping",         "vDSO",      "clocksource watchdog",
                                         "detectors", "TSC synchronisation", "steal time"};
  return kNames[static_cast<std::size_t>(subject)];
}

std::span<const GuestChange> guest_changes() { return kChanges; }

bool holds(const GuestChange& change, KernelVersion version) {
  const KernelVersion first = *KernelVersion::parse(change.version);
  if (!version.at_least(first.major, first.minor)) return false;
  if (change.until.empty()) return true;
  const KernelVersion end = *KernelVersion::parse(change.until);
  return !version.at_least(end.major, end.minor);
}

}  // namespace tscsim::model::guest

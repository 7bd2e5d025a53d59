// What changed over the years in how a Linux guest keeps time, as named behaviours. The guest's kernel version selects a
// value for each; the guest asks for behaviours and never compares versions. Spec: docs/spec/linux-guest.md.
//
// The specification read certain trees (0.1). Where the release of a change is not known, it counts from the first tree
// in which it was read, and GuestChange::not_in says which was the last one without it.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "model/kvm/era.h"

namespace tscsim::model::guest {

// In which arithmetic the timekeeper turns a difference of cycles into nanoseconds.
enum class ReadArithmetic : std::uint8_t {
  signed_64,    // to 4.9
  unsigned_64,  // 4.10 to 6.9
  exact,        // 6.10, fcf190c36914: 128 bits where 64 would not do
};

// What a counter below the last accumulated tick does.
enum class BackwardStep : std::uint8_t {
  accepted,       // to 4.3: nothing stands in its way, but read_tsc() never goes below cycle_last
  top_bit,        // 4.4 to 6.12: a difference with the top bit set counts as none
  seven_eighths,  // 6.13, 76031d9536a0: one above 7/8 of the mask; only where time is accumulated, a read is as before
};

// How the vDSO takes the difference.
enum class VdsoDelta : std::uint8_t {
  raised_to_base,  // to 5.2: a counter below the base is raised to it
  only_above,      // 5.3 to 6.5, 7ac870747988: none unless it is above
  low_63_bits,     // 6.6 to 6.9: counter and difference are cut to 63 bits
  exact,           // 6.10
};

// When the clocksource watchdog condemns a clocksource.
enum class WatchdogRule : std::uint8_t {
  sixteenth_of_a_second,   // to 5.13
  margins,                 // 5.14 to 6.7, 2e27e793e280: the sum of both clocks' margins
  margins_below_a_second,  // 6.8 to 7.0, 644649553508: and intervals above 1 s are passed over
  relative,                // 7.1: a 256th of the interval
};

// Which TSC is not watched.
enum class WatchdogExemption : std::uint8_t {
  reliable_only,  // to 5.3
  nowatchdog,     // 5.4 to 5.13: or tsc=nowatchdog
  two_nodes,      // 5.14 to 6.5, b50db7095fe0: or invariant with TSC_ADJUST on at most two memory nodes
  four_nodes,     // 6.6 to 6.11, 233756a640be
  four_packages,  // 6.12, b4bac279319d
};

// Who looks at PVCLOCK_GUEST_STOPPED.
enum class StopFlag : std::uint8_t {
  soft_lockup_only,  // to 4.3: only a soft lockup about to be reported, and only that is suppressed
  every_read,        // 4.4 to 6.3: every read of kvmclock; all watchdogs are touched
  checks_only,       // 6.4, 8739c6811572: the detectors' explicit questions, and the wall clock
};

// When the soft lockup detector asks for it.
enum class LockupAsks : std::uint8_t { before_report, every_run };

// What touching the watchdogs does to the RCU stall detector.
enum class RcuTouch : std::uint8_t {
  never,               // to 4.3: it is not touched
  this_grace_period,   // 4.4 to 5.4: no stall is reported for the grace period in progress
  from_now,            // 5.15 to 6.5: the deadline counts from the jiffies of the moment
  after_three_rounds,  // 6.6: it is off until jiffies have moved
};

// How the run queue's steal clock follows when more was stolen than time went by.
enum class RqSteal : std::uint8_t { excess_carried, excess_dropped };

// How a CPU that comes up compares its TSC with the others'.
enum class SyncTest : std::uint8_t {
  one_run,      // to 4.9: any warp condemns the TSC
  with_adjust,  // 4.10, cc4db26899dc: where there is TSC_ADJUST, two corrections are tried
};

// From when on sched_clock counts kvmclock.
enum class SchedOffset : std::uint8_t {
  none,       // to 4.3
  if_stable,  // 4.4 to 5.0: from its initialisation if the page was stable then
  always,     // 5.1, b5179ec41872
};

// How user and steal time are told apart at a tick.
enum class StealTicks : std::uint8_t { whole_ticks, nanoseconds };  // 4.11

// When the clocksource watchdog's timer expires next.
enum class WatchdogTimer : std::uint8_t {
  after_expiry,  // to 7.2: half a second after it was due, which may have gone by; then it runs again at once
  after_run,     // 7.3: half a second after it ran
};

struct GuestEra {
  ReadArithmetic read = ReadArithmetic::exact;
  BackwardStep backward = BackwardStep::seven_eighths;
  VdsoDelta vdso = VdsoDelta::exact;
  bool vdso_reads_first_vcpu = true;  // 4.5, dac16fba6fc5: vCPU 0's page, whatever vCPU runs
  bool limits_with_reserve = true;    // 4.1
  WatchdogRule watchdog = WatchdogRule::relative;
  std::uint64_t margin_floor_ns = 250'000;  // of each clock
  bool max_skew_configured = false;         // 5.18 to 7.0, fc153c1c58cb: half of that is the build's choice
  WatchdogTimer watchdog_timer = WatchdogTimer::after_run;
  bool watchdog_exact_ns = true;  // 6.10, d0304569fb01
  bool watchdog_rotates = false;  // to 7.0: from vCPU to vCPU
  WatchdogExemption exemption = WatchdogExemption::four_packages;
  StopFlag stop_flag = StopFlag::checks_only;
  LockupAsks lockup_asks = LockupAsks::every_run;  // 5.15
  bool rcu_asks = true;                            // 5.15
  RcuTouch rcu_touch = RcuTouch::after_three_rounds;
  RqSteal rq_steal = RqSteal::excess_dropped;  // 6.14
  StealTicks steal_ticks = StealTicks::nanoseconds;
  SyncTest sync_test = SyncTest::with_adjust;
  bool verifies_tsc_adjust = true;     // 4.10, 8b223bc7abe0
  bool kvmclock_yields_to_tsc = true;  // 5.1, 7539b174aef4: rating 299 beside an invariant TSC
  bool known_frequency = true;         // 4.19: the TSC's rate is what kvmclock says, and is not measured again
  SchedOffset sched_offset = SchedOffset::always;
  bool filters_unstable_sched_clock = true;  // 4.19: without the stable bit at boot, at most a tick beyond the last one
  friend bool operator==(const GuestEra&, const GuestEra&) = default;
};

inline constexpr std::string_view kOldestGuest = "3.6";
inline constexpr std::string_view kNewestGuest = "7.3";
bool has_guest_era(KernelVersion version);
GuestEra guest_era_for(KernelVersion version);

// The same history in words, for `tscsim list guests` and `tscsim explain guest-6.8`.
enum class GuestSubject : std::uint8_t {
  kvmclock,
  timekeeping,
  vdso,
  watchdog,
  detectors,
  tsc_sync,
  steal_time,
  count
};
std::string_view name_of(GuestSubject subject);

struct GuestChange {
  std::string_view version;  // the first with it
  std::string_view until;    // the first without it; empty: it still holds
  GuestSubject subject{};
  std::string_view sentence;
  std::string_view commits;  // empty: not known
  std::string_view section;  // of docs/spec/linux-guest.md
  // The last tree that was read and does not have it: the release of the change lies between. Empty: it is known.
  std::string_view not_in;
};
std::span<const GuestChange> guest_changes();
bool holds(const GuestChange& change, KernelVersion version);

}  // namespace tscsim::model::guest

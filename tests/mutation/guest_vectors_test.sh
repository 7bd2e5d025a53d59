#!/usr/bin/env bash
# Each group of tests/vectors/guest-vectors.json notices a wrong formula: its test passes on the model as it is and fails
# on the mutant named here.
# usage: guest_vectors_test.sh MUTATED_VECTORS
set -u
program=$1
failures=0
while read -r group mutant; do
  TSCSIM_MUTANT=none "$program" --gtest_filter="GuestVectors.$group" >/dev/null ||
    { echo "FAIL: $group does not pass on the model as it is"; failures=$((failures + 1)); }
  TSCSIM_MUTANT=$mutant "$program" --gtest_filter="GuestVectors.$group" >/dev/null
  status=$?
  [ $status -eq 1 ] || { echo "FAIL: $group does not notice $mutant (exit $status)"; failures=$((failures + 1)); }
done <<'TABLE'
MultShift guest_mult_not_rounded
Registration guest_limit_without_reserve
OldLimits guest_old_limit_halved
OverflowThresholds guest_signed_limit_unsigned
TimekeeperRead guest_backward_read_accepted
TimekeeperRead guest_read_never_exact
VdsoRead guest_vdso_backward_accepted
TimekeepingAdvance guest_interval_not_rounded
TimekeepingAdvance guest_step_unbounded
SignedEra guest_seconds_not_cut
PvclockRead guest_pvclock_clamps
PvclockTscKhz guest_khz_not_shifted
LastValueSequence guest_last_value_ignored
WallClockRead guest_wall_clock_without_kvmclock
WatchdogDecision guest_long_interval_judged
WatchdogDecision guest_relative_bits
WatchdogMargins guest_margin_floor_100us
WatchdogMargins guest_margin_of_one_clock
Cyc2Ns guest_cyc2ns_shift_32
StealAccount guest_steal_cut_forgotten
StealAccount guest_stolen_remainder_lost
TaskTime guest_task_time_with_steal
SoftLockup guest_lockup_after_once
TscSyncModel guest_gap_ignored
TscSyncModel guest_random_warps_corrected
HypervPage guest_reference_scale_63
FreebsdTimecounter guest_timecounter_31_bits
TABLE
[ $failures -eq 0 ] && echo "each group of the guest's vectors notices its mutant"
[ $failures -eq 0 ]

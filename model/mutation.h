// Deliberate errors, for the proof that the tests notice them.
//
// TSCSIM_MUTATE(name, right, wrong) is `right` in every build but that of tests/mutation, which compiles the
// model once more with TSCSIM_MUTANTS and selects one mutant at run time. Nothing of it is in the product.
#pragma once

#ifdef TSCSIM_MUTANTS

#include <array>
#include <cstddef>
#include <string_view>

// Every mutant with the error that it is, one line each; the name is the first argument of TSCSIM_MUTATE.
#define TSCSIM_MUTANT_LIST(MUTANT)                                                                                     \
  /* arithmetic */                                                                                                     \
  MUTANT(shift_off_by_one, "kvm_get_time_scale() returns a shift that is one too high")                                \
  MUTANT(multiplier_rounds_up, "kvm_get_time_scale() rounds the multiplier up")                                        \
  MUTANT(ratio_rounds_up, "the TSC scaling ratio is rounded up")                                                       \
  MUTANT(scaled_tsc_rounds_up, "a scaled TSC is one cycle too high")                                                   \
  MUTANT(delta_rounds_up, "pvclock_scale_delta() rounds up")                                                           \
  /* the heuristic */                                                                                                  \
  MUTANT(window_two_seconds, "values join within 2 s instead of 1 s")                                                  \
  MUTANT(window_inclusive, "a value exactly 1 s away joins")                                                           \
  MUTANT(window_ignored, "no value joins, only 0 does")                                                                \
  MUTANT(zero_not_special, "0 is a value like any other")                                                              \
  MUTANT(guest_zero_joins, "a guest's 0 asks to synchronise, as a host's does (before 5.10)")                          \
  MUTANT(rate_not_compared, "a write joins a generation of another rate")                                              \
  MUTANT(user_set_not_recorded, "a write by user space does not open the window (6.8)")                                \
  MUTANT(creation_does_not_join, "the creation of a vCPU starts a generation")                                         \
  MUTANT(unstable_join_forgets_elapsed, "on an unstable TSC the value that joins is not moved on")                     \
  MUTANT(window_parameter_ignored, "the window is 1 s, whatever its parameter says")                                   \
  MUTANT(anchor_ignored, "the window is measured from the last write, whatever the anchor")                            \
  /* generations */                                                                                                    \
  MUTANT(generation_not_advanced, "a new generation has the old number")                                               \
  MUTANT(matched_counted_twice, "a vCPU that joins its own generation again is counted again")                         \
  MUTANT(matched_not_reset, "a new generation keeps the old one's count of matched vCPUs")                             \
  MUTANT(absorbed_value_kept, "a write that joins gets its own offset, not the generation's")                          \
  MUTANT(last_write_not_recorded, "the value of the last write is not kept")                                           \
  MUTANT(last_offset_not_recorded, "the offset of the last write is not kept")                                         \
  MUTANT(offset_attribute_never_matches, "an equal offset starts a generation")                                        \
  /* guest writes, TSC_ADJUST */                                                                                       \
  MUTANT(guest_write_synchronises, "a guest write goes through the heuristic (5.10 and later)")                        \
  MUTANT(guest_write_leaves_adjust, "a guest write of the TSC does not move TSC_ADJUST")                               \
  MUTANT(host_adjust_moves_offset, "a host write of TSC_ADJUST moves the TSC")                                         \
  MUTANT(guest_adjust_adds, "a guest write of TSC_ADJUST adds all of the value to the TSC")                            \
  MUTANT(guest_adjust_leaves_page, "a guest write of TSC_ADJUST leaves the kvmclock page as it was")                   \
  MUTANT(first_write_window_moves, "before 3.4, a write that joins moves the window on")                               \
  MUTANT(clock_starts_at_host_boot, "kvmclock counts from the host's boot, as before 4.9")                             \
  MUTANT(second_vm_is_the_first, "KVM_CREATE_VM goes on with the VM that was there before")                            \
  /* rates */                                                                                                          \
  MUTANT(tolerance_doubled, "500 ppm are tolerated instead of 250")                                                    \
  MUTANT(tolerance_ignored, "no deviation from the host's rate is tolerated, not even 0")                              \
  MUTANT(refused_rate_forgotten, "a rate that is refused is not recorded")                                             \
  MUTANT(slow_rate_accepted, "without scaling, a rate below the host's is accepted")                                   \
  MUTANT(vm_rate_after_vcpu, "KVM_SET_TSC_KHZ on the VM is accepted after the first vCPU (6.17)")                      \
  MUTANT(catchup_never, "a TSC that ought to run faster than the host's never catches up")                             \
  /* master clock */                                                                                                   \
  MUTANT(master_clock_ignores_match, "the master clock is on although a vCPU does not match")                          \
  MUTANT(master_clock_ignores_clocksource, "the master clock is on although the clocksource is not the TSC")           \
  MUTANT(master_clock_never_requested, "a TSC write never requests a master clock update")                             \
  MUTANT(master_clock_updates_no_page, "a master clock update renews no kvmclock page")                                \
  MUTANT(old_msr_no_veto, "the old kvmclock MSR does not veto the master clock")                                       \
  MUTANT(clocksource_change_unnoticed, "the host leaves the TSC clocksource and KVM does not notice")                  \
  /* host events */                                                                                                    \
  MUTANT(backwards_load_unnoticed, "a vCPU that moves to a pCPU with a TSC behind marks nothing unstable")             \
  MUTANT(unstable_load_keeps_offset, "on an unstable TSC a load keeps the offset")                                     \
  MUTANT(unstable_load_no_catchup, "on an unstable TSC a load does not switch catch-up on")                            \
  MUTANT(backwards_resume_unnoticed, "a TSC that restarted while the host slept goes unnoticed")                       \
  MUTANT(backwards_resume_no_veto, "a TSC that went backwards does not veto the master clock")                         \
  MUTANT(backwards_resume_keeps_write, "a TSC that went backwards leaves the last write to compare with")              \
  MUTANT(offset_adjustment_lost, "the correction after a suspend is not applied to the offset")                        \
  MUTANT(suspend_untold, "a host suspend does not set GUEST_STOPPED (5.14)")                                           \
  MUTANT(clocksource_change_needs_master_clock, "leaving the TSC requests nothing of a VM that lost the master clock") \
  /* kvmclock pages */                                                                                                 \
  MUTANT(page_holds_host_tsc, "tsc_timestamp is the host's TSC, not the guest's")                                      \
  MUTANT(page_without_offset, "system_time leaves the kvmclock offset out")                                            \
  MUTANT(page_rate_ignores_scaling, "the page's rate is the host's although the TSC is scaled")                        \
  MUTANT(page_version_plus_one, "a renewed page has an odd version")                                                   \
  MUTANT(stable_flag_not_cleared, "TSC_STABLE stays when the master clock goes off")                                   \
  MUTANT(guest_stopped_sticks, "GUEST_STOPPED is set again at every renewal")                                          \
  MUTANT(page_loses_guest_stopped, "GUEST_STOPPED is cleared by KVM, not by the guest")                                \
  MUTANT(ctrl_without_page, "KVM_KVMCLOCK_CTRL succeeds although there is no page")                                    \
  MUTANT(ctrl_updates_no_page, "KVM_KVMCLOCK_CTRL requests no page renewal")                                           \
  MUTANT(delayed_update_lost, "the delayed update of all pages never comes (before 6.19)")                             \
  MUTANT(delayed_update_a_second, "the delayed update comes after 1 s instead of 100 ms (before 6.19)")                \
  MUTANT(immediate_update_own_only, "the immediate update of all pages reaches one (6.19)")                            \
  MUTANT(load_update_not_limited, "a load requests any number of global updates in a second (7.1)")                    \
  MUTANT(load_update_counts_ns, "the second of the limit for global updates is not one of whole jiffies (7.1)")        \
  MUTANT(load_update_burst_nine, "nine global updates in a second are the limit (7.1)")                                \
  MUTANT(delay_without_tick, "delayed work runs at its delay sharp, whatever the tick's phase")                        \
  MUTANT(move_updates_no_page, "without master clock, a vCPU that moves keeps its page")                               \
  /* KVM_GET_CLOCK, KVM_SET_CLOCK, wall clock */                                                                       \
  MUTANT(get_clock_without_offset, "KVM_GET_CLOCK leaves the kvmclock offset out")                                     \
  MUTANT(get_clock_never_stable, "KVM_GET_CLOCK never says TSC_STABLE")                                                \
  MUTANT(set_clock_ignores_realtime, "KVM_SET_CLOCK ignores KVM_CLOCK_REALTIME")                                       \
  MUTANT(set_clock_goes_backwards, "KVM_SET_CLOCK counts a wall clock that went back")                                 \
  MUTANT(set_clock_subtracts_realtime, "KVM_SET_CLOCK moves the clock back by the paused time")                        \
  MUTANT(set_clock_keeps_old_pair, "KVM_SET_CLOCK does not renew the master pair")                                     \
  MUTANT(set_clock_updates_no_page, "KVM_SET_CLOCK renews no kvmclock page")                                           \
  MUTANT(set_clock_takes_any_flag, "KVM_SET_CLOCK accepts unknown flags")                                              \
  MUTANT(wall_clock_adds_kvmclock, "the wall clock is real time plus kvmclock, not minus (two readings)")              \
  MUTANT(wall_clock_nsec_not_reduced, "the wall clock's nsec holds the seconds too")                                   \
  MUTANT(wall_clock_version_odd, "the wall clock's version is odd")                                                    \
  MUTANT(outside_memory_is_read, "a page outside the guest's memory can be read")                                      \
  /* migration */                                                                                                      \
  MUTANT(transfer_forgets_pages, "the kvmclock pages do not come along to another host")                               \
  /* kernels of long ago, and the next one */                                                                          \
  MUTANT(boottime_is_raw, "kvmclock counts the raw clock before 5.6, too")                                             \
  MUTANT(page_rate_always_effective, "the page's rate is the effective one before 4.9, too")                           \
  MUTANT(get_clock_never_scales, "KVM_GET_CLOCK counts the host's cycles in 7.4, too")                                 \
  MUTANT(get_clock_never_falls_back, "KVM_GET_CLOCK keeps to the master pair off the TSC in 7.4, too")                 \
  MUTANT(catchup_at_snapshot, "catch-up compares at the master pair in 7.4, too")                                      \
  /* proposals */                                                                                                      \
  MUTANT(precise_tsc_stands_still, "KVM_SET_TSC_STATE does not count the time since")                                  \
  MUTANT(precise_tsc_never_back, "KVM_SET_TSC_STATE does not go back for a wall clock in the past (v2)")               \
  MUTANT(precise_tsc_keeps_adjust, "KVM_SET_TSC_STATE leaves TSC_ADJUST")                                              \
  MUTANT(quirk_without_effect, "with the quirk TSC_HOST_ACCESS disabled, host writes synchronise all the same")        \
  MUTANT(join_kept_as_written, "a write that joins is kept as written although the line should be kept (v6)")          \
  MUTANT(v6_rate_generation_not_advanced, "another rate starts no generation of rates (v6)")                           \
  MUTANT(v6_rates_always_match, "vCPUs of different rates have the master clock (v6)")                                 \
  MUTANT(v6_matching_renews_nothing, "a change of matching renews nothing while the master clock is on (v6)")          \
  MUTANT(v6_offset_matches_last, "an offset is compared with the last, not the generation's (v6)")                     \
  MUTANT(v6_page_rate_in_khz, "the page's rate is in whole kHz (v6)")                                                  \
  MUTANT(v6_stable_without_equal_tscs, "pages are stable although TSCs differ (v6)")                                   \
  MUTANT(v6_rate_moves_tsc, "a change of rate moves the TSC (v6)")                                                     \
  MUTANT(v6_each_vcpu_renews, "each vCPU that holds the request renews the pair (v6)")                                 \
  MUTANT(v6_creation_renews_nothing, "the creation of a vCPU does not switch the master clock on (v6)")                \
  MUTANT(guest_clock_restarts, "KVM_SET_CLOCK_GUEST forgets the time since the page's own")                            \
  MUTANT(guest_clock_of_any_rate, "KVM_SET_CLOCK_GUEST takes a page of another rate")                                  \
  /* Hyper-V's clock */                                                                                                \
  MUTANT(hyperv_without_cpuid, "a guest without Hyper-V in its CPUID has its MSRs (5.12)")                             \
  MUTANT(hyperv_enable_requests_nothing, "enabling the reference TSC page requests no master clock update")            \
  MUTANT(hyperv_renewal_unnoticed, "a renewal of the master pair leaves the reference TSC page as it is")              \
  MUTANT(hyperv_page_by_any_vcpu, "any vCPU's clock update fills the reference TSC page (before 5.18)")                \
  MUTANT(hyperv_page_by_first_vcpu, "only vCPU 0's clock update fills the reference TSC page (5.18)")                  \
  MUTANT(hyperv_page_without_stable, "the reference TSC page is filled without master clock, too")                     \
  MUTANT(hyperv_sequence_stays, "the reference TSC page keeps its sequence when it is filled again")                   \
  MUTANT(emulation_control_ignored, "the reference TSC page is renewed although TSC emulation control is on")          \
  /* steal time */                                                                                                     \
  MUTANT(deadline_needs_no_mode, "a write of IA32_TSC_DEADLINE counts in every mode of the timer")                     \
  MUTANT(mode_keeps_deadline, "a timer that leaves TSC-deadline mode keeps its deadline")                              \
  MUTANT(steal_version_plus_one, "a steal time record has an odd version")                                             \
  MUTANT(steal_counts_from_zero, "each steal time record adds all that the thread has ever waited")                    \
  MUTANT(steal_enabled_from_zero, "to 4.3 the MSR's write counts all that the thread ever waited")                     \
  MUTANT(steal_forgets_past, "a steal time record replaces what lay there")                                            \
  MUTANT(preempted_at_every_unload, "every unload marks the vCPU preempted (5.19)")                                    \
  /* nested */                                                                                                         \
  MUTANT(l2_offset_not_scaled, "L1's offset is not scaled by L2's ratio")                                              \
  MUTANT(l2_ratio_ignored, "L2 runs with L1's ratio")                                                                  \
  MUTANT(leaving_l2_keeps_pair, "after L2 the hardware keeps its offset and ratio")                                    \
  MUTANT(failed_l2_entry_restores, "a failed entry of L2 restores offset and ratio (VMX)")                             \
  MUTANT(host_reads_l2_tsc, "the host reads L2's TSC while that is active (5.9)")                                      \
  /* seen in trace events alone */                                                                                     \
  MUTANT(equal_offset_not_written, "an offset that stays what it was is not written")                                  \
  MUTANT(track_counts_starter, "kvm_track_tsc counts the vCPU that started the generation, too")                       \
  MUTANT(creation_takes_no_pair, "the creation of a VM takes no master pair")                                          \
  MUTANT(set_clock_renews_twice, "KVM_SET_CLOCK renews the master pair twice (5.12)")                                  \
  /* the guest's arithmetic */                                                                                         \
  MUTANT(guest_mult_not_rounded, "a clocksource's multiplier is rounded down")                                         \
  MUTANT(guest_limit_without_reserve, "max_cycles leaves nothing for NTP")                                             \
  MUTANT(guest_old_limit_halved, "before 4.1 half of the longest idle time was kept back, not an eighth")              \
  MUTANT(guest_signed_limit_unsigned, "signed products overflow no earlier than unsigned ones")                        \
  MUTANT(guest_backward_from_half, "from 6.13 on, too, half of the mask is backward motion")                           \
  MUTANT(guest_backward_read_accepted, "a counter below the last tick is read as it is")                               \
  MUTANT(guest_read_never_exact, "reads multiply in 64 bits in all kernels")                                           \
  MUTANT(guest_vdso_backward_accepted, "the vDSO reads a counter below the last tick as it is (6.6)")                  \
  MUTANT(guest_seconds_not_cut, "getnstimeofday's loop adds half of its rounds")                                       \
  MUTANT(guest_interval_not_rounded, "a tick's cycles are rounded down")                                               \
  MUTANT(guest_step_unbounded, "the accumulation takes steps of any size")                                             \
  MUTANT(guest_cyc2ns_shift_32, "the native scheduler clock keeps a shift of 32")                                      \
  MUTANT(guest_pvclock_clamps, "a TSC below the page's stamp gives the stamp's time")                                  \
  MUTANT(guest_khz_not_shifted, "the TSC's rate that a guest reads off its page ignores the shift")                    \
  MUTANT(guest_last_value_ignored, "unstable pages do not hold a read at the last value")                              \
  MUTANT(guest_wall_clock_without_kvmclock, "the wall clock is that of the VM's creation")                             \
  MUTANT(guest_margin_floor_100us, "a watched clocksource's margin may be 100 us")                                     \
  MUTANT(guest_margin_of_one_clock, "the watchdog's own margin is left out")                                           \
  MUTANT(guest_relative_bits, "7.1's watchdog takes both clocks for calibrated")                                       \
  MUTANT(guest_long_interval_judged, "the watchdog judges intervals above 1 s (6.8)")                                  \
  MUTANT(guest_exempt_without_invariant, "a TSC that is not invariant is not watched either (5.14)")                   \
  MUTANT(guest_steal_cut_forgotten, "stolen time above the limit is forgotten")                                        \
  MUTANT(guest_stolen_remainder_lost, "before 4.11 the rest of a stolen tick is lost")                                 \
  MUTANT(guest_task_time_with_steal, "a task's run time holds what was stolen")                                        \
  MUTANT(guest_lockup_after_once, "a soft lockup is reported after one threshold instead of two")                      \
  MUTANT(guest_gap_ignored, "the TSC test sees a skew below the hand-over gap")                                        \
  MUTANT(guest_random_warps_corrected, "warps seen by both CPUs are corrected by TSC_ADJUST, too")                     \
  MUTANT(guest_reference_scale_63, "reference time takes half of the scale's bits")                                    \
  MUTANT(guest_timecounter_31_bits, "FreeBSD's timecounters count in 31 bits")                                         \
  /* the guest's kernel */                                                                                             \
  MUTANT(guest_vdso_reads_own_page, "the vDSO reads the page of the vCPU that runs (4.5)")                             \
  MUTANT(guest_forward_always_exact, "setting the clock after a long jump loses nothing (to 6.9)")                     \
  MUTANT(guest_kvmclock_never_yields, "kvm-clock is rated above an invariant TSC (5.1)")                               \
  MUTANT(guest_user_counts_steal, "a tick that was stolen counts as user time, too")                                   \
  MUTANT(guest_rcu_never_asks, "the RCU stall detector does not ask for the stop flag (5.15)")                         \
  MUTANT(guest_touch_forgotten, "a touched soft lockup detector reports all the same")                                 \
  MUTANT(guest_touch_leaves_watchdog, "the stop flag leaves the clocksource watchdog's reference")                     \
  MUTANT(guest_adjust_not_verified, "a TSC_ADJUST that was changed from outside is not written back")                  \
  MUTANT(guest_scan_not_skipped, "the stop flag does not skip the scan for hung tasks")                                \
  MUTANT(guest_watchdog_stays, "the clocksource watchdog stays on one vCPU (to 7.0)")                                  \
  MUTANT(guest_sleep_not_in_boottime, "CLOCK_BOOTTIME leaves the guest's sleep out")                                   \
  MUTANT(guest_watchdog_never_misled, "a watchdog's pass right after another finds nothing (7.1, 7.2)")                \
  MUTANT(guest_watchdog_timer_from_now, "the watchdog's timer expires half a second after it ran (to 7.2)")            \
  MUTANT(guest_max_skew_ignored, "the watchdog's margins have the default floor, whatever the build")                  \
  MUTANT(guest_devices_stop_always, "emulated devices stand still whenever the vCPUs do")                              \
  MUTANT(guest_devices_never_stop, "emulated devices count on while the VMM has stopped them")                         \
  MUTANT(guest_knows_what_came_later, "a guest that is restored remembers what came after it was saved")               \
  MUTANT(host_waits_while_paused, "a paused vCPU waits for its pCPU")

namespace tscsim::model {

enum class Mutant {
  none,
#define MUTANT(name, what) name,
  TSCSIM_MUTANT_LIST(MUTANT)
#undef MUTANT
      count,
};

struct MutantInfo {
  std::string_view name;
  std::string_view what;
};
inline constexpr std::array<MutantInfo, static_cast<std::size_t>(Mutant::count)> kMutants = {
    {{"none", "the model as it is"},
#define MUTANT(name, what) {#name, what},
     TSCSIM_MUTANT_LIST(MUTANT)
#undef MUTANT
    }};

inline Mutant active_mutant = Mutant::none;

}  // namespace tscsim::model

#define TSCSIM_MUTATE(name, right, wrong) \
  (::tscsim::model::active_mutant == ::tscsim::model::Mutant::name ? (wrong) : (right))

#else

#define TSCSIM_MUTATE(name, right, wrong) (right)

#endif

// The master clock: one pair of (TSC, time) for the whole VM, when all vCPUs match and the host allows it.
// Kernel: Linux v7.2 arch/x86/kvm/x86.c pvclock_update_vm_gtod_copy(), kvm_update_masterclock();
// docs/spec/kvm-timekeeping.md 5. Left out: Hyper-V hosts (clocksource mode 3).
#pragma once

#include "model/kvm/machine.h"
#include "model/mutation.h"

namespace tscsim::model {

template <class Num, class HostType>
void Machine<Num, HostType>::renew_master_pair(HostType& host) {
  const std::optional<ClockPair<Num>> pair = host.base_pair();
  if (pair) {  // stored even if the master clock stays off
    vm_.master_kernel_ns = pair->ns;
    vm_.master_cycle_now = pair->tsc;
  }
  const bool by_rates = config_.era.tsc_matching == TscMatching::rates_and_offsets;
  const bool equal_tscs = by_rates ? vm_.all_vcpus_matched_tsc : all_vcpus_matched();
  const bool enough = by_rates ? vm_.all_vcpus_matched_freq : equal_tscs;
  const bool matched = TSCSIM_MUTATE(master_clock_ignores_match, enough, !vcpus_.empty());
  const bool veto = vetoed();
  vm_.use_master_clock = config_.era.has_generation_count &&
                         TSCSIM_MUTATE(master_clock_ignores_clocksource, pair.has_value(), true) && matched && !veto;
  had_master_clock_ = had_master_clock_ || vm_.use_master_clock;
  if (vm_.use_master_clock) follow(Rule::master_clock_on);
  else if (!pair) follow(Rule::master_clock_off_clocksource);
  else follow(matched ? Rule::master_clock_off_veto : Rule::master_clock_off_unmatched);
  trace(ops::TraceKind::update_master_clock, ops::kVm,
        {Num(vm_.use_master_clock ? 1 : 0), clock_mode(host), Num(equal_tscs ? 1 : 0)});
}

template <class Num, class HostType>
void Machine<Num, HostType>::request_everywhere(std::uint8_t requests) {
  for (Vcpu<Num>& vcpu : vcpus_) vcpu.requests |= requests;
}

template <class Num, class HostType>
void Machine<Num, HostType>::withdraw_everywhere(std::uint8_t requests) {
  for (Vcpu<Num>& vcpu : vcpus_) vcpu.requests &= static_cast<std::uint8_t>(~requests);
}

template <class Num, class HostType>
void Machine<Num, HostType>::update_master_clock(HostType& host) {
  request_hyperv_page();
  renew_master_pair(host);
  request_everywhere(TSCSIM_MUTATE(master_clock_updates_no_page, kClockUpdate, kNoRequest));
}

template <class Num, class HostType>
void Machine<Num, HostType>::notice_clocksource_change(bool tsc_clocksource, bool another_vm) {
  // Coming back to the TSC requests nothing: the master clock stays off until something else renews it.
  if (!TSCSIM_MUTATE(clocksource_change_unnoticed, !tsc_clocksource, false)) return;
  // The kernel's flag says that some VM got the master clock since, also if none has it any more.
  if (TSCSIM_MUTATE(clocksource_change_needs_master_clock, had_master_clock_ || another_vm, vm_.use_master_clock))
    request_everywhere(kMasterClockUpdate);
  had_master_clock_ = false;
}

// Kernel: Linux v7.2 x86.c kvm_arch_suspend_notifier().
template <class Num, class HostType>
void Machine<Num, HostType>::prepare_suspend() {
  if (!TSCSIM_MUTATE(suspend_untold, config_.era.suspend_sets_guest_stopped, false)) return;
  for (Vcpu<Num>& vcpu : vcpus_) {
    if (!vcpu.page_active()) continue;
    vcpu.guest_stopped_request = true;
    vcpu.requests |= kClockUpdate;
    follow(Rule::guest_stopped_set);
  }
}

// Kernel: Linux v7.2 x86.c kvm_arch_enable_virtualization_cpu(), kvm_arch_hardware_enable() before 6.12;
// docs/spec/kvm-timekeeping.md 5.7. The guests' TSCs do not go backwards: they go on from the greatest TSC that any
// vCPU was last seen at.
template <class Num, class HostType>
void Machine<Num, HostType>::enable_hardware(int cpu, HostType& host) {
  const Num local = host.tsc();
  if (host.tsc_unstable()) {
    for (Vcpu<Num>& vcpu : vcpus_)
      if (vcpu.cpu == cpu) vcpu.requests |= kClockUpdate;
    return;
  }
  std::optional<Num> latest;
  for (const Vcpu<Num>& vcpu : vcpus_)
    if (vcpu.last_host_tsc && local < *vcpu.last_host_tsc && (!latest || *latest < *vcpu.last_host_tsc))
      latest = vcpu.last_host_tsc;
  if (!TSCSIM_MUTATE(backwards_resume_unnoticed, latest.has_value(), false)) return;
  follow(Rule::backwards_tsc_on_enable);
  vm_.backwards_tsc_observed =
      TSCSIM_MUTATE(backwards_resume_no_veto, config_.era.backwards_tsc_vetoes_master_clock, false);
  for (Vcpu<Num>& vcpu : vcpus_) {
    vcpu.tsc_offset_adjustment = vcpu.tsc_offset_adjustment.value_or(Num(0)) + (*latest - local);
    vcpu.last_host_tsc = local;
    vcpu.requests |= kMasterClockUpdate;
  }
  if (config_.era.tsc_matching == TscMatching::rates_and_offsets) {
    // As posted, the offset takes the host's cycles unscaled (docs/spec/kvm-timekeeping.md 9.2).
    vm_.cur_tsc_write = vm_.cur_tsc_write - scale(*latest - local, vm_.last_tsc_scaling_ratio);
    vm_.cur_tsc_offset = vm_.cur_tsc_offset + (*latest - local);
    return;
  }
  vm_.last_tsc_nsec = Num(0);
  vm_.last_tsc_write = TSCSIM_MUTATE(backwards_resume_keeps_write, Num(0), vm_.last_tsc_write);
}

template <class Num, class HostType>
void Machine<Num, HostType>::global_clock_update(Vcpu<Num>& requester, HostType& host) {
  requester.requests |= kClockUpdate;
  switch (config_.era.global_update) {
    case GlobalUpdate::own_vcpu_only:
      break;
    case GlobalUpdate::immediate:
      request_everywhere(TSCSIM_MUTATE(immediate_update_own_only, kClockUpdate, kNoRequest));
      break;
    case GlobalUpdate::delayed:
      // Kernel: Linux v6.12 x86.c kvm_gen_kvmclock_update(), KVMCLOCK_UPDATE_DELAY.
      if (delayed_update_pending_) break;
      delayed_update_pending_ = true;
      host.schedule(DelayedWork::clock_update, TSCSIM_MUTATE(delayed_update_a_second, 100'000'000, 1'000'000'000));
      break;
  }
}

template <class Num, class HostType>
void Machine<Num, HostType>::run_delayed(DelayedWork work, HostType& host) {
  if (work == DelayedWork::clocksource_falls_away) return notice_clocksource_change(false);
  if (work == DelayedWork::clocksource_left) return notice_clocksource_change(false, true);
  if (work == DelayedWork::periodic_sync) {
    host.schedule(DelayedWork::periodic_sync, 300'000'000'000);
    if (delayed_update_pending_) return;  // queueing a work that is queued already does nothing
  }
  delayed_update_pending_ = false;
  request_everywhere(TSCSIM_MUTATE(delayed_update_lost, kClockUpdate, kNoRequest));
}

}  // namespace tscsim::model

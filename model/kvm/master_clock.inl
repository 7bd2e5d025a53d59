// The master clock: one pair of (TSC, time) for the whole VM, when all vCPUs match and the host allows it.
// Kernel: Linux v7.2 arch/x86/kvm/x86.c pvclock_update_vm_gtod_copy(), kvm_update_masterclock(); spec section 5.
// Left out: Hyper-V hosts (clocksource mode 3), the Hyper-V page renewal.
#pragma once

#include "model/kvm/machine.h"
#include "model/mutation.h"

namespace tscsim::model {

template <class Num>
void Machine<Num>::renew_master_pair(Host<Num>& host) {
  const std::optional<ClockPair<Num>> pair = host.base_pair();
  if (pair) {  // stored even if the master clock stays off
    vm_.master_kernel_ns = pair->ns;
    vm_.master_cycle_now = pair->tsc;
  }
  const bool matched = TSCSIM_MUTATE(master_clock_ignores_match, all_vcpus_matched(), !vcpus_.empty());
  const bool veto = vm_.backwards_tsc_observed || vm_.boot_vcpu_runs_old_kvmclock;
  vm_.use_master_clock = config_.era.has_generation_count &&
                         TSCSIM_MUTATE(master_clock_ignores_clocksource, pair.has_value(), true) && matched && !veto;
  if (vm_.use_master_clock) follow(Rule::master_clock_on);
  else if (!pair) follow(Rule::master_clock_off_clocksource);
  else follow(matched ? Rule::master_clock_off_veto : Rule::master_clock_off_unmatched);
  trace(ops::TraceKind::update_master_clock, ops::kVm,
        {Num(vm_.use_master_clock ? 1 : 0), clock_mode(host), Num(all_vcpus_matched() ? 1 : 0)});
}

template <class Num>
void Machine<Num>::request_everywhere(std::uint8_t requests) {
  for (Vcpu<Num>& vcpu : vcpus_) vcpu.requests |= requests;
}

template <class Num>
void Machine<Num>::update_master_clock(Host<Num>& host) {
  renew_master_pair(host);
  request_everywhere(TSCSIM_MUTATE(master_clock_updates_no_page, kClockUpdate, kNoRequest));
}

template <class Num>
void Machine<Num>::notice_clocksource_change(bool tsc_clocksource) {
  // Coming back to the TSC requests nothing: the master clock stays off until something else renews it.
  if (TSCSIM_MUTATE(clocksource_change_unnoticed, !tsc_clocksource, false) && vm_.use_master_clock)
    request_everywhere(kMasterClockUpdate);
}

template <class Num>
void Machine<Num>::global_clock_update(Vcpu<Num>& requester, Host<Num>& host) {
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

template <class Num>
void Machine<Num>::run_delayed(DelayedWork work, Host<Num>& host) {
  if (work == DelayedWork::periodic_sync) {
    host.schedule(DelayedWork::periodic_sync, 300'000'000'000);
    if (delayed_update_pending_) return;  // queueing a work that is queued already does nothing
  }
  delayed_update_pending_ = false;
  request_everywhere(TSCSIM_MUTATE(delayed_update_lost, kClockUpdate, kNoRequest));
}

}  // namespace tscsim::model

// The steal time record: how long a vCPU's thread was runnable and did not run.
// Kernel: Linux v7.2 arch/x86/kvm/x86.c record_steal_time(), kvm_steal_time_set_preempted(); docs/spec/linux-guest.md
// 6.
#pragma once

#include <cerrno>

#include "model/kvm/machine.h"
#include "model/mutation.h"

namespace tscsim::model {

template <class Num, class HostType>
typename Machine<Num, HostType>::Outcome Machine<Num, HostType>::write_steal_time(Vcpu<Num>& vcpu, std::uint64_t value,
                                                                                  bool by_host, HostType& host) {
  constexpr std::uint64_t kReserved = 0x3e;
  if ((value & kReserved) != 0) return refuse(by_host ? EINVAL : EFAULT);
  vcpu.steal_msr = value;
  if ((value & 1) == 0) return {};
  vcpu.requests |= kStealUpdate;
  if (!TSCSIM_MUTATE(steal_enabled_from_zero, config_.era.steal_counted_at_load, false)) return {};
  vcpu.last_steal = host.run_delay_ns();
  count_steal_at_load(vcpu, host);
  return {};
}

// To 4.3: how long the thread that loads the vCPU has waited, less what the one that loaded it before had. Where these are two, that
// is no time at all, and may be below 0. What an entry into the guest has not recorded before the next load is lost. The runner's own
// probes do not count: what they ask for is what there would be without them.
// Kernel: Linux v3.16 arch/x86/kvm/x86.c accumulate_steal_time(), kvm_arch_vcpu_load().
template <class Num, class HostType>
void Machine<Num, HostType>::count_steal_at_load(Vcpu<Num>& vcpu, HostType& host) {
  if (!config_.era.steal_counted_at_load || (vcpu.steal_msr & 1) == 0) return;
  const Num waited = host.run_delay_ns();
  vcpu.counted_steal = waited - vcpu.last_steal;
  vcpu.last_steal = waited;
}

// Every load requests it, so that each KVM_RUN begins with it.
template <class Num, class HostType>
void Machine<Num, HostType>::record_steal_time(Vcpu<Num>& vcpu, HostType& host) {
  if (!vcpu.steal_active()) return;
  StealRecord<Num>& record = steal_record_at(vcpu.steal_address());
  record.preempted = 0;
  vcpu.told_preempted = false;
  vcpu.steal_mapped = vcpu.steal_address();
  record.version += (record.version & 1) + TSCSIM_MUTATE(steal_version_plus_one, 2u, 1u);
  const bool at_load = config_.era.steal_counted_at_load;
  const Num waited = at_load ? vcpu.last_steal : host.run_delay_ns();
  const Num more =
      at_load ? vcpu.counted_steal : waited - TSCSIM_MUTATE(steal_counts_from_zero, vcpu.last_steal, Num(0));
  vcpu.counted_steal = Num(0);
  record.steal = TSCSIM_MUTATE(steal_forgets_past, record.steal, Num(0)) + more;
  vcpu.last_steal = waited;
  follow(Rule::steal_time_recorded);
}

// Up to 5.18 every unload counted as a preemption, the end of an ioctl too (6cd88243c7e0, 5.19; in 5.10.y too).
template <class Num, class HostType>
void Machine<Num, HostType>::mark_preempted(Vcpu<Num>& vcpu) {
  if (!TSCSIM_MUTATE(preempted_at_every_unload, config_.era.every_unload_preempts, true)) return;
  if (!vcpu.steal_active() || vcpu.told_preempted || vcpu.steal_mapped != vcpu.steal_address()) return;
  steal_record_at(vcpu.steal_address()).preempted = ops::steal_flag::kPreempted;
  vcpu.told_preempted = true;
}

template <class Num, class HostType>
std::uint64_t Machine<Num, HostType>::steal_record_in_sight(const Vcpu<Num>& vcpu) const {
  if (vcpu.steal_msr != 0) return vcpu.steal_address();
  return usual_place(ops::layout::kStealTimes, vcpu);
}

template <class Num, class HostType>
typename Machine<Num, HostType>::Outcome Machine<Num, HostType>::peek_steal_time(int vcpu) {
  const StealRecord<Num>& record = steal_record_at(steal_record_in_sight(at(vcpu)));
  Outcome out;
  out.add(ops::Field::version, Num(record.version));
  out.add(ops::Field::steal, record.steal);
  out.add(ops::Field::preempted, Num(record.preempted));
  return out;
}

}  // namespace tscsim::model

// A vCPU on a CPU: creation, loading and unloading, entry into the guest, what the guest does.
// Kernel: Linux v7.2 arch/x86/kvm/x86.c kvm_arch_vcpu_create(), kvm_arch_vcpu_load(), vcpu_enter_guest();
// docs/spec/kvm-timekeeping.md 2, 5.3, 5.5. Left out: the VMX preemption timer, MIGRATE_TIMER.
#pragma once

#include "base/check.h"
#include "model/kvm/machine.h"
#include "model/mutation.h"

namespace tscsim::model {

template <class Num, class HostType>
void Machine<Num, HostType>::create_vm(HostType& host) {
  if (TSCSIM_MUTATE(second_vm_is_the_first, true, false)) restart(config_.host_khz);
  if (config_.era.clock_start ==
      TSCSIM_MUTATE(clock_starts_at_host_boot, ClockStart::vm_creation, ClockStart::host_boot))
    vm_.kvmclock_offset = Num(0) - host.base_ns();
  if (TSCSIM_MUTATE(creation_takes_no_pair, true, false)) renew_master_pair(host);
}

template <class Num, class HostType>
int Machine<Num, HostType>::publish_vcpu() {
  Vcpu<Num>& fresh = vcpus_.emplace_back();
  fresh.l1_tsc_scaling_ratio = {0, default_ratio(config_.vendor).fraction_bits};  // until a rate has been set
  fresh.memory_bytes = config_.memory_bytes;
  const auto index = static_cast<int>(vcpus_.size()) - 1;
  set_tsc_khz(index, vm_.default_tsc_khz);  // a rate that cannot be had is recorded all the same
  return index;
}

template <class Num, class HostType>
void Machine<Num, HostType>::synchronize_created(int vcpu, HostType& host) {
  synchronize(at(vcpu), std::nullopt, false, host);
}

template <class Num, class HostType>
void Machine<Num, HostType>::create_vcpu(int cpu, HostType& host) {
  const int index = publish_vcpu();
  load(at(index), cpu, host);
  unload(at(index), host);
  load(at(index), cpu, host);
  synchronize_created(index, host);
  if (TSCSIM_MUTATE(v6_creation_renews_nothing, config_.era.creation_renews_master_clock, false) &&
      !vm_.use_master_clock)
    update_master_clock(host);
  unload(at(index), host);
  if (index == 0 && config_.era.global_update == GlobalUpdate::delayed)
    host.schedule(DelayedWork::periodic_sync, 300'000'000'000);
}

template <class Num, class HostType>
void Machine<Num, HostType>::load(Vcpu<Num>& vcpu, int cpu, HostType& host) {
  load_on(vcpu, cpu, host);
  vcpu.requests |= kStealUpdate;
}

template <class Num, class HostType>
void Machine<Num, HostType>::load_on(Vcpu<Num>& vcpu, int cpu, HostType& host) {
  apply_offset_adjustment(vcpu);
  if (vcpu.cpu == cpu && !host.tsc_unstable()) return;
  // A TSC behind the one seen at the last unload means that this CPU's counter is not the other's.
  if (TSCSIM_MUTATE(backwards_load_unnoticed, vcpu.last_host_tsc.has_value(), false) &&
      host.tsc() < *vcpu.last_host_tsc) {
    follow(Rule::backwards_tsc_on_load);
    host.mark_tsc_unstable();
  }
  if (host.tsc_unstable()) {
    if (TSCSIM_MUTATE(unstable_load_keeps_offset, true, false))
      set_l1_offset(vcpu, vcpu.last_guest_tsc - scale(host.tsc(), vcpu.l1_tsc_scaling_ratio));
    vcpu.tsc_catchup = TSCSIM_MUTATE(unstable_load_no_catchup, true, vcpu.tsc_catchup);
    follow(Rule::offset_recomputed_on_load);
  }
  if (TSCSIM_MUTATE(move_updates_no_page, !vm_.use_master_clock, false) || vcpu.cpu == -1)
    vcpu.requests |= load_update_allowed(host) ? kGlobalClockUpdate : kClockUpdate;
  vcpu.cpu = cpu;
}

// Kernel: Linux v7.2 x86.c adjust_tsc_offset_host(); each vCPU scales the same host cycles by its own ratio.
template <class Num, class HostType>
void Machine<Num, HostType>::apply_offset_adjustment(Vcpu<Num>& vcpu) {
  if (!vcpu.tsc_offset_adjustment) return;
  const Num cycles = scale(*vcpu.tsc_offset_adjustment, vcpu.l1_tsc_scaling_ratio);
  set_l1_offset(vcpu, vcpu.l1_tsc_offset + TSCSIM_MUTATE(offset_adjustment_lost, cycles, Num(0)));
  vcpu.tsc_offset_adjustment.reset();
  vcpu.requests |= kClockUpdate;
  follow(Rule::offset_adjusted_on_load);
}

// At most ten global updates a second since 7.1 (8fe2e698fce4). The second is one of jiffies: it has ended when more of them
// than HZ have begun since it began, which is between 1 s and a tick more. Kernel: Linux v7.1 lib/ratelimit.c ___ratelimit().
template <class Num, class HostType>
bool Machine<Num, HostType>::load_update_allowed(HostType& host) {
  if (!TSCSIM_MUTATE(load_update_not_limited, config_.era.load_update_rate_limited, false)) return true;
  constexpr int kBurst = 10;
  constexpr std::int64_t kInterval_ns = 1'000'000'000;
  const Num now = host.jiffies_ns();
  if (!update_limit_.until || !(now < *update_limit_.until)) {
    update_limit_.until = TSCSIM_MUTATE(load_update_counts_ns, host.jiffies_past(now, kInterval_ns),
                                        now + Num(std::uint64_t{kInterval_ns} + 1));
    update_limit_.used = 0;
  }
  if (update_limit_.used >= TSCSIM_MUTATE(load_update_burst_nine, kBurst, kBurst - 1)) return false;
  ++update_limit_.used;
  return true;
}

template <class Num, class HostType>
void Machine<Num, HostType>::unload(Vcpu<Num>& vcpu, HostType& host) {
  mark_preempted(vcpu);
  vcpu.last_host_tsc = host.tsc();
}

template <class Num, class HostType>
void Machine<Num, HostType>::visit(int vcpu, int cpu, HostType& host) {
  CHECK(static_cast<std::size_t>(vcpu) < vcpus_.size());
  load(at(vcpu), cpu, host);
  unload(at(vcpu), host);
}

// Serves the requests in the order in which vcpu_enter_guest() does.
template <class Num, class HostType>
void Machine<Num, HostType>::enter(int vcpu, HostType& host) {
  Vcpu<Num>& v = at(vcpu);
  const auto take = [&v](std::uint8_t request) {
    const bool pending = (v.requests & request) != 0;
    v.requests &= static_cast<std::uint8_t>(~request);
    return pending;
  };
  if (take(kMasterClockUpdate)) {
    update_master_clock(host);
    if (TSCSIM_MUTATE(v6_each_vcpu_renews, config_.era.one_renewal_per_round, false))
      withdraw_everywhere(kMasterClockUpdate);
  }
  if (take(kGlobalClockUpdate)) global_clock_update(v, host);
  if (take(kClockUpdate)) guest_time_update(vcpu, host);
  if (take(kStealUpdate)) record_steal_time(v, host);
}

template <class Num, class HostType>
bool Machine<Num, HostType>::reenters_after_wrmsr(std::uint32_t msr) const {
  const bool tsc = msr == ops::msr::kIa32Tsc || msr == ops::msr::kIa32TscAdjust;
  if (msr == ops::msr::kIa32TscDeadline) return false;  // nothing is requested; on Intel it is served on the fast path
  return !tsc || config_.reenters_after_tsc_wrmsr;
}

template <class Num, class HostType>
void Machine<Num, HostType>::leave(Vcpu<Num>& vcpu, HostType& host) {
  vcpu.last_guest_tsc = guest_tsc(vcpu, host.tsc());
  if (vcpu.tsc_always_catchup) vcpu.requests |= kClockUpdate;
}

// What the work requests takes the guest out, and is served on the way back in.
template <class Num, class HostType>
void Machine<Num, HostType>::let_work_run(int vcpu, HostType& host) {
  while ((at(vcpu).tsc_always_catchup || host.tsc_unstable()) && host.guest_exits_by_itself()) {
    leave(at(vcpu), host);
    if (host.tsc_unstable()) {  // its thread makes room for another one's
      unload(at(vcpu), host);
      load(at(vcpu), at(vcpu).cpu, host);
    }
    enter(vcpu, host);
  }
  while (const std::optional<DelayedWork> work = host.work_during_guest()) {
    run_delayed(*work, host);
    if (at(vcpu).requests == 0) continue;
    leave(at(vcpu), host);
    enter(vcpu, host);
  }
}

template <class Num, class HostType>
typename Machine<Num, HostType>::Outcome Machine<Num, HostType>::guest_operation(const ops::Operation& op,
                                                                                 HostType& host) {
  enter(op.vcpu, host);
  let_work_run(op.vcpu, host);
  Vcpu<Num>& v = at(op.vcpu);
  Outcome out;
  switch (op.kind) {
    case ops::OpKind::rdtsc:
    case ops::OpKind::rdtscp:
      out.add(ops::Field::value, hardware_tsc(v, host.tsc()));
      if (op.kind == ops::OpKind::rdtscp) out.add(ops::Field::aux, Num(0));
      break;
    case ops::OpKind::read_pvclock:
      out = guest_read_pvclock(v, host.tsc());
      break;
    case ops::OpKind::read_hyperv_page:
      out = guest_read_hyperv_page(v, host.tsc());
      break;
    case ops::OpKind::enter_l2:
      out = enter_l2(op);
      break;
    case ops::OpKind::leave_l2:
      out = leave_l2(op.vcpu);
      break;
    case ops::OpKind::wrmsr:
      out = write_msr(op, false, host);
      // The instruction traps: the vCPU is entered again, which serves what the write requested.
      if (reenters_after_wrmsr(op.msr) || (v.requests != 0 && host.interrupts_guest())) {
        leave(v, host);
        enter(op.vcpu, host);
      }
      break;
    case ops::OpKind::rdmsr:
      out = read_msr(op, host);
      break;
    default:  // run: nothing
      break;
  }
  let_work_run(op.vcpu, host);
  leave(v, host);
  return out;
}

// Linux's __pvclock_read_cycles() on the page, with the guest TSC of this moment.
template <class Num, class HostType>
typename Machine<Num, HostType>::Outcome Machine<Num, HostType>::guest_read_pvclock(Vcpu<Num>& vcpu,
                                                                                    const Num& host_tsc) {
  const PvclockPage<Num>& page = page_at(page_in_sight(vcpu));
  const Num tsc = hardware_tsc(vcpu, host_tsc);
  Outcome out;
  out.add(ops::Field::ns, page.system_time + scale(tsc - page.tsc_timestamp, page.scale));
  out.add(ops::Field::tsc, tsc);
  out.add(ops::Field::version, Num(page.version));
  out.add(ops::Field::tsc_timestamp, page.tsc_timestamp);
  out.add(ops::Field::system_time, page.system_time);
  out.add(ops::Field::mul, Num(page.scale.mul));
  out.add(ops::Field::shift, Num(static_cast<std::uint64_t>(std::int64_t{page.scale.shift})));
  out.add(ops::Field::page_flags, Num(page.flags));
  return out;
}

}  // namespace tscsim::model

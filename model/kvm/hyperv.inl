// Hyper-V's clock: the reference TSC page, of which each VM has one, and the reference counter MSR.
// Kernel: Linux v7.2 arch/x86/kvm/hyperv.c kvm_hv_setup_tsc_page(), kvm_hv_request_tsc_page_update(),
// get_time_ref_counter(), kvm_hv_set_msr_pw(); docs/spec/kvm-timekeeping.md 11.1.
#pragma once

#include <cerrno>

#include "model/kvm/machine.h"
#include "model/mutation.h"

namespace tscsim::model {

template <class Num>
Num reference_time(const ReferenceTscPage& scale_only, const Num& offset, const Num& tsc) {
  const auto scaled = [scale_only](std::uint64_t t) { return ReferenceTscPage{scale_only.scale, 0}.time_100ns(t); };
  return map_monotone(tsc, scaled) + offset;
}

// Without Hyper-V in its CPUID a guest has none of the MSRs (5.12, 8f014550dfb1).
template <class Num, class HostType>
bool Machine<Num, HostType>::hyperv_msr_refused(const Vcpu<Num>& vcpu, bool by_host) const {
  const bool needs_cpuid = TSCSIM_MUTATE(hyperv_without_cpuid, config_.era.hyperv_msrs_need_cpuid, false);
  return !by_host && needs_cpuid && !vcpu.hyperv_enabled;
}

template <class Num, class HostType>
typename Machine<Num, HostType>::Outcome Machine<Num, HostType>::write_hyperv_msr(const ops::Operation& op,
                                                                                  bool by_host) {
  Vcpu<Num>& v = at(op.vcpu);
  if (hyperv_msr_refused(v, by_host)) return refuse(EFAULT);
  switch (op.msr) {
    case ops::msr::kHvReferenceTsc:
      write_reference_tsc(v, op.value, by_host);
      return {};
    case ops::msr::kHvTscEmulationControl:
      vm_.hyperv.emulation_control = op.value;
      return {};
    default:  // read-only; the VMM may restore it all the same
      if (by_host) return {};
      return refuse(EFAULT);
  }
}

template <class Num, class HostType>
void Machine<Num, HostType>::write_reference_tsc(Vcpu<Num>& vcpu, std::uint64_t value, bool by_host) {
  HypervClock<Num>& hv = vm_.hyperv;
  hv.page_msr = value;
  hv.state = HypervState::unset;
  if (!hv.enabled()) return;
  hv.state = by_host ? HypervState::host_changed : HypervState::guest_changed;
  if (config_.era.hyperv_page == HypervPageUpdate::never_filled) return;
  vcpu.requests |= TSCSIM_MUTATE(hyperv_enable_requests_nothing, kMasterClockUpdate, kNoRequest);
}

template <class Num, class HostType>
typename Machine<Num, HostType>::Outcome Machine<Num, HostType>::read_hyperv_msr(const ops::Operation& op,
                                                                                 HostType& host) {
  Vcpu<Num>& v = at(op.vcpu);
  if (hyperv_msr_refused(v, op.kind == ops::OpKind::get_msr)) return refuse(EFAULT);
  Outcome out;
  switch (op.msr) {
    case ops::msr::kHvTimeRefCount:
      out.add(ops::Field::value, reference_counter(host));
      return out;
    case ops::msr::kHvReferenceTsc:
      out.add(ops::Field::value, Num(vm_.hyperv.page_msr));
      return out;
    case ops::msr::kHvTscFrequency:
      out.add(ops::Field::value, Num(std::uint64_t{v.virtual_tsc_khz} * 1000));
      return out;
    default:
      out.add(ops::Field::value, Num(vm_.hyperv.emulation_control));
      return out;
  }
}

// Up to 5.12 what counts is whether the last page was valid, also once the page is disabled.
template <class Num, class HostType>
bool Machine<Num, HostType>::hyperv_page_counts() const {
  const HypervClock<Num>& hv = vm_.hyperv;
  switch (config_.era.hyperv_page) {
    case HypervPageUpdate::never_filled:
      return false;
    case HypervPageUpdate::every_update:
      return hv.last.sequence != 0;
    case HypervPageUpdate::invalidated:
    case HypervPageUpdate::when_pending:
      break;
  }
  return hv.state == HypervState::set;
}

// Always vCPU 0's TSC, whoever reads.
template <class Num, class HostType>
Num Machine<Num, HostType>::reference_counter(HostType& host) {
  if (!hyperv_page_counts()) {
    follow(Rule::reference_time_from_clock);
    return map_monotone(read_clock(host).clock, [](std::uint64_t ns) { return ns / 100; });
  }
  follow(Rule::reference_time_from_page);
  const HypervPage<Num>& last = vm_.hyperv.last;
  return reference_time({last.scale, 0}, last.offset, guest_tsc(at(0), host.tsc()));
}

// The master pair is about to be renewed.
template <class Num, class HostType>
void Machine<Num, HostType>::request_hyperv_page() {
  HypervClock<Num>& hv = vm_.hyperv;
  const bool unsafe = hv.state != HypervState::guest_changed && hv.emulation_control != 0;
  if (unsafe) return;
  if (config_.era.hyperv_page == HypervPageUpdate::when_pending) {
    if (hv.state == HypervState::set)
      hv.state = TSCSIM_MUTATE(hyperv_renewal_unnoticed, HypervState::host_changed, HypervState::set);
    return;
  }
  if (config_.era.hyperv_page != HypervPageUpdate::invalidated || hv.state == HypervState::unset ||
      hv.state == HypervState::broken)
    return;
  if (hv.state == HypervState::set) hv.state = HypervState::updating;
  hv.last.sequence = 0;
  if (hv.in_memory()) hyperv_page_at(hv.address()).sequence = 0;
  else hv.state = HypervState::broken;
}

// Whether an update of a vCPU's clock fills the page, too.
template <class Num, class HostType>
bool Machine<Num, HostType>::fills_hyperv_page(int vcpu) const {
  const HypervClock<Num>& hv = vm_.hyperv;
  const bool by_first = TSCSIM_MUTATE(hyperv_page_by_any_vcpu, vcpu == 0, true);
  switch (config_.era.hyperv_page) {
    case HypervPageUpdate::never_filled:
      return false;
    case HypervPageUpdate::every_update:
      return by_first && hv.enabled();
    case HypervPageUpdate::invalidated:
      return by_first && hv.state != HypervState::broken && hv.state != HypervState::unset;
    case HypervPageUpdate::when_pending:
      break;
  }
  const bool pending = hv.state == HypervState::guest_changed || hv.state == HypervState::host_changed;
  return TSCSIM_MUTATE(hyperv_page_by_first_vcpu, true, vcpu == 0) && pending;
}

template <class Num, class HostType>
void Machine<Num, HostType>::update_hyperv_page(const PvclockPage<Num>& clock) {
  HypervClock<Num>& hv = vm_.hyperv;
  const bool states = config_.era.hyperv_page != HypervPageUpdate::every_update;
  const auto fail = [&] {
    if (states) hv.state = HypervState::broken;
    follow(Rule::hyperv_page_unusable);
  };
  if (!hv.in_memory()) return fail();
  HypervPage<Num>& page = hyperv_page_at(hv.address());
  if (states && page.sequence != 0 && hv.state != HypervState::guest_changed &&
      TSCSIM_MUTATE(emulation_control_ignored, hv.emulation_control, std::uint64_t{0}) != 0) {
    hv.last = page;
    hv.state = HypervState::set;
    follow(Rule::hyperv_page_kept);
    return;
  }
  const std::uint32_t sequence = page.sequence;
  page.sequence = hv.last.sequence = 0;
  const bool stable = (clock.flags & ops::pvclock_flag::kTscStable) != 0;
  const auto scaling = reference_tsc_page(0, 0, clock.scale, TSCSIM_MUTATE(hyperv_page_without_stable, stable, true));
  if (!scaling) return fail();
  page.scale = scaling->scale;
  page.offset = map_monotone(clock.system_time, [](std::uint64_t ns) { return ns / 100; }) -
                reference_time(*scaling, Num(0), clock.tsc_timestamp);
  page.sequence = next_sequence(sequence);
  hv.last = page;
  if (states) hv.state = HypervState::set;
  follow(Rule::hyperv_page_filled);
}

// 0 and 0xffffffff say that there is no valid page.
template <class Num, class HostType>
std::uint32_t Machine<Num, HostType>::next_sequence(std::uint32_t before) {
  const std::uint32_t next = before + TSCSIM_MUTATE(hyperv_sequence_stays, 1u, 0u);
  return next == 0 || next == 0xffff'ffff ? 1 : next;
}

template <class Num, class HostType>
void Machine<Num, HostType>::continue_hyperv_sequence(std::uint32_t sequence) {
  vm_.hyperv.last.sequence = hyperv_page_at(hyperv_page_in_sight()).sequence = sequence;
}

template <class Num, class HostType>
std::uint64_t Machine<Num, HostType>::hyperv_page_in_sight() const {
  return vm_.hyperv.page_msr != 0 ? vm_.hyperv.address() : ops::layout::kHypervPage;
}

template <class Num, class HostType>
typename Machine<Num, HostType>::Outcome Machine<Num, HostType>::peek_hyperv_page() {
  const HypervPage<Num>& page = hyperv_page_at(hyperv_page_in_sight());
  Outcome out;
  out.add(ops::Field::version, Num(page.sequence));
  out.add(ops::Field::scale, Num(page.scale));
  out.add(ops::Field::offset, page.offset);
  return out;
}

// As the Hyper-V specification has the guest do it. With sequence 0 it is to read the MSR instead.
template <class Num, class HostType>
typename Machine<Num, HostType>::Outcome Machine<Num, HostType>::guest_read_hyperv_page(const Vcpu<Num>& vcpu,
                                                                                        const Num& host_tsc) {
  const HypervPage<Num>& page = hyperv_page_at(hyperv_page_in_sight());
  if (page.sequence == 0) return refuse(ENODATA);
  const Num tsc = hardware_tsc(vcpu, host_tsc);
  Outcome out;
  out.add(ops::Field::value, reference_time({page.scale, 0}, page.offset, tsc));
  out.add(ops::Field::tsc, tsc);
  out.add(ops::Field::version, Num(page.sequence));
  out.add(ops::Field::scale, Num(page.scale));
  out.add(ops::Field::offset, page.offset);
  return out;
}

}  // namespace tscsim::model

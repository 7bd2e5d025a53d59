// A guest inside the guest. What L1 gave L2 is combined with what L0 gave L1; KVM keeps L1's pair beside the active one.
// Kernel: Linux v7.2 arch/x86/kvm/x86.c kvm_vcpu_write_tsc_offset(), kvm_calc_nested_tsc_offset(); arch/x86/kvm/vmx/nested.c
// nested_vmx_enter_non_root_mode(); docs/spec/kvm-timekeeping.md 1.9. Left out: interception (L1 traps neither the TSC
// nor its MSRs).
#pragma once

#include <cerrno>

#include "model/kvm/machine.h"
#include "model/mutation.h"

namespace tscsim::model {

// nested_tsc_offset() for both kinds of numbers. Signed numbers are ordered once half the range is added.
template <class Num>
Num combined_offset(const Num& l1_offset, const Num& l2_offset, TscRatio l2_ratio) {
  if (l2_ratio.is_default()) return l1_offset + l2_offset;
  constexpr std::uint64_t kHalf = std::uint64_t{1} << 63;
  const auto scaled = [l2_ratio](std::uint64_t biased) {
    return nested_tsc_offset(biased - kHalf, 0, l2_ratio) + kHalf;
  };
  return map_monotone(l1_offset + Num(kHalf), scaled) - Num(kHalf) + l2_offset;
}

// The pair that the hardware runs with, after a change of L1's or of who runs.
template <class Num, class HostType>
void Machine<Num, HostType>::activate(Vcpu<Num>& vcpu) {
  vcpu.tsc_offset = vcpu.l1_tsc_offset;
  vcpu.tsc_scaling_ratio = vcpu.l1_tsc_scaling_ratio;
  if (!vcpu.l2) return;
  const TscRatio for_offset = TSCSIM_MUTATE(l2_offset_not_scaled, vcpu.l2->ratio, default_ratio(config_.vendor));
  vcpu.tsc_offset = combined_offset(vcpu.l1_tsc_offset, Num(vcpu.l2->offset), for_offset);
  vcpu.tsc_scaling_ratio = TSCSIM_MUTATE(l2_ratio_ignored, nested_tsc_ratio(vcpu.l1_tsc_scaling_ratio, vcpu.l2->ratio),
                                         vcpu.l1_tsc_scaling_ratio);
}

// Up to 5.13 L1 has no TSC scaling to offer, so a VMCS with a multiplier is refused.
template <class Num, class HostType>
typename Machine<Num, HostType>::Outcome Machine<Num, HostType>::enter_l2(const ops::Operation& op) {
  Vcpu<Num>& v = at(op.vcpu);
  const bool scales = op.realtime != 0;
  if (v.l2 || (scales && (!config_.era.nested_scaling || !config_.tsc_scaling))) return refuse(EINVAL);
  TscRatio ratio = default_ratio(config_.vendor);
  if (scales) ratio.value = op.realtime;
  v.l2 = NestedTsc{op.value, ratio};
  activate(v);
  follow(Rule::l2_entered);
  if ((op.flags & ops::nested_flag::kFails) != 0) fail_l2_entry(v);
  return {};
}

// Kernel: Linux v7.2 vmx/nested.c nested_vmx_enter_non_root_mode(), a failure after the pairs were combined: L2's offset is
// taken from the active one, which undoes an addition and no more, and the ratio stays (K40). SVM restores both.
template <class Num, class HostType>
void Machine<Num, HostType>::fail_l2_entry(Vcpu<Num>& vcpu) {
  const Num l2_offset(vcpu.l2->offset);
  vcpu.l2.reset();
  if (TSCSIM_MUTATE(failed_l2_entry_restores, config_.vendor, Vendor::svm) == Vendor::svm) return activate(vcpu);
  vcpu.tsc_offset = vcpu.tsc_offset - l2_offset;
  follow(Rule::l2_entry_failed);
}

template <class Num, class HostType>
typename Machine<Num, HostType>::Outcome Machine<Num, HostType>::leave_l2(int vcpu) {
  Vcpu<Num>& v = at(vcpu);
  if (!v.l2) return refuse(EINVAL);
  v.l2.reset();
  if (TSCSIM_MUTATE(leaving_l2_keeps_pair, true, false)) activate(v);
  return {};
}

}  // namespace tscsim::model

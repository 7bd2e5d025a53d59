// The state in which a vCPU starts: 64-bit mode at privilege 0, interrupts off, at the top of the command
// loop.
#pragma once

#include <vector>

#include "kvm_backend/ioctl/abi.h"

namespace tscsim::kvm_backend {

// What KVM_GET_SUPPORTED_CPUID offers, with the APIC ID of this vCPU filled in.
std::vector<kvm_cpuid_entry2> boot_cpuid(std::vector<kvm_cpuid_entry2> supported, int vcpu);

// The same with the leaves by which KVM knows that the guest may use Hyper-V's MSRs; KVM's own move out of the way.
std::vector<kvm_cpuid_entry2> with_hyperv(std::vector<kvm_cpuid_entry2> cpuid);

// The same for a guest whose local APIC is KVM's and whose timer has the TSC-deadline mode. KVM offers the bit nowhere
// else (Documentation/virt/kvm/api.rst, 4.46).
std::vector<kvm_cpuid_entry2> with_deadline_timer(std::vector<kvm_cpuid_entry2> cpuid);

// `sregs` as KVM gave them after creation; what the guest does not need stays as it is.
kvm_sregs boot_sregs(kvm_sregs sregs);

kvm_regs boot_regs(int vcpu);

}  // namespace tscsim::kvm_backend

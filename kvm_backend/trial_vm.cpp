#include "kvm_backend/trial_vm.h"

#include <fmt/format.h>

#include "kvm_backend/ioctl/kvm_error.h"

namespace tscsim::kvm_backend {

namespace {

Fd opened(const char* call, std::string arguments, CallResult result) {
  if (!result.ok())
    throw KvmError({call, std::move(arguments), result.error, "",
                    "look in the kernel log, and see whether another hypervisor holds the processor"});
  return Fd(result.value);
}

}  // namespace

TrialVm::TrialVm(const System& system, int vcpus)
    : vm_(std::make_unique<Vm>(opened("KVM_CREATE_VM", "", system.create_vm()))) {
  vm_->set_tss_address(abi::kTssAddress);
  vm_->set_memory(0, memory_.mapping());
  for (int i = 0; i < vcpus; ++i) {
    Fd fd = opened("KVM_CREATE_VCPU", fmt::format("{}", i), vm_->create_vcpu(static_cast<std::uint64_t>(i)));
    guests_.push_back(std::make_unique<GuestVcpu>(Vcpu(std::move(fd), i, system.vcpu_mmap_bytes()), i, memory_));
    guests_.back()->boot(system);
  }
}

}  // namespace tscsim::kvm_backend

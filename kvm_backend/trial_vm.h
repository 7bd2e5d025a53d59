// A VM that is thrown away after an experiment: `vcpus` booted vCPUs, all on the calling thread.
#pragma once

#include <memory>
#include <vector>

#include "kvm_backend/guest_code/guest_vcpu.h"
#include "kvm_backend/ioctl/vm.h"

namespace tscsim::kvm_backend {

class TrialVm {
 public:
  // Throws KvmError.
  TrialVm(const System& system, int vcpus);

  const Vm& vm() const { return *vm_; }
  const Vcpu& vcpu(int index) const { return guest(index).vcpu(); }
  GuestMemory& memory() { return memory_; }
  GuestVcpu& guest(int index) const { return *guests_[static_cast<std::size_t>(index)]; }

 private:
  GuestMemory memory_;  // closed last
  std::unique_ptr<Vm> vm_;
  std::vector<std::unique_ptr<GuestVcpu>> guests_;
};

}  // namespace tscsim::kvm_backend

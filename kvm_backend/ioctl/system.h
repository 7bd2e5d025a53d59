// The KVM device itself.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "kvm_backend/ioctl/abi.h"
#include "kvm_backend/ioctl/fd.h"

namespace tscsim::kvm_backend {

class System {
 public:
  // Throws ops::TargetError that says what to do when the device is missing, not permitted, no KVM at all, or
  // speaks another version of the API.
  explicit System(const std::string& device);

  // KVM_CHECK_EXTENSION: 0 when absent.
  int check_extension(long capability) const;

  // KVM_GET_VCPU_MMAP_SIZE: bytes of struct kvm_run and what follows it.
  std::size_t vcpu_mmap_bytes() const { return vcpu_mmap_bytes_; }

  // KVM_CREATE_VM; value is the new file descriptor.
  CallResult create_vm() const { return fd_.call(KVM_CREATE_VM); }

  // KVM_GET_SUPPORTED_CPUID.
  std::vector<kvm_cpuid_entry2> supported_cpuid() const;

 private:
  Fd fd_;
  std::size_t vcpu_mmap_bytes_ = 0;
};

}  // namespace tscsim::kvm_backend

// One virtual machine: its memory and the ioctls on its file descriptor.
#pragma once

#include <cstdint>

#include "kvm_backend/ioctl/abi.h"
#include "kvm_backend/ioctl/fd.h"

namespace tscsim::kvm_backend {

class Vm {
 public:
  explicit Vm(Fd fd) : fd_(std::move(fd)) {}

  // Set-up; throw KvmError.
  void set_tss_address(std::uint64_t guest_address);
  // The mapping must outlive the VM.
  void set_memory(std::uint64_t guest_address, const Mapping& memory);

  // Local APICs in KVM, the rest of the interrupt controllers nowhere. Before the first vCPU. Throws KvmError.
  void create_local_apics() const;

  // KVM_CREATE_VCPU; value is the new file descriptor.
  CallResult create_vcpu(std::uint64_t id) const { return fd_.call(KVM_CREATE_VCPU, id); }

  CallResult set_tsc_khz(std::uint64_t khz) const { return fd_.call(KVM_SET_TSC_KHZ, khz); }
  CallResult get_tsc_khz() const { return fd_.call(KVM_GET_TSC_KHZ); }
  CallResult get_clock(abi::ClockData& clock) const { return fd_.call(KVM_GET_CLOCK, &clock); }
  CallResult set_clock(abi::ClockData& clock) const { return fd_.call(KVM_SET_CLOCK, &clock); }

 private:
  Fd fd_;
};

}  // namespace tscsim::kvm_backend

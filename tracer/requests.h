// The calls of KVM's interface that a recorder looks into. Every other one is counted by its number.
#pragma once

#include <linux/kvm.h>

#include <cstdint>
#include <string>

#include "kvm_backend/ioctl/abi.h"
#include "ops/operation.h"

namespace tscsim::tracer {

// Numbers that came after 5.10, or that a C++ compiler computes wrongly (kvm_backend/ioctl/abi.h).
namespace request {
inline constexpr unsigned long kGetMsrs = kvm_backend::abi::kGetMsrs;
inline constexpr unsigned long kSetMsrs = kvm_backend::abi::kSetMsrs;
inline constexpr unsigned long kSetCpuid2 = kvm_backend::abi::kSetCpuid2;
inline constexpr unsigned long kSetMemory = KVM_SET_USER_MEMORY_REGION;
inline constexpr unsigned long kGetOneReg = KVM_GET_ONE_REG;
inline constexpr unsigned long kSetOneReg = KVM_SET_ONE_REG;
inline constexpr unsigned long kSetMemory2 = 0x40a0ae49;  // KVM_SET_USER_MEMORY_REGION2 (6.8): begins like the other
}  // namespace request

constexpr bool is_kvm_request(unsigned long number) { return ((number >> 8) & 0xff) == KVMIO; }
// Enough to tell calls apart whatever the size of what they point to: the low byte, and above it the direction.
inline constexpr std::size_t kRequestKeys = 1024;
constexpr std::uint16_t request_key(unsigned long number) {
  return static_cast<std::uint16_t>((number & 0xff) | (number >> 30 & 3) << 8);
}

constexpr bool is_recorded(unsigned long number) {
  switch (number) {
    case KVM_CREATE_VM:
    case KVM_CREATE_VCPU:
    case KVM_RUN:
    case KVM_SET_TSC_KHZ:
    case KVM_GET_TSC_KHZ:
    case request::kGetMsrs:
    case request::kSetMsrs:
    case request::kGetOneReg:
    case request::kSetOneReg:
    case KVM_SET_DEVICE_ATTR:
    case KVM_GET_DEVICE_ATTR:
    case KVM_GET_CLOCK:
    case KVM_SET_CLOCK:
    case KVM_KVMCLOCK_CTRL:
    case KVM_SET_LAPIC:
    case KVM_SET_MP_STATE:
    case request::kSetCpuid2:
    case request::kSetMemory:
    case request::kSetMemory2:
      return true;
    default:
      return false;
  }
}

// The call's name in linux/kvm.h, or the two that share a key; empty when it is not one that is known here.
std::string request_name(std::uint16_t key);

// MSRs that are part of a guest's clocks, as far as operations know them.
constexpr bool is_time_msr(std::uint32_t index) {
  namespace msr = ops::msr;
  switch (index) {
    case msr::kIa32Tsc:
    case msr::kIa32TscAdjust:
    case msr::kIa32TscDeadline:
    case msr::kKvmWallClock:
    case msr::kKvmSystemTime:
    case msr::kKvmWallClockNew:
    case msr::kKvmSystemTimeNew:
    case msr::kKvmStealTime:
      return true;
    default:
      return msr::is_hyperv(index);
  }
}

// Kernel: Linux v6.18 arch/x86/include/uapi/asm/kvm.h KVM_X86_REG_MSR(): the MSR's number below this.
inline constexpr std::uint64_t kOneRegMsr = KVM_REG_X86 | KVM_REG_SIZE_U64 | std::uint64_t{2} << 32;

}  // namespace tscsim::tracer

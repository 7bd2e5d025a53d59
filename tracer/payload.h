// What a call's argument says. A pointer is followed by the recorder that sees it: the shim has the memory at hand, the
// ptrace recorder reads it from the other process.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "tracer/raw_call.h"
#include "tracer/requests.h"

namespace tscsim::tracer {

inline constexpr std::uint32_t kMostEntries = 4096;  // of a list; the kernel takes 256 MSRs and 256 CPUID leaves

// Reader: bool(std::uint64_t address, void* to, std::size_t bytes).
template <class Reader>
void read_msrs(RawCall& call, std::uint64_t address, const Reader& read) {
  kvm_backend::abi::MsrsHead head;
  if (!read(address, &head, sizeof head)) return;
  for (std::uint32_t i = 0; i < std::min(head.nmsrs, kMostEntries); ++i) {
    kvm_msr_entry entry{};
    if (!read(address + sizeof head + i * sizeof entry, &entry, sizeof entry)) return;
    if (is_time_msr(entry.index) && call.msrs < kMostMsrs) call.msr[call.msrs++] = {entry.index, i, entry.data};
    else ++call.other_msrs;
  }
}

// What the guest is told: that it runs on Hyper-V (0x40000000 holds the name, "Microsoft Hv"), that its local APIC has a
// TSC deadline timer.
namespace cpuid_flag {
inline constexpr std::uint64_t kHyperv = 1;
inline constexpr std::uint64_t kDeadlineTimer = 2;
}  // namespace cpuid_flag

inline std::uint64_t told_by(const kvm_cpuid_entry2& leaf) {
  constexpr std::uint32_t kTscDeadline = 1U << 24;
  if (leaf.function == 1) return (leaf.ecx & kTscDeadline) != 0 ? cpuid_flag::kDeadlineTimer : 0;
  const bool hyperv = leaf.ebx == 0x7263694d && leaf.ecx == 0x666f736f && leaf.edx == 0x76482074;
  return leaf.function == 0x40000000 && hyperv ? cpuid_flag::kHyperv : 0;
}

template <class Reader>
void read_cpuid(RawCall& call, std::uint64_t address, const Reader& read) {
  kvm_backend::abi::CpuidHead head;
  call.value = 0;
  if (!read(address, &head, sizeof head)) return;
  for (std::uint32_t i = 0; i < std::min(head.nent, kMostEntries); ++i) {
    kvm_cpuid_entry2 leaf{};
    if (!read(address + sizeof head + i * sizeof leaf, &leaf, sizeof leaf)) return;
    call.value |= told_by(leaf);
  }
}

// The register LVT Timer.
template <class Reader>
void read_lapic(RawCall& call, std::uint64_t address, const Reader& read) {
  std::uint32_t timer = 0;
  call.value = 0;
  if (read(address + kvm_backend::abi::kLvtTimer, &timer, sizeof timer)) call.value = timer;
}

template <class Reader>
void read_clock(RawCall& call, std::uint64_t address, const Reader& read) {
  kvm_backend::abi::ClockData clock;
  if (!read(address, &clock, sizeof clock)) return;
  call.value = clock.clock_ns;
  call.flags = clock.flags;
  call.realtime = clock.realtime_ns;
  call.host_tsc = clock.host_tsc;
}

inline bool is_tsc_offset(const kvm_device_attr& attribute) {
  return attribute.group == kvm_backend::abi::kVcpuTscCtrl && attribute.attr == kvm_backend::abi::kVcpuTscOffset;
}

// False when the attribute is another one: the call is then counted like any other.
template <class Reader>
bool read_attribute(RawCall& call, std::uint64_t address, const Reader& read) {
  kvm_device_attr attribute{};
  if (call.vcpu == kNoVcpu || !read(address, &attribute, sizeof attribute) || !is_tsc_offset(attribute)) return false;
  read(attribute.addr, &call.value, sizeof call.value);
  return true;
}

// An MSR (6.18). False when the register is another one.
template <class Reader>
bool read_one_reg(RawCall& call, std::uint64_t address, const Reader& read) {
  kvm_one_reg reg{};
  if (call.vcpu == kNoVcpu || !read(address, &reg, sizeof reg)) return false;
  const auto index = static_cast<std::uint32_t>(reg.id);
  if (reg.id - index != kOneRegMsr || !is_time_msr(index)) return false;
  call.msr[0] = {index, 0, 0};
  call.msrs = 1;
  read(reg.addr, &call.msr[0].value, sizeof call.msr[0].value);
  return true;
}

template <class Reader>
void read_memory_slot(RawCall& call, std::uint64_t address, const Reader& read) {
  kvm_userspace_memory_region region{};
  if (!read(address, &region, sizeof region)) return;
  call.value = region.guest_phys_addr;
  call.realtime = region.memory_size;
}

// Fills in what `argument` says, after the call has returned: then a pointer that the kernel could follow can be
// followed here, too. False when the call turns out not to be about time.
template <class Reader>
bool read_payload(RawCall& call, std::uint64_t argument, const Reader& read) {
  call.value = argument;
  if (call.error == EFAULT) return true;
  switch (call.request) {
    case request::kGetMsrs:
    case request::kSetMsrs:
      read_msrs(call, argument, read);
      return true;
    case KVM_GET_CLOCK:
    case KVM_SET_CLOCK:
      read_clock(call, argument, read);
      return true;
    case KVM_GET_DEVICE_ATTR:
    case KVM_SET_DEVICE_ATTR:
      return read_attribute(call, argument, read);
    case request::kGetOneReg:
    case request::kSetOneReg:
      return read_one_reg(call, argument, read);
    case request::kSetCpuid2:
      read_cpuid(call, argument, read);
      return true;
    case KVM_SET_LAPIC:
      read_lapic(call, argument, read);
      return true;
    case request::kSetMemory:
    case request::kSetMemory2:
      read_memory_slot(call, argument, read);
      return true;
    default:
      return true;
  }
}

}  // namespace tscsim::tracer

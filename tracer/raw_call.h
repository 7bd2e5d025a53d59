// One call as it was seen, before anybody thinks about it. The preloaded shim and the ptrace recorder both make these, so
// that what follows is the same for both. No pointer, no string: it lies in memory that processes share.
#pragma once

#include <array>
#include <cstdint>

namespace tscsim::tracer {

// Readings of the host's clocks. Before a call the TSC is read last, after it first.
struct RawClocks {
  std::uint64_t realtime_ns = 0;
  std::uint64_t raw_ns = 0;  // CLOCK_MONOTONIC_RAW
  std::uint64_t tsc = 0;
};

struct RawMsr {
  std::uint32_t index = 0;
  std::uint32_t position = 0;  // among the entries of the call
  std::uint64_t value = 0;
};
inline constexpr std::size_t kMostMsrs = 16;  // time-related ones of one call; there are thirteen in all

inline constexpr std::uint32_t kNoVm = 0;  // VMs are counted from 1, in the order of their creation
inline constexpr std::int32_t kNoVcpu = -1;

struct RawCall {
  std::uint32_t request = 0;    // ioctl number
  std::uint32_t vm = kNoVm;     // kNoVm: of a VM whose creation was not seen
  std::int32_t vcpu = kNoVcpu;  // KVM's id, which the VMM chose; kNoVcpu: a call on the VM
  std::uint32_t pid = 0;
  std::uint32_t tid = 0;
  std::int32_t cpu_before = 0;
  std::int32_t cpu_after = 0;
  std::int32_t result = 0;
  std::int32_t error = 0;      // errno when `result` is negative
  std::uint32_t flags = 0;     // KVM_SET_CLOCK, KVM_GET_CLOCK
  std::uint64_t value = 0;     // the argument, or what it points to: ns, kHz, a TSC offset, a guest address
  std::uint64_t realtime = 0;  // clocks; a memory slot's size
  std::uint64_t host_tsc = 0;  // KVM_GET_CLOCK
  std::uint64_t runs = 0;      // of KVM_RUN: how many of this vCPU there were before
  RawClocks begin, end;
  bool seen = true;              // false: it was made before the recorder came
  bool returned = true;          // false: KVM_RUN had not come back when the recording ended
  std::uint32_t msrs = 0;        // how many of `msr` there are
  std::uint32_t other_msrs = 0;  // entries of the call that are not time-related
  std::array<RawMsr, kMostMsrs> msr{};
};

}  // namespace tscsim::tracer

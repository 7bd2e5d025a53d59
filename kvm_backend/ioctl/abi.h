// The parts of KVM's x86 interface that this room uses and that a header of another age may lack.
// <linux/kvm.h> comes from the machine that builds; the kernel that executes may be older or newer (5.10
// to 7.3), so whatever came later than 5.10 is written down here, each with its source.
#pragma once

#include <linux/kvm.h>
#include <sys/ioctl.h>

#include <cstddef>
#include <cstdint>

namespace tscsim::kvm_backend::abi {

// The only version there is; applications must refuse any other (Documentation/virt/kvm/api.rst, 4.1).
inline constexpr int kApiVersion = 12;

// Capabilities (include/uapi/linux/kvm.h).
inline constexpr long kCapAdjustClock = 39;
inline constexpr long kCapTscControl = 60;
inline constexpr long kCapGetTscKhz = 61;
inline constexpr long kCapKvmclockCtrl = 76;
inline constexpr long kCapSplitIrqchip = 121;
inline constexpr long kCapVcpuAttributes = 127;
inline constexpr long kCapVmTscControl = 214;  // 5.18, ffbb61d09fc5

// KVM_VCPU_TSC_CTRL, KVM_VCPU_TSC_OFFSET (arch/x86/include/uapi/asm/kvm.h; 5.16, 828ca89628bf).
inline constexpr std::uint32_t kVcpuTscCtrl = 0;
inline constexpr std::uint64_t kVcpuTscOffset = 0;

// struct kvm_clock_data as of 5.16 (c68dc1b577ea). Before, everything behind `flags` was padding, which the
// kernel returned as zero: `realtime` and `host_tsc` read 0 there.
struct ClockData {
  std::uint64_t clock_ns = 0;
  std::uint32_t flags = 0;
  std::uint32_t pad0 = 0;
  std::uint64_t realtime_ns = 0;
  std::uint64_t host_tsc = 0;
  std::uint32_t pad[4] = {};
};
static_assert(sizeof(ClockData) == sizeof(kvm_clock_data));

// KVM_CAP_SPLIT_IRQCHIP: as many routes as an I/O APIC has pins (Documentation/virt/kvm/api.rst, 7.5).
inline constexpr std::uint64_t kIoapicPins = 24;

// The register LVT Timer in struct kvm_lapic_state: bit 16 masks it, bits 17 and 18 are its mode (Intel SDM volume 3, 11.5.1).
inline constexpr std::size_t kLvtTimer = 0x320;
inline constexpr std::uint32_t kLvtMasked = 1 << 16;
inline constexpr int kLvtTimerModeShift = 17;

// Structures that end in an array of any length, and the calls that take them. The header's own cannot be
// used from C++: some versions of it wrap the array so that the structure is 8 bytes in C and 16 in C++, and
// since a request number holds the size, KVM_SET_MSRS itself would come out wrong.
struct MsrsHead {  // struct kvm_msrs
  std::uint32_t nmsrs = 0;
  std::uint32_t pad = 0;
};
struct CpuidHead {  // struct kvm_cpuid2
  std::uint32_t nent = 0;
  std::uint32_t padding = 0;
};
static_assert(sizeof(MsrsHead) == 8 && sizeof(CpuidHead) == 8);
inline constexpr unsigned long kGetSupportedCpuid = _IOWR(KVMIO, 0x05, CpuidHead);
inline constexpr unsigned long kGetMsrs = _IOWR(KVMIO, 0x88, MsrsHead);
inline constexpr unsigned long kSetMsrs = _IOW(KVMIO, 0x89, MsrsHead);
inline constexpr unsigned long kSetCpuid2 = _IOW(KVMIO, 0x90, CpuidHead);

// Where Intel hosts without "unrestricted guest" keep three pages of their own; any place that the guest does
// not use (Documentation/virt/kvm/api.rst, 4.62 KVM_SET_TSS_ADDR). Below 4 GiB, above our memory.
inline constexpr std::uint64_t kTssAddress = 0xfffbd000;

}  // namespace tscsim::kvm_backend::abi

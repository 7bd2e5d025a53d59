// The guest's memory: a few megabytes at guest address 0 with the code, page tables and descriptor tables
// that all vCPUs share, one command page and one stack for each, and room for the pages that scenarios have
// KVM write.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kvm_backend/guest_code/guest_page.h"
#include "kvm_backend/ioctl/fd.h"
#include "ops/operation.h"

namespace tscsim::kvm_backend {

// Guest physical addresses. Page 0 stays empty: a kvmclock MSR written with 0 points there.
namespace guest_map {
inline constexpr std::uint64_t kCode = 0x1000;
inline constexpr std::uint64_t kPml4 = 0x10000;
inline constexpr std::uint64_t kPdpt = 0x11000;
inline constexpr std::uint64_t kPd = 0x12000;
inline constexpr std::uint64_t kGdt = 0x13000;
inline constexpr std::uint64_t kIdt = 0x14000;
inline constexpr std::uint64_t kTss = 0x15000;
inline constexpr std::uint64_t kCommandPages = 0x100000;
inline constexpr std::uint64_t kStacks = 0x180000;
inline constexpr std::uint64_t kBytes = 0x400000;

inline constexpr std::uint64_t kAllPages = ops::layout::kPageStride * ops::layout::kMaxVcpus;
static_assert(kCommandPages + kAllPages <= kStacks);
static_assert(kStacks + kAllPages <= ops::layout::kPvclockPages);
static_assert(ops::layout::kPvclockPages + kAllPages <= ops::layout::kWallClockPages);
static_assert(ops::layout::kWallClockPages + kAllPages <= ops::layout::kHypervPage);
static_assert(ops::layout::kHypervPage + ops::layout::kPageStride <= ops::layout::kStealTimes);
static_assert(ops::layout::kStealTimes + kAllPages <= kBytes);

constexpr std::uint64_t command_page(int vcpu) {
  return kCommandPages + static_cast<std::uint64_t>(vcpu) * ops::layout::kPageStride;
}
constexpr std::uint64_t stack_top(int vcpu) {
  return kStacks + static_cast<std::uint64_t>(vcpu + 1) * ops::layout::kPageStride;
}
}  // namespace guest_map

// struct pvclock_vcpu_time_info (arch/x86/include/asm/pvclock-abi.h).
struct PvclockPage {
  std::uint32_t version = 0;
  std::uint32_t pad0 = 0;
  std::uint64_t tsc_timestamp = 0;
  std::uint64_t system_time = 0;
  std::uint32_t tsc_to_system_mul = 0;
  std::int8_t tsc_shift = 0;
  std::uint8_t flags = 0;
  std::uint8_t pad1[2] = {};
};
static_assert(sizeof(PvclockPage) == 32);

// struct pvclock_wall_clock.
struct WallClock {
  std::uint32_t version = 0;
  std::uint32_t sec = 0;
  std::uint32_t nsec = 0;
};
static_assert(sizeof(WallClock) == 12);

// struct ms_hyperv_tsc_page, as far as it is used.
struct ReferenceTscPage {
  std::uint32_t sequence = 0;
  std::uint32_t reserved = 0;
  std::uint64_t scale = 0;
  std::uint64_t offset = 0;
};
static_assert(sizeof(ReferenceTscPage) == 24);

// struct kvm_steal_time, as far as it is used.
struct StealTime {
  std::uint64_t steal_ns = 0;
  std::uint32_t version = 0;
  std::uint32_t flags = 0;
  std::uint8_t preempted = 0;
  std::uint8_t pad[7] = {};
};
static_assert(sizeof(StealTime) == 24);

// What scenarios have KVM write, on its way to another VM: lines of kImageLineBytes that are not all zero, with their
// guest addresses.
inline constexpr std::size_t kImageLineBytes = 64;
using MemoryImage = std::vector<std::pair<std::uint64_t, std::string>>;

class GuestMemory {
 public:
  // Maps the memory and fills in what all vCPUs share. Throws KvmError.
  GuestMemory();

  const Mapping& mapping() const { return mapping_; }

  volatile GuestPage& command_page(int vcpu);

  // A copy of what lies at a guest address; nullopt when it is not entirely inside the memory.
  std::optional<PvclockPage> read_pvclock(std::uint64_t guest_address) const;
  std::optional<WallClock> read_wall_clock(std::uint64_t guest_address) const;
  std::optional<ReferenceTscPage> read_hyperv_page(std::uint64_t guest_address) const;
  std::optional<StealTime> read_steal_time(std::uint64_t guest_address) const;

  // All of the memory but the test guest's own code, tables, command pages and stacks, which each VM has.
  MemoryImage save() const;
  void load(const MemoryImage& image);

 private:
  template <class T>
  std::optional<T> read(std::uint64_t guest_address) const;
  void write_page_tables();
  void write_descriptor_tables();

  Mapping mapping_;
};

bool inside_guest_memory(std::uint64_t guest_address, std::uint64_t bytes);

}  // namespace tscsim::kvm_backend

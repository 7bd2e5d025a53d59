#include "kvm_backend/guest_code/guest_memory.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>

#include "kvm_backend/guest_code/guest_code.h"

namespace tscsim::kvm_backend {

namespace {

// Intel SDM volume 3, 4.5 (4-level paging): present, writable, user; bit 7 in a page directory: a 2 MiB page;
// accessed and dirty are set beforehand so that the processor need not write the tables.
constexpr std::uint64_t kTable = 0x27;
constexpr std::uint64_t kLargePage = 0xe7;
constexpr std::uint64_t kLargePageBytes = 0x200000;

// SDM volume 3, 3.4.5: flat 64-bit code and flat data, accessed.
constexpr std::uint64_t kCode64 = 0x00af9b000000ffff;
constexpr std::uint64_t kData = 0x00cf93000000ffff;

void write_at(const Mapping& memory, std::uint64_t address, const void* from, std::size_t bytes) {
  std::memcpy(memory.data() + address, from, bytes);
}

// SDM volume 3, 6.14.1: a present 64-bit interrupt gate to selector 8.
std::array<std::uint64_t, 2> interrupt_gate(std::uint64_t target) {
  const std::uint64_t low =
      (target & 0xffff) | std::uint64_t{8} << 16 | std::uint64_t{0x8e} << 40 | (target >> 16 & 0xffff) << 48;
  return {low, target >> 32};
}

}  // namespace

bool inside_guest_memory(std::uint64_t guest_address, std::uint64_t bytes) {
  return bytes <= guest_map::kBytes && guest_address <= guest_map::kBytes - bytes;
}

GuestMemory::GuestMemory() : mapping_(map_shared(nullptr, guest_map::kBytes, "guest memory")) {
  const auto code = guest_code();
  write_at(mapping_, guest_map::kCode, code.data(), code.size());
  write_page_tables();
  write_descriptor_tables();
}

// The lowest GiB, one to one.
void GuestMemory::write_page_tables() {
  const std::uint64_t pml4 = guest_map::kPdpt | kTable;
  const std::uint64_t pdpt = guest_map::kPd | kTable;
  write_at(mapping_, guest_map::kPml4, &pml4, sizeof pml4);
  write_at(mapping_, guest_map::kPdpt, &pdpt, sizeof pdpt);
  for (std::uint64_t i = 0; i < 512; ++i) {
    const std::uint64_t page = i * kLargePageBytes | kLargePage;
    write_at(mapping_, guest_map::kPd + i * sizeof page, &page, sizeof page);
  }
}

void GuestMemory::write_descriptor_tables() {
  const std::array<std::uint64_t, 3> gdt{0, kCode64, kData};
  write_at(mapping_, guest_map::kGdt, gdt.data(), sizeof gdt);
  const std::uint64_t exceptions = guest_map::kCode + guest_code_exceptions();
  for (std::uint64_t vector = 0; vector < kVectors; ++vector) {
    const auto gate = interrupt_gate(exceptions + vector * kVectorStride);
    write_at(mapping_, guest_map::kIdt + vector * sizeof gate, gate.data(), sizeof gate);
  }
}

volatile GuestPage& GuestMemory::command_page(int vcpu) {
  return *reinterpret_cast<volatile GuestPage*>(mapping_.data() + guest_map::command_page(vcpu));
}

template <class T>
std::optional<T> GuestMemory::read(std::uint64_t guest_address) const {
  if (!inside_guest_memory(guest_address, sizeof(T))) return std::nullopt;
  T copy;
  // The kernel writes this memory behind the compiler's back; no vCPU runs while we read.
  std::atomic_signal_fence(std::memory_order_seq_cst);
  std::memcpy(&copy, mapping_.data() + guest_address, sizeof copy);
  std::atomic_signal_fence(std::memory_order_seq_cst);
  return copy;
}

std::optional<PvclockPage> GuestMemory::read_pvclock(std::uint64_t guest_address) const {
  return read<PvclockPage>(guest_address);
}

std::optional<WallClock> GuestMemory::read_wall_clock(std::uint64_t guest_address) const {
  return read<WallClock>(guest_address);
}

std::optional<ReferenceTscPage> GuestMemory::read_hyperv_page(std::uint64_t guest_address) const {
  return read<ReferenceTscPage>(guest_address);
}

std::optional<StealTime> GuestMemory::read_steal_time(std::uint64_t guest_address) const {
  return read<StealTime>(guest_address);
}

namespace {

struct Region {
  std::uint64_t begin, end;
};
constexpr std::array<Region, 3> kOpenRegions = {{{0, guest_map::kCode},
                                                 {guest_map::kTss + ops::layout::kPageStride, guest_map::kCommandPages},
                                                 {guest_map::kStacks + guest_map::kAllPages, guest_map::kBytes}}};

bool is_open(std::uint64_t address) {
  return std::any_of(kOpenRegions.begin(), kOpenRegions.end(),
                     [&](const Region& r) { return address >= r.begin && address < r.end; });
}

bool is_zero(const char* line) {
  std::uint64_t bits = 0, word = 0;
  for (std::size_t i = 0; i < kImageLineBytes; i += sizeof word) {
    std::memcpy(&word, line + i, sizeof word);
    bits |= word;
  }
  return bits == 0;
}

}  // namespace

MemoryImage GuestMemory::save() const {
  MemoryImage image;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  for (const Region& region : kOpenRegions)
    for (std::uint64_t at = region.begin; at < region.end; at += kImageLineBytes) {
      const auto* line = reinterpret_cast<const char*>(mapping_.data()) + at;
      if (!is_zero(line)) image.emplace_back(at, std::string(line, kImageLineBytes));
    }
  return image;
}

void GuestMemory::load(const MemoryImage& image) {
  // Fresh memory is zero, and touching all of it takes long in a lab machine.
  for (const auto& [address, line] : save()) std::memset(mapping_.data() + address, 0, line.size());
  for (const auto& [address, line] : image)
    if (address % kImageLineBytes == 0 && is_open(address) && line.size() == kImageLineBytes)
      write_at(mapping_, address, line.data(), line.size());
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

}  // namespace tscsim::kvm_backend

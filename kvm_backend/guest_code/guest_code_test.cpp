#include "kvm_backend/guest_code/guest_code.h"

#include <gtest/gtest.h>

#include <cstring>

#include "kvm_backend/guest_code/boot_state.h"
#include "kvm_backend/guest_code/guest_memory.h"

namespace tscsim::kvm_backend {
namespace {

TEST(GuestCode, FitsBetweenItsPageAndThePageTables) {
  EXPECT_GT(guest_code().size(), guest_code_exceptions());
  EXPECT_LT(guest_code().size(), 2048u);
  EXPECT_LE(guest_map::kCode + guest_code().size(), guest_map::kPml4);
}

// Intel SDM volume 2, MOV r/m64, imm32 (REX.W C7 /0): the immediate is the last four bytes of eight.
TEST(GuestCode, EveryExceptionEntryNotesItsOwnVector) {
  EXPECT_GE(guest_code().size(), guest_code_exceptions() + (kVectors - 1) * kVectorStride + 10);
  for (int vector = 0; vector < kVectors; ++vector) {
    const std::byte* entry =
        guest_code().data() + guest_code_exceptions() + static_cast<std::size_t>(vector) * kVectorStride;
    const std::byte expected[] = {std::byte{0x49}, std::byte{0xc7}, std::byte{0x47},
                                  std::byte{offsetof(GuestPage, fault)}};
    EXPECT_EQ(std::memcmp(entry, expected, sizeof expected), 0) << "vector " << vector;
    std::int32_t immediate = -1;
    std::memcpy(&immediate, entry + 4, sizeof immediate);
    EXPECT_EQ(immediate, vector);
  }
}

TEST(GuestMemory, GatesPointAtTheirExceptionEntries) {
  const GuestMemory memory;
  for (std::uint64_t vector = 0; vector < kVectors; ++vector) {
    std::uint64_t gate[2];
    std::memcpy(gate, memory.mapping().data() + guest_map::kIdt + vector * sizeof gate, sizeof gate);
    const std::uint64_t target = (gate[0] & 0xffff) | (gate[0] >> 48) << 16 | gate[1] << 32;
    EXPECT_EQ(target, guest_map::kCode + guest_code_exceptions() + vector * kVectorStride);
    EXPECT_EQ(gate[0] >> 16 & 0xffff, 8u) << "code selector";
    EXPECT_EQ(gate[0] >> 40 & 0xff, 0x8eu) << "present interrupt gate";
  }
}

TEST(GuestMemory, ReadsOnlyInsideIt) {
  const GuestMemory memory;
  const struct {
    std::uint64_t address;
    bool readable;
    const char* why;
  } cases[] = {
      {0, true, "the empty page"},
      {guest_map::kBytes - 32, true, "the last place where a page fits"},
      {guest_map::kBytes - 31, false, "one byte too far"},
      {guest_map::kBytes, false, "behind the end"},
      {~std::uint64_t{0}, false, "no wrap-around"},
  };
  for (const auto& row : cases) EXPECT_EQ(memory.read_pvclock(row.address).has_value(), row.readable) << row.why;
}

TEST(BootCpuid, FillsInTheApicIdAndKeepsTheRest) {
  kvm_cpuid_entry2 features{}, topology{}, extended{};
  features.function = 1;
  features.ebx = 0xaabbccdd;
  topology.function = 0xb;
  topology.edx = 99;
  extended.function = 7;
  extended.ebx = 2;  // TSC_ADJUST
  const auto entries = boot_cpuid({features, topology, extended}, 5);
  EXPECT_EQ(entries[0].ebx, 0x05bbccddu);
  EXPECT_EQ(entries[1].edx, 5u);
  EXPECT_EQ(entries[2].ebx, 2u);
}

}  // namespace
}  // namespace tscsim::kvm_backend

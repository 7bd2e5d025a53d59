#include "ops/operation.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace tscsim::ops {
namespace {

TEST(OperationNames, EveryKindHasItsOwnNameAndASentence) {
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < kOpKinds; ++i) {
    const auto kind = static_cast<OpKind>(i);
    EXPECT_TRUE(names.insert(name_of(kind)).second) << name_of(kind);
    EXPECT_EQ(op_kind_from(name_of(kind)), kind);
    EXPECT_EQ(describe(kind).back(), '.') << name_of(kind);
  }
  EXPECT_EQ(name_of(OpKind::create_vm), "create_vm");
  EXPECT_EQ(name_of(OpKind::read_pvclock), "read_pvclock");
  EXPECT_EQ(name_of(OpKind::set_clocksource), "set_clocksource");
  EXPECT_EQ(op_kind_from("set_tsc"), std::nullopt);
}

TEST(OperationNames, EveryFieldHasItsOwnName) {
  for (std::size_t i = 0; i < kFields; ++i)
    EXPECT_EQ(field_from(name_of(static_cast<Field>(i))), static_cast<Field>(i));
  EXPECT_EQ(name_of(Field::value), "value");
  EXPECT_EQ(name_of(Field::tsc_timestamp), "tsc_timestamp");
  EXPECT_EQ(name_of(Field::nsec), "nsec");
  EXPECT_EQ(field_from("VALUE"), std::nullopt);
}

TEST(OperationNames, PrimaryFieldIsWhatACaptureMeans) {
  const struct {
    OpKind kind;
    std::optional<Field> field;
  } cases[] = {
      {OpKind::rdtsc, Field::value},
      {OpKind::rdtscp, Field::value},
      {OpKind::rdmsr, Field::value},
      {OpKind::get_msr, Field::value},
      {OpKind::get_tsc_khz, Field::value},
      {OpKind::get_tsc_offset, Field::value},
      {OpKind::get_clock, Field::clock},
      {OpKind::read_pvclock, Field::ns},
      {OpKind::peek_wall_clock, Field::sec},
      {OpKind::peek_pvclock, Field::system_time},
      {OpKind::read_hyperv_page, Field::value},
      {OpKind::peek_hyperv_page, Field::version},
      {OpKind::peek_steal_time, Field::steal},
      {OpKind::enter_l2, std::nullopt},
      {OpKind::wrmsr, std::nullopt},
      {OpKind::set_msr, std::nullopt},
      {OpKind::set_tsc_offset, std::nullopt},
      {OpKind::run, std::nullopt},
  };
  for (const auto& c : cases) EXPECT_EQ(primary_field(c.kind), c.field) << name_of(c.kind);
}

TEST(OperationNames, Msrs) {
  const struct {
    std::uint32_t index;
    const char* name;
  } cases[] = {{0x10, "IA32_TSC"},
               {0x3b, "IA32_TSC_ADJUST"},
               {0x11, "MSR_KVM_WALL_CLOCK"},
               {0x12, "MSR_KVM_SYSTEM_TIME"},
               {0x4b564d00, "MSR_KVM_WALL_CLOCK_NEW"},
               {0x4b564d01, "MSR_KVM_SYSTEM_TIME_NEW"},
               {0x4b564d03, "MSR_KVM_STEAL_TIME"},
               {0x40000020, "HV_X64_MSR_TIME_REF_COUNT"},
               {0x40000021, "HV_X64_MSR_REFERENCE_TSC"},
               {0x40000022, "HV_X64_MSR_TSC_FREQUENCY"},
               {0x40000107, "HV_X64_MSR_TSC_EMULATION_CONTROL"}};
  for (const auto& c : cases) {
    EXPECT_EQ(msr_name(c.index), c.name);
    EXPECT_EQ(msr_from(c.name), c.index);
  }
  EXPECT_EQ(msr_name(0x1b), "");
  EXPECT_EQ(msr_from("IA32_APIC_BASE"), std::nullopt);
}

TEST(Operation, GuestOperationsAreThoseInsideKvmRun) {
  const std::set<OpKind> guest{OpKind::rdtsc,        OpKind::rdtscp,           OpKind::wrmsr,    OpKind::rdmsr,
                               OpKind::read_pvclock, OpKind::read_hyperv_page, OpKind::enter_l2, OpKind::leave_l2};
  for (std::size_t i = 0; i < kOpKinds; ++i) {
    const auto kind = static_cast<OpKind>(i);
    EXPECT_EQ(is_guest(kind), guest.count(kind) == 1) << name_of(kind);
  }
}

TEST(Operation, EqualityLooksAtEveryMember) {
  const Operation op{OpKind::set_clock, 1, 2, 3, 4, 5, kAllPcpus, 6, false};
  EXPECT_EQ(op, op);
  EXPECT_NE(op, (Operation{OpKind::set_clock, 1, 2, 3, 4, 5, kAllPcpus, 6, true}));
  EXPECT_NE(op, (Operation{OpKind::set_clock, 1, 2, 3, 4, 9, kAllPcpus, 6, false}));
  EXPECT_NE(op, (Operation{OpKind::get_clock, 1, 2, 3, 4, 5, kAllPcpus, 6, false}));
}

}  // namespace
}  // namespace tscsim::ops

#include "kvm_backend/ioctl/kvm_error.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace tscsim::kvm_backend {
namespace {

TEST(KvmError, SaysCallArgumentsErrnoReasonAndNextStep) {
  const struct {
    KvmFailure failure;
    const char* text;
  } cases[] = {
      {{"KVM_SET_TSC_KHZ", "vcpu 1, 2_000_000 kHz", EINVAL,
        "this host has no TSC scaling and its counter runs at 3_000_000 kHz", "ask for 3_000_000 kHz"},
       "kvm: KVM_SET_TSC_KHZ(vcpu 1, 2_000_000 kHz) failed: EINVAL\n"
       "  this host has no TSC scaling and its counter runs at 3_000_000 kHz\n"
       "  next: ask for 3_000_000 kHz"},
      {{"KVM_CREATE_VM", "", ENOMEM, "", ""}, "kvm: KVM_CREATE_VM() failed: ENOMEM"},
      {{"KVM_CREATE_VCPU", "3", EMFILE, "", "close some files"},
       "kvm: KVM_CREATE_VCPU(3) failed: EMFILE\n  next: close some files"},
      {{"KVM_GET_CLOCK", "", 4095, "", ""}, "kvm: KVM_GET_CLOCK() failed: errno 4095"},
  };
  for (const auto& row : cases) {
    EXPECT_EQ(to_text(row.failure), row.text);
    const KvmError error(row.failure);
    EXPECT_STREQ(error.what(), row.text);
    EXPECT_EQ(error.error(), row.failure.error);
  }
}

TEST(KvmError, IsATargetError) { EXPECT_THROW(throw KvmError({"KVM_CREATE_VM", "", EIO, "", ""}), ops::TargetError); }

TEST(Grouped, PutsAnUnderscoreBeforeEveryThirdDigit) {
  const struct {
    std::uint64_t number;
    const char* text;
  } cases[] = {{0, "0"},
               {999, "999"},
               {1000, "1_000"},
               {123456, "123_456"},
               {2600000, "2_600_000"},
               {~std::uint64_t{0}, "18_446_744_073_709_551_615"}};
  for (const auto& row : cases) EXPECT_EQ(grouped(row.number), row.text);
}

}  // namespace
}  // namespace tscsim::kvm_backend

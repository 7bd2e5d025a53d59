// The guest on a real KVM.
#include "kvm_backend/guest_code/guest_vcpu.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <optional>

#include "kvm_backend/host_files.h"
#include "kvm_backend/kvm_required.h"
#include "kvm_backend/pinned_thread.h"
#include "kvm_backend/trial_vm.h"

namespace tscsim::kvm_backend {
namespace {

class GuestVcpuTest : public testing::Test {
 protected:
  void SetUp() override {
    TSCSIM_NEEDS_KVM();
    system_.emplace("/dev/kvm");
    trial_.emplace(*system_, 1);
  }

  GuestResult call(GuestCall call) { return trial_->guest(0).call(call, clocks_, bracket_); }

  std::optional<System> system_;
  std::optional<TrialVm> trial_;
  HostClocks clocks_;
  ops::Bracket bracket_;
};

TEST_F(GuestVcpuTest, ExecutesOneCommandForEachEntry) {
  for (std::uint64_t i = 1; i <= 3; ++i) {
    const GuestResult result = call({GuestCommand::nop});
    ASSERT_EQ(result.end, GuestEnd::done) << result.note;
    EXPECT_EQ(result.page.completed, i);
  }
}

TEST_F(GuestVcpuTest, RdtscGoesForward) {
  const GuestResult first = call({GuestCommand::rdtsc});
  const GuestResult second = call({GuestCommand::rdtsc});
  ASSERT_EQ(first.end, GuestEnd::done) << first.note;
  ASSERT_EQ(second.end, GuestEnd::done) << second.note;
  EXPECT_GT(second.page.value, first.page.value);
}

TEST_F(GuestVcpuTest, AFaultDoesNotKillTheGuest) {
  const std::uint32_t no_such_msr = 0x1234567;
  for (const GuestCommand command : {GuestCommand::rdmsr, GuestCommand::wrmsr}) {
    const GuestResult faulted = call({command, no_such_msr, 1});
    EXPECT_EQ(faulted.end, GuestEnd::fault);
    EXPECT_EQ(faulted.page.fault, guest_fault::kGeneralProtection);
    EXPECT_EQ(faulted.note, "#GP");
    EXPECT_EQ(call({GuestCommand::nop}).end, GuestEnd::done);
  }
}

TEST_F(GuestVcpuTest, RefusesACommandItDoesNotKnow) {
  const GuestResult result = call({static_cast<GuestCommand>(77)});
  EXPECT_EQ(result.end, GuestEnd::fault);
  EXPECT_EQ(result.note, "the guest does not know this command");
}

// The guest's reading by the formula of pvclock-abi.h, on pages that the test itself writes.
TEST_F(GuestVcpuTest, ReadsAPvclockPage) {
  constexpr std::uint64_t kPage = 0x300000;
  const struct {
    std::int8_t shift;
    std::uint32_t mul;
    std::uint8_t flags;
  } cases[] = {{0, 0x80000000, 1}, {-1, 0xc5377ec6, 3}, {2, 0x12345678, 0}, {-20, 0xffffffff, 1}};
  for (const auto& row : cases) {
    PvclockPage page;
    page.version = 6;
    page.tsc_timestamp = 12345;
    page.system_time = 987'654'321;
    page.tsc_to_system_mul = row.mul;
    page.tsc_shift = row.shift;
    page.flags = row.flags;
    std::memcpy(trial_->memory().mapping().data() + kPage, &page, sizeof page);
    const GuestResult result = call({GuestCommand::read_pvclock, 0, kPage});
    ASSERT_EQ(result.end, GuestEnd::done) << result.note;
    const std::uint64_t cycles = result.page.tsc - 12345;
    const std::uint64_t shifted = row.shift < 0 ? cycles >> -row.shift : cycles << row.shift;
    const auto scaled = static_cast<std::uint64_t>(static_cast<unsigned __int128>(shifted) * row.mul >> 32);
    EXPECT_EQ(result.page.ns, 987'654'321 + scaled);
    EXPECT_EQ(result.page.version, 6u);
    EXPECT_EQ(static_cast<std::int64_t>(result.page.shift), row.shift);
    EXPECT_EQ(result.page.mul, row.mul);
    EXPECT_EQ(result.page.page_flags, row.flags);
  }
}

TEST_F(GuestVcpuTest, GivesUpOnAPageThatIsAlwaysBeingUpdated) {
  PvclockPage page;
  page.version = 7;
  std::memcpy(trial_->memory().mapping().data() + 0x300000, &page, sizeof page);
  const GuestResult result = call({GuestCommand::read_pvclock, 0, 0x300000});
  EXPECT_EQ(result.end, GuestEnd::fault);
  EXPECT_EQ(result.note, "the page's version did not stand still in 1000 tries");
}

TEST_F(GuestVcpuTest, AnExitThatIsNotOursPutsTheVcpuBack) {
  // Outside of memory: KVM leaves to user space with an MMIO exit, which nobody here completes.
  const GuestResult stuck = call({GuestCommand::read_pvclock, 0, 0x8000000});
  EXPECT_EQ(stuck.end, GuestEnd::stuck);
  EXPECT_FALSE(stuck.note.empty());
  EXPECT_EQ(call({GuestCommand::nop}).end, GuestEnd::done);
  EXPECT_EQ(call({GuestCommand::rdtsc}).end, GuestEnd::done);
}

TEST_F(GuestVcpuTest, AKickTakesASpinningGuestOut) {
  PinnedThread thread(allowed_cpus().front());
  GuestResult result;
  thread.start([&] { result = call({GuestCommand::spin}); });
  EXPECT_FALSE(thread.wait_for(std::chrono::milliseconds(50))) << "it spins";
  int kicks = 0;
  do {
    trial_->guest(0).kick();
    thread.signal();
  } while (!thread.wait_for(std::chrono::milliseconds(100)) && ++kicks < 20);
  EXPECT_EQ(result.end, GuestEnd::kicked);
  thread.run([&] { result = call({GuestCommand::nop}); });
  EXPECT_EQ(result.end, GuestEnd::done);
}

TEST_F(GuestVcpuTest, AStraySignalDoesNotEndAnOperation) {
  PinnedThread thread(allowed_cpus().front());
  GuestResult result;
  thread.start([&] { result = call({GuestCommand::spin}); });
  for (int i = 0; i < 5; ++i) {
    thread.signal();  // without kick()
    EXPECT_FALSE(thread.wait_for(std::chrono::milliseconds(10)));
  }
  do {
    trial_->guest(0).kick();
    thread.signal();
  } while (!thread.wait_for(std::chrono::milliseconds(20)));
  EXPECT_EQ(result.end, GuestEnd::kicked);
}

}  // namespace
}  // namespace tscsim::kvm_backend

#include "kvm_backend/native_executor.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "kvm_backend/host_clocks.h"
#include "kvm_backend/kvm_required.h"
#include "kvm_backend/probe.h"

namespace tscsim::kvm_backend {
namespace {

using ops::Entry;
using ops::Field;
using ops::Operation;
using ops::OpKind;

std::size_t open_fds() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++count;
  return count;
}

// Our own threads: since 6.14 KVM keeps a helper for each VM as a task of this process
// ("kvm-nx-lpage-recovery").
std::size_t threads() {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) {
    std::string name;
    std::getline(std::ifstream(entry.path() / "comm"), name);
    if (!name.starts_with("kvm-")) ++count;
  }
  return count;
}

Operation on_vm(OpKind kind, std::uint64_t value = 0) {
  Operation op;
  op.kind = kind;
  op.value = value;
  return op;
}

Operation on_vcpu(int vcpu, OpKind kind, std::uint64_t value = 0, std::uint32_t msr = 0) {
  Operation op;
  op.kind = kind;
  op.vcpu = vcpu;
  op.value = value;
  op.msr = msr;
  return op;
}

class NativeExecutorTest : public testing::Test {
 protected:
  void SetUp() override {
    TSCSIM_NEEDS_KVM();
    options_.profile = probed();
    options_.interrupted = &interrupted_;
    executor_ = open_native(options_);
  }

  static const ops::TargetProfile& probed() {
    static const ops::TargetProfile profile = probe_target();
    return profile;
  }

  Entry execute(const Operation& op) { return executor_->execute(op); }

  // Fails the test when the operation did.
  std::uint64_t value_of(const Operation& op, Field field = Field::value) {
    const Entry entry = execute(op);
    EXPECT_TRUE(entry.supported) << entry.note;
    EXPECT_EQ(entry.outcome.error, 0) << entry.note;
    const std::uint64_t* value = entry.outcome.find(field);
    EXPECT_NE(value, nullptr);
    return value != nullptr ? *value : 0;
  }

  void create(int vcpus) {
    ASSERT_EQ(execute(on_vm(OpKind::create_vm)).outcome.error, 0);
    for (int i = 0; i < vcpus; ++i) ASSERT_EQ(execute(on_vcpu(i, OpKind::create_vcpu)).outcome.error, 0);
  }

  std::atomic<bool> interrupted_{false};
  NativeOptions options_;
  std::unique_ptr<ops::Executor> executor_;
};

TEST(OpenNative, SaysThatTheDeviceIsMissingAndLeavesNothingOpen) {
  const std::size_t fds = open_fds();
  NativeOptions options;
  options.device = "/no/such/kvm";
  EXPECT_THROW(open_native(options), ops::TargetError);
  options.device = "/dev/null";
  EXPECT_THROW(open_native(options), ops::TargetError);
  EXPECT_EQ(open_fds(), fds);
}

TEST_F(NativeExecutorTest, LeavesNoFileOpenAndNoThreadBehind) {
  executor_.reset();
  const std::size_t fds = open_fds(), tasks = threads();
  executor_ = open_native(options_);
  create(3);
  execute(on_vcpu(2, OpKind::run));
  EXPECT_GT(open_fds(), fds);
  EXPECT_EQ(threads(), tasks + 4);
  executor_.reset();
  EXPECT_EQ(open_fds(), fds);
  EXPECT_EQ(threads(), tasks);
}

// What each operation returns on success, in order (ops/operation.h).
TEST_F(NativeExecutorTest, EachOperationReturnsItsFields) {
  using F = Field;
  create(1);
  const std::uint64_t page = ops::layout::kPvclockPages;
  const struct {
    Operation op;
    std::vector<F> fields;
  } cases[] = {
      {on_vcpu(0, OpKind::set_msr, page | 1, ops::msr::kKvmSystemTimeNew), {}},
      {on_vcpu(0, OpKind::set_msr, ops::layout::kWallClockPages, ops::msr::kKvmWallClockNew), {}},
      {on_vcpu(0, OpKind::run), {}},
      {on_vcpu(0, OpKind::get_tsc_khz), {F::value}},
      {on_vcpu(0, OpKind::get_msr, 0, ops::msr::kIa32Tsc), {F::value}},
      {on_vm(OpKind::get_clock), {F::clock, F::flags, F::realtime, F::host_tsc}},
      {on_vm(OpKind::set_clock, 5'000'000'000), {}},
      {on_vcpu(0, OpKind::kvmclock_ctrl), {}},
      {on_vcpu(0, OpKind::rdtsc), {F::value}},
      {on_vcpu(0, OpKind::rdmsr, 0, ops::msr::kIa32Tsc), {F::value}},
      {on_vcpu(0, OpKind::wrmsr, 1000, ops::msr::kIa32Tsc), {}},
      {on_vcpu(0, OpKind::read_pvclock),
       {F::ns, F::tsc, F::version, F::tsc_timestamp, F::system_time, F::mul, F::shift, F::page_flags}},
      {on_vcpu(0, OpKind::peek_pvclock),
       {F::version, F::tsc_timestamp, F::system_time, F::mul, F::shift, F::page_flags}},
      {on_vcpu(0, OpKind::peek_wall_clock), {F::version, F::sec, F::nsec}},
      {on_vcpu(0, OpKind::move_vcpu, 0), {}},
  };
  for (const auto& row : cases) {
    const Entry entry = execute(row.op);
    EXPECT_TRUE(entry.supported) << ops::name_of(row.op.kind) << ": " << entry.note;
    EXPECT_EQ(entry.outcome.error, 0) << ops::name_of(row.op.kind) << ": " << entry.note;
    std::vector<F> fields;
    for (std::size_t i = 0; i < entry.outcome.count; ++i) fields.push_back(entry.outcome.fields[i].field);
    EXPECT_EQ(fields, row.fields) << ops::name_of(row.op.kind);
    EXPECT_LT(entry.bracket.tsc.lo, entry.bracket.tsc.hi) << ops::name_of(row.op.kind);
    EXPECT_LE(entry.bracket.base_ns.lo, entry.bracket.base_ns.hi);
    EXPECT_LE(entry.bracket.realtime_ns.lo, entry.bracket.realtime_ns.hi);
  }
}

TEST_F(NativeExecutorTest, AGuestFaultIsAnOutcome) {
  create(1);
  for (const OpKind kind : {OpKind::rdmsr, OpKind::wrmsr}) {
    const Entry entry = execute(on_vcpu(0, kind, 1, 0x1234567));
    EXPECT_TRUE(entry.supported);
    EXPECT_EQ(entry.outcome.error, EFAULT);
    EXPECT_EQ(entry.note, "#GP");
  }
  EXPECT_EQ(execute(on_vcpu(0, OpKind::rdtsc)).outcome.error, 0);
}

TEST_F(NativeExecutorTest, ARefusalIsAnOutcomeWithErrnoAndSaysWhatWasAsked) {
  create(1);
  const Entry msr = execute(on_vcpu(0, OpKind::set_msr, 1, 0x1234567));
  EXPECT_EQ(msr.outcome.error, EINVAL);
  EXPECT_EQ(msr.note, "kvm: KVM_SET_MSRS(vcpu 0, MSR 0x1234567, 1) failed: EINVAL");
  const Entry ctrl = execute(on_vcpu(0, OpKind::kvmclock_ctrl));
  EXPECT_EQ(ctrl.outcome.error, EINVAL);
  EXPECT_EQ(ctrl.note,
            "kvm: KVM_KVMCLOCK_CTRL(vcpu 0) failed: EINVAL\n  the vCPU has no kvmclock page\n"
            "  next: write the page's address to MSR_KVM_SYSTEM_TIME_NEW first");
  Operation clock = on_vm(OpKind::set_clock, 1);
  clock.flags = 0x80;
  EXPECT_EQ(execute(clock).outcome.error, EINVAL);
}

TEST_F(NativeExecutorTest, ASecondVmTakesThePlaceOfTheFirst) {
  create(2);
  ASSERT_EQ(execute(on_vcpu(1, OpKind::rdtsc)).outcome.error, 0);
  const std::size_t fds = open_fds(), tasks = threads();
  ASSERT_EQ(execute(on_vm(OpKind::create_vm)).outcome.error, 0);
  EXPECT_FALSE(execute(on_vcpu(0, OpKind::rdtsc)).supported) << "the first VM's vCPUs are gone";
  for (const int vcpu : {0, 1}) ASSERT_EQ(execute(on_vcpu(vcpu, OpKind::create_vcpu)).outcome.error, 0);
  EXPECT_EQ(execute(on_vcpu(1, OpKind::rdtsc)).outcome.error, 0);
  EXPECT_EQ(open_fds(), fds);
  EXPECT_EQ(threads(), tasks);
}

TEST_F(NativeExecutorTest, WhatCannotBeDoneHereIsNotSupportedAndSaysWhy) {
  const auto note_of = [&](const Operation& op) {
    const Entry entry = execute(op);
    EXPECT_FALSE(entry.supported) << ops::name_of(op.kind);
    EXPECT_EQ(entry.outcome, ops::Outcome{});
    return entry.note;
  };
  EXPECT_EQ(note_of(on_vm(OpKind::pause_vm)), "needs: a Linux guest (the test guest has no kernel)");
  EXPECT_EQ(note_of(on_vm(OpKind::get_clock)), "the VM has not been created");
  create(1);
  EXPECT_EQ(note_of(on_vcpu(5, OpKind::rdtsc)), "vcpu 5 has not been created");
  EXPECT_EQ(note_of(on_vcpu(3, OpKind::create_vcpu)), "vcpu 3 is not the next one, which is 1");
  EXPECT_EQ(note_of(on_vm(OpKind::set_clocksource)),
            "changing the clocksource of this host is not allowed (only in a lab)");
  EXPECT_EQ(note_of(on_vcpu(0, OpKind::get_clock)), "this operation is for the VM, not for one vCPU");
  EXPECT_EQ(note_of(on_vm(OpKind::rdtsc)), "this operation needs a vCPU");
}

TEST_F(NativeExecutorTest, RdtscpIsExecutedExactlyWhereTheGuestCan) {
  create(1);
  const Entry entry = execute(on_vcpu(0, OpKind::rdtscp));
  EXPECT_EQ(entry.supported, probed().guest_rdtscp) << entry.note;
  EXPECT_EQ(execute(on_vcpu(0, OpKind::rdtsc)).outcome.error, 0) << "later operations work";
}

TEST_F(NativeExecutorTest, FollowsThePageWhereverTheMsrPutsIt) {
  create(1);
  const std::uint64_t by_host = 0x300000, by_guest = 0x310000;
  EXPECT_EQ(value_of(on_vcpu(0, OpKind::peek_pvclock), Field::version), 0u) << "nothing written yet";
  execute(on_vcpu(0, OpKind::set_msr, by_host | 1, ops::msr::kKvmSystemTimeNew));
  execute(on_vcpu(0, OpKind::run));
  EXPECT_NE(value_of(on_vcpu(0, OpKind::peek_pvclock), Field::mul), 0u);
  // Each update moves the version on, so a page that has seen several can be told from a new one.
  for (int i = 0; i < 3; ++i) {
    execute(on_vcpu(0, OpKind::kvmclock_ctrl));
    execute(on_vcpu(0, OpKind::run));
  }
  const std::uint64_t old_version = value_of(on_vcpu(0, OpKind::peek_pvclock), Field::version);
  execute(on_vcpu(0, OpKind::wrmsr, by_guest | 1, ops::msr::kKvmSystemTimeNew));
  execute(on_vcpu(0, OpKind::run));
  const std::uint64_t version = value_of(on_vcpu(0, OpKind::peek_pvclock), Field::version);
  EXPECT_NE(version, 0u);
  EXPECT_LT(version, old_version) << "the old page";
  EXPECT_EQ(value_of(on_vcpu(0, OpKind::read_pvclock), Field::version), version);
  execute(on_vcpu(0, OpKind::set_msr, 0x40000001, ops::msr::kKvmSystemTimeNew));
  const Entry outside = execute(on_vcpu(0, OpKind::peek_pvclock));
  EXPECT_EQ(outside.outcome.error, EFAULT);
  EXPECT_EQ(outside.note, "guest address 0x40000000 lies outside the guest's 4_194_304 bytes of memory");
}

TEST_F(NativeExecutorTest, RunsOperationsAtTheirDueTimesOnTheirCpus) {
  create(2);
  ops::Header header;
  executor_->start_clock(0, 0, header);
  EXPECT_NE(header.zero_tsc, 0u);
  for (int i = 0; i < 4; ++i) {
    Operation op = on_vcpu(i % 2, OpKind::get_tsc_khz);
    op.at_ns = (i + 1) * 2'000'000;
    const Entry entry = execute(op);
    // CLOCK_MONOTONIC, by which operations are due, is disciplined by NTP to within 500 ppm of the raw clock.
    const auto due_ns = static_cast<std::uint64_t>(op.at_ns);
    EXPECT_GE(entry.bracket.base_ns.lo - header.zero_base_ns, due_ns - due_ns / 2000);
    EXPECT_EQ(entry.pcpu, (i % 2) % probed().pcpus);
  }
}

TEST_F(NativeExecutorTest, MovesAVcpuToAnotherPcpu) {
  if (probed().pcpus < 2) GTEST_SKIP() << "one CPU";
  create(1);
  EXPECT_EQ(execute(on_vcpu(0, OpKind::run)).pcpu, 0);
  EXPECT_EQ(execute(on_vcpu(0, OpKind::move_vcpu, 1)).pcpu, 1);
  EXPECT_EQ(execute(on_vcpu(0, OpKind::run)).pcpu, 1);
  EXPECT_FALSE(execute(on_vcpu(0, OpKind::move_vcpu, 4096)).supported);
}

TEST_F(NativeExecutorTest, SigintEndsTheWaitForADueTime) {
  create(1);
  ops::Header header;
  executor_->start_clock(0, 0, header);
  Operation op = on_vcpu(0, OpKind::run);
  op.at_ns = 60'000'000'000;
  std::thread user([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(40));
    interrupted_ = true;
  });
  const std::uint64_t start_ns = monotonic_ns();
  EXPECT_THROW(execute(op), ops::Interrupted);
  EXPECT_LT(monotonic_ns() - start_ns, 5'000'000'000u);
  user.join();
  EXPECT_THROW(execute(on_vcpu(0, OpKind::run)), ops::Interrupted) << "and stays interrupted";
}

// KVM reads the TSC inside the ioctl, so its reading lies in the bracket.
TEST_F(NativeExecutorTest, HostTscOfGetClockLiesInItsBracket) {
  create(1);
  execute(on_vcpu(0, OpKind::run));
  for (int i = 0; i < 50; ++i) {
    const Entry entry = execute(on_vm(OpKind::get_clock));
    const std::uint64_t host_tsc = *entry.outcome.find(Field::host_tsc);
    if (host_tsc == 0) GTEST_SKIP() << "this KVM returns no host TSC";
    EXPECT_GT(host_tsc, entry.bracket.tsc.lo);
    EXPECT_LT(host_tsc, entry.bracket.tsc.hi);
    const std::uint64_t realtime = *entry.outcome.find(Field::realtime);
    EXPECT_GE(realtime, entry.bracket.realtime_ns.lo);
    EXPECT_LE(realtime, entry.bracket.realtime_ns.hi);
  }
}

}  // namespace
}  // namespace tscsim::kvm_backend

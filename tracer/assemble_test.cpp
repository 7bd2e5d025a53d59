// Calls as recorders see them, without any KVM, and what becomes of them.
#include "tracer/assemble.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <sstream>

#include "tracer/payload.h"

namespace tscsim::tracer {
namespace {

using ops::OpKind;

constexpr std::uint32_t kPid = 100;

RawCall call(unsigned long number, std::uint64_t at_ns, std::int32_t vcpu = kNoVcpu, std::int32_t result = 0) {
  RawCall made;
  made.request = static_cast<std::uint32_t>(number);
  made.vm = 1;
  made.vcpu = vcpu;
  made.pid = kPid;
  made.tid = kPid;
  made.result = result;
  made.error = result < 0 ? EINVAL : 0;
  made.begin = {1'000'000 + at_ns, at_ns, 3 * at_ns};
  made.end = {1'000'010 + at_ns, at_ns + 10, 3 * at_ns + 30};
  return made;
}

RawCall create_vcpu(std::uint64_t at_ns, std::uint64_t id) {
  RawCall made = call(KVM_CREATE_VCPU, at_ns, kNoVcpu, 7);
  made.value = id;
  return made;
}

RawCall run(std::uint64_t at_ns, std::int32_t vcpu, std::uint64_t before) {
  RawCall made = call(KVM_RUN, at_ns, vcpu);
  made.runs = before;
  return made;
}

std::vector<ops::Recording> assembled(std::vector<RawCall> calls, Seen seen = {}) {
  Circumstances circumstances;
  circumstances.profile.kernel = "6.12";
  circumstances.profile.host_khz = 3'000'000;
  circumstances.suspended_ns = {500, 600};
  seen.calls = std::move(calls);
  return assemble(seen, circumstances);
}

ops::Recording one(std::vector<RawCall> calls, Seen seen = {}) {
  auto all = assembled(std::move(calls), std::move(seen));
  EXPECT_EQ(all.size(), 1u);
  return all.empty() ? ops::Recording{} : all.front();
}

TEST(Assemble, TimeCountsFromTheCreationOfTheVmAndSleepIsAdded) {
  const ops::Recording recording = one({call(KVM_CREATE_VM, 1000, kNoVcpu, 5), create_vcpu(4000, 0)});
  EXPECT_EQ(recording.header.zero_base_ns, 1500u);
  EXPECT_EQ(recording.header.zero_tsc, 3000u);
  const ops::Entry& created = recording.entries[1];
  EXPECT_EQ(created.op.at_ns, 3000);
  EXPECT_EQ(created.bracket.tsc, (ops::Range{12'000, 12'030}));
  EXPECT_EQ(created.bracket.base_ns, (ops::Range{4500, 4610}));
}

TEST(Assemble, CallsAreInTheOrderOfTheirBeginningsHoweverTheyWereKept) {
  RawCall long_run = run(3000, 0, 0);
  long_run.end.raw_ns = 9000;
  const ops::Recording recording =
      one({call(KVM_CREATE_VM, 1000, kNoVcpu, 5), call(KVM_GET_CLOCK, 4000), create_vcpu(2000, 0), long_run});
  ASSERT_EQ(recording.entries.size(), 4u);
  EXPECT_EQ(recording.entries[2].op.kind, OpKind::run);
  EXPECT_EQ(recording.entries[3].note, "") << "KVM_RUN is expected to last over others";
}

TEST(Assemble, BracketsOfSeveralThreadsThatOverlapAreTold) {
  RawCall other = call(KVM_GET_CLOCK, 2005);
  other.tid = kPid + 1;
  const ops::Recording recording = one({call(KVM_CREATE_VM, 1000, kNoVcpu, 5), create_vcpu(2000, 0), other});
  EXPECT_EQ(recording.entries[2].note, "overlaps the operation before it");
}

// The kernel returns how many entries it has taken; it stops at the first that it refuses.
TEST(Assemble, MsrsBecomeOneOperationEachAsFarAsTheKernelCame) {
  RawCall set = call(request::kSetMsrs, 3000, 0, 2);
  set.msrs = 3;
  set.other_msrs = 1;
  set.msr = {RawMsr{ops::msr::kIa32TscAdjust, 0, 5}, RawMsr{ops::msr::kIa32Tsc, 2, 6},
             RawMsr{ops::msr::kKvmSystemTime, 3, 7}};
  const ops::Recording recording = one({call(KVM_CREATE_VM, 1000, kNoVcpu, 5), create_vcpu(2000, 0), set});
  ASSERT_EQ(recording.entries.size(), 4u);
  EXPECT_EQ(recording.entries[2].op.msr, ops::msr::kIa32TscAdjust);
  EXPECT_EQ(recording.entries[2].outcome.error, 0);
  EXPECT_EQ(recording.entries[2].note, "with 1 other MSRs");
  EXPECT_EQ(recording.entries[3].op.msr, ops::msr::kIa32Tsc);
  EXPECT_EQ(recording.entries[3].outcome.error, EINVAL);
}

// KVM_SET_ONE_REG of KVM_X86_REG_MSR() (6.18) is the MSR's write, of any other register a call like others.
TEST(Assemble, OneRegisterIsAnMsr) {
  std::uint64_t value = 77;
  kvm_one_reg reg{};
  reg.addr = reinterpret_cast<std::uint64_t>(&value);
  const auto from_here = [](std::uint64_t address, void* to, std::size_t bytes) {
    std::memcpy(to, reinterpret_cast<const void*>(address), bytes);
    return true;
  };
  const auto seen = [&](unsigned long request, std::uint64_t id) {
    reg.id = id;
    RawCall made = call(request, 3000, 0);
    return std::pair(read_payload(made, reinterpret_cast<std::uint64_t>(&reg), from_here), made);
  };
  EXPECT_EQ(kOneRegMsr | ops::msr::kIa32Tsc, 0x2030'0002'0000'0010u);
  const auto [writes, set] = seen(request::kSetOneReg, kOneRegMsr | ops::msr::kIa32Tsc);
  const auto [reads, get] = seen(request::kGetOneReg, kOneRegMsr | ops::msr::kIa32TscAdjust);
  ASSERT_TRUE(writes && reads);
  EXPECT_FALSE(seen(request::kSetOneReg, kOneRegMsr | 0xc0000080).first) << "EFER";
  EXPECT_FALSE(seen(request::kSetOneReg, 0x2030'0003'0000'0000).first) << "KVM_X86_REG_KVM()";
  RawCall later = get;
  later.begin.raw_ns += 1000;
  later.end.raw_ns += 1000;
  const ops::Recording recording = one({call(KVM_CREATE_VM, 1000, kNoVcpu, 5), create_vcpu(2000, 0), set, later});
  ASSERT_EQ(recording.entries.size(), 4u);
  EXPECT_TRUE(recording.header.sees_one_reg);
  EXPECT_EQ(recording.entries[2].op.kind, OpKind::set_msr);
  EXPECT_EQ(recording.entries[2].op.msr, ops::msr::kIa32Tsc);
  EXPECT_EQ(recording.entries[2].op.value, 77u);
  EXPECT_EQ(recording.entries[3].op.kind, OpKind::get_msr);
  EXPECT_EQ(recording.entries[3].op.msr, ops::msr::kIa32TscAdjust);
  EXPECT_EQ(*recording.entries[3].outcome.find(ops::Field::value), 77u);
}

TEST(Assemble, RunsAreCounted) {
  Seen seen;
  seen.runs[{1, 0}] = 30;
  const ops::Recording recording = one({call(KVM_CREATE_VM, 1000, kNoVcpu, 5), create_vcpu(2000, 0), run(3000, 0, 0),
                                        call(KVM_GET_CLOCK, 4000), run(5000, 0, 20)},
                                       seen);
  EXPECT_EQ(recording.entries[2].note, "the first of 20 entries");
  EXPECT_EQ(recording.entries[4].note, "the first of 10 entries");
}

TEST(Assemble, IdsBecomeIndicesAndCallsWithoutAnOperationANote) {
  const ops::Recording recording =
      one({call(KVM_CREATE_VM, 1000, kNoVcpu, 5), create_vcpu(2000, 8), call(request::kSetCpuid2, 3000, 8),
           call(KVM_SET_MP_STATE, 3500, 8), call(KVM_KVMCLOCK_CTRL, 4000, 8, -1)});
  EXPECT_EQ(recording.entries[1].note, "its id is 8");
  EXPECT_EQ(recording.entries[2].op.vcpu, 0);
  EXPECT_EQ(recording.entries[2].note, "after KVM_SET_CPUID2, KVM_SET_MP_STATE");
  EXPECT_EQ(recording.entries[2].outcome.error, EINVAL);
}

// Bit 18 of LVT Timer counts only where CPUID has the timer; one that can be set is in the kernel.
TEST(Assemble, TheTimersModeIsWhatKvmTakes) {
  for (const bool told : {false, true}) {
    RawCall cpuid = call(request::kSetCpuid2, 2500, 0);
    cpuid.value = told ? cpuid_flag::kDeadlineTimer : 0;
    RawCall lapic = call(KVM_SET_LAPIC, 3000, 0);
    lapic.value = 2 << 17;
    const ops::Recording recording = one({call(KVM_CREATE_VM, 1000, kNoVcpu, 5), create_vcpu(2000, 0), cpuid, lapic});
    EXPECT_EQ(recording.entries[2].op.value, told ? ops::timer_mode::kTscDeadline : ops::timer_mode::kOneshot);
    EXPECT_EQ(recording.entries[0].op.flags, ops::vm_flag::kIrqchip);
  }
}

TEST(Assemble, HypervIsKnownByItsName) {
  kvm_cpuid_entry2 leaf{};
  leaf.function = 0x40000000;
  std::memcpy(&leaf.ebx, "Micr", 4);
  std::memcpy(&leaf.ecx, "osof", 4);
  std::memcpy(&leaf.edx, "t Hv", 4);
  EXPECT_EQ(told_by(leaf), cpuid_flag::kHyperv);
  leaf.ecx = 0;
  EXPECT_EQ(told_by(leaf), 0u);
}

TEST(Assemble, WhatWasLostIsTold) {
  Seen seen;
  seen.lost = 3;
  EXPECT_EQ(one({call(KVM_CREATE_VM, 1000, kNoVcpu, 5)}, seen).cut, "there was no room for 3 calls");
}

TEST(Assemble, ARecordingIsReadBackAsItWas) {
  Seen seen;
  seen.commands[1] = "/usr/bin/vmm --fast";
  ops::Recording recording = one({call(KVM_CREATE_VM, 1000, kNoVcpu, 5), create_vcpu(2000, 0)}, seen);
  EXPECT_EQ(recording.header.scenario, "vmm");
  recording.header.profile.vendor = "vmx";
  recording.cut = "the command was killed by signal 9 (Killed)";
  std::stringstream lines;
  ops::write_json_lines(recording, lines);
  EXPECT_EQ(ops::read_json_lines(lines, "test"), recording);
}

TEST(Requests, AreNamed) {
  Seen seen;
  seen.others[request_key(KVM_SET_REGS)] = 2;
  seen.others[request_key(0xaeff)] = 1;
  EXPECT_EQ(others_text(seen), "ioctl 0xaeff (not known) 1, KVM_SET_REGS 2");
}

}  // namespace
}  // namespace tscsim::tracer

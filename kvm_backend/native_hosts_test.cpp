#include "kvm_backend/native_hosts.h"

#include <gtest/gtest.h>

#include <cstring>

#include "kvm_backend/kvm_required.h"

namespace tscsim::kvm_backend {
namespace {

using ops::OpKind;

ops::Step step(int host, OpKind kind, std::int32_t vcpu = ops::kVm, std::int64_t at_ns = 0) {
  ops::Step s;
  s.op.kind = kind;
  s.op.vcpu = vcpu;
  s.op.at_ns = at_ns;
  s.op.host = host;
  return s;
}

TEST(GuestMemory, WhatScenariosHaveKvmWriteIsCarriedAndNothingElse) {
  GuestMemory source, destination;
  const auto put = [&](std::uint64_t address, std::uint64_t value) {
    std::memcpy(source.mapping().data() + address, &value, sizeof value);
  };
  put(ops::layout::kPvclockPages + 8, 7);
  put(guest_map::command_page(0), 9);
  put(guest_map::kCode, 0);
  put(guest_map::kBytes - 8, 11);
  std::memset(destination.mapping().data() + ops::layout::kWallClockPages, 0xff, 12);
  const MemoryImage image = source.save();
  EXPECT_EQ(image.size(), 2u) << "the lines that are not zero";
  destination.load(image);
  EXPECT_EQ(destination.save(), image);
  EXPECT_EQ(destination.read_pvclock(ops::layout::kPvclockPages)->tsc_timestamp, 7u);
  EXPECT_EQ(destination.read_wall_clock(ops::layout::kWallClockPages)->sec, 0u) << "what lay there before is gone";
  EXPECT_EQ(std::memcmp(destination.mapping().data() + guest_map::kCode,
                        GuestMemory().mapping().data() + guest_map::kCode, 64),
            0);
}

TEST(RealtimeAtStart, IsTheFirstHostsAtThatScenarioTimePlusTheError) {
  ops::Program program;
  program.hosts.resize(2);
  program.hosts[0].realtime_error_ns = 10;
  program.hosts[1].realtime_error_ns = -300;
  program.timeline = {step(0, OpKind::get_clock, ops::kVm, 50), step(1, OpKind::create_vm, ops::kVm, 1000)};
  ops::Recording earlier;
  earlier.header.zero_base_ns = 5000;
  ops::Entry entry;
  entry.bracket.base_ns = {5050, 5060};
  entry.bracket.realtime_ns = {1'700'000'050, 1'700'000'060};
  earlier.entries = {entry};
  EXPECT_EQ(realtime_at_start(program, 1, earlier), 1'700'000'000u + 1000 - 310);
  EXPECT_FALSE(realtime_at_start(program, 0, earlier));
  EXPECT_FALSE(realtime_at_start(program, 1, {})) << "nothing is known";
}

// Two VMs on this machine; the page that KVM wrote for the one lies in the other.
TEST(NativeHosts, AGuestTakesItsPageToAnotherVm) {
  TSCSIM_NEEDS_KVM();
  ops::Program program;
  program.hosts.resize(2);
  ops::Step enable = step(0, OpKind::set_msr, 0);
  enable.op.msr = ops::msr::kKvmSystemTimeNew;
  enable.op.value = ops::layout::kPvclockPages | 1;
  program.setup = {step(0, OpKind::create_vm), step(0, OpKind::create_vcpu, 0), enable};
  program.timeline = {step(0, OpKind::run, 0),         step(0, OpKind::peek_pvclock, 0), step(0, OpKind::save_memory),
                      step(1, OpKind::create_vm),      step(1, OpKind::create_vcpu, 0),  step(1, OpKind::load_memory),
                      step(1, OpKind::peek_pvclock, 0)};
  NativeHosts executor({}, {0, 1});
  const ops::Recording recording = ops::run_program(program, executor, 1);
  std::vector<ops::Outcome> peeked;
  for (const ops::Entry& e : recording.entries)
    if (e.op.kind == OpKind::peek_pvclock && !e.op.probe) peeked.push_back(e.outcome);
  ASSERT_EQ(peeked.size(), 2u);
  EXPECT_NE(*peeked[0].find(ops::Field::version), 0u);
  EXPECT_EQ(peeked[0], peeked[1]);
}

}  // namespace
}  // namespace tscsim::kvm_backend

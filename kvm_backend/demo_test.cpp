// The whole backend in one go: a VM with two vCPUs is started, its TSCs are written, kvmclock is enabled,
// read, set and flagged. Prints what came back, so that it can be looked at on a new host.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <iostream>

#include "kvm_backend/kvm_required.h"
#include "kvm_backend/native_executor.h"

namespace tscsim::kvm_backend {
namespace {

using ops::OpKind;

void print(const ops::Entry& entry) {
  std::string line = fmt::format("{:>10} ns vcpu {:>2} pcpu {} {:<15}", entry.op.at_ns, entry.op.vcpu, entry.pcpu,
                                 ops::name_of(entry.op.kind));
  line += entry.supported ? fmt::format(" error {}", entry.outcome.error) : " NOT SUPPORTED";
  for (std::size_t i = 0; i < entry.outcome.count; ++i)
    line += fmt::format(" {}={}", ops::name_of(entry.outcome.fields[i].field), entry.outcome.fields[i].value);
  line += fmt::format(" | bracket {} cycles, {} ns", entry.bracket.tsc.hi - entry.bracket.tsc.lo,
                      entry.bracket.base_ns.hi - entry.bracket.base_ns.lo);
  std::cout << line << (entry.note.empty() ? "" : " | " + entry.note) << "\n";
}

class Demo {
 public:
  Demo() : executor_(open_native({})) {}

  ops::Entry step(int vcpu, OpKind kind, std::uint64_t value = 0, std::uint32_t msr = 0, std::uint32_t flags = 0) {
    ops::Operation op;
    op.kind = kind;
    op.vcpu = vcpu;
    op.value = value;
    op.msr = msr;
    op.flags = flags;
    op.at_ns = at_ns_;
    if (started_) at_ns_ += 500'000;
    const ops::Entry entry = executor_->execute(op);
    print(entry);
    return entry;
  }

  void start() {
    executor_->start_clock(0, 0, header_);
    started_ = true;
  }

  void peek_both(const char* after) {
    std::cout << "-- pages after " << after << "\n";
    for (const int vcpu : {0, 1}) step(vcpu, OpKind::peek_pvclock);
  }

 private:
  std::unique_ptr<ops::Executor> executor_;
  ops::Header header_;
  bool started_ = false;
  std::int64_t at_ns_ = 0;
};

TEST(Demo, TwoVcpusWithKvmclock) {
  TSCSIM_NEEDS_KVM();
  Demo demo;
  demo.step(ops::kVm, OpKind::create_vm);
  for (const int vcpu : {0, 1}) demo.step(vcpu, OpKind::create_vcpu);
  demo.start();
  for (const int vcpu : {0, 1}) demo.step(vcpu, OpKind::set_msr, 1'000'000'000, ops::msr::kIa32Tsc);
  for (const int vcpu : {0, 1}) demo.step(vcpu, OpKind::get_msr, 0, ops::msr::kIa32Tsc);
  for (const int vcpu : {0, 1}) demo.step(vcpu, OpKind::get_tsc_offset);
  demo.step(ops::kVm, OpKind::get_clock);
  for (const int vcpu : {0, 1}) {
    const std::uint64_t page = ops::layout::kPvclockPages + static_cast<std::uint64_t>(vcpu) * ops::layout::kPageStride;
    demo.step(vcpu, OpKind::set_msr, page | 1, ops::msr::kKvmSystemTimeNew);
  }
  demo.peek_both("enabling");
  demo.step(0, OpKind::run);
  demo.peek_both("run on vcpu 0");
  demo.step(1, OpKind::run);
  demo.peek_both("run on vcpu 1");
  for (const int vcpu : {0, 1, 0, 1}) demo.step(vcpu, OpKind::run);
  demo.peek_both("two more runs on each");
  for (const int vcpu : {0, 1}) EXPECT_EQ(demo.step(vcpu, OpKind::rdtsc).outcome.error, 0);
  for (const int vcpu : {0, 1}) EXPECT_EQ(demo.step(vcpu, OpKind::read_pvclock).outcome.error, 0);
  demo.peek_both("rdtsc and read_pvclock on each");
  demo.step(ops::kVm, OpKind::get_clock);
  demo.step(ops::kVm, OpKind::set_clock, 100'000'000'000);
  demo.peek_both("set_clock, before a run");
  demo.step(ops::kVm, OpKind::get_clock);
  for (const int vcpu : {0, 1}) demo.step(vcpu, OpKind::run);
  demo.peek_both("a run on each");
  for (const int vcpu : {0, 1}) EXPECT_EQ(demo.step(vcpu, OpKind::read_pvclock).outcome.error, 0);
  for (const int vcpu : {0, 1}) EXPECT_EQ(demo.step(vcpu, OpKind::kvmclock_ctrl).outcome.error, 0);
  for (const int vcpu : {0, 1}) demo.step(vcpu, OpKind::run);
  demo.peek_both("kvmclock_ctrl and a run on each");
  demo.step(0, OpKind::wrmsr, 5'000'000'000, ops::msr::kIa32Tsc);
  demo.step(0, OpKind::rdmsr, 0, ops::msr::kIa32TscAdjust);
  demo.peek_both("a guest write of IA32_TSC");
  demo.step(0, OpKind::wrmsr, 1'000'000, ops::msr::kIa32TscAdjust);
  demo.step(0, OpKind::run);
  demo.peek_both("a guest write of TSC_ADJUST and a run");
  demo.step(0, OpKind::set_tsc_offset, 123'456'789);
  demo.step(0, OpKind::get_tsc_offset);
  demo.step(0, OpKind::run);
  demo.step(1, OpKind::run);
  demo.peek_both("set_tsc_offset on vcpu 0 and a run on each");
  demo.step(ops::kVm, OpKind::get_clock);
  demo.step(0, OpKind::move_vcpu, 1);
  demo.step(0, OpKind::run);
  demo.peek_both("moving vcpu 0 to pcpu 1 and a run");
  demo.step(0, OpKind::set_msr, ops::layout::kWallClockPages, ops::msr::kKvmWallClockNew);
  demo.step(0, OpKind::peek_wall_clock);
  demo.step(0, OpKind::set_tsc_khz, 1'000'000);
  demo.step(0, OpKind::get_tsc_khz);
  demo.step(ops::kVm, OpKind::set_tsc_khz, 1'000'000);
  demo.step(0, OpKind::rdtscp);
  demo.step(0, OpKind::set_clocksource, 0);
}

}  // namespace
}  // namespace tscsim::kvm_backend

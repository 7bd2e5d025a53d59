#include "model/world/guest_reader.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "model/world/simulated_kvm.h"
#include "model/world/simulation.h"
#include "sim/random.h"

namespace tscsim::model {
namespace {

using ops::OpKind;
using Kvm = SimulatedKvm<Host<std::uint64_t>>;

ops::Operation op(OpKind kind, std::int32_t vcpu, std::uint32_t msr = 0, std::uint64_t value = 0) {
  ops::Operation made;
  made.kind = kind;
  made.vcpu = vcpu;
  made.msr = msr;
  made.value = value;
  return made;
}

ops::HostSpec host(std::uint32_t khz, const char* vendor) {
  ops::HostSpec spec;
  spec.tsc_khz = khz;
  spec.vendor = vendor;
  spec.tsc_scaling = true;
  return spec;
}

// Two vCPUs with kvmclock on, entered twice.
void boot(Kvm& kvm, std::uint32_t guest_khz) {
  const auto perform = [&kvm](const ops::Operation& o) { kvm.perform(o, kvm.arrive(0, o.vcpu)); };
  perform(op(OpKind::create_vm, ops::kVm));
  for (int v = 0; v < 2; ++v) perform(op(OpKind::create_vcpu, v));
  for (int v = 0; v < 2; ++v) {
    if (guest_khz != 0) perform(op(OpKind::set_tsc_khz, v, 0, guest_khz));
    perform(op(OpKind::set_msr, v, ops::msr::kKvmSystemTimeNew,
               (ops::layout::kPvclockPages + static_cast<std::uint64_t>(v) * ops::layout::kPageStride) | 1));
  }
  for (int round = 0; round < 2; ++round)
    for (int v = 0; v < 2; ++v) perform(op(OpKind::run, v));
}

struct Row {
  std::uint32_t host_khz, guest_khz;
  const char* vendor;
};
constexpr Row kRows[] = {{2'600'000, 0, "vmx"},       {2'600'000, 2'100'000, "vmx"}, {2'000'000, 3'700'000, "svm"},
                         {800'000, 5'000'000, "svm"}, {4'200'000, 1'000, "vmx"},     {999'000, 0, "svm"}};

ops::TargetProfile profile(const Row& row, const char* kernel) {
  ops::HostSpec spec = host(row.host_khz, row.vendor);
  spec.kernel = kernel;
  return profile_of(spec, "", Tracing::off);
}

TEST(GuestReader, ReadsWhatTheFullOperationReadsAndLeavesWhatItLeaves) {
  for (const Row& row : kRows)
    for (const char* kernel : {"5.4", "6.12", "7.3"}) {
      const MachineConfig config = machine_config(profile(row, kernel));
      Kvm slow(host(row.host_khz, row.vendor), config), fast(host(row.host_khz, row.vendor), config);
      boot(slow, row.guest_khz);
      boot(fast, row.guest_khz);
      std::int64_t at_ns = 0;
      const int cpu = fast.arrive(at_ns, 0);
      const Host<std::uint64_t>& seen = fast.host();
      const auto reader = GuestReader::of(fast.machine(), 0, cpu, seen);
      ASSERT_TRUE(reader.has_value());
      for (int i = 0; i < 1'000; ++i) {
        at_ns += 1'234'567 * i % 70'001;
        const int pcpu = slow.arrive(at_ns, 0);
        const ops::Outcome outcome = slow.perform(op(i % 2 == 0 ? OpKind::rdtsc : OpKind::read_pvclock, 0), pcpu);
        fast.arrive(at_ns, 0);
        const std::uint64_t host_tsc = fast.clock().tsc(cpu);
        const std::uint64_t read = i % 2 == 0 ? reader->tsc(host_tsc) : reader->kvmclock(host_tsc);
        ASSERT_EQ(read, outcome.fields[0].value) << row.guest_khz << " on " << row.host_khz << ", reading " << i;
      }
      reader->leave(fast.machine(), fast.clock().tsc(cpu));
      const Vcpu<std::uint64_t>& a = slow.machine().vcpus()[0];
      const Vcpu<std::uint64_t>& b = fast.machine().vcpus()[0];
      EXPECT_EQ(a.last_guest_tsc, b.last_guest_tsc);
      EXPECT_EQ(a.last_host_tsc, b.last_host_tsc);
      EXPECT_EQ(a.requests, b.requests);
      EXPECT_EQ(a.l1_tsc_offset, b.l1_tsc_offset);
    }
}

TEST(GuestReader, IsNotToBeHadWhereAReadingIsMore) {
  const auto readable = [](auto change) {
    Kvm kvm(host(2'600'000, "vmx"), machine_config(profile(kRows[0], "6.12")));
    boot(kvm, 0);
    const int cpu = kvm.arrive(0, 0);
    change(kvm);
    return GuestReader::of(kvm.machine(), 0, cpu, static_cast<const Host<std::uint64_t>&>(kvm.host())).has_value();
  };
  EXPECT_TRUE(readable([](Kvm&) {}));
  EXPECT_FALSE(readable([](Kvm& kvm) { kvm.machine().vcpus()[0].requests = kClockUpdate; }));
  EXPECT_FALSE(readable([](Kvm& kvm) { kvm.host().mark_tsc_unstable(); }));
  EXPECT_FALSE(readable([](Kvm& kvm) { kvm.machine().vcpus()[0].tsc_always_catchup = true; }));
  EXPECT_FALSE(readable([](Kvm& kvm) { kvm.machine().vcpus()[0].tsc_offset_adjustment = 5; }));
  EXPECT_FALSE(readable([](Kvm& kvm) { kvm.machine().vcpus()[0].cpu = 7; }));
  EXPECT_FALSE(readable([](Kvm& kvm) { kvm.machine().vcpus()[0].system_time_msr = 0; }));
  EXPECT_FALSE(readable([](Kvm& kvm) { kvm.machine().vcpus()[0].steal_msr = ops::layout::kStealTimes | 1; }));
}

TEST(GuestReader, ManyAtOnceHaveTheSameBits) {
  if (!GuestReader::has_avx512()) GTEST_SKIP() << "this CPU has no AVX-512; the portable path is the only one";
  sim::Stream random(1, "readings");
  constexpr std::uint64_t kEdges[] = {0,
                                      1,
                                      0x7fff'ffff,
                                      0xffff'ffff,
                                      0x1'0000'0000,
                                      ~std::uint64_t{0},
                                      std::uint64_t{1} << 63,
                                      (std::uint64_t{1} << 63) - 1,
                                      ~std::uint64_t{0} << 32,
                                      0xffff'ffff'0000'0001};
  for (const Row& row : kRows) {
    Kvm kvm(host(row.host_khz, row.vendor), machine_config(profile(row, "6.12")));
    boot(kvm, row.guest_khz);
    const int cpu = kvm.arrive(0, 0);
    for (int page_number = 0; page_number < 300; ++page_number) {
      Vcpu<std::uint64_t>& v = kvm.machine().vcpus()[0];
      PvclockPage<std::uint64_t>& page = kvm.machine().page_at(v.page_address());
      if (page_number > 0) {  // the first is the real one
        v.tsc_offset = random.next();
        page.tsc_timestamp = kEdges[static_cast<std::size_t>(page_number) % std::size(kEdges)];
        page.system_time = random.next();
        page.scale = {static_cast<std::uint32_t>(page_number % 3 == 0 ? 0xffff'ffff : random.next()),
                      static_cast<std::int8_t>(random.uniform(-31, 31))};
        if (v.tsc_scaling_ratio.is_default() || page_number % 2 == 0) v.tsc_scaling_ratio.value = random.next() | 1;
      }
      const auto reader = GuestReader::of(kvm.machine(), 0, cpu, static_cast<const Host<std::uint64_t>&>(kvm.host()));
      ASSERT_TRUE(reader.has_value());
      std::vector<std::uint64_t> tscs(std::begin(kEdges), std::end(kEdges));
      for (int i = 0; i < 33; ++i) tscs.push_back(random.next());
      std::vector<std::uint64_t> many(tscs.size()), one(tscs.size());
      reader->kvmclocks(tscs, many);
      reader->kvmclocks_portable(tscs, one);
      ASSERT_EQ(many, one) << "page " << page_number;
    }
  }
}

}  // namespace
}  // namespace tscsim::model

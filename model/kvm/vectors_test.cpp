// Every row of the specification's numeric vectors (tests/vectors/vectors.json, checked there against compiled kernel functions).
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "model/kvm/arithmetic.h"
#include "model/kvm/machine.h"

namespace tscsim::model {
namespace {

using nlohmann::json;

const json& vectors() {
  static const json all = [] {
    std::ifstream in(TSCSIM_SOURCE_DIR "/tests/vectors/vectors.json");
    return json::parse(in);
  }();
  return all;
}

std::uint64_t u64(const json& row, const char* name) {
  const auto& text = row.at(name).get_ref<const std::string&>();
  if (text.front() == '-') return static_cast<std::uint64_t>(std::stoll(text));
  return std::stoull(text);
}
std::uint32_t u32(const json& row, const char* name) { return static_cast<std::uint32_t>(u64(row, name)); }
std::int8_t s8(const json& row, const char* name) { return static_cast<std::int8_t>(u64(row, name)); }
Vendor vendor_of(const json& row) { return row.at("vendor") == "vmx" ? Vendor::vmx : Vendor::svm; }
TscRatio ratio_of(const json& row, const char* name) {
  if (row.at(name).is_null()) return default_ratio(vendor_of(row));
  return {u64(row, name), ratio_fraction_bits(vendor_of(row))};
}

template <class Check>
void for_each_row(const char* group, Check check) {
  const json& rows = vectors().at(group).at("rows");
  ASSERT_GT(rows.size(), 0u);
  for (const json& row : rows) {
    SCOPED_TRACE(std::string(group) + ": " + row.dump());
    check(row);
  }
}

// A host that answers with the row's numbers.
struct ScriptedHost final : Host<std::uint64_t> {
  std::vector<std::uint64_t> tscs;  // in order of reading; the last one repeats
  std::size_t next = 0;
  std::uint64_t base = 0, real = 0;
  bool clocksource_is_tsc = true, unstable = false;
  std::optional<ClockPair<std::uint64_t>> pair_ns, pair_real;

  std::uint64_t tsc() override {
    if (tscs.empty()) return 0;
    return tscs[std::min(next++, tscs.size() - 1)];
  }
  std::uint64_t base_ns() override { return base; }
  std::uint64_t realtime_ns() override { return real; }
  std::uint64_t run_delay_ns() override { return 0; }
  std::optional<ClockPair<std::uint64_t>> base_pair() override {
    if (!clocksource_is_tsc) return std::nullopt;
    return pair_ns ? pair_ns : ClockPair<std::uint64_t>{base, tscs.empty() ? 0 : tscs.back()};
  }
  std::optional<ClockPair<std::uint64_t>> realtime_pair() override { return pair_real; }
  bool tsc_clocksource() const override { return clocksource_is_tsc; }
  bool tsc_unstable() const override { return unstable; }
  void mark_tsc_unstable() override {}
  void schedule(DelayedWork, std::int64_t) override {}
};

MachineConfig config_for(const char* kernel, std::uint32_t host_khz, Vendor vendor, bool scaling) {
  MachineConfig config;
  config.era = era_for(*KernelVersion::parse(kernel));
  config.policy = sync_policy(config.era.heuristic);
  config.vendor = vendor;
  config.host_khz = host_khz;
  config.tsc_scaling = scaling;
  return config;
}

TEST(Vectors, TimeScale) {
  for_each_row("time_scale", [](const json& r) {
    EXPECT_EQ(time_scale(u64(r, "scaled_hz"), u64(r, "base_hz")), (TimeScale{u32(r, "mul"), s8(r, "shift")}));
  });
}

TEST(Vectors, ScaleDelta) {
  for_each_row("scale_delta", [](const json& r) {
    EXPECT_EQ(scale_delta(u64(r, "delta"), {u32(r, "mul"), s8(r, "shift")}), u64(r, "result"));
  });
  for_each_row("nsec_to_cycles", [](const json& r) {
    EXPECT_EQ(ns_to_cycles(u32(r, "khz")), (TimeScale{u32(r, "mult"), s8(r, "shift")}));
    EXPECT_EQ(scale_delta(u64(r, "ns"), {u32(r, "mult"), s8(r, "shift")}), u64(r, "cycles"));
  });
}

TEST(Vectors, Ratio) {
  for (const auto vendor : {Vendor::vmx, Vendor::svm}) {
    for_each_row(vendor == Vendor::vmx ? "ratio_vmx" : "ratio_svm", [&](const json& r) {
      EXPECT_EQ(raw_ratio_for(vendor, u32(r, "user_khz"), u32(r, "host_khz")).value, u64(r, "ratio"));
      EXPECT_EQ(ratio_for(vendor, u32(r, "user_khz"), u32(r, "host_khz")).has_value(), r.at("accepted").get<bool>());
    });
  }
}

TEST(Vectors, ScaleTsc) {
  for_each_row("scale_tsc",
               [](const json& r) { EXPECT_EQ(scale_tsc(u64(r, "tsc"), ratio_of(r, "ratio")), u64(r, "result")); });
}

TEST(Vectors, OffsetForAWantedValue) {
  for_each_row("l1_offset", [](const json& r) {
    const TscRatio ratio = ratio_of(r, "ratio");
    const std::uint64_t offset = u64(r, "target_guest_tsc") - scale_tsc(u64(r, "host_tsc"), ratio);
    EXPECT_EQ(offset, u64(r, "offset"));
    EXPECT_EQ(offset + scale_tsc(u64(r, "later_host_tsc"), ratio), u64(r, "later_guest_tsc"));
  });
}

TEST(Vectors, Nested) {
  for_each_row("nested", [](const json& r) {
    const TscRatio l2 = ratio_of(r, "l2_ratio");
    EXPECT_EQ(nested_tsc_offset(u64(r, "l1_offset"), u64(r, "l2_offset"), l2), u64(r, "offset02"));
    EXPECT_EQ(nested_tsc_ratio(ratio_of(r, "l1_ratio"), l2).value, u64(r, "ratio02"));

    Machine<std::uint64_t> machine(config_for("7.2", 2'600'000, vendor_of(r), true));
    ScriptedHost host;
    machine.create_vcpu(0, host);
    Vcpu<std::uint64_t>& vcpu = machine.vcpus()[0];
    vcpu.l1_tsc_offset = u64(r, "l1_offset");
    vcpu.l1_tsc_scaling_ratio = ratio_of(r, "l1_ratio");
    ops::Operation op;
    op.kind = ops::OpKind::enter_l2;
    op.vcpu = 0;
    op.value = u64(r, "l2_offset");
    op.realtime = l2.value;
    EXPECT_EQ(machine.perform(op, 0, host).error, 0);
    EXPECT_EQ(vcpu.tsc_offset, u64(r, "offset02"));
    EXPECT_EQ(vcpu.tsc_scaling_ratio.value, u64(r, "ratio02"));
  });
}

TEST(Vectors, Tolerance) {
  for_each_row("tolerance", [](const json& r) {
    const ToleranceBand band = tolerance_band(u32(r, "host_khz"), u32(r, "ppm"));
    EXPECT_EQ(band.lo_khz, u32(r, "lo"));
    EXPECT_EQ(band.hi_khz, u32(r, "hi"));
  });
  for_each_row("max_guest_tsc_khz", [](const json& r) {
    EXPECT_EQ(max_guest_tsc_khz(vendor_of(r), u32(r, "host_khz")), u32(r, "max_guest_tsc_khz"));
  });
}

TEST(Vectors, SetTscKhz) {
  for_each_row("set_tsc_khz", [](const json& r) {
    Machine<std::uint64_t> machine(
        config_for("7.2", u32(r, "host_khz"), vendor_of(r), r.at("has_tsc_control").get<bool>()));
    ScriptedHost host;
    machine.create_vcpu(0, host);
    auto& vcpu = machine.vcpus()[0];
    vcpu.virtual_tsc_khz = 0;  // to see whether it is written
    ops::Operation op;
    op.kind = ops::OpKind::set_tsc_khz;
    op.vcpu = 0;
    op.value = u64(r, "khz");
    EXPECT_EQ(machine.perform(op, 0, host).error == 0, r.at("rc") == "0");
    EXPECT_EQ(vcpu.virtual_tsc_khz != 0, r.at("changed").get<bool>());
    if (!r.at("changed").get<bool>()) return;
    EXPECT_EQ(vcpu.virtual_tsc_khz, u32(r, "virtual_tsc_khz"));
    EXPECT_EQ(vcpu.virtual_scale, (TimeScale{u32(r, "virtual_tsc_mult"), s8(r, "virtual_tsc_shift")}));
    EXPECT_EQ(vcpu.tsc_catchup, r.at("catchup").get<bool>());
    EXPECT_EQ(vcpu.l1_tsc_scaling_ratio, ratio_of(r, "ratio"));
  });
}

TEST(Vectors, ComputeGuestTsc) {
  for_each_row("compute_guest_tsc", [](const json& r) {
    const TimeScale scale{u32(r, "mult"), s8(r, "shift")};
    EXPECT_EQ(u64(r, "this_tsc_write") + scale_delta(u64(r, "kernel_ns") - u64(r, "this_tsc_nsec"), scale),
              u64(r, "guest_tsc"));
  });
}

TEST(Vectors, GuestTimeUpdate) {
  for_each_row("guest_time_update", [](const json& r) {
    const bool scaling = !r.at("vendor").is_null();
    Machine<std::uint64_t> machine(config_for("7.2", u32(r, "host_khz"), vendor_of(r), scaling));
    ScriptedHost host;
    machine.create_vcpu(0, host);
    auto& vcpu = machine.vcpus()[0];
    vcpu.l1_tsc_offset = u64(r, "l1_tsc_offset_before");
    if (scaling) vcpu.l1_tsc_scaling_ratio = ratio_of(r, "ratio");
    if (r.contains("catchup")) {
      vcpu.tsc_catchup = r.at("catchup").get<bool>();
      vcpu.this_tsc_nsec = u64(r, "this_tsc_nsec");
      vcpu.this_tsc_write = u64(r, "this_tsc_write");
      vcpu.virtual_scale = {u32(r, "virtual_tsc_mult"), s8(r, "virtual_tsc_shift")};
    }
    vcpu.system_time_msr = 0x1001;
    auto& vm = machine.vm();
    vm.kvmclock_offset = u64(r, "kvmclock_offset");
    vm.use_master_clock = r.at("use_master_clock").get<bool>();
    vm.master_kernel_ns = host.base = u64(r, "kernel_ns");
    vm.master_cycle_now = u64(r, "host_tsc");
    host.tscs = {u64(r, "host_tsc")};
    machine.guest_time_update(0, host);
    ops::Operation peek;
    peek.kind = ops::OpKind::peek_pvclock;
    peek.vcpu = 0;
    const auto page = machine.perform(peek, 0, host);
    EXPECT_EQ(*page.find(ops::Field::tsc_timestamp), u64(r, "tsc_timestamp"));
    EXPECT_EQ(*page.find(ops::Field::system_time), u64(r, "system_time"));
    EXPECT_EQ(*page.find(ops::Field::mul), u64(r, "tsc_to_system_mul"));
    EXPECT_EQ(*page.find(ops::Field::shift), u64(r, "tsc_shift"));
    EXPECT_EQ(*page.find(ops::Field::page_flags), u64(r, "flags"));
    EXPECT_EQ(vcpu.hw_tsc_hz, std::uint64_t{u32(r, "hw_tsc_khz")} * 1000);
    EXPECT_EQ(vcpu.l1_tsc_offset, u64(r, "l1_tsc_offset"));
  });
}

TEST(Vectors, PvclockRead) {
  for_each_row("pvclock_read", [](const json& r) {
    const TimeScale scale{u32(r, "mul"), s8(r, "shift")};
    EXPECT_EQ(u64(r, "system_time") + scale_delta(u64(r, "tsc") - u64(r, "tsc_timestamp"), scale), u64(r, "ns"));
  });
  for_each_row("pvclock_tsc_khz", [](const json& r) {
    EXPECT_EQ(pvclock_tsc_khz({u32(r, "mul"), s8(r, "shift")}), u32(r, "khz"));
  });
}

TEST(Vectors, GuestClockAgainstGetClock) {
  for_each_row("clock_guest_vs_get_clock", [](const json& r) {
    const TscRatio ratio = ratio_of(r, "ratio");
    Machine<std::uint64_t> machine(config_for("7.2", u32(r, "host_khz"), vendor_of(r), true));
    ScriptedHost host;
    machine.create_vcpu(0, host);
    auto& vcpu = machine.vcpus()[0];
    vcpu.l1_tsc_offset = vcpu.tsc_offset = u64(r, "l1_tsc_offset");
    vcpu.l1_tsc_scaling_ratio = vcpu.tsc_scaling_ratio = ratio;
    vcpu.system_time_msr = 0x1001;
    vcpu.requests = 0;
    vcpu.cpu = 0;
    auto& vm = machine.vm();
    vm.kvmclock_offset = u64(r, "kvmclock_offset");
    vm.use_master_clock = true;
    vm.master_kernel_ns = u64(r, "master_kernel_ns");
    vm.master_cycle_now = u64(r, "master_cycle_now");
    machine.guest_time_update(0, host);
    host.tscs = {u64(r, "host_tsc")};
    host.pair_real = ClockPair<std::uint64_t>{1, u64(r, "host_tsc")};
    ops::Operation op;
    op.kind = ops::OpKind::read_pvclock;
    op.vcpu = 0;
    EXPECT_EQ(*machine.perform(op, 0, host).find(ops::Field::ns), u64(r, "guest_reads_ns"));
    op.kind = ops::OpKind::get_clock;
    EXPECT_EQ(*machine.perform(op, 0, host).find(ops::Field::clock), u64(r, "kvm_get_clock_ns"));
  });
}

TEST(Vectors, HyperVPage) {
  for_each_row("hyperv_tsc_page", [](const json& r) {
    const auto page = reference_tsc_page(u64(r, "tsc_timestamp"), u64(r, "system_time"),
                                         {u32(r, "mul"), s8(r, "shift")}, (u64(r, "flags") & 1) != 0);
    ASSERT_EQ(page.has_value(), r.at("valid").get<bool>());
    if (!page) return;
    EXPECT_EQ(page->scale, u64(r, "tsc_scale"));
    EXPECT_EQ(page->offset, u64(r, "tsc_offset"));
    EXPECT_EQ(page->time_100ns(u64(r, "tsc")), u64(r, "ref_time_100ns"));
  });
}

TEST(Vectors, WallClock) {
  for_each_row("wall_clock", [](const json& r) {
    Machine<std::uint64_t> machine(config_for("7.2", 2'600'000, Vendor::vmx, false));
    ScriptedHost host;
    machine.create_vcpu(0, host);
    machine.vm().use_master_clock = false;
    machine.vm().kvmclock_offset = 0;
    host.real = u64(r, "epoch_ns");
    ops::Operation op;
    op.kind = ops::OpKind::set_msr;
    op.vcpu = 0;
    op.msr = ops::msr::kKvmWallClockNew;
    op.value = 0x2000;
    machine.perform(op, 0, host);
    op.kind = ops::OpKind::peek_wall_clock;
    const auto page = machine.perform(op, 0, host);
    EXPECT_EQ(*page.find(ops::Field::sec), u64(r, "sec"));
    EXPECT_EQ(*page.find(ops::Field::nsec), u64(r, "nsec"));
    EXPECT_EQ(*page.find(ops::Field::version), 2u);
  });
}

TEST(Vectors, ResumeAdjustment) {
  for_each_row("resume_adjustment", [](const json& r) {
    const std::uint64_t delta = u64(r, "max_last_host_tsc") - u64(r, "local_tsc");
    EXPECT_EQ(delta, u64(r, "delta_cyc"));
    EXPECT_EQ(u64(r, "l1_offset_before") + scale_tsc(delta, ratio_of(r, "ratio")), u64(r, "l1_offset_after"));
  });
}

TEST(Vectors, Deadlines) {
  for_each_row("tsc_deadline_ns", [](const json& r) {
    EXPECT_EQ(tsc_deadline_ns(u64(r, "deadline"), u64(r, "guest_tsc"), u32(r, "khz")), u64(r, "ns"));
  });
  for_each_row("preemption_timer_delta", [](const json& r) {
    const auto delta = preemption_timer_delta(u64(r, "guest_delta"), {u64(r, "ratio"), 48});
    if (r.at("host_delta").is_null()) {
      EXPECT_FALSE(delta.has_value());
    } else {
      EXPECT_EQ(delta, u64(r, "host_delta"));
    }
  });
}

TEST(Vectors, KvmclockBase) {
  for_each_row("kvmclock_base", [](const json& r) {
    const std::uint64_t tsc = std::max(u64(r, "rdtsc"), u64(r, "cycle_last_mono"));
    EXPECT_EQ(tsc, u64(r, "tsc_used"));
    const ClockBase clock{u64(r, "cycle_last"), u64(r, "mask"), u64(r, "xtime_nsec"), u32(r, "mult"), u32(r, "shift")};
    EXPECT_EQ(clock_ns(clock, tsc) + u64(r, "base") + u64(r, "offs_boot"), u64(r, "kvmclock_base_ns"));
  });
}

TEST(Vectors, GetClock) {
  for_each_row("get_clock", [](const json& r) {
    Machine<std::uint64_t> machine(config_for("7.2", u32(r, "host_khz"), Vendor::vmx, false));
    ScriptedHost host;
    machine.create_vcpu(0, host);
    auto& vm = machine.vm();
    vm.use_master_clock = r.at("use_master_clock").get<bool>();
    vm.master_cycle_now = u64(r, "master_cycle_now");
    vm.master_kernel_ns = u64(r, "master_kernel_ns");
    vm.kvmclock_offset = u64(r, "kvmclock_offset");
    host.base = u64(r, "base_ns");
    const std::uint64_t tsc = std::max(u64(r, "rdtsc"), u64(r, "cycle_last"));
    const ClockBase mono{u64(r, "cycle_last"), ~0ull, u64(r, "xtime_nsec"), u32(r, "mult"), u32(r, "shift")};
    const std::uint64_t realtime = u64(r, "wall_time_sec") * 1'000'000'000 + clock_ns(mono, tsc);
    host.pair_real = ClockPair<std::uint64_t>{realtime, tsc};
    host.real = realtime;
    ops::Operation op;
    op.kind = ops::OpKind::get_clock;
    const auto out = machine.perform(op, 0, host);
    const json& result = r.at("result");
    EXPECT_EQ(*out.find(ops::Field::clock), u64(result, "clock"));
    EXPECT_EQ(*out.find(ops::Field::flags), u64(result, "flags"));
    EXPECT_EQ(*out.find(ops::Field::realtime), u64(result, "realtime"));
    EXPECT_EQ(*out.find(ops::Field::host_tsc), u64(result, "host_tsc"));
    if (r.at("wall_epoch_ns").is_null()) return;
    op = {};
    op.kind = ops::OpKind::set_msr;
    op.vcpu = 0;
    op.msr = ops::msr::kKvmWallClockNew;
    op.value = 0x2000;
    machine.perform(op, 0, host);
    op.kind = ops::OpKind::peek_wall_clock;
    const auto page = machine.perform(op, 0, host);
    EXPECT_EQ(*page.find(ops::Field::sec), u64(r, "wall_epoch_ns") / 1'000'000'000 & 0xffff'ffff);
    EXPECT_EQ(*page.find(ops::Field::nsec), u64(r, "wall_epoch_ns") % 1'000'000'000);
  });
}

// One matched vCPU, so that the master clock can come on.
Machine<std::uint64_t> machine_with_master(const char* kernel, std::uint32_t khz) {
  Machine<std::uint64_t> machine(config_for(kernel, khz, Vendor::vmx, false));
  ScriptedHost host;
  machine.create_vcpu(0, host);
  return machine;
}

TEST(Vectors, SetClock) {
  for_each_row("set_clock", [](const json& r) {
    auto machine = machine_with_master("7.2", 2'600'000);
    ScriptedHost host;
    host.clocksource_is_tsc = r.at("use_master_clock").get<bool>();
    host.base = u64(r, "base_ns");
    host.real = u64(r, "now_real_ns");
    host.pair_ns = ClockPair<std::uint64_t>{u64(r, "master_kernel_ns"), 1};
    ops::Operation op;
    op.kind = ops::OpKind::set_clock;
    op.value = u64(r, "clock");
    op.flags = u32(r, "flags");
    op.realtime = u64(r, "realtime");
    EXPECT_EQ(machine.perform(op, 0, host).error, 0);
    EXPECT_EQ(machine.vm().kvmclock_offset, u64(r, "kvmclock_offset"));
  });
}

TEST(Vectors, SetClock413To511) {
  for_each_row("set_clock_4_13_to_5_11", [](const json& r) {
    auto machine = machine_with_master("5.10", u32(r, "host_khz"));
    ScriptedHost host;
    host.pair_ns = ClockPair<std::uint64_t>{u64(r, "master_kernel_ns"), u64(r, "master_cycle_now")};
    host.tscs = {u64(r, "rdtsc")};
    machine.vm().kvmclock_offset = u64(r, "offset_before");
    ops::Operation op;
    op.kind = ops::OpKind::set_clock;
    op.value = u64(r, "clock");
    machine.perform(op, 0, host);
    EXPECT_EQ(machine.vm().kvmclock_offset, u64(r, "offset_after"));
    EXPECT_EQ(machine.vm().master_kernel_ns + machine.vm().kvmclock_offset, u64(r, "system_time_after"));
  });
}

TEST(Vectors, PvclockVersion) {
  const struct {
    const char* column;
    const char* kernel;
  } eras[] = {{"from_5_19", "6.1"}, {"from_4_15_to_5_17", "5.10"}, {"from_4_2_to_4_12", "4.9"}};
  for_each_row("pvclock_version", [&](const json& r) {
    for (const auto& era : eras) {
      SCOPED_TRACE(era.kernel);
      auto machine = machine_with_master(era.kernel, 2'600'000);
      ScriptedHost host;
      machine.vcpus()[0].system_time_msr = 0x1001;
      machine.page_at(0x1000).version = u32(r, "guest_version");
      machine.guest_time_update(0, host);
      ops::Operation peek;
      peek.kind = ops::OpKind::peek_pvclock;
      peek.vcpu = 0;
      const std::string after = r.at(era.column).at(1).get<std::string>();
      EXPECT_EQ(*machine.perform(peek, 0, host).find(ops::Field::version), std::stoull(after));
    }
  });
}

TEST(Vectors, SyncWindow) {
  for_each_row("sync_window", [](const json& r) {
    TscWrite<std::uint64_t> write;
    write.data = u64(r, "data");
    write.last.elapsed_ns = u64(r, "now_ns") - u64(r, "last_tsc_nsec");
    write.last.tsc_write = u64(r, "last_tsc_write");
    write.virtual_tsc_khz = u32(r, "khz");
    write.virtual_scale = ns_to_cycles(u32(r, "khz"));
    EXPECT_EQ(write.last.elapsed_ns, u64(r, "elapsed"));
    EXPECT_EQ(sync_policy("window")->wants_to_synchronise(write), r.at("in_window_4_12").get<bool>());
    EXPECT_EQ(sync_policy("window-us")->wants_to_synchronise(write), r.at("in_window_3_4").get<bool>());
    write.user_set_tsc = true;
    EXPECT_EQ(sync_policy("window-after-user-write")->wants_to_synchronise(write), r.at("in_window_4_12").get<bool>());
  });
}

TEST(Vectors, DocumentedOffsetProcedure) {
  for_each_row("documented_offset_procedure", [](const json& r) {
    const auto elapsed_ns = static_cast<std::int64_t>(u64(r, "guest_ns_dst") - u64(r, "guest_ns_src"));
    const auto cycles = static_cast<__int128>(elapsed_ns) * u32(r, "khz") / 1'000'000;
    EXPECT_EQ(
        u64(r, "offset_src") + static_cast<std::uint64_t>(cycles) + u64(r, "host_tsc_src") - u64(r, "host_tsc_dst"),
        u64(r, "offset_dst"));
  });
}

TEST(Vectors, RfcSetTscState) {
  for_each_row("rfc_set_tsc_state", [](const json& r) {
    MachineConfig config = config_for("5.10", u32(r, "khz"), Vendor::vmx, false);
    config.era.precise_tsc = PreciseTsc::v2;
    Machine<std::uint64_t> machine(config);
    ScriptedHost host;
    machine.publish_vcpu();
    host.pair_real = ClockPair<std::uint64_t>{u64(r, "wall_ns"), u64(r, "host_tsc")};
    ops::Operation op;
    op.kind = ops::OpKind::set_tsc_state;
    op.vcpu = 0;
    op.flags = u32(r, "flags");
    op.value = u64(r, "tsc");
    op.realtime = u64(r, "nsec");
    EXPECT_EQ(machine.perform(op, 0, host).error, 0);
    EXPECT_EQ(machine.vcpus()[0].l1_tsc_offset, u64(r, "offset"));
    EXPECT_EQ(machine.vcpus()[0].l1_tsc_offset + u64(r, "host_tsc"), u64(r, "new_tsc"));
  });
}

// The first kernel of each era of docs/spec/kvm-timekeeping.md 3.5.
const char* kernel_of_era(const std::string& era) {
  static const std::map<std::string, const char*> kernels = {{"3.6", "3.6"},   {"3.9", "3.9"},   {"3.19", "3.19"},
                                                             {"4.12", "4.12"}, {"5.10", "5.10"}, {"5.16", "5.18"},
                                                             {"6.8", "6.8"},   {"6.15", "6.15"}};
  return kernels.at(era);
}

void expect_state(const json& step, const Machine<std::uint64_t>& machine) {
  const auto& vm = machine.vm();
  const std::map<std::string, std::uint64_t> vm_state = {
      {"last_tsc_nsec", vm.last_tsc_nsec},
      {"last_tsc_write", vm.last_tsc_write},
      {"last_tsc_khz", vm.last_tsc_khz},
      {"last_tsc_offset", vm.last_tsc_offset},
      {"cur_tsc_generation", vm.cur_tsc_generation},
      {"cur_tsc_nsec", vm.cur_tsc_nsec},
      {"cur_tsc_write", vm.cur_tsc_write},
      {"cur_tsc_offset", vm.cur_tsc_offset},
      {"nr_vcpus_matched_tsc", static_cast<std::uint64_t>(vm.nr_vcpus_matched_tsc)},
      {"user_set_tsc", vm.user_set_tsc},
      {"online_vcpus", machine.vcpus().size()},
      {"use_master_clock", vm.use_master_clock},
  };
  for (const auto& [name, value] : step.at("vm").items()) {
    const std::uint64_t expected = value.is_boolean() ? value.get<bool>() : std::stoull(value.get<std::string>());
    EXPECT_EQ(vm_state.at(name), expected) << name;
  }
  for (std::size_t i = 0; i < machine.vcpus().size(); ++i) {
    const auto& v = machine.vcpus()[i];
    const std::map<std::string, std::uint64_t> vcpu_state = {
        {"l1_tsc_offset", v.l1_tsc_offset},
        {"l1_tsc_scaling_ratio", v.l1_tsc_scaling_ratio.value},
        {"virtual_tsc_khz", v.virtual_tsc_khz},
        {"virtual_tsc_mult", v.virtual_scale.mul},
        {"virtual_tsc_shift", static_cast<std::uint64_t>(std::int64_t{v.virtual_scale.shift})},
        {"this_tsc_generation", v.this_tsc_generation},
        {"this_tsc_nsec", v.this_tsc_nsec},
        {"this_tsc_write", v.this_tsc_write},
        {"last_guest_tsc", v.last_guest_tsc},
        {"ia32_tsc_adjust", v.ia32_tsc_adjust},
    };
    for (const auto& [name, value] : step.at("vcpus").at(i).items())
      EXPECT_EQ(vcpu_state.at(name), u64(step.at("vcpus").at(i), name.c_str())) << "vcpu " << i << " " << name;
  }
}

void perform_step(const json& step, Machine<std::uint64_t>& machine, ScriptedHost& host) {
  const auto op = step.at("op").get<std::string>();
  const int vcpu = step.contains("vcpu") ? static_cast<int>(u64(step, "vcpu")) : -1;
  host.base = step.contains("base_ns") ? u64(step, "base_ns") : host.base;
  host.next = 0;
  host.tscs.clear();
  if (step.contains("host_tsc")) host.tscs.push_back(u64(step, "host_tsc"));
  if (step.contains("host_tsc2")) host.tscs.push_back(u64(step, "host_tsc2"));
  if (op == "create_vcpu") {
    if (step.contains("default_khz")) machine.vm().default_tsc_khz = u32(step, "default_khz");
    machine.synchronize_created(machine.publish_vcpu(), host);
  } else if (op == "host_write_tsc") {
    machine.host_write_tsc(vcpu, u64(step, "value"), host);
  } else if (op == "guest_write_tsc") {
    machine.guest_write_tsc(vcpu, u64(step, "value"), host);
  } else if (op == "host_write_tsc_adjust") {
    machine.host_write_tsc_adjust(vcpu, u64(step, "value"));
  } else if (op == "guest_write_tsc_adjust") {
    machine.guest_write_tsc_adjust(vcpu, u64(step, "value"));
  } else if (op == "set_tsc_khz") {
    machine.set_tsc_khz(vcpu, u32(step, "khz"));
  } else if (op == "set_tsc_offset") {
    machine.set_tsc_offset(vcpu, u64(step, "value"), host);
  } else if (op == "masterclock_update") {
    machine.update_master_clock(host);
    for (auto& v : machine.vcpus()) v.requests = 0;
  } else {
    FAIL() << "unknown operation " << op;
  }
}

TEST(Vectors, SyncSequences) {
  for_each_row("sync_sequences", [](const json& r) {
    const json& h = r.at("host");
    const bool scaling = !h.at("vendor").is_null();
    Machine<std::uint64_t> machine(
        config_for(kernel_of_era(r.at("era").get<std::string>()), u32(h, "khz"), vendor_of(h), scaling));
    ScriptedHost host;
    host.unstable = h.at("tsc_unstable").get<bool>();
    host.clocksource_is_tsc = h.at("tsc_clocksource").get<bool>();
    for (const json& step : r.at("steps")) {
      SCOPED_TRACE(r.at("name").get<std::string>() + " era " + r.at("era").get<std::string>() + " " +
                   step.at("op").get<std::string>());
      perform_step(step, machine, host);
      expect_state(step, machine);
      bool requested = false;
      for (const auto& v : machine.vcpus()) requested |= (v.requests & kMasterClockUpdate) != 0;
      if (step.at("vm").contains("nr_vcpus_matched_tsc")) {
        EXPECT_EQ(requested, step.at("masterclock_requested").get<bool>());
      }
    }
  });
}

TEST(Vectors, AllGroupsAreCovered) {
  const std::set<std::string> covered = {"time_scale",
                                         "scale_delta",
                                         "ratio_vmx",
                                         "ratio_svm",
                                         "scale_tsc",
                                         "l1_offset",
                                         "nested",
                                         "tolerance",
                                         "max_guest_tsc_khz",
                                         "set_tsc_khz",
                                         "nsec_to_cycles",
                                         "compute_guest_tsc",
                                         "guest_time_update",
                                         "pvclock_read",
                                         "pvclock_tsc_khz",
                                         "clock_guest_vs_get_clock",
                                         "hyperv_tsc_page",
                                         "wall_clock",
                                         "resume_adjustment",
                                         "tsc_deadline_ns",
                                         "preemption_timer_delta",
                                         "kvmclock_base",
                                         "set_clock",
                                         "get_clock",
                                         "set_clock_4_13_to_5_11",
                                         "pvclock_version",
                                         "sync_window",
                                         "sync_sequences",
                                         "rfc_set_tsc_state",
                                         "documented_offset_procedure"};
  for (const auto& [name, group] : vectors().items()) EXPECT_TRUE(name == "_readme" || covered.contains(name)) << name;
}

}  // namespace
}  // namespace tscsim::model

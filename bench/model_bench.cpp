// What the model costs. Reads are measured on Machine<uint64_t> with a host whose clocks move by a fixed
// step, so that the time is KVM's arithmetic and dispatch and nothing of the simulation around it. The
// restore is measured twice: as `tscsim run` replays it, with the probes after each step and a recording at
// the end, and as the bare operations on the machine.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "model/kvm/machine.h"
#include "model/world/simulation.h"
#include "ops/operation.h"
#include "ops/program.h"
#include "scenarios/scenario.h"

namespace {

using namespace tscsim;

constexpr std::uint32_t kHostKhz = 2'600'000;

// One host whose TSC and clock advance together: 2600 cycles are 1000 ns. Nothing is scheduled in these runs.
class SteadyHost final : public model::Host<std::uint64_t> {
 public:
  void advance_us(std::uint64_t us) {
    tsc_ += us * 2'600;
    ns_ += us * 1'000;
  }
  std::uint64_t tsc() override { return tsc_; }
  std::uint64_t base_ns() override { return ns_; }
  std::uint64_t realtime_ns() override { return kEpoch_ns + ns_; }
  std::uint64_t run_delay_ns() override { return 0; }
  std::optional<model::ClockPair<std::uint64_t>> base_pair() override { return {{ns_, tsc_}}; }
  std::optional<model::ClockPair<std::uint64_t>> realtime_pair() override { return {{kEpoch_ns + ns_, tsc_}}; }
  bool tsc_clocksource() const override { return true; }
  bool tsc_unstable() const override { return false; }
  void mark_tsc_unstable() override {}
  void schedule(model::DelayedWork, std::int64_t) override {}

 private:
  static constexpr std::uint64_t kEpoch_ns = 1'700'000'000'000'000'000;
  std::uint64_t tsc_ = 9'360'000'000'000;
  std::uint64_t ns_ = 3'600'000'000'000;
};

ops::Operation operation(ops::OpKind kind, std::int32_t vcpu, std::uint32_t msr = 0, std::uint64_t value = 0) {
  ops::Operation op;
  op.kind = kind;
  op.vcpu = vcpu;
  op.msr = msr;
  op.value = value;
  return op;
}

model::MachineConfig config(bool scaling) {
  ops::TargetProfile profile;
  profile.kernel = "7.3";
  profile.vendor = "vmx";
  profile.host_khz = kHostKhz;
  profile.tsc_scaling = scaling;
  return model::machine_config(profile);
}

// A VM with kvmclock on in each vCPU, master clock on, all requests served.
model::Machine<std::uint64_t> running_vm(int vcpus, bool scaling, SteadyHost& host) {
  model::Machine<std::uint64_t> machine(config(scaling));
  machine.perform(operation(ops::OpKind::create_vm, ops::kVm), 0, host);
  for (int v = 0; v < vcpus; ++v) machine.perform(operation(ops::OpKind::create_vcpu, v), v, host);
  for (int v = 0; v < vcpus; ++v) {
    if (scaling) machine.perform(operation(ops::OpKind::set_tsc_khz, v, 0, 2'100'000), v, host);
    const std::uint64_t page = ops::layout::kPvclockPages + static_cast<std::uint64_t>(v) * ops::layout::kPageStride;
    machine.perform(operation(ops::OpKind::set_msr, v, ops::msr::kKvmSystemTimeNew, page | 1), v, host);
  }
  for (int round = 0; round < 2; ++round)
    for (int v = 0; v < vcpus; ++v) machine.perform(operation(ops::OpKind::run, v), v, host);
  return machine;
}

void read_one(benchmark::State& state, ops::OpKind kind) {
  SteadyHost host;
  auto machine = running_vm(1, state.range(0) != 0, host);
  const ops::Operation op = operation(kind, 0);
  for (auto _ : state) {
    host.advance_us(1);
    benchmark::DoNotOptimize(machine.perform(op, 0, host));
  }
  state.SetItemsProcessed(state.iterations());
}

void guest_tsc_read(benchmark::State& state) { read_one(state, ops::OpKind::rdtsc); }
void kvmclock_read(benchmark::State& state) { read_one(state, ops::OpKind::read_pvclock); }

// Four vCPUs saved at 1 s, written by value 200 ms apart, and entered.
constexpr const char* kRestore = R"(
name: restore
vm: {vcpus: 4, kvmclock: on}
timeline:
  - {at: 0 s,     vcpu: all, run: }
  - {at: 1 s,     get_clock: clock}
  - {at: 1 s,     vcpu: 0, get_msr: IA32_TSC, as: saved}
  - {at: 1300 ms, vcpu: all, gap: 200 ms, set_msr: {IA32_TSC: saved}}
  - {at: 2 s,     set_clock: clock}
  - {at: 2 s,     vcpu: all, kvmclock_ctrl: }
  - {at: 2 s,     vcpu: all, run: }
  - {at: 2 s,     vcpu: all, rdtsc: }
  - {at: 2 s,     vcpu: all, read_pvclock: }
)";

void restore_as_run_does(benchmark::State& state) {
  const ops::Program program = scenarios::parse_scenario(kRestore, "").program;
  std::size_t entries = 0;
  for (auto _ : state) {
    const auto executor = model::simulate(program.hosts, program.heuristic);
    entries = ops::run_program(program, *executor, 1).entries.size();
    benchmark::DoNotOptimize(entries);
  }
  state.counters["entries"] = static_cast<double>(entries);
}

// The operations that the program came to, with operands filled in; probes and reads of the page by the host
// left out.
std::vector<ops::Operation> plain_operations(const ops::Program& program) {
  const auto executor = model::simulate(program.hosts, program.heuristic);
  std::vector<ops::Operation> operations;
  for (const ops::Entry& entry : ops::run_program(program, *executor, 1).entries)
    if (!entry.op.probe) operations.push_back(entry.op);
  return operations;
}

void restore_on_the_machine(benchmark::State& state) {
  const auto operations = plain_operations(scenarios::parse_scenario(kRestore, "").program);
  for (auto _ : state) {
    SteadyHost host;
    model::Machine<std::uint64_t> machine(config(false));
    std::int64_t now_ns = 0;
    for (const ops::Operation& op : operations) {
      host.advance_us(static_cast<std::uint64_t>(op.at_ns - now_ns) / 1'000);
      now_ns = op.at_ns;
      benchmark::DoNotOptimize(machine.perform(op, 0, host));
    }
    if (!machine.vm().use_master_clock) throw std::logic_error("the restore does not end with the master clock on");
  }
  state.counters["operations"] = static_cast<double>(operations.size());
}

BENCHMARK(guest_tsc_read)->ArgName("scaled")->Arg(0)->Arg(1);
BENCHMARK(kvmclock_read)->ArgName("scaled")->Arg(0)->Arg(1);
BENCHMARK(restore_as_run_does)->Unit(benchmark::kMicrosecond);
BENCHMARK(restore_on_the_machine)->Unit(benchmark::kMicrosecond);

}  // namespace

// What a guest's reading costs when nothing else happens (GuestReader): the host's TSC at an instant, and what the guest
// makes of it. `_at` includes the way from scenario time to the host's TSC.
#include <benchmark/benchmark.h>

#include <array>
#include <cstdint>
#include <stdexcept>

#include "model/world/guest_reader.h"
#include "model/world/simulated_kvm.h"
#include "model/world/simulation.h"

namespace {

using namespace tscsim;
using Kvm = model::SimulatedKvm<model::Host<std::uint64_t>>;

// A VM of one vCPU with kvmclock on; `scaled`: at another rate than its host's.
class Guest {
 public:
  explicit Guest(bool scaled)
      : kvm_(host(), model::machine_config(model::profile_of(host(), "", model::Tracing::off))) {
    perform(ops::OpKind::create_vm, ops::kVm, 0, 0);
    perform(ops::OpKind::create_vcpu, 0, 0, 0);
    if (scaled) perform(ops::OpKind::set_tsc_khz, 0, 0, 2'100'000);
    perform(ops::OpKind::set_msr, 0, ops::msr::kKvmSystemTimeNew, ops::layout::kPvclockPages | 1);
    perform(ops::OpKind::run, 0, 0, 0);
  }

  model::GuestReader reader() {
    const auto reader =
        model::GuestReader::of(kvm_.machine(), 0, 0, static_cast<const model::Host<std::uint64_t>&>(kvm_.host()));
    if (!reader) throw std::logic_error("a reading is more than arithmetic here");
    return *reader;
  }
  std::uint64_t host_tsc() const { return kvm_.clock().tsc(0); }

 private:
  static ops::HostSpec host() {
    ops::HostSpec spec;
    spec.tsc_scaling = true;
    return spec;
  }
  void perform(ops::OpKind kind, std::int32_t vcpu, std::uint32_t msr, std::uint64_t value) {
    ops::Operation op;
    op.kind = kind;
    op.vcpu = vcpu;
    op.msr = msr;
    op.value = value;
    kvm_.perform(op, kvm_.arrive(0, vcpu));
  }

  Kvm kvm_;
};

void reader_tsc(benchmark::State& state) {
  Guest guest(state.range(0) != 0);
  const model::GuestReader reader = guest.reader();
  std::uint64_t host_tsc = guest.host_tsc();
  for (auto _ : state) benchmark::DoNotOptimize(reader.tsc(host_tsc += 2'600));
  state.SetItemsProcessed(state.iterations());
}

void reader_kvmclock(benchmark::State& state) {
  Guest guest(state.range(0) != 0);
  const model::GuestReader reader = guest.reader();
  std::uint64_t host_tsc = guest.host_tsc();
  for (auto _ : state) benchmark::DoNotOptimize(reader.kvmclock(host_tsc += 2'600));
  state.SetItemsProcessed(state.iterations());
}

void reader_kvmclock_at(benchmark::State& state) {
  Guest guest(state.range(0) != 0);
  const model::GuestReader reader = guest.reader();
  model::TrueRate rate;
  rate.set(std::uint64_t{1'000'000'000} * 2'600'000);
  std::uint64_t ns = 3'600'000'000'000;
  for (auto _ : state) benchmark::DoNotOptimize(reader.kvmclock(rate.cycles_in(ns += 1'000)));
  state.SetItemsProcessed(state.iterations());
}

template <void (model::GuestReader::*Read)(std::span<const std::uint64_t>, std::span<std::uint64_t>) const>
void reader_many(benchmark::State& state) {
  Guest guest(state.range(0) != 0);
  const model::GuestReader reader = guest.reader();
  std::array<std::uint64_t, 1024> host_tscs{}, ns{};
  for (std::size_t i = 0; i < host_tscs.size(); ++i) host_tscs[i] = guest.host_tsc() + i * 2'600;
  for (auto _ : state) {
    (reader.*Read)(host_tscs, ns);
    benchmark::DoNotOptimize(ns);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(ns.size()));
  state.counters["per_reading"] = benchmark::Counter(
      static_cast<double>(ns.size()), benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

BENCHMARK(reader_tsc)->ArgName("scaled")->Arg(0)->Arg(1);
BENCHMARK(reader_kvmclock)->ArgName("scaled")->Arg(0)->Arg(1);
BENCHMARK(reader_kvmclock_at)->ArgName("scaled")->Arg(0)->Arg(1);
BENCHMARK(reader_many<&model::GuestReader::kvmclocks>)
    ->Name("reader_kvmclock_1024_best")
    ->ArgName("scaled")
    ->Arg(0)
    ->Arg(1);
BENCHMARK(reader_many<&model::GuestReader::kvmclocks_portable>)
    ->Name("reader_kvmclock_1024_portable")
    ->ArgName("scaled")
    ->Arg(0)
    ->Arg(1);

}  // namespace

// Whole migrations, compiled once (bench/migration.h): each iteration sets what varies, runs, and takes one capture. With
// two threads each has a runner of its own on the same compiled program.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <stdexcept>

#include "bench/migration.h"
#include "model/world/runner.h"

namespace {

using namespace tscsim;

void migrate(benchmark::State& state, const model::Compiled& compiled) {
  model::Runner runner(compiled);
  std::int64_t i = 0;
  for (auto _ : state) {
    runner.set(0, i % 1000 * 1'000);
    runner.set(1, i++ % 777 - 300);
    if (!runner.run()) throw std::logic_error(runner.failure().message);
    benchmark::DoNotOptimize(runner.captured(0));
  }
  state.SetItemsProcessed(state.iterations());
  state.counters["operations"] =
      benchmark::Counter(static_cast<double>(compiled.steps.size()), benchmark::Counter::kAvgThreads);
}

void migration_by_value(benchmark::State& state) {
  static const model::Compiled compiled = bench::compiled_migration(bench::kByValue);
  migrate(state, compiled);
}

void migration_by_offsets(benchmark::State& state) {
  static const model::Compiled compiled = bench::compiled_migration(bench::kByOffsets);
  migrate(state, compiled);
}

BENCHMARK(migration_by_value)->Threads(1)->Threads(2)->UseRealTime();
BENCHMARK(migration_by_offsets)->Threads(1)->Threads(2)->UseRealTime();

}  // namespace

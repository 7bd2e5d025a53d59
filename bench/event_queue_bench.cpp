// The hold model (Jones, "An Empirical Comparison of Priority-Queue and Event-Set Implementations", 1986):
// the queue stays at a fixed length; each step takes the earliest event and schedules one at a random later
// time. The same steps run on std::priority_queue with an event of 48 bytes, which is what one would write
// first.
#include <benchmark/benchmark.h>

#include <array>
#include <cstdint>
#include <queue>
#include <vector>

#include "sim/event_queue.h"
#include "sim/random.h"

namespace {

using tscsim::sim::EventQueue;
using tscsim::sim::SimTime;

constexpr std::int64_t kLongestDelayNs = 1'000'000;

struct Payload {
  std::uint64_t words[4] = {};
};

// Delays drawn beforehand, so that the generator is not what is measured.
class Delays {
 public:
  Delays() {
    tscsim::sim::Stream stream(1, "hold");
    for (std::int64_t& delay : delays_) delay = stream.uniform(1, kLongestDelayNs);
  }
  std::int64_t next() { return delays_[at_++ % delays_.size()]; }

 private:
  std::array<std::int64_t, 4096> delays_{};
  std::size_t at_ = 0;
};

void hold_event_queue(benchmark::State& state) {
  Delays delays;
  EventQueue<Payload> queue;
  for (std::int64_t i = 0; i < state.range(0); ++i) queue.schedule({delays.next()}, {});
  for (auto _ : state) {
    auto event = queue.pop();
    event.payload.words[0] += 1;
    queue.schedule(event.time + delays.next(), event.payload);
  }
  benchmark::DoNotOptimize(queue.next_time());
  state.SetItemsProcessed(state.iterations());
}

struct StdEvent {
  std::int64_t time = 0;
  std::uint64_t sequence = 0;
  Payload payload;
  friend bool operator>(const StdEvent& a, const StdEvent& b) {
    return a.time != b.time ? a.time > b.time : a.sequence > b.sequence;
  }
};
static_assert(sizeof(StdEvent) == 48);

void hold_std_priority_queue(benchmark::State& state) {
  Delays delays;
  std::priority_queue<StdEvent, std::vector<StdEvent>, std::greater<>> queue;
  std::uint64_t sequence = 0;
  for (std::int64_t i = 0; i < state.range(0); ++i) queue.push({delays.next(), sequence++, {}});
  for (auto _ : state) {
    StdEvent event = queue.top();
    queue.pop();
    event.payload.words[0] += 1;
    queue.push({event.time + delays.next(), sequence++, event.payload});
  }
  benchmark::DoNotOptimize(queue.top());
  state.SetItemsProcessed(state.iterations());
}

BENCHMARK(hold_event_queue)->Arg(16)->Arg(1 << 10)->Arg(1 << 16);
BENCHMARK(hold_std_priority_queue)->Arg(16)->Arg(1 << 10)->Arg(1 << 16);

}  // namespace

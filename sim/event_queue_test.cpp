#include "sim/event_queue.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <map>
#include <memory>
#include <queue>
#include <string>
#include <tuple>
#include <vector>

#include "sim/allocation_counter.h"

namespace tscsim::sim {
namespace {

TEST(EventQueue, EqualTimesRunInTheOrderOfScheduling) {
  EventQueue<int> queue;
  for (int i = 0; i < 100; ++i) queue.schedule({7}, i);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(queue.pop().payload, i);
  EXPECT_TRUE(queue.empty());
}

TEST(EventQueue, EarlierTimesRunFirst) {
  EventQueue<std::string> queue;
  queue.schedule(SimTime::last(), "last");
  queue.schedule({0}, "zero");
  queue.schedule({-1}, "before zero");
  queue.schedule(SimTime::first(), "first");
  for (const char* expected : {"first", "before zero", "zero", "last"}) EXPECT_EQ(queue.pop().payload, expected);
}

TEST(EventQueue, NextTimeIsThatOfTheNextPop) {
  EventQueue<int> queue;
  EXPECT_EQ(queue.next_time(), std::nullopt);
  queue.schedule({9}, 1);
  const EventHandle early = queue.schedule({4}, 2);
  EXPECT_EQ(queue.next_time(), SimTime{4});
  EXPECT_TRUE(queue.cancel(early));
  EXPECT_EQ(queue.next_time(), SimTime{9});
  EXPECT_EQ(queue.pop().time, SimTime{9});
  EXPECT_EQ(queue.next_time(), std::nullopt);
  EXPECT_THROW(queue.pop(), std::out_of_range);
}

TEST(EventQueue, AHandleNamesOneEventOnly) {
  EventQueue<int> queue;
  const EventHandle first = queue.schedule({1}, 1);
  EXPECT_EQ(queue.pop().payload, 1);
  EXPECT_FALSE(queue.cancel(first)) << "it ran";
  const EventHandle second = queue.schedule({1}, 2);  // takes the same slot
  EXPECT_FALSE(queue.cancel(first)) << "a new event in the old slot is another event";
  EXPECT_TRUE(queue.cancel(second));
  EXPECT_FALSE(queue.cancel(second)) << "already cancelled";
  EXPECT_FALSE(queue.cancel(EventHandle{})) << "names nothing";
  EXPECT_TRUE(queue.empty());
}

TEST(EventQueue, ACancelledPayloadIsReleasedAtOnce) {
  EventQueue<std::shared_ptr<int>> queue;
  const auto payload = std::make_shared<int>(1);
  const EventHandle handle = queue.schedule({1}, payload);
  EXPECT_EQ(payload.use_count(), 2);
  queue.cancel(handle);
  EXPECT_EQ(payload.use_count(), 1);
}

TEST(EventQueue, AllocatesNothingAfterWarmUp) {
  EventQueue<int> queue;
  queue.reserve(1000);
  const std::size_t before = allocation_count();
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 1000; ++i) queue.schedule({(i * 7919) % 1000 + round}, i);
    for (int i = 0; i < 500; ++i) queue.schedule({queue.pop().time.ns + 5}, i);
    while (!queue.empty()) queue.pop();
  }
  for (int i = 0; i < 5000; ++i) queue.cancel(queue.schedule({1}, i));
  EXPECT_EQ(allocation_count(), before);
  queue.reserve(100'000);
  EXPECT_GT(allocation_count(), before) << "the counter counts";
}

TEST(EventQueue, CancelledEventsDoNotPileUp) {
  EventQueue<int> queue;
  queue.schedule({0}, -1);
  queue.reserve(16);
  const std::size_t before = allocation_count();
  for (int i = 0; i < 100'000; ++i) queue.cancel(queue.schedule({1'000'000}, i));
  EXPECT_EQ(allocation_count(), before) << "stale keys are dropped, so the heap does not grow";
  EXPECT_EQ(queue.size(), 1u);
  EXPECT_EQ(queue.pop().payload, -1);
}

// ---- against std::priority_queue ordered by (time, sequence) ----

using Reference = std::tuple<std::int64_t, std::uint64_t>;  // time, sequence
using ReferenceQueue = std::priority_queue<Reference, std::vector<Reference>, std::greater<>>;

// Drives both with the same calls; the payload is the sequence number.
class Pair {
 public:
  void schedule(std::int64_t time) {
    handles_.push_back(queue_.schedule({time}, sequence_));
    reference_.push({time, sequence_});
    alive_[sequence_++] = true;
  }

  void cancel(std::size_t index) {
    if (handles_.empty()) return;
    index %= handles_.size();
    RC_ASSERT(queue_.cancel(handles_[index]) == alive_[index]);
    alive_[index] = false;
  }

  bool pop() {
    while (!reference_.empty() && !alive_[std::get<1>(reference_.top())]) reference_.pop();
    RC_ASSERT(queue_.empty() == reference_.empty());
    if (reference_.empty()) return false;
    const auto [time, sequence] = reference_.top();
    reference_.pop();
    alive_[sequence] = false;
    if (sequence % 2 == 0) RC_ASSERT(queue_.next_time() == SimTime{time});
    const auto event = queue_.pop();
    RC_ASSERT(event.time == SimTime{time});
    RC_ASSERT(event.payload == sequence);
    return true;
  }

 private:
  EventQueue<std::uint64_t> queue_;
  ReferenceQueue reference_;
  std::vector<EventHandle> handles_;
  std::map<std::uint64_t, bool> alive_;
  std::uint64_t sequence_ = 0;
};

enum class Call { schedule, schedule_again, pop, cancel };

void drive(const std::vector<std::pair<int, std::uint32_t>>& calls, std::int64_t time_span) {
  Pair pair;
  for (const auto& [call, number] : calls) {
    switch (static_cast<Call>(call)) {
      case Call::schedule:
      case Call::schedule_again:
        pair.schedule(number % time_span - time_span / 2);
        break;
      case Call::pop:
        pair.pop();
        break;
      case Call::cancel:
        pair.cancel(number);
        break;
    }
  }
  while (pair.pop()) continue;
}

std::vector<std::pair<int, std::uint32_t>> calls_up_to(int last_call) {
  return *rc::gen::container<std::vector<std::pair<int, std::uint32_t>>>(
      rc::gen::pair(rc::gen::inRange(0, last_call + 1), rc::gen::arbitrary<std::uint32_t>()));
}

RC_GTEST_PROP(EventQueueProperty, PopsInTheOrderOfTheReference, ()) {
  drive(calls_up_to(static_cast<int>(Call::pop)), *rc::gen::element<std::int64_t>(3, 1'000, 1ll << 32));
}

RC_GTEST_PROP(EventQueueProperty, CancelledEventsNeverCome, ()) {
  drive(calls_up_to(static_cast<int>(Call::cancel)), *rc::gen::element<std::int64_t>(3, 1'000, 1ll << 32));
}

RC_GTEST_PROP(EventQueueProperty, LongQueuesWithManyCancellations, (std::uint64_t seed)) {
  std::vector<std::pair<int, std::uint32_t>> calls;
  for (int i = 0; i < 2'000; ++i) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;  // Knuth's MMIX generator
    const auto number = static_cast<std::uint32_t>(seed >> 33);
    calls.emplace_back(static_cast<int>(seed >> 62) == 0 && i > 1'000 ? 2 : i % 3 == 0 ? 3 : 0, number);
  }
  drive(calls, 500);
}

}  // namespace
}  // namespace tscsim::sim

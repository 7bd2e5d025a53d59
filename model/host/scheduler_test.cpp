#include "model/host/scheduler.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace tscsim::model {
namespace {

constexpr std::int64_t kMs = 1'000'000;

TEST(HostScheduler, WithoutSharingEveryoneRuns) {
  HostScheduler scheduler;
  for (int vcpu = 0; vcpu < 4; ++vcpu) scheduler.place(vcpu, 0, 0);
  EXPECT_EQ(scheduler.runs_at(3, 5 * kMs), 5 * kMs);
  EXPECT_EQ(scheduler.waited_ns(3, 5 * kMs), 0u);
  EXPECT_EQ(scheduler.turn_ns(0, 1), 0);
}

// Two vCPUs and one other thread on pCPU 0, slices of 4 ms: vCPU 1 runs at 4 to 8, 16 to 20, ...
TEST(HostScheduler, TurnsGoRound) {
  HostScheduler scheduler;
  scheduler.place(0, 0, 0);
  scheduler.place(1, 0, 0);
  scheduler.place(2, 1, 0);
  scheduler.share(4 * kMs, 1, 0);
  const struct {
    int vcpu;
    std::int64_t at, runs, waited;
  } cases[] = {
      {0, 0, 0, 0},
      {0, 4 * kMs - 1, 4 * kMs - 1, 0},
      {0, 4 * kMs, 12 * kMs, 0},
      {0, 13 * kMs, 13 * kMs, 8 * kMs},
      {1, 0, 4 * kMs, 0},
      {1, 6 * kMs, 6 * kMs, 4 * kMs},
      {1, 20 * kMs, 28 * kMs, 12 * kMs},
      {2, 6 * kMs, 8 * kMs, 2 * kMs},  // alone with the other thread on pCPU 1
  };
  for (const auto& c : cases) {
    EXPECT_EQ(scheduler.runs_at(c.vcpu, c.at), c.runs) << c.vcpu << " " << c.at;
    EXPECT_EQ(scheduler.waited_ns(c.vcpu, c.at), static_cast<std::uint64_t>(c.waited)) << c.vcpu << " " << c.at;
  }
  EXPECT_EQ(scheduler.turn_ns(0, 1), kContextSwitch_ns);  // one follows the other
  EXPECT_EQ(scheduler.turn_ns(0, 2), 0);
}

TEST(HostScheduler, APausedVmDoesNotWait) {
  HostScheduler scheduler;
  scheduler.place(0, 0, 0);
  scheduler.share(kMs, 1, 0);
  scheduler.want(false, 10 * kMs);
  EXPECT_EQ(scheduler.waited_ns(0, 50 * kMs), static_cast<std::uint64_t>(5 * kMs));
  scheduler.want(true, 50 * kMs);
  EXPECT_EQ(scheduler.waited_ns(0, 60 * kMs), static_cast<std::uint64_t>(10 * kMs));
}

// What one thread runs and waits is all the time there is, and the threads of a pCPU run it up between them.
RC_GTEST_PROP(HostScheduler, NothingIsLost, ()) {
  const int vcpus = *rc::gen::inRange(1, 6), others = *rc::gen::inRange(0, 4);
  const std::int64_t slice = *rc::gen::inRange<std::int64_t>(1, 10 * kMs),
                     at = *rc::gen::inRange<std::int64_t>(0, 1000 * kMs);
  HostScheduler scheduler;
  for (int vcpu = 0; vcpu < vcpus; ++vcpu) scheduler.place(vcpu, 0, 0);
  scheduler.share(slice, others, 0);
  const std::int64_t round = slice * (vcpus + others), whole = at / round * round;
  std::int64_t ran = 0;
  for (int vcpu = 0; vcpu < vcpus; ++vcpu) {
    ran += whole - static_cast<std::int64_t>(scheduler.waited_ns(vcpu, whole));
    const std::int64_t next = scheduler.runs_at(vcpu, at);
    RC_ASSERT(next >= at && next < at + round);
    RC_ASSERT(scheduler.runs_at(vcpu, next) == next);
  }
  RC_ASSERT(ran == whole / (vcpus + others) * vcpus);
}

}  // namespace
}  // namespace tscsim::model

#include "kvm_backend/host_clocks.h"

#include <gtest/gtest.h>
#include <time.h>

#include <thread>

namespace tscsim::kvm_backend {
namespace {

TEST(HostClocks, ABracketIsOrderedAndHoldsWhatIsReadInside) {
  const HostClocks clocks;
  for (int i = 0; i < 100; ++i) {
    ops::Bracket bracket;
    clocks.open(bracket);
    const std::uint64_t tsc = read_tsc(), base_ns = clocks.base_ns(), real_ns = realtime_ns();
    clocks.close(bracket);
    EXPECT_LT(bracket.tsc.lo, tsc);
    EXPECT_LT(tsc, bracket.tsc.hi);
    EXPECT_LE(bracket.base_ns.lo, base_ns);
    EXPECT_LE(base_ns, bracket.base_ns.hi);
    EXPECT_LE(bracket.realtime_ns.lo, real_ns);
    EXPECT_LE(real_ns, bracket.realtime_ns.hi);
  }
}

TEST(HostClocks, BaseIsRawTimePlusSuspend) {
  const HostClocks clocks;
  timespec raw{};
  const std::uint64_t before_ns = clocks.base_ns();
  ::clock_gettime(CLOCK_MONOTONIC_RAW, &raw);
  const std::uint64_t after_ns = clocks.base_ns();
  const std::uint64_t expected_ns = static_cast<std::uint64_t>(raw.tv_sec) * 1'000'000'000 +
                                    static_cast<std::uint64_t>(raw.tv_nsec) + clocks.suspended_ns().lo;
  EXPECT_LE(before_ns, expected_ns);
  EXPECT_LE(expected_ns, after_ns);
  EXPECT_LE(clocks.suspended_ns().lo, clocks.suspended_ns().hi);
}

TEST(WaitUntil, EndsAtTheDeadlineAndNotBefore) {
  const std::uint64_t deadline_ns = monotonic_ns() + 3'000'000;
  EXPECT_TRUE(wait_until(deadline_ns, nullptr));
  EXPECT_GE(monotonic_ns(), deadline_ns);
}

TEST(WaitUntil, EndsEarlyWhenInterrupted) {
  std::atomic<bool> interrupted{false};
  const std::uint64_t start_ns = monotonic_ns();
  std::thread other([&] {
    wait_until(start_ns + 30'000'000, nullptr);
    interrupted = true;
  });
  EXPECT_FALSE(wait_until(start_ns + 60'000'000'000, &interrupted));
  EXPECT_LT(monotonic_ns() - start_ns, 5'000'000'000u);
  other.join();
}

}  // namespace
}  // namespace tscsim::kvm_backend

#include "kvm_backend/host_clocks.h"

#include <time.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <limits>
#include <string>

#include "ops/error.h"

namespace tscsim::kvm_backend {

namespace {

constexpr std::uint64_t kNsPerSecond = 1'000'000'000;

// A sleeper wakes up to about 60 us late on an idle host (timer slack is 50 us); the rest is spun.
constexpr std::uint64_t kSpinNs = 100'000;

// A sleep is cut into pieces so that an interrupt is noticed without any signal having to reach this thread.
constexpr std::uint64_t kNapNs = 20'000'000;

std::uint64_t clock_ns(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * kNsPerSecond + static_cast<std::uint64_t>(now.tv_nsec);
}

// Boot time lies between two readings of the monotonic clock, so the difference lies in a range that only
// shrinks.
ops::Range measure_suspended_ns() {
  constexpr int kSamples = 50;
  std::int64_t lo = std::numeric_limits<std::int64_t>::min();
  std::int64_t hi = std::numeric_limits<std::int64_t>::max();
  for (int i = 0; i < kSamples; ++i) {
    const auto before = static_cast<std::int64_t>(clock_ns(CLOCK_MONOTONIC));
    const auto boot = static_cast<std::int64_t>(clock_ns(CLOCK_BOOTTIME));
    const auto after = static_cast<std::int64_t>(clock_ns(CLOCK_MONOTONIC));
    lo = std::max(lo, boot - after);
    hi = std::min(hi, boot - before);
  }
  // A host that slept at all slept for milliseconds: a range around 0 means that it never did.
  if (lo <= 0) return {0, 0};
  return {static_cast<std::uint64_t>(lo), static_cast<std::uint64_t>(std::max(lo, hi))};
}

void sleep_until(std::uint64_t deadline_ns) {
  timespec until{};
  until.tv_sec = static_cast<time_t>(deadline_ns / kNsPerSecond);
  until.tv_nsec = static_cast<long>(deadline_ns % kNsPerSecond);
  // A signal only shortens the nap; the caller looks at the clock again.
  ::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr);
}

}  // namespace

std::uint64_t monotonic_ns() { return clock_ns(CLOCK_MONOTONIC); }
std::uint64_t realtime_ns() { return clock_ns(CLOCK_REALTIME); }

void set_realtime_ns(std::uint64_t ns) {
  timespec wanted{};
  wanted.tv_sec = static_cast<time_t>(ns / kNsPerSecond);
  wanted.tv_nsec = static_cast<long>(ns % kNsPerSecond);
  if (::clock_settime(CLOCK_REALTIME, &wanted) != 0)
    throw ops::TargetError(std::string("CLOCK_REALTIME cannot be set: ") + std::strerror(errno));
}

// Kernel: Linux v6.12 fs/proc/base.c proc_pid_schedstat(): time on a CPU, time waiting for one, number of turns.
std::uint64_t run_delay_ns() {
  std::ifstream file("/proc/thread-self/schedstat");
  std::uint64_t on_cpu_ns = 0, waited_ns = 0;
  file >> on_cpu_ns >> waited_ns;
  return file ? waited_ns : 0;
}

HostClocks::HostClocks() : suspended_ns_(measure_suspended_ns()) {}

std::uint64_t HostClocks::base_ns() const { return clock_ns(CLOCK_MONOTONIC_RAW) + suspended_ns_.lo; }

void HostClocks::open(ops::Bracket& bracket) const {
  bracket.realtime_ns.lo = realtime_ns();
  bracket.base_ns.lo = clock_ns(CLOCK_MONOTONIC_RAW) + suspended_ns_.lo;
  bracket.tsc.lo = read_tsc();
}

void HostClocks::close(ops::Bracket& bracket) const {
  bracket.tsc.hi = read_tsc();
  bracket.base_ns.hi = clock_ns(CLOCK_MONOTONIC_RAW) + suspended_ns_.hi;
  bracket.realtime_ns.hi = realtime_ns();
}

bool wait_until(std::uint64_t deadline_ns, const std::atomic<bool>* interrupted) {
  for (;;) {
    if (interrupted != nullptr && *interrupted) return false;
    const std::uint64_t now_ns = monotonic_ns();
    if (now_ns >= deadline_ns) return true;
    if (deadline_ns - now_ns > kSpinNs) sleep_until(std::min(deadline_ns - kSpinNs, now_ns + kNapNs));
  }
}

}  // namespace tscsim::kvm_backend

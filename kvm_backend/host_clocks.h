// The host's clocks as KVM sees them, read from user space, and the brackets made of them.
#pragma once

#include <atomic>
#include <cstdint>

#include "ops/recording.h"

namespace tscsim::kvm_backend {

// RDTSC between fences: every earlier load and every later instruction stays on its side (Intel SDM volume
// 2B, RDTSC; AMD64 APM volume 3 with the dispatch-serialising LFENCE that Linux always enables).
inline std::uint64_t read_tsc() {
  std::uint32_t low = 0, high = 0;
  asm volatile("lfence; rdtsc; lfence" : "=a"(low), "=d"(high)::"memory");
  return std::uint64_t{high} << 32 | low;
}

std::uint64_t monotonic_ns();
std::uint64_t realtime_ns();

// Sets CLOCK_REALTIME; for a lab machine of our own. Throws ops::TargetError.
// How long this thread has been runnable without running, since it began (/proc, CONFIG_SCHED_INFO); 0 where not told.
std::uint64_t run_delay_ns();
void set_realtime_ns(std::uint64_t ns);

class HostClocks {
 public:
  // Measures once how long the host has been suspended since boot. A host that suspends later needs a new
  // object. Not modelled: a time namespace, which shifts CLOCK_MONOTONIC and CLOCK_BOOTTIME for user space
  // only.
  HostClocks();

  // Before the operation: real time, then base_ns, the TSC last. After it: the TSC first, base_ns, real time.
  // So every reading that KVM makes in between lies inside all three ranges.
  void open(ops::Bracket& bracket) const;
  void close(ops::Bracket& bracket) const;

  // What kvmclock counts in since 5.6: CLOCK_MONOTONIC_RAW plus the time spent in suspend.
  // Kernel: Linux v6.12 arch/x86/kvm/x86.c get_kvmclock_base_ns().
  std::uint64_t base_ns() const;

  // CLOCK_BOOTTIME - CLOCK_MONOTONIC. A point if the host never slept; else the narrowest range seen.
  ops::Range suspended_ns() const { return suspended_ns_; }

 private:
  ops::Range suspended_ns_;
};

// Sleeps until shortly before CLOCK_MONOTONIC shows `deadline_ns`, then spins up to it. False when
// `interrupted` (may be null) was set meanwhile.
bool wait_until(std::uint64_t deadline_ns, const std::atomic<bool>* interrupted);

}  // namespace tscsim::kvm_backend

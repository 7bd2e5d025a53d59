// kvmclock as the guest reads it: the page's line, the last value that any vCPU saw where the page is not stable, and the
// wall clock. Spec: docs/spec/linux-guest.md 1.2, 1.3, 1.10. What a TSC below the page's stamp gives is not mended
// here: the guest does not mend it either.
#pragma once

#include <cstdint>

#include "model/kvm/arithmetic.h"

namespace tscsim::model::guest {

struct PvclockRecord {
  std::uint64_t tsc_timestamp = 0;
  std::uint64_t system_time = 0;
  TimeScale scale;
  std::uint8_t flags = 0;
};

// Kernel: Linux v6.12 arch/x86/include/asm/pvclock.h __pvclock_read_cycles().
std::uint64_t pvclock_ns(const PvclockRecord& record, std::uint64_t tsc);

// The last value of any vCPU, which no later read goes below while pages are not stable. Never reset on KVM.
// Kernel: Linux v6.12 arch/x86/kernel/pvclock.c __pvclock_clocksource_read().
class LastValue {
 public:
  std::uint64_t not_before(std::uint64_t ns);
  std::uint64_t value() const { return last_; }
  std::uint64_t exchanges() const { return exchanges_; }  // compare-and-exchange operations on the shared word
  std::uint64_t held_back() const { return held_back_; }  // reads that returned another vCPU's value

 private:
  std::uint64_t last_ = 0, exchanges_ = 0, held_back_ = 0;
};

struct WallTime {
  std::uint64_t sec = 0;
  std::uint64_t nsec = 0;
};
// What the host stored when the guest wrote MSR_KVM_WALL_CLOCK_NEW, and kvmclock now.
// Kernel: Linux v6.12 arch/x86/kernel/pvclock.c pvclock_read_wallclock().
WallTime wall_time(std::uint64_t sec, std::uint64_t nsec, std::uint64_t kvmclock_ns);

}  // namespace tscsim::model::guest

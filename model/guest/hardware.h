// What a guest's kernel asks of the machine that it runs on. A guest reads its TSC, its MSRs and the pages that KVM keeps in its
// memory, and nothing else; when its interrupts come, and when its vCPUs run at all, is the host's business.
#pragma once

#include <cstdint>

#include "model/guest/pvclock.h"

namespace tscsim::model::guest {

class Hardware {
 public:
  virtual ~Hardware() = default;

  // --- What the guest reads.
  virtual std::uint64_t rdtsc(int vcpu) = 0;
  // The kvmclock page of that vCPU, as it lies in memory.
  virtual PvclockRecord pvclock(int vcpu) = 0;
  virtual void clear_stop_flag(int vcpu) = 0;  // a plain store into the page
  virtual std::uint64_t rdmsr(int vcpu, std::uint32_t msr) = 0;
  virtual void wrmsr(int vcpu, std::uint32_t msr, std::uint64_t value) = 0;
  // What KVM stores when the guest writes MSR_KVM_WALL_CLOCK_NEW: CLOCK_REALTIME where kvmclock is 0.
  virtual WallTime wall_clock_epoch(int vcpu) = 0;
  virtual std::uint64_t steal_ns(int vcpu) = 0;
  virtual std::uint64_t rtc_seconds() = 0;

  // --- When things happen. A guest cannot read any of these.
  virtual std::int64_t now_ns() const = 0;
  // Lets the host go on until then, with what KVM put off.
  virtual void advance_to(std::int64_t at_ns) = 0;
  // How long until the vCPU's TSC has counted so many cycles more, rounded up.
  virtual std::int64_t ns_for(int vcpu, std::uint64_t cycles) const = 0;
  // The first instant from `at_ns` on at which the vCPU's thread has a pCPU.
  virtual std::int64_t runs_at(int vcpu, std::int64_t at_ns) const = 0;
  // Between reads of two vCPUs that take turns, at least, in ns; 0: they run at the same time.
  virtual std::int64_t turn_ns(int vcpu, int other) const = 0;
  virtual void move_vcpu(int vcpu, int pcpu) = 0;
  virtual std::uint32_t tsc_khz(int vcpu) const = 0;  // that a calibration would find
  virtual int vcpus() const = 0;
};

}  // namespace tscsim::model::guest

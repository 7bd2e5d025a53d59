// What the guest of somebody else's VMM must have done. It runs code that nobody recorded, but what it writes to an MSR is
// seen when the VMM reads that: if the value is another one than was there last, and the vCPU has been run since, the
// guest has written it, in one of the KVM_RUNs in between.
#pragma once

#include <cstddef>
#include <vector>

#include "ops/recording.h"

namespace tscsim::crosscheck {

struct GuestWrite {
  ops::Operation op;         // a wrmsr; its vCPU is the one that is run
  bool by_any_vcpu = false;  // the MSR is one for the VM
  std::size_t first = 0;     // the KVM_RUNs in which it may have happened: numbers of entries
  std::size_t last = 0;
};

// In the order in which they became known. None for a recording of our own guest, which does what it is told.
//
// A value that differs without a KVM_RUN in between is nobody's write and stays what it is: a mismatch.
std::vector<GuestWrite> guest_writes(const ops::Recording& recording);

}  // namespace tscsim::crosscheck

// What the guest of somebody else's VMM must have done. It runs code that nobody recorded, but what it writes to an MSR is
// seen when the VMM reads that: if the value is another one than was there last, and the vCPU has been run since, the
// guest has written it, in one of the KVM_RUNs in between.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "model/members.h"
#include "ops/recording.h"

namespace tscsim::crosscheck {

struct GuestWrite {
  std::int32_t host = 0;
  std::int32_t vcpu = 0;  // whose MSR it is
  std::uint32_t msr = 0;  // numbers that stand for the same register: the newer one
  std::uint64_t value = 0;
  bool by_any_vcpu = false;  // the MSR is one for the VM
  std::size_t first = 0;     // the KVM_RUNs in which it may have happened: numbers of entries
  std::size_t last = 0;
  std::size_t told = 0;  // the entry that shows it
  TSCSIM_MEMBERS(host, vcpu, msr, value, by_any_vcpu, first, last, told)
};

// In the order in which they became known. None for a recording of our own guest, which does what it is told.
//
// A value that differs without a KVM_RUN in between is nobody's write and stays what it is: a mismatch.
std::vector<GuestWrite> guest_writes(const ops::Recording& recording);

// A guest's write of its TSC moves IA32_TSC_ADJUST by as much, and that is how it is known. These are the readings of a TSC, or
// of its offset, before which the guest was run and IA32_TSC_ADJUST was not read since: from each, to the last such KVM_RUN.
std::map<std::size_t, std::size_t> readings_after_unseen_writes(const ops::Recording& recording);

}  // namespace tscsim::crosscheck

// Whether two recordings make the same calls in the same order: a procedure as it is written down, replayed on the model, and
// a VMM as it was seen. Times differ, and so do what was read and what hangs on it; where a value comes from does not.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "ops/recording.h"

namespace tscsim::tracer {

// What of a recording is compared; probes never are.
using Wanted = std::function<bool(const ops::Operation&)>;

// One line for each difference, in order: "- expected, not seen: ...", "+ seen, not expected: ...", "! ...: value 1,
// expected 0". Empty when there is none. What a call writes is equal when both wrote the same number, or both gave
// back what the same earlier call returned, or both wrote a TSC frequency equally far from their own host's. `elsewhere` is
// what was done on the hosts before, for values that come from there: the same pair of recordings for each.
//
// KVM_RUNs of a vCPU count as one until something is asked of it or of the VM, and those that follow each other come in any order:
// how often a guest leaves, and which thread is first, is nobody's procedure. A single read of an MSR between two KVM_RUNs is part of an exit. Whether KVM_KVMCLOCK_CTRL finds a page is the guest's business, too.
struct Pair {
  const ops::Recording& expected;
  const ops::Recording& seen;
};
std::vector<std::string> differences(const Pair& here, const Wanted& wanted, const std::vector<Pair>& elsewhere = {});

}  // namespace tscsim::tracer

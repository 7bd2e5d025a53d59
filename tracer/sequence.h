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
// back what the same earlier call returned, or both wrote their own host's TSC frequency.
//
// KVM_RUNs of a vCPU that follow each other count as one: how often a guest leaves is its own business.
std::vector<std::string> differences(const ops::Recording& expected, const ops::Recording& seen, const Wanted& wanted);

}  // namespace tscsim::tracer

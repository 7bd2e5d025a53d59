// What the order and the times of calls say, where their operands are not known (strace). Each statement that depends on a
// value says so; what cannot be judged at all is listed.
#pragma once

#include "logs/explain.h"

namespace tscsim::logs {

void explain_calls(const ops::Recording& recording, int host, Explanation& told);

}  // namespace tscsim::logs

// Operations in words, for reports.
#pragma once

#include <string>

#include "ops/operation.h"

namespace tscsim::ops {

// "vcpu 1 set_msr IA32_TSC 0"
std::string action_text(const Operation& op);

}  // namespace tscsim::ops

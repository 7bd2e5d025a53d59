// For tests of any room: steps written in one line.
#pragma once

#include "ops/program.h"

namespace tscsim::ops {

inline Step step(OpKind kind, std::int64_t at_ns = 0, int vcpu = kVm, std::uint64_t value = 0, std::uint32_t msr = 0) {
  Step s;
  s.op.kind = kind;
  s.op.at_ns = at_ns;
  s.op.vcpu = vcpu;
  s.op.value = value;
  s.op.msr = msr;
  return s;
}

}  // namespace tscsim::ops

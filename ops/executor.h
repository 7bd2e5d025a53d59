// What the model and real KVM have in common: they execute operations.
#pragma once

#include <stdexcept>

#include "ops/recording.h"

namespace tscsim::ops {

class Executor {
 public:
  virtual ~Executor() = default;

  // Hosts are counted from 0; an operation runs on its own (Operation::host).
  virtual const TargetProfile& profile(int host = 0) const = 0;

  // Declares that on this host it is scenario time `now_ns`. Operations executed there before are set-up and are not
  // waited for. Sets zero_tsc and zero_base_ns.
  virtual void start_clock(int host, std::int64_t now_ns, HostHeader& header) = 0;

  // Waits until scenario time op.at_ns and executes `op`. A refusal by KVM is an Outcome with its errno; an
  // operation that this target cannot express is an Entry that is not `supported`. Throws TargetError when the
  // target itself breaks down, Interrupted after SIGINT.
  virtual Entry execute(const Operation& op) = 0;
};

class Interrupted : public std::runtime_error {
 public:
  Interrupted() : std::runtime_error("interrupted") {}
};

}  // namespace tscsim::ops

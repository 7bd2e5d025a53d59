// What the model and real KVM have in common: they execute operations.
#pragma once

#include <stdexcept>

#include "ops/recording.h"

namespace tscsim::ops {

class Executor {
 public:
  virtual ~Executor() = default;

  virtual const TargetProfile& profile() const = 0;

  // Declares the instant of scenario time 0. Operations executed before are set-up and are not waited for.
  // Sets zero_tsc and zero_base_ns of the header.
  virtual void start_clock(Header& header) = 0;

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

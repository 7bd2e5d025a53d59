// Runs a compiled program again and again. Hosts, machines, queues, guest memory and captures are set back, not built
// anew: after a first run nothing is allocated.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "model/world/compiled.h"
#include "ops/error.h"

namespace tscsim::model {

// What `expect` calls tsc_jump, tsc_skew, kvmclock_jump, kvmclock_skew and master_clock, over the whole timeline and all
// hosts. Empty: there is nothing to compare, or no KVM_GET_CLOCK.
struct RunMetrics {
  std::optional<std::int64_t> tsc_jump;       // guest cycles, signed, where it is greatest
  std::optional<std::uint64_t> tsc_skew;      // guest cycles
  std::optional<std::int64_t> kvmclock_jump;  // ns
  std::optional<std::uint64_t> kvmclock_skew;
};

class Runner {
 public:
  explicit Runner(const Compiled& compiled);  // which must outlive it
  ~Runner();
  Runner(Runner&&) noexcept;

  // Slot `slot` of the request, from the next run on.
  void set(std::size_t slot, std::int64_t value);

  // One run. False when an operand could not be evaluated: nothing after that step was executed.
  bool run();

  // Why not: the step's place and what was wrong.
  const ops::Diagnostic& failure() const;

  // Number `capture` of the request; empty when its operation failed or was not executed.
  std::optional<ops::Wide> captured(std::size_t capture) const;

  // With RunRequest::metrics. Valid until the next run.
  RunMetrics metrics() const;
  // Whether the last KVM_GET_CLOCK on this host, probes included, said TSC_STABLE.
  std::optional<bool> master_clock(std::size_t host) const;

  // With RunRequest::outcomes, of each step: null when it was not executed or is not supported on its host.
  const ops::Outcome* outcome(std::size_t step) const;

 private:
  class Run;
  std::unique_ptr<Run> run_;
};

}  // namespace tscsim::model

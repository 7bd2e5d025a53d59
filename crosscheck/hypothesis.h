// One possible history of the KVM under observation: the model's machine over unknowns, the unknowns, and the work
// that KVM has put off.
#pragma once

#include <string>
#include <vector>

#include "crosscheck/checker.h"
#include "model/kvm/machine.h"
#include "ops/recording.h"
#include "witness/witness.h"

namespace tscsim::crosscheck {

using witness::Witness;
using witness::WitnessSpace;

struct Pending {
  model::DelayedWork work{};
  std::uint64_t earliest_base_ns = 0;  // it cannot have run before
};

struct Answer {
  std::size_t entry = 0;
  std::string question;
  bool answer = false;
};

struct Hypothesis {
  model::Machine<Witness> machine;
  WitnessSpace space;
  std::vector<Pending> pending;
  bool tsc_clocksource = true;
  std::vector<ops::TraceKind> traces;  // the tracepoints that were listened to
  std::vector<Answer> answers;
  std::vector<Observation> observations;
  std::string failure;  // when an observation contradicted it

  explicit Hypothesis(const model::MachineConfig& config, bool tsc_clocksource_at_start)
      : machine(config), tsc_clocksource(tsc_clocksource_at_start) {}
};

// Executes `entry` under the hypothesis and compares. False when the entry contradicts it; then `failure` explains.
bool advance(Hypothesis& hypothesis, const ops::Entry& entry, std::size_t index);

// All that determines what the hypothesis says about the future, as text; equal texts, equal futures.
std::string digest(const Hypothesis& hypothesis);

}  // namespace tscsim::crosscheck

// A scenario under construction: the form in which the hunt makes, shrinks and keeps what it runs. It is rendered to
// YAML and read back by the ordinary parser, so what is found is a scenario file from the start.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "scenarios/scenario.h"

namespace tscsim::hunt {

struct DraftStep {
  std::int64_t gap_ns = 0;  // after the step before
  std::string body;         // "vcpu: 0, set_msr: {IA32_TSC: 5}"
  friend bool operator==(const DraftStep&, const DraftStep&) = default;
};

struct Draft {
  std::string name;
  std::string source;
  int vcpus = 1;
  bool hyperv = false;  // in the guest's CPUID
  bool irqchip = false;
  bool kvmclock = true;
  std::string host;  // inner part of `host: {...}`; may be empty
  std::vector<DraftStep> steps;
};

std::string to_yaml(const Draft& draft);

// Throws ops::InputError when the draft is not a valid scenario (a capture that was shrunk away, for instance).
scenarios::Scenario to_scenario(const Draft& draft);

}  // namespace tscsim::hunt

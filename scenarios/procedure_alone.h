// A procedure by itself, for `tscsim lint` and `tscsim verdict`: the plainest scenario that uses it.
#pragma once

#include <string>

#include "scenarios/scenario.h"

namespace tscsim::scenarios {

// Whether the file holds a procedure rather than a scenario. False also when it cannot be read.
bool is_procedure_file(const std::string& path);

// Two vCPUs with kvmclock and local APICs run for five seconds, the procedure does its work with its defaults between hosts
// that are alike, and the guest goes on. What the procedure goes on from is done first. Throws ops::InputError.
Scenario scenario_of_procedure(const std::string& path, const ParseOptions& options);

}  // namespace tscsim::scenarios

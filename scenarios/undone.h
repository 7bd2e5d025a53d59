// Whether a target did what a scenario is about.
#pragma once

#include <string>
#include <vector>

#include "ops/recording.h"
#include "scenarios/evaluate.h"
#include "scenarios/scenario.h"

namespace tscsim::scenarios {

// Why the recording is not of what the scenario is about; empty when it is.
//
// A scenario is about its expectations, and about the steps of its timeline that change something: not those that create,
// read, or only let the guest run. It is undone where no expectation could be decided and this target could not do some of
// those steps ("needs: 2 pCPUs (here 1); 15 of 15 steps 'move_vcpu' were not done"). Without expectations, where it could
// do none of them. On a target of one pCPU no move is one, though a move to the pCPU where everything is succeeds.
std::string undone(const Scenario& scenario, const ops::Recording& recording, const std::vector<Verdict>& verdicts);

}  // namespace tscsim::scenarios

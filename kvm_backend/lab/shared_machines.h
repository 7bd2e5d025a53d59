// Which programs share a lab machine, and what becomes of those whose machine dies.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "kvm_backend/lab/heard.h"
#include "kvm_backend/lab/lab.h"
#include "kvm_backend/lab/protocol.h"

namespace tscsim::kvm_backend::lab {

struct Booted {
  Heard heard;
  std::string trouble;       // when the machine did not end as it should
  bool interrupted = false;  // it was killed before its end; what it had said by then is in `heard`
};
// Runs the jobs in a new machine, to its end. Called by several threads at once.
using Boot = std::function<Booted(const Jobs&, const MachineSpec&)>;
// Gets what a place needs, or throws ops::TargetError. Called once for each place that has something to run.
using Prepare = std::function<Boot(const LabPlace&)>;

// What run_in_lab() promises (lab.h), with machines that `prepare` gives.
std::vector<LabResult> run_on_shared_machines(const std::vector<LabPlace>& places,
                                              const std::vector<ops::Program>& programs, const Prepare& prepare);

// Without programs.
Jobs jobs_for(const LabPlace& place);

}  // namespace tscsim::kvm_backend::lab

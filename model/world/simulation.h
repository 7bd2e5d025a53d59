// The model as an executor: simulated hosts, on each KVM's state machine and a queue for what KVM does later on its
// own. Everything inside one operation happens at the same instant.
#pragma once

#include <memory>

#include "model/host/host_clock.h"
#include "model/kvm/machine.h"
#include "ops/executor.h"
#include "ops/program.h"

namespace tscsim::model {

// The machine for a KVM of this profile. Throws ops::InputError for a kernel or a heuristic that it does not know.
// A KVM of neither vendor (PVM) computes with the default ratio only, so any vendor will do for it.
MachineConfig machine_config(const ops::TargetProfile& profile);

// Whether entries hold what KVM's tracepoints would have printed.
enum class Tracing : std::uint8_t { off, on };

// What a simulated host tells of itself.
ops::TargetProfile profile_of(const ops::HostSpec& spec, const std::string& heuristic, Tracing tracing);

// Builds the simulated hosts. `heuristic` empty: the kernel's own.
std::unique_ptr<ops::Executor> simulate(const std::vector<ops::HostSpec>& hosts, const std::string& heuristic,
                                        Tracing tracing = Tracing::off);

}  // namespace tscsim::model

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

class SimulatedWorld : public ops::Executor {
 public:
  // The VM of one host as the last operation left it, and the rules that operation followed.
  virtual const Machine<std::uint64_t>& machine(int host) const = 0;
  struct ClockState {
    bool tsc_clocksource = true;
    bool tsc_unstable = false;
  };
  virtual ClockState clock_state(int host) const = 0;
};

// Builds the simulated hosts. `heuristic` empty: the kernel's own.
std::unique_ptr<SimulatedWorld> simulate(const std::vector<ops::HostSpec>& hosts, const std::string& heuristic,
                                         Tracing tracing = Tracing::off);

}  // namespace tscsim::model

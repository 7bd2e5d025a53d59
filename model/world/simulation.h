// The model as an executor: a simulated host, KVM's state machine on it, and a queue for what KVM does later on its
// own. Everything inside one operation happens at the same instant.
#pragma once

#include <memory>

#include "model/host/host_clock.h"
#include "model/kvm/machine.h"
#include "ops/executor.h"
#include "ops/program.h"

namespace tscsim::model {

// What the model needs to know about the host to drive the machine. Throws ops::InputError for a kernel or a
// heuristic that it does not know.
MachineConfig machine_config(const std::string& kernel, Vendor vendor, std::uint32_t host_khz, bool tsc_scaling,
                             bool honours_tsc_offset, const std::string& heuristic);

// "vmx"/"svm"; a KVM without either (PVM) computes with the default ratio only, so any vendor will do.
Vendor vendor_from(const std::string& name);

// Builds the simulated host of `spec`. `heuristic` empty: the kernel's own.
std::unique_ptr<ops::Executor> simulate(const ops::HostSpec& spec, const std::string& heuristic);

}  // namespace tscsim::model

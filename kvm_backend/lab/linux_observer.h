// Inside a lab machine whose own kernel is what is looked at: runs an experiment's steps and writes what it sees, as
// lines of a LinuxRecording (ops/linux_recording.h), as it goes, so that a machine that dies has still told.
#pragma once

#include "ops/linux_recording.h"

namespace tscsim::kvm_backend::lab {

// Throws std::exception when the machine lacks what the experiment needs.
void observe_linux(const ops::LinuxExperiment& experiment, const std::string& target);

}  // namespace tscsim::kvm_backend::lab

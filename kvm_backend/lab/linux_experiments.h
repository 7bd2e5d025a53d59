// What is done to a stock Linux in the lab, as data.
#pragma once

#include <vector>

#include "ops/linux_recording.h"

namespace tscsim::kvm_backend::lab {

const std::vector<ops::LinuxExperiment>& linux_experiments();

}  // namespace tscsim::kvm_backend::lab

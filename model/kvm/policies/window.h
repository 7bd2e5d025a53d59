// The parameterised heuristic: a write joins when its value lies within a window around where an earlier write would
// be by now. Each kernel's own is an instance.
#pragma once

#include <memory>

#include "model/kvm/sync_policy.h"

namespace tscsim::model {

std::shared_ptr<const SyncPolicy> window_policy(const ops::HeuristicParameters& parameters);

}  // namespace tscsim::model

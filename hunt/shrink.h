// Makes a failing draft smaller while it goes on failing.
#pragma once

#include <functional>
#include <vector>

#include "hunt/draft.h"

namespace tscsim::hunt {

// For each draft whether it still fails. Drafts come in groups because one boot can try a whole group.
using StillFail = std::function<std::vector<bool>(const std::vector<Draft>&)>;

// Removes steps, vCPUs and gaps. Asks about at most `attempts` drafts. What it returns has failed when asked about, or
// is `draft` itself.
Draft shrink(Draft draft, int attempts, const StillFail& still_fail);

}  // namespace tscsim::hunt

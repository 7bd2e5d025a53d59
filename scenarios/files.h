// Files that are read whole, within bounds.
#pragma once

#include <string>

namespace tscsim::scenarios {

// Throws ops::InputError when it cannot be read or is too large for a scenario.
std::string read_bounded(const std::string& path);

}  // namespace tscsim::scenarios

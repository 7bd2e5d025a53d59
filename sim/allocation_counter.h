// For tests: how often this process has allocated so far.
#pragma once

#include <cstddef>

namespace tscsim::sim {

std::size_t allocation_count();

}  // namespace tscsim::sim

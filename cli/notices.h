// What is said of a whole run beside its results: that a kernel is taken for another one, for instance. Once each, on
// standard error; JSON and JUnit reports repeat them.
#pragma once

#include <string>
#include <vector>

namespace tscsim::cli {

// Says it, unless it has been said.
void notice(const std::string& text);

// In the order in which they were said.
const std::vector<std::string>& notices();

}  // namespace tscsim::cli

// A scenario written anew with other values in it, as a file that stands alone.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "scenarios/scenario.h"

namespace tscsim::scenarios {

struct Rewrite {
  std::string name, title, source;  // of the new file
  ParseOptions options;             // values and procedures that take the place of the file's
  std::string kernel, heuristic;    // of all hosts; empty: those of the file stand
  std::vector<std::pair<std::string, std::string>>
      expect;  // a metric and what it is, of all vCPUs, instead of the file's expectations
};

// Throws ops::InputError as parse_scenario() does for what cannot be read or named.
std::string rewritten(std::string_view text, const std::string& file, const Rewrite& rewrite);

}  // namespace tscsim::scenarios

// A program as one line of JSON, so that it can run in another machine than the one that read the scenario.
#pragma once

#include <string>
#include <string_view>

#include "ops/program.h"

namespace tscsim::ops {

// One line without its end. The same program gives the same bytes.
std::string to_json(const Program& program);

// Throws InputError naming `name`: not JSON, a missing, unknown or doubled member, a value out of range.
Program program_from_json(const std::string& line, const std::string& name);

}  // namespace tscsim::ops

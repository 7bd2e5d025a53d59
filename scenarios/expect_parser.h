// The `expect:` of a scenario.
#pragma once

#include <vector>

#include "scenarios/reader.h"
#include "scenarios/scenario.h"
#include "scenarios/timeline_parser.h"

namespace tscsim::scenarios {

std::vector<Expectation> parse_expect(Reader& reader, const YamlNode& node, const Timeline& timeline,
                                      const std::vector<std::string>& kernels);

}  // namespace tscsim::scenarios

// For the room's tests: a scenario in a few lines, run on the model.
#pragma once

#include <string>

#include "scenarios/scenario.h"
#include "verdict/findings/finding.h"

namespace tscsim::verdict {

inline Course course_of(const std::string& head, const std::string& timeline) {
  const std::string text = "name: t\ntitle: t\n" + head + "\ntimeline:\n" + timeline;
  return follow(scenarios::parse_scenario(text, "").program);
}

inline Course course_of_file(const std::string& name) {
  return follow(scenarios::load_scenario(std::string(TSCSIM_SOURCE_DIR) + "/scenarios/" + name).program);
}

}  // namespace tscsim::verdict

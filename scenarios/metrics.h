// What an expectation can look at besides captured readings.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "scenarios/scenario.h"

namespace tscsim::scenarios {

struct Metric {
  Subject subject;
  std::string_view name;
  std::string_view text;       // one sentence
  std::string_view example;    // one line of `expect`
  std::uint32_t selector = 0;  // Expectation::selector
};

const std::vector<Metric>& metrics();
const Metric* find_metric(std::string_view name);  // nullptr if there is none
std::string_view metric_name(Subject subject);     // empty for value and step_error

}  // namespace tscsim::scenarios

// What expectations can look at in a Linux guest: how its clocks went on, and how often its kernel found something.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ops/recording.h"
#include "scenarios/metrics.h"
#include "scenarios/scenario.h"

namespace tscsim::scenarios {

const std::vector<Metric>& guest_metrics();

// A metric's value in a recording of the model, and where it was found; nothing when nothing was recorded that has one.
struct Found {
  ops::Wide value = 0;
  std::string where;
};
std::optional<Found> find_in_guest(const Expectation& expectation, const ops::Program& program,
                                   const ops::Recording& recording);

// Whether `op` is a reading that the expectation is about.
bool reads_for(const Expectation& expectation, const ops::Operation& op);

}  // namespace tscsim::scenarios

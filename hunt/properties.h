// Properties of the model that random operation lists must not break.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "hunt/hunt.h"

namespace tscsim::hunt {

struct Property {
  std::string_view name;
  std::string_view sentence;
  // What is wrong with the recording, or nothing.
  std::optional<std::string> (*violation)(const ops::Recording&);
};
std::span<const Property> properties();
const Property* find_property(std::string_view name);

struct PropertyFind {
  Draft draft;  // shrunk
  std::string violation;
};

// Random lists on the simulated host of `kernel` (empty: the newest). The first find ends the hunt.
std::optional<PropertyFind> hunt_property(const Property& property, const std::string& kernel, const Options& options,
                                          const std::function<void(std::uint64_t runs)>& progress);

}  // namespace tscsim::hunt

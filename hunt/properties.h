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

// The modelled KVM.
struct Modelled {
  std::string kernel;     // empty: the newest
  std::string heuristic;  // empty: the kernel's own
};

// Random lists on a simulated host. The first find ends the hunt.
std::optional<PropertyFind> hunt_property(const Property& property, const Modelled& modelled, const Options& options,
                                          const std::function<void(std::uint64_t runs)>& progress);

}  // namespace tscsim::hunt

#include "ops/spec_citation.h"

namespace tscsim::ops {

std::string spec_citation(std::string_view page, std::string_view place) {
  if (place.starts_with("docs/spec/")) return std::string(place);
  return std::string(page) + " " + std::string(place);
}

}  // namespace tscsim::ops

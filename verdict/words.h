// Numbers and decisions in words, as a report shows them.
#pragma once

#include <string>
#include <vector>

#include "verdict/course.h"
#include "verdict/decisions.h"
#include "verdict/errors.h"
#include "verdict/measure.h"

namespace tscsim::verdict {

std::string digits(Wide value);  // "-7_696_000"
std::string duration(Wide ns);   // "2.96 ms", three significant digits and a sign for negative ones
// "2.96 ms", "2.96 ms +- 20 us", "1.2 ms to 3.4 ms" where the ends are too far apart for a middle, or "not known".
std::string duration(Span ns);
std::string digits(Span value);                       // likewise
std::string size_of(Span cycles, std::uint32_t khz);  // "-7_696_000 cycles (-2.96 ms)"
std::string value_text(const NamedError& error, std::uint32_t khz);

// "vCPUs 0 to 3", "vCPUs 0, 2", "vCPU 1"
std::string vcpus_text(const std::vector<std::int32_t>& vcpus);

// "scenarios/x.yaml:12", or "entry 40" of a recording
std::string place_text(const Course& course, std::size_t moment);
// "set_msr IA32_TSC 5 on vCPU 1 at 3 ms (scenarios/x.yaml:12)"
std::string operation_text(const Course& course, std::size_t moment);

// What became of a TSC write, which rule that was, and by how much.
std::string sentence(const Course& course, const Decision& decision);

}  // namespace tscsim::verdict

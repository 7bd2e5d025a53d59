// The `timeline:` of a scenario, expanded: one Step for each operation on each vCPU, in the order in which
// they run.
#pragma once

#include <vector>

#include "ops/program.h"
#include "scenarios/host_parser.h"
#include "scenarios/procedure_library.h"
#include "scenarios/reader.h"
#include "scenarios/scenario.h"

namespace tscsim::scenarios {

inline constexpr std::size_t kMaxSteps = 100'000;  // after expansion

// From when on the guest is on which host.
struct Stay {
  std::int64_t from_ns = 0;
  std::int32_t host = 0;
};

struct Timeline {
  std::vector<ops::Step> setup;
  std::vector<ops::Step> steps;           // sorted by (at_ns, position in the file)
  std::vector<Capture> captures;          // all of them
  std::vector<Expectation> refusals;      // steps that must fail, in the order of `steps`
  std::vector<ToleratedError> tolerated;  // steps that may
  std::vector<ProcedureUse> procedures;
  std::int32_t vcpus = 0;          // that exist at the end, on the host that has most
  std::vector<std::string> hosts;  // their names
  std::vector<Stay> stays{{}};     // in the order of time
  std::vector<Pivot> pivots;
  bool linux_guest = false;  // one boots, in the set-up or after a `start`
};

// `node` is nullptr when the file has no timeline.
Timeline parse_timeline(Reader& reader, const YamlNode* node, const std::vector<ops::HostSpec>& hosts, const VmSpec& vm,
                        const ops::Place& vm_place, const std::vector<std::string>& kernels,
                        ProcedureLibrary& procedures);

}  // namespace tscsim::scenarios

// The `host:` (or `hosts:`) and `vm:` parts of a scenario.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ops/program.h"
#include "scenarios/reader.h"

namespace tscsim::scenarios {

struct VmSpec {
  std::int32_t vcpus = 1;
  std::string heuristic;
  bool kvmclock = false;
  bool hyperv = false;
  std::optional<ops::GuestSpec> guest;  // a Linux guest that boots in the set-up
  bool irqchip = false;
  std::uint32_t tsc_khz = 0;  // that the VMM sets on each vCPU in the set-up; 0: none, they have the host's
};

ops::HostSpec parse_host(Reader& reader, const YamlNode& node);
std::vector<ops::HostSpec> parse_hosts(Reader& reader, const YamlNode& node);  // {name: {...}, ...}; at least one
VmSpec parse_vm(Reader& reader, const YamlNode& node);

}  // namespace tscsim::scenarios

// Small texts that explanations are made of: instants, cycles with the time they are, lists of vCPUs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ops/recording.h"

namespace tscsim::logs {

// "at 20.588489 s (LOG:31 CPU 0/KVM-12631)": the recorder's clock where it counts seconds, else the host's TSC and, where
// its rate is known, the time since the first event.
std::string moment_text(const ops::Recording& recording, std::size_t entry);

std::string ns_text(std::int64_t ns);                             // "-4 ns", "375.854 ms": rounded to a thousandth
std::string signed_text(std::uint64_t value);                     // "-1_943_201_889": an offset, with digit groups
std::string cycles_text(std::int64_t cycles, std::uint32_t khz);  // "+975_854_138 cycles (+375.887 ms)"
std::optional<std::int64_t> ns_of_cycles(std::int64_t cycles, std::uint32_t khz);  // rounded to zero; nothing for 0 kHz
std::string vcpus_text(const std::vector<int>& vcpus);                             // "vCPU 0", "vCPUs 0 and 1"

}  // namespace tscsim::logs

// What a scenario says by kernel. `kernels: [6.1, 6.7, 6.8]` lists those on which the timeline runs; a mapping with some
// of them as keys says what holds from each key on, up to the next.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ops/kernel_release.h"
#include "scenarios/reader.h"
#include "scenarios/scenario.h"

namespace tscsim::scenarios {

// A version of two numbers, as where only the series matters; nullopt for other words.
std::optional<ops::KernelRelease> major_minor(const std::string& word);

// How to mend `word`, which is no version: the nearest one, or `form`, an example such as "kernel: 6.12".
std::string kernel_mend(const std::string& word, const std::string& form);

// The list after `kernels:`, at least two, ascending; empty when it is not.
std::vector<std::string> parse_kernels(Reader& reader, const YamlNode& node);

struct KernelGroup {
  const YamlNode* value = nullptr;
  KernelRange range;
};

// The members of the mapping `node`, ascending; one under `all`, where that is allowed, comes first. `what` completes
// "unknown key in ...".
std::vector<KernelGroup> parse_kernel_groups(Reader& reader, const YamlNode& node, const std::string& what,
                                             const std::vector<std::string>& kernels, bool all_allowed);

}  // namespace tscsim::scenarios

// A kernel version as people write it, on a command line or in a scenario. One reader for all of them, and strict: what
// is almost a version would otherwise be run as another one than was meant.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace tscsim::ops {

struct KernelRelease {
  int major = 0;
  int minor = 0;
  int patch = -1;        // -1: not written
  std::string proposal;  // "precise-tsc-v2" of "5.10+precise-tsc-v2"; empty: none
};

// "6.12", "6.1.5", "2.6.37", "5.10+precise-tsc-v2": two or three numbers below 10,000 without leading zeros, joined by
// dots, and nothing else but a proposal's name. nullopt for everything else.
std::optional<KernelRelease> kernel_release(std::string_view word);

// The nearest word that is a version: "6.1" for "6.1foo", "6.1 ", "06.1" and "v6.1", "5.10" for "5.10.0-46-amd64"
// (which names the ABI of 5.10, not its first release). Empty when there is none.
std::string nearest_kernel_release(std::string_view word);

// How to mend a word that is no version: "did you mean '6.1'?", or the form that is expected.
std::string kernel_release_mend(std::string_view word);

}  // namespace tscsim::ops

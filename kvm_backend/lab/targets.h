// The lab's targets, as data: which kernels, where their packages are, and which emulator brings which
// vendor's KVM.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tscsim::kvm_backend::lab {

enum class Emulator { qemu, bochs };

struct LabTarget {
  std::string name;    // "amd-6.12"
  std::string vendor;  // "amd", "intel"
  std::string kernel;  // "6.12": also the name of its folder in the cache
  Emulator emulator{};
  std::string module;               // "kvm-amd"
  std::vector<std::string> suites;  // Debian suites to look in, in this order
  std::string package_pattern;      // extended regular expression for apt-cache search --names-only
};

// All targets of the table, in its order: what `--on all` runs beside native.
const std::vector<LabTarget>& lab_targets();

// "amd-6.12", "intel-6.12", "6.12" (short for the AMD one), or a kernel that is not in the table, from any
// Debian suite: "amd-SUITE" (its newest cloud kernel) and "amd-SUITE/PACKAGE" (that image package). Nothing
// when it is none of these.
std::optional<LabTarget> find_lab_target(std::string_view name);

}  // namespace tscsim::kvm_backend::lab

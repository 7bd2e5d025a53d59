// Programs of this machine for a lab machine: each with the libraries that its loader takes, and what is known to be needed
// besides, under the same paths.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace tscsim::kvm_backend::lab {

struct BroughtFile {
  std::filesystem::path path;    // in there
  std::filesystem::path source;  // here
  friend bool operator==(const BroughtFile&, const BroughtFile&) = default;
};

// A name is a program in PATH or a path; a folder brings all that is in it. In the order of paths. Throws ops::TargetError
// when there is none.
std::vector<BroughtFile> files_to_bring(const std::vector<std::string>& names);

}  // namespace tscsim::kvm_backend::lab

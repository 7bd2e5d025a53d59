// The files that tscsim brings along, and the one place that knows where they may stand:
//
//   beside the program         a build folder, or a bundle that was copied as a whole
//   in its prefix              PREFIX/bin/tscsim with PREFIX/share/tscsim and PREFIX/lib/tscsim (cmake --install, the package)
//   in the source tree         that the program was built from, as long as it is there
#pragma once

#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>

namespace tscsim::base {

// A file or folder of tscsim's own that is not where it may stand; the text names the places.
class ResourceMissing : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The folder "scenarios": the library, procedures/ and the JSON Schemas. Throws ResourceMissing.
std::filesystem::path library_folder();

// A program or library of tscsim's own: "tscsim-init", "libtscsim-trace.so", "tscsim-mpi". Throws ResourceMissing.
std::filesystem::path companion(std::string_view name);

// The same for a program that stands at `program` and was built from `source_tree`; for tests.
std::filesystem::path library_folder_for(const std::filesystem::path& program,
                                         const std::filesystem::path& source_tree);
std::filesystem::path companion_for(const std::filesystem::path& program, std::string_view name);

}  // namespace tscsim::base

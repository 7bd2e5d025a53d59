#include "base/resources.h"

#include <system_error>
#include <vector>

namespace tscsim::base {
namespace {

namespace fs = std::filesystem;

fs::path this_program() {
  std::error_code ignored;
  return fs::read_symlink("/proc/self/exe", ignored);
}

fs::path first_there(const std::string& what, const std::vector<fs::path>& places) {
  std::string looked;
  for (const fs::path& place : places) {
    std::error_code ignored;
    if (fs::exists(place, ignored)) return place;
    looked += "\n  looked for " + place.string();
  }
  throw ResourceMissing(what + " is missing" + looked +
                        "\n  mend: install tscsim anew, or build it where its source is");
}

}  // namespace

fs::path library_folder_for(const fs::path& program, const fs::path& source_tree) {
  const fs::path folder = program.parent_path();
  return first_there("tscsim's library of scenarios and procedures",
                     {folder / "share/tscsim/scenarios", folder.parent_path() / "share/tscsim/scenarios",
                      folder.parent_path().parent_path() / "share/tscsim/scenarios",  // a program in lib/tscsim
                      source_tree / "scenarios"});
}

fs::path companion_for(const fs::path& program, std::string_view name) {
  const fs::path folder = program.parent_path();
  return first_there(std::string(name), {folder / name, folder.parent_path() / "lib/tscsim" / name});
}

fs::path library_folder() { return library_folder_for(this_program(), TSCSIM_SOURCE_TREE); }

fs::path companion(std::string_view name) { return companion_for(this_program(), name); }

}  // namespace tscsim::base

#include "cli/last_run.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "ops/error.h"
#include "storage/files.h"

namespace tscsim::cli {
namespace {

namespace fs = std::filesystem;

// Empty when the user has no cache folder.
fs::path list_path() {
  const char* const cache = std::getenv("XDG_CACHE_HOME");
  const char* const home = std::getenv("HOME");
  if (cache != nullptr && *cache != '\0') return fs::path(cache) / "tscsim/failed-checks";
  if (home != nullptr && *home != '\0') return fs::path(home) / ".cache/tscsim/failed-checks";
  return {};
}

}  // namespace

ScenarioInFile scenario_in_file(const std::string& file, const std::string& label) {
  std::error_code ignored;
  return {fs::absolute(file, ignored).lexically_normal().string(), label};
}

// A line for each: the file, a tab, the label.
ScenariosInFiles last_failed() {
  ScenariosInFiles all;
  std::ifstream in(list_path());
  for (std::string line; std::getline(in, line);) {
    const std::size_t tab = line.rfind('\t');
    if (tab != std::string::npos) all.emplace(line.substr(0, tab), line.substr(tab + 1));
  }
  return all;
}

void keep_failed(const ScenariosInFiles& checked, const ScenariosInFiles& failed) {
  const fs::path path = list_path();
  if (path.empty()) return;
  ScenariosInFiles all = last_failed();
  const ScenariosInFiles before = all;
  for (const ScenarioInFile& one : checked) all.erase(one);
  all.insert(failed.begin(), failed.end());
  if (all == before) return;
  std::string text;
  for (const auto& [file, label] : all) text += file + "\t" + label + "\n";
  std::error_code unable;
  fs::create_directories(path.parent_path(), unable);
  try {
    storage::write_file(path.string(), text);
  } catch (const ops::InputError&) {
    return;  // a help, not a result
  }
}

}  // namespace tscsim::cli

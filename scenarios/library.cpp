// Scenario files on disk.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <system_error>

#include "base/resources.h"
#include "scenarios/files.h"
#include "scenarios/scenario.h"
#include "scenarios/yaml_tree.h"

namespace tscsim::scenarios {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse(const std::string& path, const std::string& message, const std::string& mend = {}) {
  throw ops::InputError(ops::Diagnostic{{path, 0, 0}, message, mend, {}, 1});
}

// Folders of files that are no scenarios to run.
bool in_other_folder(const fs::path& path, const fs::path& root) {
  const fs::path below = path.lexically_relative(root);
  return std::any_of(below.begin(), below.end(), [](const fs::path& part) {
    return part == "refused" || part == "testdata" || part == "procedures";
  });
}

// Once for all: it may be read to look for something, and again to run it.
const std::string& standard_input() {
  static const std::string text = [] {
    std::string all(kMaxFileBytes + 1, '\0');
    std::cin.read(all.data(), static_cast<std::streamsize>(all.size()));
    all.resize(static_cast<std::size_t>(std::cin.gcount()));
    return all;
  }();
  return text;
}

}  // namespace

std::string read_bounded(const std::string& path) {
  if (path == "-") return standard_input();
  std::error_code error;
  if (fs::is_directory(path, error)) refuse(path, "is a directory", "name a file in it");
  const auto bytes = fs::is_regular_file(path, error) ? fs::file_size(path, error) : 0;
  if (!error && bytes > kMaxFileBytes)
    refuse(
        path,
        "the file holds " + std::to_string(bytes) + " bytes; a scenario has at most " + std::to_string(kMaxFileBytes),
        "check that this is a scenario, or split it");
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  if (!in) refuse(path, std::string("cannot be opened: ") + std::strerror(errno == 0 ? ENOENT : errno));
  std::string text(kMaxFileBytes + 1, '\0');  // a pipe has no size beforehand
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (in.bad()) refuse(path, "cannot be read");
  text.resize(static_cast<std::size_t>(in.gcount()));
  return text;
}

std::string library_folder() { return base::library_folder().string(); }

Scenario load_scenario(const std::string& path, const ParseOptions& options) {
  return parse_scenario(read_bounded(path), path, options);
}

std::vector<std::string> find_scenarios(const std::string& path) {
  std::error_code error;
  if (path == "-") return {path};
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) refuse(path, "there is no such file or folder");
  if (!fs::is_directory(status)) return {path};
  std::vector<std::string> found;
  auto entry = fs::recursive_directory_iterator(path, fs::directory_options::skip_permission_denied, error);
  for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    const fs::path ending = entry->path().extension();
    if ((ending != ".yaml" && ending != ".yml") || in_other_folder(entry->path(), path)) continue;
    std::error_code ignored;
    if (entry->is_regular_file(ignored)) found.push_back(entry->path().string());
  }
  if (error) refuse(path, "cannot be listed: " + error.message());
  if (found.empty()) refuse(path, "holds no scenario", "scenarios are files that end in .yaml or .yml");
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace tscsim::scenarios

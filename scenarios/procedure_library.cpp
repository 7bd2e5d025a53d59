#include "scenarios/procedure_library.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <system_error>

#include "scenarios/files.h"

namespace tscsim::scenarios {
namespace {

namespace fs = std::filesystem;

bool is_path(const std::string& name) { return !name.empty() && (name.front() == '.' || name.front() == '/'); }

// "qemu/migrate" of "DIR/qemu/migrate.yaml"; a path's name is its stem.
std::string name_in(const std::string& name) { return is_path(name) ? fs::path(name).stem().string() : name; }

}  // namespace

ProcedureLibrary::ProcedureLibrary(std::string scenario_file, ParseOptions options) : options_(std::move(options)) {
  const std::size_t slash = scenario_file.rfind('/');
  if (slash != std::string::npos) beside_ = scenario_file.substr(0, slash + 1);
}

std::vector<std::string> ProcedureLibrary::folders() const {
  std::vector<std::string> all = options_.procedure_folders;
  all.push_back(beside_ + "procedures");
  all.push_back(library_folder() + "/procedures");
  return all;
}

const Procedure* ProcedureLibrary::find(const std::string& name) {
  if (const auto known = read_.find(name); known != read_.end()) return known->second.get();
  std::vector<std::string> files;
  if (is_path(name)) files.push_back(name.front() == '/' ? name : beside_ + name);
  else
    for (const std::string& folder : folders()) files.push_back(folder + "/" + name + ".yaml");
  for (const std::string& file : files) {
    std::error_code ignored;
    if (!fs::is_regular_file(file, ignored)) continue;
    const std::string text = read_bounded(file);
    auto procedure = std::make_unique<Procedure>(parse_procedure(text, file, name_in(name)));
    texts_ += text;
    return (read_[name] = std::move(procedure)).get();
  }
  return nullptr;
}

// A restore reads what its own snapshot saved, so that snapshot takes the place of the other, too.
std::string ProcedureLibrary::replaced(const std::string& name, ProcedureKind kind) {
  for (const ProcedureReplacement& replacement : options_.replace) {
    if (replacement.old_name == name) return replacement.new_name;
    if (!replacement.old_name.empty()) continue;
    const Procedure* made = find(replacement.new_name);
    if (!made)
      throw ops::InputError(ops::Diagnostic{
          {}, "there is no procedure '" + replacement.new_name + "'", "see 'tscsim list procedures'", {}, 1});
    if (made->kind == kind) return replacement.new_name;
    if (made->of.empty()) continue;
    const Procedure* before = find(made->of.front());
    if (before && before->kind == kind) return made->of.front();
  }
  return name;
}

std::vector<std::string> ProcedureLibrary::names() const {
  std::set<std::string> found;
  for (const std::string& folder : folders()) {
    std::error_code error;
    if (!fs::is_directory(folder, error)) continue;
    for (auto entry = fs::recursive_directory_iterator(folder, error);
         !error && entry != fs::recursive_directory_iterator(); entry.increment(error))
      if (entry->path().extension() == ".yaml")
        found.insert(entry->path().lexically_relative(folder).replace_extension().generic_string());
  }
  return {found.begin(), found.end()};
}

}  // namespace tscsim::scenarios

#include "kvm_backend/lab/bring.h"

#include <fmt/format.h>

#include <map>
#include <sstream>

#include "kvm_backend/lab/files.h"
#include "kvm_backend/lab/process.h"
#include "ops/error.h"

namespace tscsim::kvm_backend::lab {
namespace {

namespace fs = std::filesystem;

// QEMU's firmware and its option ROM that every start asks for.
const std::map<std::string, std::vector<std::string>> kDataOf = {
    {"qemu-system-x86_64", {"/usr/share/seabios", "/usr/share/qemu/kvmvapic.bin"}}};

class Bringing {
 public:
  void add(const std::string& name) {
    const fs::path path = place_of(name);
    if (fs::is_directory(path)) return add_folder(path);
    add_file(path);
    for (const fs::path& library : libraries_of(path)) add_file(library);
    const auto data = kDataOf.find(path.filename().string());
    if (data == kDataOf.end()) return;
    for (const std::string& more : data->second)
      if (fs::exists(more)) add(more);
  }

  std::vector<BroughtFile> files() const {
    std::vector<BroughtFile> all;
    for (const auto& [path, source] : files_) all.push_back({path, source});
    return all;
  }

 private:
  static fs::path place_of(const std::string& name) {
    const fs::path path = name.find('/') == std::string::npos ? fs::path(find_program(name)) : fs::absolute(name);
    if (!path.empty() && fs::exists(path)) return path;
    throw ops::TargetError(
        fmt::format("there is no '{}' here to bring into the lab; next: install it, or give its path", name));
  }

  void add_file(const fs::path& path) { files_[path.lexically_normal()] = fs::canonical(path); }

  void add_folder(const fs::path& folder) {
    for (const auto& item : fs::recursive_directory_iterator(folder))
      if (item.is_regular_file()) add_file(item.path());
  }

  // "libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x...)", "/lib64/ld-linux-x86-64.so.2 (0x...)"; ldd refuses what is
  // static, or no program at all, and says so where nobody hears it.
  static std::vector<fs::path> libraries_of(const fs::path& program) {
    const ScratchFolder scratch;
    ProcessSpec ldd;
    ldd.argv = {"ldd", program.string()};
    ldd.output_file = ldd.error_file = (scratch.path() / "ldd").string();
    if (run_process(ldd).status != 0) return {};
    std::istringstream lines(read_file(ldd.output_file));
    std::vector<fs::path> libraries;
    for (std::string line; std::getline(lines, line);) {
      std::istringstream words(line);
      for (std::string word; words >> word;)
        if (word.front() == '/') libraries.emplace_back(word);
    }
    return libraries;
  }

  std::map<fs::path, fs::path> files_;
};

}  // namespace

std::vector<BroughtFile> files_to_bring(const std::vector<std::string>& names) {
  Bringing bringing;
  for (const std::string& name : names) bringing.add(name);
  return bringing.files();
}

}  // namespace tscsim::kvm_backend::lab

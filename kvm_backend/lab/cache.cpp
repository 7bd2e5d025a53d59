#include "kvm_backend/lab/cache.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "kvm_backend/ioctl/fd.h"
#include "kvm_backend/lab/files.h"
#include "kvm_backend/lab/kernel_image.h"
#include "kvm_backend/lab/process.h"
#include "ops/error.h"

namespace tscsim::kvm_backend::lab {
namespace {

namespace fs = std::filesystem;

constexpr const char* kLibraries = "usr/lib/x86_64-linux-gnu";
constexpr const char* kKernels = "kernels.2";  // counted up when what is taken out of a package changes
constexpr const char* kVendors[] = {"amd", "intel"};

struct EmulatorSource {
  const char* name;
  const char* program;  // in the unpacked tree
  const char* suite;    // tried with the lab; others may differ
  std::vector<std::string> packages;
  std::vector<std::string> (*environment)(const fs::path& root);  // where the program finds its own parts
};

std::vector<std::string> qemu_environment(const fs::path& root) {
  return {fmt::format("QEMU_MODULE_DIR={}/{}/qemu", root.string(), kLibraries)};
}

std::vector<std::string> bochs_environment(const fs::path& root) {
  return {fmt::format("LTDL_LIBRARY_PATH={}/{}/bochs/plugins", root.string(), kLibraries),
          fmt::format("BXSHARE={}/usr/share/bochs", root.string())};
}

const EmulatorSource& source_of(Emulator emulator) {
  static const EmulatorSource qemu{
      "qemu", "usr/bin/qemu-system-x86_64", "bookworm", {"qemu-system-x86"}, qemu_environment};
  // 3.1 and later die at boot with a divide error.
  static const EmulatorSource bochs{
      "bochs", "usr/bin/bochs-bin", "trixie", {"bochs", "bochs-term", "bochsbios", "vgabios"}, bochs_environment};
  return emulator == Emulator::qemu ? qemu : bochs;
}

fs::path default_folder() {
  if (const char* chosen = std::getenv("TSCSIM_LAB_CACHE")) return chosen;
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache != nullptr && cache[0] == '/')
    return fs::path(cache) / "tscsim/lab";
  const char* home = std::getenv("HOME");
  if (home == nullptr || home[0] != '/')
    throw ops::TargetError("there is no HOME for the lab's cache\n  mend: set TSCSIM_LAB_CACHE to a folder");
  return fs::path(home) / ".cache/tscsim/lab";
}

std::vector<std::string> lines_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

struct Found {
  std::string suite, package;
};

Found find_image(const LabTarget& target, const std::function<Apt(const std::string&)>& apt_of) {
  for (const std::string& suite : target.suites) {
    Apt apt = apt_of(suite);
    apt.update();
    const std::vector<std::string> names = apt.search(target.package_pattern);
    if (!names.empty()) return {suite, names.back()};
  }
  std::string suites;
  for (const std::string& suite : target.suites) suites += (suites.empty() ? "" : ", ") + suite;
  throw ops::TargetError(fmt::format("no package matches {} in {}", target.package_pattern, suites));
}

// From 6.19 on, Debian's image package only depends on those that hold the kernel and the modules.
std::vector<std::string> parts_of(const Apt& apt, const std::string& image) {
  std::vector<std::string> parts = {image};
  for (const std::string& name : apt.dependencies(image))
    if (name.rfind("linux-binary-", 0) == 0 || name.rfind("linux-modules-", 0) == 0) parts.push_back(name);
  return parts;
}

// KVM, and for host events the way to the host's own MSRs, where the kernel has it as a module.
std::vector<std::string> modules_for(const char* vendor, const fs::path& tree, const fs::path& folder) {
  std::vector<std::string> order = gather_modules(tree, fmt::format("kvm-{}", vendor), folder);
  try {
    for (const std::string& module : gather_modules(tree, "msr", folder)) order.push_back(module);
  } catch (const ops::TargetError&) {
    // Then jump_host_tsc is reported as not supported.
  }
  return order;
}

fs::path find_bzimage(const fs::path& tree) {
  for (const auto& entry : fs::recursive_directory_iterator(tree))
    if (entry.is_regular_file() && entry.path().filename().string().rfind("vmlinuz", 0) == 0) return entry.path();
  throw ops::TargetError("the package holds no kernel (vmlinuz)");
}

}  // namespace

// One fetch at a time; the others wait and then find what they need.
class Cache::Lock {
 public:
  explicit Lock(const fs::path& folder) {
    std::error_code error;
    fs::create_directories(folder, error);
    const std::string path = folder / "lock";
    OpenResult opened = open_file(path.c_str(), O_RDWR | O_CREAT);
    if (!opened.fd) throw ops::TargetError(fmt::format("the lab's cache {} cannot be written", folder.string()));
    fd_ = std::move(opened.fd);
    while (::flock(fd_.number(), LOCK_EX) != 0) {
    }
  }

 private:
  Fd fd_;
};

Cache::Cache(Notice notice, const std::atomic<bool>* interrupted)
    : folder_(default_folder()), notice_(std::move(notice)), interrupted_(interrupted) {}

fs::path Cache::kernel_folder(const LabTarget& target) const {
  std::string name = target.kernel;
  std::replace(name.begin(), name.end(), '/', '_');
  return folder_ / kKernels / name;
}

fs::path Cache::emulator_folder(Emulator emulator) const { return folder_ / "emulators" / source_of(emulator).name; }

bool Cache::has_kernel(const LabTarget& target) const { return fs::exists(kernel_folder(target)); }

bool Cache::has_emulator(Emulator emulator) const {
  if (emulator == Emulator::qemu && !find_program("qemu-system-x86_64").empty()) return true;
  return fs::exists(emulator_folder(emulator));
}

KernelFiles Cache::kernel(const LabTarget& target) {
  if (!has_kernel(target)) {
    const Lock lock(folder_);
    if (!has_kernel(target)) fetch_kernel(target);
  }
  const fs::path folder = kernel_folder(target), modules = folder / target.vendor;
  return {folder / "vmlinux", modules, lines_of(read_file(modules / "order")),
          lines_of(read_file(folder / "package")).at(0)};
}

void Cache::fetch_kernel(const LabTarget& target) {
  const auto apt_of = [&](const std::string& suite) {
    return Apt(folder_ / "apt" / suite, suite, notice_, interrupted_);
  };
  const Found found = find_image(target, apt_of);
  Apt apt = apt_of(found.suite);
  NewFolder made(kernel_folder(target)), tree(folder_ / "unpacking");
  apt.unpack(parts_of(apt, found.package), tree.path());
  if (notice_) notice_(fmt::format("{}: unpacking the kernel and its modules", found.package));
  unpack_kernel(find_bzimage(tree.path()), made.path() / "vmlinux");
  for (const char* vendor : kVendors) {
    const fs::path modules = made.path() / vendor;
    write_file(fs::create_directories(modules) ? modules / "order" : modules / "order",
               joined(modules_for(vendor, tree.path(), modules)));
  }
  write_file(made.path() / "package", found.package + "\n");
  made.commit();
}

EmulatorFiles Cache::emulator(Emulator emulator) {
  if (emulator == Emulator::qemu)
    if (const std::string program = find_program("qemu-system-x86_64"); !program.empty()) return {{program}, {}, {}};
  if (!has_emulator(emulator)) {
    const Lock lock(folder_);
    if (!has_emulator(emulator)) fetch_emulator(emulator);
  }
  const fs::path root = emulator_folder(emulator), libraries = root / kLibraries;
  return {{root / "usr/lib64/ld-linux-x86-64.so.2", "--library-path",
           fmt::format("{}:{}", libraries.string(), (libraries / "pulseaudio").string()),
           root / source_of(emulator).program},
          source_of(emulator).environment(root),
          root};
}

fs::path Cache::busybox() {
  const fs::path root = folder_ / "tools/busybox", program = root / "bin/busybox";
  if (fs::exists(program)) return program;
  const Lock lock(folder_);
  if (fs::exists(program)) return program;
  Apt apt(folder_ / "apt/bookworm", "bookworm", notice_, interrupted_);
  apt.update();
  NewFolder made(root);
  apt.unpack({"busybox-static"}, made.path());
  made.commit();
  return program;
}

void Cache::fetch_emulator(Emulator emulator) {
  const EmulatorSource& source = source_of(emulator);
  Apt apt(folder_ / "apt" / source.suite, source.suite, notice_, interrupted_);
  apt.update();
  NewFolder made(emulator_folder(emulator));
  apt.unpack_with_dependencies(source.packages, made.path());
  made.commit();
}

}  // namespace tscsim::kvm_backend::lab

#include "kvm_backend/lab/targets.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>

namespace tscsim::kvm_backend::lab {
namespace {

// A suite moves on to newer kernels; the version in the pattern keeps a target's name honest, and the later
// suites are looked into when the first has moved on.
struct KernelLine {
  const char* version;
  std::vector<std::string> suites;
};
const std::vector<KernelLine> kKernels = {
    {"5.10", {"bullseye"}},
    {"6.1", {"bookworm"}},
    {"6.12", {"trixie"}},
    {"7.2", {"forky", "sid"}},
};

struct VendorLine {
  const char* vendor;
  const char* module;
  Emulator emulator;
};
constexpr std::array<VendorLine, 2> kVendors = {{
    {"amd", "kvm-amd", Emulator::qemu},
    {"intel", "kvm-intel", Emulator::bochs},
}};

// Cloud kernels hold the kvm modules, are smaller than the others and boot faster.
constexpr const char* kAnyCloudKernel = "^linux-image-[0-9][^ ]*-cloud-amd64$";

std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '-') result += '\\';
    result += c;
  }
  return result;
}

LabTarget make(const VendorLine& vendor, const std::string& kernel, std::vector<std::string> suites,
               std::string pattern) {
  return {fmt::format("{}-{}", vendor.vendor, kernel),
          vendor.vendor,
          kernel,
          vendor.emulator,
          vendor.module,
          std::move(suites),
          std::move(pattern)};
}

std::vector<LabTarget> make_table() {
  std::vector<LabTarget> table;
  for (const VendorLine& vendor : kVendors)
    for (const KernelLine& line : kKernels)
      table.push_back(make(vendor, line.version, line.suites,
                           fmt::format("^linux-image-{}\\.[^ ]*-cloud-amd64$", escaped(line.version))));
  return table;
}

bool is_suite(std::string_view text) {
  return !text.empty() && std::isalpha(static_cast<unsigned char>(text.front())) != 0 &&
         std::all_of(text.begin(), text.end(),
                     [](unsigned char c) { return std::islower(c) != 0 || std::isdigit(c) != 0 || c == '-'; });
}

bool is_image_package(std::string_view text) {
  return text.rfind("linux-image-", 0) == 0 && std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return std::isalnum(c) != 0 || c == '-' || c == '.' || c == '+' || c == '~';
         });
}

std::optional<LabTarget> outside_the_table(const VendorLine& vendor, std::string_view kernel) {
  const std::size_t slash = kernel.find('/');
  const std::string suite(kernel.substr(0, slash));
  if (!is_suite(suite)) return std::nullopt;
  if (slash == std::string_view::npos) return make(vendor, suite, {suite}, kAnyCloudKernel);
  const std::string package(kernel.substr(slash + 1));
  if (!is_image_package(package)) return std::nullopt;
  return make(vendor, fmt::format("{}/{}", suite, package), {suite}, fmt::format("^{}$", escaped(package)));
}

}  // namespace

const std::vector<LabTarget>& lab_targets() {
  static const std::vector<LabTarget> table = make_table();
  return table;
}

std::optional<LabTarget> find_lab_target(std::string_view name) {
  for (const LabTarget& target : lab_targets())
    if (name == target.name || (target.vendor == "amd" && name == target.kernel)) return target;
  for (const VendorLine& vendor : kVendors) {
    const std::string prefix = fmt::format("{}-", vendor.vendor);
    if (name.rfind(prefix, 0) == 0) return outside_the_table(vendor, name.substr(prefix.size()));
  }
  return std::nullopt;
}

}  // namespace tscsim::kvm_backend::lab

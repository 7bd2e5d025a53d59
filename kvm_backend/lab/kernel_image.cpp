#include "kvm_backend/lab/kernel_image.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <set>

#include "kvm_backend/lab/files.h"
#include "kvm_backend/lab/process.h"
#include "ops/error.h"

namespace tscsim::kvm_backend::lab {
namespace {

namespace fs = std::filesystem;
using namespace std::literals;

// Setup header (boot.rst): sectors of real-mode code, the header's magic, and the compressed kernel's place
// relative to the protected-mode code.
constexpr std::size_t kSetupSects = 0x1f1, kHeaderMagic = 0x202, kPayloadOffset = 0x248, kPayloadLength = 0x24c;
constexpr std::size_t kSectorBytes = 512, kHeaderEnd = 0x250;
// The build appends the unpacked size to the compressed stream (scripts/Makefile.lib, size_append).
constexpr std::size_t kAppendedSize = 4;

struct Compression {
  std::string_view magic;
  const char* program;
};
const std::array<Compression, 5> kCompressions{{{"\xfd"
                                                 "7zXZ"sv,
                                                 "xz"},
                                                {"\x28\xb5\x2f\xfd"sv, "zstd"},
                                                {"\x1f\x8b"sv, "gzip"},
                                                {"\x02\x21\x4c\x18"sv, "lz4"},
                                                {"\x04\x22\x4d\x18"sv, "lz4"}}};

const char* program_for(std::string_view bytes) {
  for (const Compression& c : kCompressions)
    if (bytes.substr(0, c.magic.size()) == c.magic) return c.program;
  return nullptr;
}

std::uint32_t number_at(std::string_view bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 4; i > 0; --i) value = value << 8 | static_cast<unsigned char>(bytes[at + i - 1]);
  return value;
}

void decompress(const std::string& program, const fs::path& from, const fs::path& to) {
  ProcessSpec spec;
  spec.argv = {program, "-dcq"};
  spec.input_file = from;
  spec.output_file = to;
  spec.error_file = to.string() + ".err";
  const ProcessEnd end = run_process(spec);
  fs::remove(spec.error_file);
  if (end.status == 127)
    throw ops::TargetError(fmt::format("'{}' is missing, which unpacks {}\n  mend: install the package {}", program,
                                       from.filename().string(), program == "xz" ? "xz-utils" : program));
  if (end.status != 0 && fs::file_size(to) == 0)
    throw ops::TargetError(fmt::format("{} cannot unpack {}", program, from.string()));
}

std::string plain_name(const fs::path& file) {
  std::string name = file.filename();
  const std::size_t at = name.find(".ko");
  name = at == std::string::npos ? name : name.substr(0, at);
  std::replace(name.begin(), name.end(), '_', '-');
  return name;
}

class Gathering {
 public:
  Gathering(const fs::path& tree, const fs::path& folder) : folder_(folder) {
    for (const auto& entry : fs::recursive_directory_iterator(tree, fs::directory_options::skip_permission_denied))
      if (entry.is_regular_file() && entry.path().filename().string().find(".ko") != std::string::npos)
        files_.push_back(entry.path());
    std::sort(files_.begin(), files_.end());
  }

  bool add(std::string name) {
    std::replace(name.begin(), name.end(), '_', '-');
    const auto found =
        std::find_if(files_.begin(), files_.end(), [&](const fs::path& f) { return plain_name(f) == name; });
    if (found == files_.end()) return false;
    if (!seen_.insert(name).second) return true;
    const std::string file = name + ".ko";
    const std::string extension = found->extension();
    if (extension == ".ko") fs::copy_file(*found, folder_ / file, fs::copy_options::overwrite_existing);
    else decompress(extension == ".xz" ? "xz" : extension == ".zst" ? "zstd" : "gzip", *found, folder_ / file);
    for (const std::string& needed : dependencies_of(read_file(folder_ / file))) add(needed);
    order_.push_back(file);
    return true;
  }

  const std::vector<std::string>& order() const { return order_; }

 private:
  fs::path folder_;
  std::vector<fs::path> files_;
  std::set<std::string> seen_;
  std::vector<std::string> order_;
};

}  // namespace

Payload find_payload(std::string_view bzimage) {
  if (bzimage.size() < kHeaderEnd || bzimage.substr(kHeaderMagic, 4) != "HdrS")
    throw ops::TargetError("this is not a Linux kernel for x86 (bzImage)");
  std::size_t setup_sectors = static_cast<unsigned char>(bzimage[kSetupSects]);
  if (setup_sectors == 0) setup_sectors = 4;  // boot.rst: 0 means 4
  Payload payload;
  payload.offset = (setup_sectors + 1) * kSectorBytes + number_at(bzimage, kPayloadOffset);
  payload.bytes = number_at(bzimage, kPayloadLength);
  if (payload.bytes <= kAppendedSize || payload.offset > bzimage.size() ||
      payload.bytes > bzimage.size() - payload.offset)
    throw ops::TargetError("this kernel image is cut");
  const char* program = program_for(bzimage.substr(payload.offset));
  if (program == nullptr) throw ops::TargetError("this kernel is compressed in an unknown way");
  payload.program = program;
  payload.bytes -= kAppendedSize;
  return payload;
}

void unpack_kernel(const fs::path& bzimage, const fs::path& vmlinux) {
  const std::string image = read_file(bzimage);
  const Payload payload = find_payload(image);
  const fs::path packed = vmlinux.string() + ".packed";
  write_file(packed, std::string_view(image).substr(payload.offset, payload.bytes));
  decompress(payload.program, packed, vmlinux);
  fs::remove(packed);
  if (read_file(vmlinux).substr(0, 4) !=
      "\x7f"
      "ELF")
    throw ops::TargetError(fmt::format("{} holds no ELF kernel", bzimage.string()));
}

std::vector<std::string> dependencies_of(std::string_view module) {
  constexpr std::string_view kKey = "\0depends="sv;
  const std::size_t at = module.find(kKey);
  if (at == std::string_view::npos) return {};
  std::string_view list = module.substr(at + kKey.size());
  list = list.substr(0, list.find('\0'));
  std::vector<std::string> names;
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    names.emplace_back(list.substr(0, comma));
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return names;
}

std::vector<std::string> gather_modules(const fs::path& tree, const std::string& module, const fs::path& folder) {
  fs::create_directories(folder);
  Gathering gathering(tree, folder);
  if (!gathering.add(module)) throw ops::TargetError(fmt::format("this kernel has no module {}", module));
  return gathering.order();
}

}  // namespace tscsim::kvm_backend::lab

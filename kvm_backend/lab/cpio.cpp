#include "kvm_backend/lab/cpio.h"

#include <fmt/format.h>

#include <iterator>
#include <utility>

namespace tscsim::kvm_backend::lab {
namespace {

constexpr std::uint32_t kDirectory = 0040000, kRegular = 0100000;
constexpr std::string_view kTrailer = "TRAILER!!!";

void pad(std::string& bytes) { bytes.append((4 - bytes.size() % 4) % 4, '\0'); }

}  // namespace

void CpioWriter::add_directory(std::string_view path) { add(path, kDirectory | 0755, ""); }

void CpioWriter::add_file(std::string_view path, std::string_view content, bool executable) {
  add(path, kRegular | (executable ? 0755 : 0644), content);
}

// Header fields, 8 hex digits each: inode, mode, uid, gid, links, mtime, size, device (major, minor), special
// device (major, minor), length of the name with its final 0, checksum (0 in this variant). Name and content
// each end on a multiple of 4.
void CpioWriter::add(std::string_view path, std::uint32_t mode, std::string_view content) {
  fmt::format_to(std::back_inserter(bytes_),
                 "070701{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}", next_inode_++,
                 mode, 0, 0, 1, 0, content.size(), 0, 0, 0, 0, path.size() + 1, 0);
  bytes_.append(path).push_back('\0');
  pad(bytes_);
  bytes_.append(content);
  pad(bytes_);
}

std::string CpioWriter::finish() {
  add(kTrailer, 0, "");
  next_inode_ = 1;
  return std::exchange(bytes_, {});
}

}  // namespace tscsim::kvm_backend::lab

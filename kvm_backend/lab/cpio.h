// The archive format of an initramfs: cpio, "newc" (Linux Documentation/driver-api/early-userspace/
// buffer-format.rst). The same content gives the same bytes: no dates, no owners, no inode numbers of this
// machine.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tscsim::kvm_backend::lab {

class CpioWriter {
 public:
  void add_directory(std::string_view path);  // "dev"; a folder comes before what is in it
  void add_file(std::string_view path, std::string_view content, bool executable = false);
  std::string finish();  // the whole archive; the writer is empty afterwards

 private:
  void add(std::string_view path, std::uint32_t mode, std::string_view content);
  std::string bytes_;
  std::uint32_t next_inode_ = 1;
};

}  // namespace tscsim::kvm_backend::lab

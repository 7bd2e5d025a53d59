// From a distribution's packages to what a lab boots: the ELF kernel inside its bzImage, so that nothing has
// to be decompressed under emulation, and the modules that KVM needs, in the order in which they load.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace tscsim::kvm_backend::lab {

// Where the compressed kernel lies in a bzImage (Linux Documentation/arch/x86/boot.rst, payload_offset), and
// by what program it is unpacked. Throws ops::TargetError when `bzimage` is not one.
struct Payload {
  std::size_t offset = 0;
  std::size_t bytes = 0;
  std::string program;  // "xz", "zstd", "gzip", "lz4"
};
Payload find_payload(std::string_view bzimage);

// Writes the ELF kernel. Throws ops::TargetError.
void unpack_kernel(const std::filesystem::path& bzimage, const std::filesystem::path& vmlinux);

// The names in a module's "depends=" note.
std::vector<std::string> dependencies_of(std::string_view module);

// Copies `module` ("kvm-amd") and all that it needs, decompressed, from below `tree` into `folder`; returns
// the file names in load order. Dependencies that are built into the kernel are not there and not needed.
std::vector<std::string> gather_modules(const std::filesystem::path& tree, const std::string& module,
                                        const std::filesystem::path& folder);

}  // namespace tscsim::kvm_backend::lab

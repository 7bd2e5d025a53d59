// Boots a kernel in Bochs without a boot loader: a disk whose first sector reads the kernel and its initramfs
// straight into their places and enters the kernel through the PVH entry point (Xen docs/misc/pvh.pandoc,
// Linux arch/x86/platform/pvh). Nothing is decompressed under emulation.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tscsim::kvm_backend::lab {

// Guest physical addresses.
inline constexpr std::uint32_t kStartInfoAddress = 0x200000;
inline constexpr std::uint32_t kInitrdAddress = 0x8000000;  // above any kernel, below the firmware's tables

struct FlatKernel {
  std::string bytes;          // all loadable segments
  std::uint32_t address = 0;  // of the first byte
  std::uint32_t entry = 0;    // PVH
};

// Throws ops::TargetError when `vmlinux` is no ELF kernel with a PVH entry.
FlatKernel flatten(std::string_view vmlinux);

// The page at kStartInfoAddress. The boot sector fills in the number of memory ranges.
std::string start_info(const FlatKernel& kernel, std::size_t initrd_bytes, std::string_view command_line);

// The whole disk.
std::string boot_disk(const FlatKernel& kernel, std::string_view initrd, std::string_view command_line);

}  // namespace tscsim::kvm_backend::lab

#include "kvm_backend/lab/bochs_boot.h"

#include <algorithm>
#include <cstring>
#include <initializer_list>
#include <vector>

#include "ops/error.h"

static_assert(tscsim::kvm_backend::lab::kStartInfoAddress == 0x200000, "start_info below");

// The BIOS enters at 0x7c00 in real mode. Memory ranges (INT 15h, E820) go to 0x6000 as PVH wants them:
// address and size, 8 bytes each, type and a reserved 0, 4 bytes each. Then protected mode with flat
// segments, where the pieces of the disk are read by programmed I/O (ATA-6, READ SECTORS, 28-bit addresses),
// in chunks of 128 sectors from chunk 1 on. The list of pieces follows the code: address, number of chunks;
// 0, 0 at the end. The kernel wants ebx = start_info.
asm(R"(
    .pushsection .rodata
    .set    start_info, 0x200000
    .set    memory_map, 0x6000
    .set    memory_ranges, 0x5ff0
    .set    chunk_sectors, 128
    .globl  tscsim_boot_sector_begin, tscsim_boot_sector_end
    .balign 16
tscsim_boot_sector_begin:
    .code16
    cli
    cld
    xor     %ax, %ax
    mov     %ax, %ds
    mov     %ax, %es
    mov     %ax, %ss
    mov     $0x7c00, %sp
    xor     %ebp, %ebp                  # ranges so far
    xor     %ebx, %ebx                  # the BIOS's own: which range is next
    mov     $memory_map, %di
.Lboot_range:
    mov     $0xe820, %eax
    mov     $20, %ecx
    mov     $0x534d4150, %edx           # "SMAP"
    int     $0x15
    jc      .Lboot_ranges_done
    movl    $0, 20(%di)
    add     $24, %di
    inc     %bp
    test    %ebx, %ebx
    jnz     .Lboot_range
.Lboot_ranges_done:
    mov     %ebp, memory_ranges
    inb     $0x92, %al                  # A20: addresses above 1 MiB
    or      $2, %al
    outb    %al, $0x92
    lgdtl   (.Lboot_gdt_register - tscsim_boot_sector_begin + 0x7c00)
    mov     %cr0, %eax
    or      $1, %al
    mov     %eax, %cr0
    .byte   0x66, 0xea                  # far jump, 32-bit
    .long   .Lboot_protected - tscsim_boot_sector_begin + 0x7c00
    .word   8
    .code32
.Lboot_protected:
    mov     $16, %eax
    mov     %eax, %ds
    mov     %eax, %es
    mov     %eax, %ss
    mov     $chunk_sectors, %ebx        # next sector on the disk
    mov     $(tscsim_boot_sector_end - tscsim_boot_sector_begin + 0x7c00), %esi
.Lboot_piece:
    mov     (%esi), %edi
    mov     4(%esi), %ecx
    jecxz   .Lboot_enter
.Lboot_chunk:
    push    %ecx
    mov     $0x1f2, %edx                # sector count, then the address in four parts, then the command
    mov     $chunk_sectors, %al
    outb    %al, %dx
    mov     %ebx, %eax
    mov     $3, %ecx
.Lboot_address:
    inc     %edx
    outb    %al, %dx
    shr     $8, %eax
    loop    .Lboot_address
    inc     %edx
    or      $0xe0, %al                  # by address, first disk
    outb    %al, %dx
    inc     %edx
    mov     $0x20, %al
    outb    %al, %dx
    mov     $chunk_sectors, %ebp
.Lboot_sector:
    mov     $0x1f7, %edx
.Lboot_wait:
    inb     %dx, %al
    and     $0x88, %al
    cmp     $0x08, %al                  # not busy, and has data
    jne     .Lboot_wait
    mov     $0x1f0, %edx
    mov     $128, %ecx
    rep insl
    dec     %ebp
    jnz     .Lboot_sector
    add     $chunk_sectors, %ebx
    pop     %ecx
    loop    .Lboot_chunk
    add     $8, %esi
    jmp     .Lboot_piece
.Lboot_enter:
    mov     $start_info, %ebx
    mov     memory_ranges, %eax
    mov     %eax, 48(%ebx)              # hvm_start_info.memmap_entries
    mov     0x80(%ebx), %eax            # the entry point, our own addition
    jmp     *%eax
    .balign 8
.Lboot_gdt:
    .quad   0, 0x00cf9b000000ffff, 0x00cf93000000ffff
.Lboot_gdt_register:
    .word   23
    .long   .Lboot_gdt - tscsim_boot_sector_begin + 0x7c00
    .balign 4
tscsim_boot_sector_end:
    .code64
    .popsection
)");

extern "C" {
extern const char tscsim_boot_sector_begin[];
extern const char tscsim_boot_sector_end[];
}

namespace tscsim::kvm_backend::lab {
namespace {

constexpr std::size_t kSectorBytes = 512, kChunkBytes = 128 * kSectorBytes;
constexpr std::size_t kCylinderBytes = 16 * 63 * kSectorBytes;  // a disk image is a whole number of them
constexpr std::uint32_t kMemoryMapAddress = 0x6000;

// struct hvm_start_info (Xen xen/include/public/arch-x86/hvm/start_info.h), version 1.
constexpr std::uint32_t kStartInfoMagic = 0x336ec578;
constexpr std::uint32_t kModuleListAt = 0x40, kEntryAt = 0x80, kCommandLineAt = 0x100;
constexpr std::size_t kInfoBytes = 0x1000;

// ELF64 (System V ABI): the parts that are needed.
constexpr std::uint32_t kLoad = 1, kNote = 4;
constexpr std::uint32_t kPvhEntryNote = 18;  // XEN_ELFNOTE_PHYS32_ENTRY

class Bytes {
 public:
  explicit Bytes(std::string_view bytes) : bytes_(bytes) {}
  template <class T>
  T at(std::size_t offset) const {
    T value{};
    std::memcpy(&value, part(offset, sizeof value).data(), sizeof value);
    return value;
  }
  std::string_view part(std::size_t offset, std::size_t size) const {
    if (offset > bytes_.size() || size > bytes_.size() - offset) throw ops::TargetError("the kernel's ELF file is cut");
    return bytes_.substr(offset, size);
  }

 private:
  std::string_view bytes_;
};

struct Segment {
  std::uint32_t type = 0;
  std::uint64_t offset = 0, address = 0, size = 0;
};

std::vector<Segment> segments_of(const Bytes& elf) {
  const auto table = elf.at<std::uint64_t>(32);
  const auto entry_bytes = elf.at<std::uint16_t>(54), count = elf.at<std::uint16_t>(56);
  std::vector<Segment> segments;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t at = table + i * entry_bytes;
    segments.push_back({elf.at<std::uint32_t>(at), elf.at<std::uint64_t>(at + 8), elf.at<std::uint64_t>(at + 24),
                        elf.at<std::uint64_t>(at + 32)});
  }
  return segments;
}

std::size_t padded(std::size_t bytes) { return (bytes + 3) / 4 * 4; }

// A note: lengths of name and content, type, then the two, each padded to 4. 0 when it is not among these.
std::uint32_t pvh_entry_in(std::string_view notes) {
  const Bytes in(notes);
  for (std::size_t at = 0; at + 12 <= notes.size();) {
    const auto name_bytes = in.at<std::uint32_t>(at), content_bytes = in.at<std::uint32_t>(at + 4);
    const std::size_t name = at + 12, content = name + padded(name_bytes);
    if (in.at<std::uint32_t>(at + 8) == kPvhEntryNote && in.part(name, name_bytes) == std::string_view("Xen\0", 4))
      return in.at<std::uint32_t>(content);
    at = content + padded(content_bytes);
  }
  return 0;
}

template <class T>
void put(std::string& bytes, std::size_t at, T value) {
  std::memcpy(&bytes[at], &value, sizeof value);
}

void put_quads(std::string& bytes, std::size_t at, std::initializer_list<std::uint64_t> values) {
  for (const std::uint64_t value : values) {
    put(bytes, at, value);
    at += sizeof value;
  }
}

}  // namespace

FlatKernel flatten(std::string_view vmlinux) {
  const Bytes elf(vmlinux);
  if (elf.part(0, 4) !=
      "\x7f"
      "ELF")
    throw ops::TargetError("this is not an ELF kernel");
  const std::vector<Segment> segments = segments_of(elf);
  FlatKernel kernel;
  std::uint64_t begin = UINT64_MAX, end = 0;
  for (const Segment& segment : segments) {
    if (segment.type == kNote && kernel.entry == 0) kernel.entry = pvh_entry_in(elf.part(segment.offset, segment.size));
    if (segment.type != kLoad) continue;
    begin = std::min(begin, segment.address);
    end = std::max(end, segment.address + segment.size);
  }
  if (kernel.entry == 0) throw ops::TargetError("this kernel has no PVH entry point (CONFIG_PVH)");
  if (begin >= end || end > kInitrdAddress) throw ops::TargetError("this kernel does not fit its place in memory");
  kernel.address = static_cast<std::uint32_t>(begin);
  kernel.bytes.resize(end - begin);
  for (const Segment& segment : segments)
    if (segment.type == kLoad)
      kernel.bytes.replace(segment.address - begin, segment.size, elf.part(segment.offset, segment.size));
  return kernel;
}

std::string start_info(const FlatKernel& kernel, std::size_t initrd_bytes, std::string_view command_line) {
  if (command_line.size() >= kInfoBytes - kCommandLineAt)
    throw ops::TargetError("the kernel's command line is too long");
  std::string page(kInfoBytes, '\0');
  put(page, 0, kStartInfoMagic);
  put(page, 4, std::uint32_t{1});   // version
  put(page, 12, std::uint32_t{1});  // modules
  put_quads(page, 16, {kStartInfoAddress + kModuleListAt, kStartInfoAddress + kCommandLineAt, 0, kMemoryMapAddress});
  put_quads(page, kModuleListAt, {kInitrdAddress, initrd_bytes, 0, 0});
  put(page, kEntryAt, kernel.entry);
  page.replace(kCommandLineAt, command_line.size(), command_line);
  return page;
}

std::string boot_disk(const FlatKernel& kernel, std::string_view initrd, std::string_view command_line) {
  const std::string info = start_info(kernel, initrd.size(), command_line);
  const struct {
    std::uint32_t address;
    std::string_view bytes;
  } pieces[] = {{kStartInfoAddress, info}, {kernel.address, kernel.bytes}, {kInitrdAddress, initrd}};
  std::string sector(tscsim_boot_sector_begin,
                     static_cast<std::size_t>(tscsim_boot_sector_end - tscsim_boot_sector_begin));
  std::string disk(kChunkBytes, '\0');
  std::size_t list_at = sector.size();
  sector.resize(kSectorBytes);
  for (const auto& piece : pieces) {
    disk.append(piece.bytes);
    disk.append((kChunkBytes - disk.size() % kChunkBytes) % kChunkBytes, '\0');
    put(sector, list_at, piece.address);
    put(sector, list_at + 4, static_cast<std::uint32_t>((piece.bytes.size() + kChunkBytes - 1) / kChunkBytes));
    list_at += 8;
  }
  sector[kSectorBytes - 2] = '\x55';  // the BIOS boots what ends in 55 AA
  sector[kSectorBytes - 1] = '\xaa';
  disk.replace(0, kSectorBytes, sector);
  disk.append(kCylinderBytes - disk.size() % kCylinderBytes, '\0');
  return disk;
}

}  // namespace tscsim::kvm_backend::lab

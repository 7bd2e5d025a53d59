// Whether a program is loaded by the dynamic linker, which is what a preloaded library needs. No allocation: the shim asks
// this inside other people's programs.
#pragma once

#include <elf.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstring>

namespace tscsim::tracer {

// False also for what is no ELF file, such as a script.
inline bool is_static_elf(const char* path) {
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  Elf64_Ehdr head{};
  const bool is_elf = ::read(fd, &head, sizeof head) == static_cast<ssize_t>(sizeof head) &&
                      std::memcmp(head.e_ident, ELFMAG, SELFMAG) == 0;
  bool interpreted = false;
  for (int i = 0; is_elf && i < head.e_phnum; ++i) {
    Elf64_Phdr part{};
    const auto at = static_cast<off_t>(head.e_phoff) + i * static_cast<off_t>(head.e_phentsize);
    if (::pread(fd, &part, sizeof part, at) != static_cast<ssize_t>(sizeof part)) break;
    interpreted = interpreted || part.p_type == PT_INTERP;
  }
  ::close(fd);
  return is_elf && !interpreted;
}

}  // namespace tscsim::tracer

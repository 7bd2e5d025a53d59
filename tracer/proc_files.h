// What /proc says of a process's files and threads.
#pragma once

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tracer/raw_call.h"

namespace tscsim::tracer {

enum class FileKind : std::uint8_t { other, system, vm, vcpu };

struct KvmFile {
  FileKind kind = FileKind::other;
  std::int32_t vcpu = kNoVcpu;  // KVM's id
};

// By the name of the file that a descriptor stands for. Kernel: Linux v6.12 virt/kvm/kvm_main.c: "kvm-vm",
// "kvm-vcpu:ID". Makes no allocation: the shim uses it inside other people's programs.
inline KvmFile kvm_file(std::uint32_t pid, int fd) {
  char path[64], name[64];
  std::snprintf(path, sizeof path, "/proc/%u/fd/%d", pid, fd);
  const ssize_t length = ::readlink(path, name, sizeof name - 1);
  if (length <= 0) return {};
  name[length] = '\0';
  if (std::strcmp(name, "/dev/kvm") == 0) return {FileKind::system, kNoVcpu};
  if (std::strcmp(name, "anon_inode:kvm-vm") == 0) return {FileKind::vm, kNoVcpu};
  constexpr char kVcpu[] = "anon_inode:kvm-vcpu:";
  if (std::strncmp(name, kVcpu, sizeof kVcpu - 1) == 0)
    return {FileKind::vcpu, static_cast<std::int32_t>(std::strtol(name + sizeof kVcpu - 1, nullptr, 10))};
  return {};
}

inline constexpr std::size_t kCommandBytes = 1024;

// A process's command line with spaces between its words, cut where there is no more room.
inline void read_command(std::uint32_t pid, char (&text)[kCommandBytes]) {
  char path[64];
  std::snprintf(path, sizeof path, "/proc/%u/cmdline", pid);
  text[0] = '\0';
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  const ssize_t length = ::read(fd, text, sizeof text - 1);
  ::close(fd);
  if (length <= 0) return;
  for (ssize_t i = 0; i + 1 < length; ++i)
    if (text[i] == '\0') text[i] = ' ';
  text[length] = '\0';
}

// Whether two descriptors are duplicates of each other.
inline bool same_file(std::uint32_t pid1, int fd1, std::uint32_t pid2, int fd2) {
  constexpr int kKcmpFile = 0;
  return ::syscall(SYS_kcmp, pid1, pid2, kKcmpFile, fd1, fd2) == 0;
}

}  // namespace tscsim::tracer

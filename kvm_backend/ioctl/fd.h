// A file descriptor and a mapping that close themselves, and the one place that calls ioctl().
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

namespace tscsim::kvm_backend {

// What a system call returned: `value` when it succeeded, else `error` is a positive errno.
struct CallResult {
  int value = 0;
  int error = 0;
  bool ok() const { return error == 0; }
};

class Fd {
 public:
  Fd() = default;
  explicit Fd(int number) : number_(number) {}
  Fd(Fd&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Fd& operator=(Fd&& other) noexcept;
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { reset(); }

  int number() const { return number_; }
  explicit operator bool() const { return number_ >= 0; }

  // ioctl(), repeated while it is interrupted (EINTR).
  CallResult call(unsigned long request, std::uint64_t argument = 0) const;
  CallResult call(unsigned long request, void* argument) const;

  // ioctl() once: for KVM_RUN, where EINTR is an answer.
  CallResult call_once(unsigned long request) const;

 private:
  void reset();
  int number_ = -1;
};

// open() with O_CLOEXEC, repeated while it is interrupted. An empty Fd and `error` when it fails.
struct OpenResult {
  Fd fd;
  int error = 0;
};
OpenResult open_file(const char* path, int flags);

class Mapping {
 public:
  Mapping() = default;
  // Adopts what mmap() returned.
  Mapping(void* start, std::size_t bytes) : start_(start), bytes_(bytes) {}
  Mapping(Mapping&& other) noexcept
      : start_(std::exchange(other.start_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  Mapping& operator=(Mapping&& other) noexcept;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() { reset(); }

  std::byte* data() const { return static_cast<std::byte*>(start_); }
  std::size_t size() const { return bytes_; }

 private:
  void reset();
  void* start_ = nullptr;
  std::size_t bytes_ = 0;
};

// Shared mapping of `bytes` bytes of `fd`, or anonymous memory, already populated, without one.
// Throws KvmError("mmap", `what`).
Mapping map_shared(const Fd* fd, std::size_t bytes, const char* what);

}  // namespace tscsim::kvm_backend

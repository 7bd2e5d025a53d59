#include "kvm_backend/ioctl/fd.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include "kvm_backend/ioctl/kvm_error.h"

namespace tscsim::kvm_backend {

namespace {

CallResult result_of(int returned) { return returned < 0 ? CallResult{0, errno} : CallResult{returned, 0}; }

template <class Call>
CallResult repeat_while_interrupted(Call&& call) {
  for (;;) {
    const CallResult result = result_of(call());
    if (result.error != EINTR) return result;
  }
}

}  // namespace

Fd& Fd::operator=(Fd&& other) noexcept {
  if (this != &other) {
    reset();
    number_ = std::exchange(other.number_, -1);
  }
  return *this;
}

void Fd::reset() {
  // Not repeated on EINTR: Linux has released the number by then (man 2 close).
  if (number_ >= 0) ::close(std::exchange(number_, -1));
}

CallResult Fd::call(unsigned long request, std::uint64_t argument) const {
  return repeat_while_interrupted([&] { return ::ioctl(number_, request, argument); });
}

CallResult Fd::call(unsigned long request, void* argument) const {
  return repeat_while_interrupted([&] { return ::ioctl(number_, request, argument); });
}

CallResult Fd::call_once(unsigned long request) const { return result_of(::ioctl(number_, request, 0UL)); }

OpenResult open_file(const char* path, int flags) {
  const CallResult opened = repeat_while_interrupted([&] { return ::open(path, flags | O_CLOEXEC); });
  return {Fd(opened.ok() ? opened.value : -1), opened.error};
}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  if (this != &other) {
    reset();
    start_ = std::exchange(other.start_, nullptr);
    bytes_ = std::exchange(other.bytes_, 0);
  }
  return *this;
}

void Mapping::reset() {
  if (start_ != nullptr) ::munmap(std::exchange(start_, nullptr), std::exchange(bytes_, 0));
}

Mapping map_shared(const Fd* fd, std::size_t bytes, const char* what) {
  const int flags = fd != nullptr ? MAP_SHARED : MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE;
  void* start = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags, fd != nullptr ? fd->number() : -1, 0);
  if (start == MAP_FAILED)
    throw KvmError({"mmap", std::string(what) + ", " + grouped(bytes) + " bytes", errno, "",
                    "free some memory or raise the limit on locked and shared memory"});
  return {start, bytes};
}

}  // namespace tscsim::kvm_backend

// The preloaded shim: a library that stands before ioctl() in a VMM and writes down what it sees (tracer/shared_log.h).
// It lives in other people's programs: no allocation, no exception, errno as it was, and KVM_RUN, which a VMM calls a
// hundred thousand times a second, costs a look into a table.
#include <dlfcn.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstdarg>

#include "tracer/elf.h"
#include "tracer/payload.h"
#include "tracer/proc_files.h"
#include "tracer/raw_clocks.h"
#include "tracer/shared_log.h"

namespace {

using namespace tscsim::tracer;

using Ioctl = int (*)(int, unsigned long, ...);
using Execve = int (*)(const char*, char* const*, char* const*);

SharedLog* log_ = nullptr;
Ioctl real_ioctl = nullptr;

// What a descriptor was when it was last looked at. Descriptors beyond the table are looked at each time.
struct Known {
  std::atomic<std::uint32_t> vm{kNoVm};
  std::atomic<std::int32_t> vcpu{kNoVcpu};
  std::atomic<VcpuSlot*> slot{nullptr};
  std::atomic<FileKind> kind{FileKind::other};
};
constexpr int kDescriptors = 1 << 16;
Known known_[kDescriptors];

void open_bracket(RawCall& call) {
  call.cpu_before = ::sched_getcpu();
  call.begin = clocks_before();
}

void close_bracket(RawCall& call) {
  call.end = clocks_after();
  call.cpu_after = ::sched_getcpu();
}

void keep(const RawCall& call) {
  const std::uint32_t place = log_->calls.fetch_add(1, std::memory_order_relaxed);
  if (place >= kLogCalls) return;
  log_->call[place].call = call;
  log_->call[place].complete.store(true, std::memory_order_release);
}

void say(const char* text, const char* detail) {
  const std::uint32_t place = log_->texts.fetch_add(1, std::memory_order_relaxed);
  if (place >= kMostTexts) return;
  LogText& line = log_->text[place];
  line.pid = static_cast<std::uint32_t>(::getpid());
  std::snprintf(line.text.data(), line.text.size(), "%s%s", text, detail);
  line.complete.store(true, std::memory_order_release);
}

VcpuSlot* slot_of(std::uint32_t vm, std::int32_t vcpu) {
  const std::uint32_t used = std::min<std::uint32_t>(log_->vcpus.load(std::memory_order_acquire), kMostVcpus);
  for (std::uint32_t i = 0; i < used; ++i)
    if (log_->vcpu[i].vm == vm && log_->vcpu[i].vcpu == vcpu) return &log_->vcpu[i];
  return nullptr;
}

VcpuSlot* new_slot(std::uint32_t vm, std::int32_t vcpu) {
  const std::uint32_t place = log_->vcpus.fetch_add(1, std::memory_order_acq_rel);
  if (place >= kMostVcpus) return nullptr;
  log_->vcpu[place].vm = vm;
  log_->vcpu[place].vcpu = vcpu;
  return &log_->vcpu[place];
}

void learn(int fd, FileKind kind, std::uint32_t vm, std::int32_t vcpu, VcpuSlot* slot) {
  if (fd < 0 || fd >= kDescriptors) return;
  Known& known = known_[fd];
  known.vm = vm;
  known.vcpu = vcpu;
  known.slot = slot;
  known.kind.store(kind, std::memory_order_release);
}

// A descriptor that no call here has returned is a duplicate of one that is open, or else of the only one of its kind that
// was closed since; or it came from elsewhere.
std::uint32_t vm_of_duplicate(int fd, const KvmFile& file) {
  const auto pid = static_cast<std::uint32_t>(::getpid());
  std::uint32_t closed = kNoVm;
  int closed_ones = 0;
  for (int other = 0; other < kDescriptors; ++other) {
    const Known& known = known_[other];
    if (other == fd || known.kind.load(std::memory_order_acquire) != file.kind || known.vcpu != file.vcpu) continue;
    if (same_file(pid, fd, pid, other)) return known.vm;
    if (kvm_file(pid, other).kind == file.kind) continue;
    closed = known.vm;
    ++closed_ones;
  }
  return closed_ones == 1 ? closed : kNoVm;
}

// What the descriptor is now; the table is put right. Costs a system call.
void look_at(int fd) {
  const KvmFile file = kvm_file(static_cast<std::uint32_t>(::getpid()), fd);
  const Known& known = known_[fd];
  if (known.kind == file.kind && known.vcpu == file.vcpu) return;
  if (file.kind == FileKind::other || file.kind == FileKind::system)
    return learn(fd, file.kind, kNoVm, kNoVcpu, nullptr);
  const std::uint32_t vm = vm_of_duplicate(fd, file);
  learn(fd, file.kind, vm, file.vcpu, slot_of(vm, file.vcpu));
}

void count(unsigned long request) { log_->others[request_key(request)].fetch_add(1, std::memory_order_relaxed); }

// Another call that may be kept has been made on the VM: the next KVM_RUN of each of its vCPUs is one to note.
void note_change(std::uint32_t vm) {
  log_->vm[std::min<std::size_t>(vm, kMostVms)].changes.fetch_add(1, std::memory_order_release);
}

RawCall begun(std::uint32_t request, std::uint32_t vm, std::int32_t vcpu) {
  RawCall call;
  call.request = request;
  call.vm = vm;
  call.vcpu = vcpu;
  call.pid = static_cast<std::uint32_t>(::getpid());
  call.tid = static_cast<std::uint32_t>(::gettid());
  return call;
}

int run_noted(VcpuSlot& slot, int fd, void* argument, std::uint64_t changes, std::uint64_t before) {
  slot.seen_changes = changes;
  slot.first = begun(KVM_RUN, slot.vm, slot.vcpu);
  slot.first.runs = before;
  open_bracket(slot.first);
  slot.inside.store(true, std::memory_order_release);
  const int result = real_ioctl(fd, KVM_RUN, argument);
  const int error = errno;
  close_bracket(slot.first);
  slot.first.result = result;
  slot.first.error = result < 0 ? error : 0;
  keep(slot.first);
  if (result < 0) slot.seen_changes = changes - 1;  // the guest may not have been entered: the next one is noted, too
  slot.inside.store(false, std::memory_order_release);
  errno = error;
  return result;
}

int run(int fd, void* argument) {
  VcpuSlot* slot = fd >= 0 && fd < kDescriptors ? known_[fd].slot.load(std::memory_order_acquire) : nullptr;
  if (slot == nullptr) {
    if (fd >= 0 && fd < kDescriptors && known_[fd].kind == FileKind::other) look_at(fd);
    slot = fd >= 0 && fd < kDescriptors ? known_[fd].slot.load(std::memory_order_acquire) : nullptr;
  }
  if (slot == nullptr) {
    count(KVM_RUN);
    return real_ioctl(fd, KVM_RUN, argument);
  }
  const std::uint64_t before = slot->runs.load(std::memory_order_relaxed);
  slot->runs.store(before + 1, std::memory_order_relaxed);
  const std::uint64_t changes =
      log_->vm[std::min<std::size_t>(slot->vm, kMostVms)].changes.load(std::memory_order_acquire);
  if (changes == slot->seen_changes) return real_ioctl(fd, KVM_RUN, argument);
  return run_noted(*slot, fd, argument, changes, before);
}

// Memory that the kernel has followed a pointer to is there.
bool copy_here(std::uint64_t address, void* to, std::size_t bytes) {
  if (address == 0) return false;
  std::memcpy(to, reinterpret_cast<const void*>(address), bytes);
  return true;
}

// After a call that failed nobody knows whether the kernel came as far as to follow it.
bool copy_if_there(std::uint64_t address, void* to, std::size_t bytes) {
  const iovec here{to, bytes};
  const iovec there{reinterpret_cast<void*>(address), bytes};
  return ::process_vm_readv(::getpid(), &here, 1, &there, 1, 0) == static_cast<ssize_t>(bytes);
}

bool read_payload_of(RawCall& call, void* argument) {
  const auto address = reinterpret_cast<std::uint64_t>(argument);
  return call.result < 0 ? read_payload(call, address, copy_if_there) : read_payload(call, address, copy_here);
}

void learn_created(RawCall& call) {
  if (call.result < 0) return;
  if (call.request == KVM_CREATE_VM) {
    call.vm = log_->vms.fetch_add(1) + 1;
    if (call.vm <= kMostVms) read_command(call.pid, log_->vm[call.vm].command);
    learn(call.result, FileKind::vm, call.vm, kNoVcpu, nullptr);
  }
  if (call.request == KVM_CREATE_VCPU) {
    const auto vcpu = static_cast<std::int32_t>(call.value);
    learn(call.result, FileKind::vcpu, call.vm, vcpu, call.vm == kNoVm ? nullptr : new_slot(call.vm, vcpu));
  }
}

// The scope that a call is for; made on another file it is no call about time.
bool fits(unsigned long request, FileKind kind) {
  if (request == KVM_CREATE_VM) return kind == FileKind::system;
  return kind == FileKind::vm || kind == FileKind::vcpu;
}

int recorded(int fd, unsigned long request, void* argument) {
  if (fd < 0 || fd >= kDescriptors) return real_ioctl(fd, request, argument);
  const int error_before = errno;
  look_at(fd);
  if (!fits(request, known_[fd].kind)) {
    count(request);
    errno = error_before;
    return real_ioctl(fd, request, argument);
  }
  RawCall call = begun(static_cast<std::uint32_t>(request), known_[fd].vm, known_[fd].vcpu);
  errno = error_before;
  open_bracket(call);
  const int result = real_ioctl(fd, request, argument);
  const int error = errno;
  close_bracket(call);
  call.result = result;
  call.error = result < 0 ? error : 0;
  if (read_payload_of(call, argument)) {
    learn_created(call);
    keep(call);
    note_change(call.vm);
  } else {
    count(request);
  }
  errno = error;
  return result;
}

__attribute__((constructor)) void attach_log() {
  real_ioctl = reinterpret_cast<Ioctl>(::dlsym(RTLD_NEXT, "ioctl"));
  const char* const path = ::getenv(kLogVariable);
  if (path == nullptr) return;
  const int fd = ::open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  void* const at = ::mmap(nullptr, sizeof(SharedLog), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ::close(fd);
  if (at == MAP_FAILED) return;
  auto* const log = static_cast<SharedLog*>(at);
  if (log->magic == kLogMagic) log_ = log;
}

}  // namespace

extern "C" __attribute__((visibility("default"))) int ioctl(int fd, unsigned long number, ...) noexcept {
  const auto request = static_cast<std::uint32_t>(number);  // as the kernel takes it; some keep it as an int
  va_list arguments;
  va_start(arguments, number);
  void* const argument = va_arg(arguments, void*);
  va_end(arguments);
  if (real_ioctl == nullptr) attach_log();  // called by another library's constructor
  if (!is_kvm_request(request) || log_ == nullptr) return real_ioctl(fd, request, argument);
  if (request == KVM_RUN) return run(fd, argument);
  if (is_recorded(request)) return recorded(fd, request, argument);
  count(request);
  return real_ioctl(fd, request, argument);
}

extern "C" __attribute__((visibility("default"))) int execve(const char* path, char* const* argv,
                                                             char* const* envp) noexcept {
  static const auto real_execve = reinterpret_cast<Execve>(::dlsym(RTLD_NEXT, "execve"));
  if (log_ != nullptr && is_static_elf(path)) say("went on as a static program, which the shim does not see: ", path);
  return real_execve(path, argv, envp);
}

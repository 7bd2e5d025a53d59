// A VMM of a few lines for the tests of the recorder, built twice: loaded by the dynamic linker, and static. Its argument
// names a script of calls; none of it knows that it is watched.
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

namespace {

// As a C compiler computes them; see kvm_backend/ioctl/abi.h.
constexpr unsigned long kGetMsrs = 0xc008ae88, kSetMsrs = 0x4008ae89, kUnknown = 0xaeff;
constexpr std::uint32_t kTsc = 0x10, kAdjust = 0x3b, kSystemTime = 0x4b564d01, kSysenterCs = 0x174;
constexpr std::size_t kMemory = 0x10000;

// In real mode at 0: out %al, $0x10; jmp back. Each turn is one KVM_RUN.
constexpr unsigned char kTurns[] = {0xe6, 0x10, 0xeb, 0xfc};
// jmp to itself: KVM_RUN stays inside.
constexpr unsigned char kSpins[] = {0xeb, 0xfe};

struct Msr {
  std::uint32_t index = 0, reserved = 0;
  std::uint64_t value = 0;
};
struct Msrs {
  std::uint32_t count = 0, pad = 0;
  std::array<Msr, 4> entry{};
};

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(3);
}

int checked(const char* what, int result) {
  if (result < 0) fail(what);
  return result;
}

struct Vm {
  int fd = -1;

  explicit Vm(int kvm, const unsigned char* code = kTurns, std::size_t bytes = sizeof kTurns)
      : fd(checked("KVM_CREATE_VM", ::ioctl(kvm, KVM_CREATE_VM, 0))) {
    void* const memory = ::mmap(nullptr, kMemory, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    std::memcpy(memory, code, bytes);
    kvm_userspace_memory_region region{};
    region.memory_size = kMemory;
    region.userspace_addr = reinterpret_cast<std::uint64_t>(memory);
    checked("KVM_SET_USER_MEMORY_REGION", ::ioctl(fd, KVM_SET_USER_MEMORY_REGION, &region));
  }
};

int create_vcpu(const Vm& vm, unsigned long id) {
  const int vcpu = checked("KVM_CREATE_VCPU", ::ioctl(vm.fd, KVM_CREATE_VCPU, id));
  kvm_sregs sregs{};
  checked("KVM_GET_SREGS", ::ioctl(vcpu, KVM_GET_SREGS, &sregs));
  sregs.cs.base = 0;
  sregs.cs.selector = 0;
  checked("KVM_SET_SREGS", ::ioctl(vcpu, KVM_SET_SREGS, &sregs));
  kvm_regs regs{};
  regs.rflags = 2;
  checked("KVM_SET_REGS", ::ioctl(vcpu, KVM_SET_REGS, &regs));
  return vcpu;
}

void run(int vcpu, int times) {
  for (int done = 0; done < times;) {
    if (::ioctl(vcpu, KVM_RUN, 0) == 0) ++done;
    else if (errno != EINTR) fail("KVM_RUN");  // a signal, or a debugger that attaches
  }
}

void set_tsc(int vcpu, std::uint64_t value) {
  Msrs msrs{1, 0, {{{kTsc, 0, value}}}};
  checked("KVM_SET_MSRS", ::ioctl(vcpu, kSetMsrs, &msrs));
}

void get_clock(const Vm& vm) {
  kvm_clock_data clock{};
  checked("KVM_GET_CLOCK", ::ioctl(vm.fd, KVM_GET_CLOCK, &clock));
}

// One of each call that a recorder looks into, and one that nobody knows.
void all_calls(int kvm) {
  const Vm vm(kvm);
  const int vcpu0 = create_vcpu(vm, 0), vcpu1 = create_vcpu(vm, 5);
  get_clock(vm);
  Msrs msrs{4, 0, {{{kAdjust, 0, 0}, {kSysenterCs, 0, 0}, {kTsc, 0, 1000}, {kSystemTime, 0, 0x2001}}}};
  ::ioctl(vcpu0, kSetMsrs, &msrs);
  Msrs bad{3, 0, {{{kAdjust, 0, 0}, {0xdead, 0, 0}, {kTsc, 0, 2000}}}};
  ::ioctl(vcpu1, kSetMsrs, &bad);  // ends at the second: the third is not tried
  set_tsc(vcpu1, 1000);
  Msrs got{2, 0, {{{kAdjust, 0, 0}, {kTsc, 0, 0}}}};
  ::ioctl(vcpu0, kGetMsrs, &got);
  // A VMM may keep the number as an int, which becomes a long with its sign.
  kvm_clock_data clock{};
  ::ioctl(vm.fd, static_cast<unsigned long>(static_cast<int>(KVM_GET_CLOCK)), &clock);
  clock.clock = 1'000'000'000;
  clock.flags = 0;
  ::ioctl(vm.fd, KVM_SET_CLOCK, &clock);
  ::ioctl(vcpu0, KVM_KVMCLOCK_CTRL, 0);
  ::ioctl(vcpu1, KVM_KVMCLOCK_CTRL, 0);
  ::ioctl(vcpu0, KVM_SET_TSC_KHZ, ::ioctl(vcpu0, KVM_GET_TSC_KHZ, 0));
  std::uint64_t offset = 0;
  kvm_device_attr attribute{};
  attribute.addr = reinterpret_cast<std::uint64_t>(&offset);
  ::ioctl(vcpu0, KVM_GET_DEVICE_ATTR, &attribute);
  ::ioctl(vcpu0, KVM_SET_DEVICE_ATTR, &attribute);
  ::ioctl(vm.fd, kUnknown, 0);
  ::ioctl(vcpu0, kSetMsrs, nullptr);  // EFAULT
  run(vcpu0, 100);
  run(vcpu1, 1);
  get_clock(vm);
  run(vcpu0, 10);
}

// VMs that are interleaved, closed and followed by another under the same number; a duplicate of a descriptor.
void several_vms(int kvm) {
  const Vm first(kvm), second(kvm);
  const int vcpu = create_vcpu(first, 0);
  set_tsc(create_vcpu(second, 0), 2);
  set_tsc(vcpu, 1);
  const int copy = ::dup(vcpu);
  ::close(vcpu);
  set_tsc(copy, 11);
  run(copy, 1);
  ::close(second.fd);
  const Vm third(kvm);  // takes the number of the second
  set_tsc(create_vcpu(third, 0), 3);
}

// Each vCPU is made and run by a thread of its own.
void threads(int kvm) {
  const Vm vm(kvm);
  std::array<std::thread, 2> runners;
  for (std::size_t i = 0; i < runners.size(); ++i) {
    runners[i] = std::thread([&vm, i] {
      const int vcpu = create_vcpu(vm, i);
      set_tsc(vcpu, 7);
      run(vcpu, 3);
    });
    runners[i].join();
  }
}

// A child cannot use its parent's VM, and makes one of its own.
void fork_child(int kvm) {
  const Vm vm(kvm);
  const int vcpu = create_vcpu(vm, 0);
  set_tsc(vcpu, 1);
  if (const pid_t child = ::fork(); child == 0) {
    ::ioctl(vcpu, KVM_KVMCLOCK_CTRL, 0);  // EIO
    const Vm own(kvm);
    set_tsc(create_vcpu(own, 0), 2);
    ::_exit(0);
  } else {
    ::waitpid(child, nullptr, 0);
  }
  run(vcpu, 1);
}

// Dies while a vCPU is inside KVM_RUN.
void die_by(int kvm, int signal) {
  const Vm vm(kvm, kSpins, sizeof kSpins);
  const int vcpu = create_vcpu(vm, 0);
  set_tsc(vcpu, 1);
  std::thread([vcpu] { ::ioctl(vcpu, KVM_RUN, 0); }).detach();
  ::usleep(200'000);
  ::kill(::getpid(), signal);
  ::pause();
}

// Says that it is ready, then writes the TSC and runs every 10 ms until it is asked to end.
void go_on(int kvm) {
  const Vm vm(kvm);
  const int vcpu = create_vcpu(vm, 0);
  std::puts("ready");
  std::fflush(stdout);
  for (int i = 0; i < 3000; ++i) {
    set_tsc(vcpu, 1);
    run(vcpu, 2);
    ::usleep(10'000);
  }
}

std::int64_t clock_ns(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// How many KVM_RUNs there are in a second, and what each costs in processor time, which other programs do not lengthen.
void rate(int kvm, int turns) {
  const Vm vm(kvm);
  const int vcpu = create_vcpu(vm, 0);
  set_tsc(vcpu, 1);
  run(vcpu, 1000);
  const std::int64_t wall_ns = clock_ns(CLOCK_MONOTONIC), cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
  run(vcpu, turns);
  std::printf("%lld a second, %lld ns of processor time each\n",
              static_cast<long long>(turns * 1'000'000'000LL / (clock_ns(CLOCK_MONOTONIC) - wall_ns)),
              static_cast<long long>((clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_ns) / turns));
}

}  // namespace

int main(int argc, char** argv) {
  const std::string script = argc > 1 ? argv[1] : "";
  if (script == "status-3") return 3;
  const int kvm = checked("/dev/kvm", ::open("/dev/kvm", O_RDWR | O_CLOEXEC));
  if (script == "all-calls") all_calls(kvm);
  else if (script == "several-vms") several_vms(kvm);
  else if (script == "threads") threads(kvm);
  else if (script == "fork") fork_child(kvm);
  else if (script == "crash") die_by(kvm, SIGSEGV);
  else if (script == "killed") die_by(kvm, SIGKILL);
  else if (script == "go-on") go_on(kvm);
  else if (script == "rate") rate(kvm, argc > 2 ? std::atoi(argv[2]) : 100'000);
  else return 2;
  return 0;
}

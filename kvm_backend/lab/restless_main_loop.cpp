// To be preloaded into QEMU by lab_test.cpp: its main loop goes to sleep in ppoll(), and here it wakes again after
// microseconds, always, for nothing. On a busy machine it wakes late, and now and then while the guest's CPU is just
// about to halt; with this it does so in each boot. What the guest sees must not depend on it.
#include <dlfcn.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <ctime>

namespace {

// Short against the time that a guest is awake between two naps, which is some 10 us of this machine's time.
constexpr long kNap_ns = 20'000;

using Poll = int (*)(pollfd*, nfds_t, const timespec*, const sigset_t*);

bool is_main_thread() { return ::getpid() == ::syscall(SYS_gettid); }

bool longer_than(const timespec* timeout, const timespec& nap) {
  return timeout == nullptr || timeout->tv_sec > 0 || timeout->tv_nsec > nap.tv_nsec;
}

}  // namespace

extern "C" int ppoll(pollfd* descriptors, nfds_t count, const timespec* timeout, const sigset_t* mask) {
  static const Poll real = reinterpret_cast<Poll>(::dlsym(RTLD_NEXT, "ppoll"));
  if (!is_main_thread()) return real(descriptors, count, timeout, mask);
  // Without it the kernel adds 50 us to each nap.
  static const int precise = ::prctl(PR_SET_TIMERSLACK, 1UL);
  static_cast<void>(precise);
  const timespec nap{0, kNap_ns};
  return real(descriptors, count, longer_than(timeout, nap) ? &nap : timeout, mask);
}

#include "kvm_backend/pinned_thread.h"

#include <fmt/format.h>
#include <sched.h>
#include <signal.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "kvm_backend/ioctl/kvm_error.h"

namespace tscsim::kvm_backend {

namespace {

constexpr int kKickSignal = SIGUSR1;

void do_nothing(int) {}

// A handler, so that the signal interrupts system calls instead of ending the process; no SA_RESTART, so that
// they do return EINTR.
void install_kick_handler() {
  static std::once_flag once;
  std::call_once(once, [] {
    struct sigaction action {};
    action.sa_handler = do_nothing;
    sigemptyset(&action.sa_mask);
    ::sigaction(kKickSignal, &action, nullptr);
  });
}

// Our threads take no signal but the kick: SIGINT is for the main thread. A new thread inherits the mask, so
// it is set around the creation and there is no moment at which the thread has another.
class SignalMaskForNewThread {
 public:
  SignalMaskForNewThread() {
    sigset_t mask;
    sigfillset(&mask);
    sigdelset(&mask, kKickSignal);
    ::pthread_sigmask(SIG_SETMASK, &mask, &before_);
  }
  SignalMaskForNewThread(const SignalMaskForNewThread&) = delete;
  SignalMaskForNewThread& operator=(const SignalMaskForNewThread&) = delete;
  ~SignalMaskForNewThread() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_{};
};

std::thread start_thread(std::function<void()> body) {
  install_kick_handler();
  const SignalMaskForNewThread mask;
  try {
    return std::thread(std::move(body));
  } catch (const std::system_error& error) {
    throw ops::TargetError(fmt::format("cannot start a thread: {}\n  next: raise the limit on processes (ulimit -u)",
                                       errno_name(error.code().value())));
  }
}

}  // namespace

int pin_this_thread(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<unsigned>(cpu), &set);
  return ::sched_setaffinity(0, sizeof set, &set) == 0 ? 0 : errno;
}

PinnedThread::PinnedThread(int cpu) {
  int error = 0;
  thread_ = start_thread([this] { serve(); });
  run([&] { error = pin_this_thread(cpu); });
  if (error == 0) return;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
  throw ops::TargetError(fmt::format(
      "cannot pin a thread to CPU {}: {}\n  next: run with a CPU set that stays as it is", cpu, errno_name(error)));
}

PinnedThread::~PinnedThread() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void PinnedThread::start(std::function<void()> job) {
  {
    const std::lock_guard lock(mutex_);
    thrown_ = nullptr;
    job_ = std::move(job);
  }
  changed_.notify_all();
}

bool PinnedThread::wait_for(std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  if (!changed_.wait_for(lock, patience, [this] { return !job_; })) return false;
  if (thrown_) std::rethrow_exception(std::exchange(thrown_, nullptr));
  return true;
}

void PinnedThread::run(std::function<void()> job) {
  start(std::move(job));
  while (!wait_for(std::chrono::seconds(1))) {
  }
}

void PinnedThread::signal() { ::pthread_kill(thread_.native_handle(), kKickSignal); }

void PinnedThread::serve() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stop_ || job_; });
    if (!job_) return;
    lock.unlock();
    std::exception_ptr thrown;
    try {
      job_();
    } catch (...) {
      thrown = std::current_exception();
    }
    lock.lock();
    thrown_ = thrown;
    job_ = nullptr;
    changed_.notify_all();
  }
}

}  // namespace tscsim::kvm_backend

// A thread that stays on one pCPU and does one job at a time: KVM keeps per-CPU state, and a bracket means
// something only on the pCPU on which the operation runs.
#pragma once

#include <pthread.h>

#include <chrono>
#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

namespace tscsim::kvm_backend {

class PinnedThread {
 public:
  // `cpu` is the kernel's number. Throws ops::TargetError when the thread cannot be started or pinned.
  explicit PinnedThread(int cpu);
  PinnedThread(const PinnedThread&) = delete;
  PinnedThread& operator=(const PinnedThread&) = delete;
  ~PinnedThread();  // waits for the job that is going on

  // Hands over a job; the last one must have been waited for.
  void start(std::function<void()> job);

  // True when the job is done; then throws what the job threw.
  bool wait_for(std::chrono::milliseconds patience);

  // start() and wait.
  void run(std::function<void()> job);

  // Interrupts a system call of the thread with the kick signal.
  void signal();

 private:
  void serve();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::function<void()> job_;  // empty: nothing to do
  std::exception_ptr thrown_;
  bool stop_ = false;
  std::thread thread_;
};

// Pins the calling thread; 0 or a positive errno.
int pin_this_thread(int cpu);

}  // namespace tscsim::kvm_backend

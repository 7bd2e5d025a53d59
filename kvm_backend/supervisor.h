// Runs one job on a pinned thread at its due time and never waits for it in vain: a job that does not end in
// time, or that the user interrupts, is kicked out of the kernel.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "kvm_backend/pinned_thread.h"

namespace tscsim::kvm_backend {

struct Supervision {
  std::chrono::milliseconds timeout{5000};         // counted from the due time
  const std::atomic<bool>* interrupted = nullptr;  // set by a signal handler; may be null
};

struct Job {
  std::string who;               // "vcpu 1", for the error text
  std::uint64_t due_ns = 0;      // CLOCK_MONOTONIC; 0: at once
  std::function<void()> work;    // on the thread
  std::function<void()> kick;    // from the caller, before the thread gets its signal; may be empty
  std::string call = "KVM_RUN";  // from which it does not come back, likewise
};

// Throws ops::Interrupted, ops::TargetError after the timeout, and what the work throws. In every case the
// thread is idle again.
void supervise(PinnedThread& thread, const Job& job, const Supervision& supervision);

}  // namespace tscsim::kvm_backend

#include "kvm_backend/supervisor.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/interrupt.h"
#include "kvm_backend/host_clocks.h"
#include "ops/error.h"
#include "ops/executor.h"

namespace tscsim::kvm_backend {

namespace {

// How soon an interrupt or a timeout is noticed, and how often a thread that does not come back is kicked
// again: one kick may come in the moment before the thread enters the kernel.
constexpr std::chrono::milliseconds kLookEvery{20};

std::string seconds_text(std::chrono::milliseconds time) {
  if (time.count() % 1000 == 0) return fmt::format("{} s", time.count() / 1000);
  return fmt::format("{} ms", time.count());
}

bool is_set(const std::atomic<bool>* flag) { return flag != nullptr && *flag; }

}  // namespace

void supervise(PinnedThread& thread, const Job& job, const Supervision& supervision) {
  bool cut = false;  // the wait for the due time ended early
  thread.start([&] {
    cut = !wait_until(job.due_ns, supervision.interrupted);
    if (!cut) job.work();
  });
  const auto timeout_ns =
      static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(supervision.timeout).count());
  const std::uint64_t give_up_ns = std::max(job.due_ns, monotonic_ns()) + timeout_ns;
  bool late = false;
  while (!thread.wait_for(kLookEvery)) {
    late = late || monotonic_ns() > give_up_ns;
    if (!late && !is_set(supervision.interrupted)) continue;
    if (job.kick) job.kick();
    thread.signal();
  }
  if (is_set(supervision.interrupted)) {
    base::interrupted();  // heard
    throw ops::Interrupted();
  }
  if (late)
    throw ops::TargetError(
        fmt::format("{} did not come back from {} within {}\n"
                    "  next: look for a KVM bug in the host's log, or allow more time on a slow host",
                    job.who, job.call, seconds_text(supervision.timeout)));
  if (cut) throw ops::Interrupted();
}

}  // namespace tscsim::kvm_backend

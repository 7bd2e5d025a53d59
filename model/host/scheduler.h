// Which vCPU's thread has its pCPU when. Each pCPU gives every thread that is pinned to it the same time slice in turn: its vCPUs
// in the order of their numbers, then other threads of the host. Without sharing every vCPU runs all the time, however many there
// are to a pCPU.
#pragma once

#include <cstdint>
#include <vector>

namespace tscsim::model {

// What changing from one thread to another takes; two vCPUs on one pCPU never read closer together.
inline constexpr std::int64_t kContextSwitch_ns = 2000;

class HostScheduler {
 public:
  // `slice_ns` 0: nothing is shared. From `now_ns` on, when the first thread's turn begins.
  void share(std::int64_t slice_ns, int others, std::int64_t now_ns);
  // The vCPU's thread is on that pCPU from now on.
  void place(int vcpu, int pcpu, std::int64_t now_ns);
  // The VM is paused, or goes on: a thread that does not want to run does not wait.
  void want(bool runs, std::int64_t now_ns);

  std::int64_t runs_at(int vcpu, std::int64_t at_ns) const;
  // How long the thread has wanted to run and had no pCPU.
  std::uint64_t waited_ns(int vcpu, std::int64_t now_ns) const;
  // Between reads of two vCPUs that take turns; 0: they run side by side.
  std::int64_t turn_ns(int vcpu, int other) const;

 private:
  struct Thread {
    int pcpu = 0;
    std::uint64_t waited_ns = 0;
  };
  struct Turn {
    std::int64_t first_ns = 0, period_ns = 0;  // of the thread's slices
  };
  void settle(std::int64_t now_ns);
  Turn turn_of(int vcpu) const;
  std::int64_t ran_ns(int vcpu, std::int64_t from_ns, std::int64_t to_ns) const;

  std::vector<Thread> threads_;  // by vCPU
  std::int64_t slice_ns_ = 0, since_ns_ = 0, settled_ns_ = 0;
  int others_ = 0;
  bool wanted_ = true;
};

}  // namespace tscsim::model

#include "model/host/scheduler.h"

#include <algorithm>

#include "model/mutation.h"

namespace tscsim::model {

void HostScheduler::share(std::int64_t slice_ns, int others, std::int64_t now_ns) {
  settle(now_ns);
  slice_ns_ = slice_ns;
  others_ = others;
  since_ns_ = now_ns;
}

void HostScheduler::place(int vcpu, int pcpu, std::int64_t now_ns) {
  settle(now_ns);
  if (static_cast<std::size_t>(vcpu) >= threads_.size()) threads_.resize(static_cast<std::size_t>(vcpu) + 1);
  threads_[static_cast<std::size_t>(vcpu)].pcpu = pcpu;
}

void HostScheduler::want(bool runs, std::int64_t now_ns) {
  settle(now_ns);
  wanted_ = runs;
}

HostScheduler::Turn HostScheduler::turn_of(int vcpu) const {
  std::int64_t threads = others_, before = 0;
  const int pcpu = threads_[static_cast<std::size_t>(vcpu)].pcpu;
  for (std::size_t i = 0; i < threads_.size(); ++i) {
    if (threads_[i].pcpu != pcpu) continue;
    ++threads;
    if (i < static_cast<std::size_t>(vcpu)) ++before;
  }
  return {since_ns_ + before * slice_ns_, threads * slice_ns_};
}

std::int64_t HostScheduler::runs_at(int vcpu, std::int64_t at_ns) const {
  if (slice_ns_ == 0) return at_ns;
  const Turn turn = turn_of(vcpu);
  if (at_ns <= turn.first_ns) return turn.first_ns;
  const std::int64_t into = (at_ns - turn.first_ns) % turn.period_ns;
  return into < slice_ns_ ? at_ns : at_ns - into + turn.period_ns;
}

// Of a time without a change, how much the thread had its pCPU.
std::int64_t HostScheduler::ran_ns(int vcpu, std::int64_t from_ns, std::int64_t to_ns) const {
  const Turn turn = turn_of(vcpu);
  const auto ran_until = [&](std::int64_t at) {
    if (at <= turn.first_ns) return std::int64_t{0};
    const std::int64_t since = at - turn.first_ns;
    return since / turn.period_ns * slice_ns_ + std::min(since % turn.period_ns, slice_ns_);
  };
  return ran_until(to_ns) - ran_until(from_ns);
}

void HostScheduler::settle(std::int64_t now_ns) {
  for (std::size_t i = 0; i < threads_.size(); ++i) threads_[i].waited_ns = waited_ns(static_cast<int>(i), now_ns);
  settled_ns_ = now_ns;
}

std::uint64_t HostScheduler::waited_ns(int vcpu, std::int64_t now_ns) const {
  const Thread& thread = threads_[static_cast<std::size_t>(vcpu)];
  if (slice_ns_ == 0 || !TSCSIM_MUTATE(host_waits_while_paused, wanted_, true) || now_ns <= settled_ns_)
    return thread.waited_ns;
  return thread.waited_ns + static_cast<std::uint64_t>(now_ns - settled_ns_ - ran_ns(vcpu, settled_ns_, now_ns));
}

std::int64_t HostScheduler::turn_ns(int vcpu, int other) const {
  if (slice_ns_ == 0) return 0;
  const Turn a = turn_of(vcpu), b = turn_of(other);
  if (threads_[static_cast<std::size_t>(vcpu)].pcpu != threads_[static_cast<std::size_t>(other)].pcpu) return 0;
  const std::int64_t apart = std::max(a.first_ns, b.first_ns) - std::min(a.first_ns, b.first_ns);
  return std::min(apart, a.period_ns - apart) - slice_ns_ + kContextSwitch_ns;
}

}  // namespace tscsim::model

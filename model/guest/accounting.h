// Stolen time: what the guest takes out of its statistics and out of its tasks' run time.
// Spec: docs/spec/linux-guest.md 6.2, 6.3.
#pragma once

#include <cstdint>

#include "model/guest/era.h"

namespace tscsim::model::guest {

// Everything is unsigned: a steal clock that went back gives almost 2^64, and the statistics wrap with it.
struct StealAccount {
  std::uint64_t accounted = 0;
  std::uint64_t prev = 0;
};
// Kernel: Linux v6.12 kernel/sched/cputime.c steal_account_process_time().
StealAccount account_steal(std::uint64_t steal_clock, std::uint64_t prev, std::uint64_t max = ~std::uint64_t{0});

// What is left of a tick for user, system and idle time.
constexpr std::uint64_t left_of_tick(std::uint64_t tick_ns, std::uint64_t accounted) {
  return accounted >= tick_ns ? 0 : tick_ns - accounted;
}

// To 4.18: ticks that were stolen in full; a remainder waits.
// Kernel: Linux v4.4 kernel/sched/cputime.c steal_account_process_tick().
StealAccount account_steal_in_ticks(std::uint64_t steal_clock, std::uint64_t prev, std::uint64_t tick_ns);

struct TaskTime {
  std::int64_t steal_used = 0;  // of `delta`
  std::int64_t delta = 0;       // what clock_task advances by
  std::uint64_t prev = 0;
};
// Kernel: Linux v6.12 kernel/sched/core.c update_rq_clock_task().
TaskTime update_rq_clock_task(RqSteal rule, std::int64_t delta, std::uint64_t steal_clock, std::uint64_t prev);

}  // namespace tscsim::model::guest

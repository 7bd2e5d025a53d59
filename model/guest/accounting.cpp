#include "model/guest/accounting.h"

#include <algorithm>

#include "model/mutation.h"

namespace tscsim::model::guest {

StealAccount account_steal(std::uint64_t steal_clock, std::uint64_t prev, std::uint64_t max) {
  const std::uint64_t stolen = std::min(steal_clock - prev, max);
  return {stolen, prev + TSCSIM_MUTATE(guest_steal_cut_forgotten, stolen, steal_clock - prev)};
}

StealAccount account_steal_in_ticks(std::uint64_t steal_clock, std::uint64_t prev, std::uint64_t tick_ns) {
  const std::uint64_t whole = (steal_clock - prev) / tick_ns * tick_ns;
  return {whole, prev + TSCSIM_MUTATE(guest_stolen_remainder_lost, whole, steal_clock - prev)};
}

TaskTime update_rq_clock_task(RqSteal rule, std::int64_t delta, std::uint64_t steal_clock, std::uint64_t prev) {
  const std::int64_t used = std::min(static_cast<std::int64_t>(steal_clock - prev), delta);
  const bool carried = rule == RqSteal::excess_carried;
  return {used, TSCSIM_MUTATE(guest_task_time_with_steal, delta - used, delta),
          carried ? prev + static_cast<std::uint64_t>(used) : steal_clock};
}

}  // namespace tscsim::model::guest

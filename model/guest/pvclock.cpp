#include "model/guest/pvclock.h"

#include "model/guest/clocksource.h"
#include "model/mutation.h"

namespace tscsim::model::guest {

std::uint64_t pvclock_ns(const PvclockRecord& record, std::uint64_t tsc) {
  const std::uint64_t delta = tsc - record.tsc_timestamp;
  if (TSCSIM_MUTATE(guest_pvclock_clamps, false, true) && (delta >> 63) != 0) return record.system_time;
  return record.system_time + scale_delta(delta, record.scale);
}

std::uint64_t LastValue::not_before(std::uint64_t ns) {
  if (TSCSIM_MUTATE(guest_last_value_ignored, ns < last_, false)) {
    ++held_back_;
    return last_;
  }
  ++exchanges_;
  last_ = ns;
  return ns;
}

WallTime wall_time(std::uint64_t sec, std::uint64_t nsec, std::uint64_t kvmclock_ns) {
  const std::uint64_t total =
      sec * kNsPerSecond + nsec + TSCSIM_MUTATE(guest_wall_clock_without_kvmclock, kvmclock_ns, 0);
  return {total / kNsPerSecond, total % kNsPerSecond};
}

}  // namespace tscsim::model::guest

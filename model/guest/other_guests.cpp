#include "model/guest/other_guests.h"

#include "model/guest/clocksource.h"
#include "model/mutation.h"
#include "sim/wide.h"

namespace tscsim::model::guest {

std::uint64_t reference_time(std::uint64_t tsc, std::uint64_t scale, std::uint64_t offset) {
  return sim::mul_shift_right(tsc, scale, TSCSIM_MUTATE(guest_reference_scale_63, 64, 63)) + offset;
}

TimecounterStep timecounter_step(std::uint64_t hz, std::int64_t jump_ns) {
  const sim::I128 exact = sim::floor_div(static_cast<sim::I128>(jump_ns) * static_cast<sim::I128>(hz), kNsPerSecond);
  const auto ticks = static_cast<std::uint32_t>(TSCSIM_MUTATE(guest_timecounter_31_bits, exact, exact & 0x7fff'ffff));
  return {ticks, sim::mul_div(ticks, kNsPerSecond, hz)};
}

}  // namespace tscsim::model::guest

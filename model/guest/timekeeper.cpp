#include "model/guest/timekeeper.h"

#include <algorithm>
#include <bit>

#include "model/mutation.h"
#include "sim/wide.h"

namespace tscsim::model::guest {
namespace {

constexpr std::uint64_t kTopBit = std::uint64_t{1} << 63;

int log2_floor(std::uint64_t value) { return static_cast<int>(std::bit_width(value)) - 1; }

std::uint64_t wide_ns(const Clocksource& clock, std::uint64_t delta, std::uint64_t base) {
  return static_cast<std::uint64_t>((sim::mul(delta, clock.mult) + base) >> clock.shift);
}

// 64 bits, and what does not fit is lost.
std::uint64_t narrow_ns(const Clocksource& clock, std::uint64_t delta, std::uint64_t base) {
  return (delta * clock.mult + base) >> clock.shift;
}

}  // namespace

std::uint64_t clocksource_delta(const Clocksource& clock, BackwardStep rule, std::uint64_t now, std::uint64_t last) {
  const std::uint64_t delta = (now - last) & clock.mask;
  const std::uint64_t top = (clock.mask >> 1) + 1;
  if (rule == BackwardStep::top_bit && (delta & top) != 0) return 0;
  if (rule == BackwardStep::seven_eighths && delta > TSCSIM_MUTATE(guest_backward_from_half, clock.max_raw_delta, top))
    return 0;
  return delta;
}

std::int64_t read_ns(const Clocksource& clock, ReadRule rule, std::uint64_t delta, std::uint64_t base) {
  const bool backward = (delta & ((clock.mask >> 1) + 1)) != 0;
  if (TSCSIM_MUTATE(guest_backward_read_accepted, rule.backward != BackwardStep::accepted, false) && backward)
    delta = 0;
  if (rule.caps_at_max_cycles) delta = std::min(delta, clock.max_cycles);
  switch (TSCSIM_MUTATE(guest_read_never_exact, rule.arithmetic, ReadArithmetic::unsigned_64)) {
    case ReadArithmetic::signed_64:
      return static_cast<std::int64_t>(delta * clock.mult + base) >> clock.shift;
    case ReadArithmetic::unsigned_64:
      return static_cast<std::int64_t>(narrow_ns(clock, delta, base));
    case ReadArithmetic::exact:
      break;
  }
  return static_cast<std::int64_t>(delta > clock.max_cycles ? wide_ns(clock, delta, base)
                                                            : narrow_ns(clock, delta, base));
}

std::uint64_t vdso_ns(const Clocksource& clock, VdsoDelta rule, std::uint64_t cycles, std::uint64_t cycle_last,
                      std::uint64_t base) {
  constexpr std::uint64_t kLow63 = kTopBit - 1;
  if (rule == VdsoDelta::raised_to_base)
    return narrow_ns(clock, (std::max(cycles, cycle_last) - cycle_last) & clock.mask, base);
  if (rule == VdsoDelta::only_above) return narrow_ns(clock, cycles > cycle_last ? cycles - cycle_last : 0, base);
  const std::uint64_t delta = ((cycles & kLow63) - cycle_last) & kLow63;
  const bool backward = TSCSIM_MUTATE(guest_vdso_backward_accepted, (delta & (kTopBit >> 1)) != 0, false);
  if (rule == VdsoDelta::low_63_bits) return narrow_ns(clock, backward ? 0 : delta, base);
  if (delta <= clock.max_cycles) return narrow_ns(clock, delta, base);
  return backward ? base >> clock.shift : wide_ns(clock, delta, base);
}

SecondsLoop getnstimeofday_loop(const Clocksource& clock, std::uint64_t delta) {
  SecondsLoop loop;
  loop.ns = read_ns(clock, {ReadArithmetic::signed_64, BackwardStep::top_bit, false}, delta, 0);
  const auto taken = static_cast<std::uint64_t>(loop.ns);
  loop.iterations = taken / kNsPerSecond;
  loop.seconds_added =
      static_cast<std::uint32_t>(TSCSIM_MUTATE(guest_seconds_not_cut, loop.iterations, loop.iterations / 2));
  loop.nsec = taken % kNsPerSecond;
  return loop;
}

std::uint64_t cycle_interval(const Clocksource& clock, std::uint32_t hz) {
  const std::uint64_t shifted = (kNsPerSecond / hz) << clock.shift;
  return std::max<std::uint64_t>(1,
                                 (shifted + TSCSIM_MUTATE(guest_interval_not_rounded, clock.mult / 2, 0)) / clock.mult);
}

std::uint64_t accumulate(const Clocksource& clock, std::uint32_t hz, std::uint64_t offset, TickBase& base) {
  const std::uint64_t interval = cycle_interval(clock, hz);
  if (offset < interval) return 0;
  const std::uint64_t tick_length = (kNsPerSecond / hz) << 32;
  int step = std::min(std::max(0, log2_floor(offset) - log2_floor(interval)),
                      TSCSIM_MUTATE(guest_step_unbounded, 62 - log2_floor(tick_length), 62));
  sim::U128 nsec = base.xtime_nsec;
  std::uint64_t loops = 0;
  while (offset >= interval) {
    // The kernel takes one step of this size at a time.
    const std::uint64_t size = interval << step;
    const std::uint64_t steps = offset / size;
    loops += std::max<std::uint64_t>(steps, 1);  // a round that finds the step too large costs one, too
    offset -= steps * size;
    base.cycle_last += steps * size;
    nsec += (sim::mul(interval, clock.mult) << step) * steps;
    if (step > 0) --step;
  }
  const std::uint64_t second = kNsPerSecond << clock.shift;
  base.sec += static_cast<std::uint64_t>(nsec / second);
  base.xtime_nsec = static_cast<std::uint64_t>(nsec % second);
  return loops;
}

std::uint64_t Cyc2Ns::at(std::uint64_t tsc) const {
  return offset + sim::mul_shift_right(tsc, scale.mult, scale.shift);
}

Cyc2Ns cyc2ns_for(std::uint32_t khz, std::uint64_t tsc, std::uint64_t ns) {
  Cyc2Ns clock;
  clock.scale = mult_shift_for(khz, 1'000'000, 0);
  if (clock.scale.shift == TSCSIM_MUTATE(guest_cyc2ns_shift_32, 32u, 33u)) clock.scale = {clock.scale.mult >> 1, 31};
  clock.offset = ns - clock.at(tsc);
  return clock;
}

}  // namespace tscsim::model::guest

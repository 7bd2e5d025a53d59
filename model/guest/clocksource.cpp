#include "model/guest/clocksource.h"

#include <algorithm>
#include <bit>

#include "model/mutation.h"
#include "sim/wide.h"

namespace tscsim::model::guest {
namespace {

constexpr std::uint64_t kMaxSeconds = 600;

bool wraps(std::uint32_t mult, std::uint32_t maxadj) {
  return mult + maxadj < mult || mult - maxadj > mult;  // in 32 bits, as the kernel computes it
}

std::uint64_t ceil_div(sim::U128 a, std::uint64_t b) { return static_cast<std::uint64_t>((a + b - 1) / b); }

}  // namespace

MultShift mult_shift_for(std::uint32_t from, std::uint32_t to, std::uint32_t max_seconds) {
  std::uint32_t accuracy = 32;
  for (std::uint64_t rest = (std::uint64_t{max_seconds} * from) >> 32; rest != 0; rest >>= 1) --accuracy;
  std::uint64_t mult = 0;
  for (std::uint32_t shift = 32; shift > 0; --shift) {
    mult = ((std::uint64_t{to} << shift) + TSCSIM_MUTATE(guest_mult_not_rounded, from / 2, 0)) / from;
    if ((mult >> accuracy) == 0) return {static_cast<std::uint32_t>(mult), shift};
  }
  return {static_cast<std::uint32_t>(mult), 0};
}

Clocksource register_clocksource(std::uint32_t freq, std::uint32_t scale, std::uint64_t mask) {
  Clocksource clock;
  clock.freq = freq;
  clock.scale = scale;
  clock.mask = mask;
  std::uint64_t seconds = mask / freq / scale;
  if (seconds == 0) seconds = 1;
  else if (seconds > kMaxSeconds && mask > 0xffff'ffffu) seconds = kMaxSeconds;
  clock.seconds = seconds;
  const MultShift pair = mult_shift_for(freq, static_cast<std::uint32_t>(kNsPerSecond / scale),
                                        static_cast<std::uint32_t>(seconds * scale));
  clock.mult = pair.mult;
  clock.shift = pair.shift;
  const auto adjustment = [&clock] { return static_cast<std::uint32_t>(std::uint64_t{clock.mult} * 11 / 100); };
  for (clock.maxadj = adjustment(); wraps(clock.mult, clock.maxadj); clock.maxadj = adjustment()) {
    clock.mult >>= 1;
    --clock.shift;
  }
  const std::uint64_t highest = std::uint64_t{clock.mult} + TSCSIM_MUTATE(guest_limit_without_reserve, clock.maxadj, 0);
  clock.max_cycles = std::min(~std::uint64_t{0} / highest, mask);
  clock.max_idle_ns = sim::mul_shift_right(clock.max_cycles, clock.mult - clock.maxadj, clock.shift) >> 1;
  clock.max_raw_delta = (mask >> 1) + (mask >> 2) + (mask >> 3);
  return clock;
}

OldLimits old_limits(const Clocksource& clock) {
  const auto bits = static_cast<int>(std::bit_width(std::uint64_t{clock.mult} + clock.maxadj));
  const std::uint64_t cycles = std::min(std::uint64_t{1} << (63 - bits), clock.mask);
  const std::uint64_t ns = sim::mul_shift_right(cycles, clock.mult - clock.maxadj, clock.shift);
  return {cycles, ns - (ns >> TSCSIM_MUTATE(guest_old_limit_halved, 3, 1))};
}

OverflowLimits overflow_limits(const Clocksource& clock) {
  constexpr sim::U128 kWrap = sim::U128{1} << 64;
  const std::uint64_t latest = (kNsPerSecond << clock.shift) - 1;
  return {ceil_div(kWrap, clock.mult), ceil_div(kWrap - latest, clock.mult),
          ceil_div(TSCSIM_MUTATE(guest_signed_limit_unsigned, kWrap / 2, kWrap), clock.mult),
          std::uint64_t{1} << (64 - clock.shift)};
}

}  // namespace tscsim::model::guest

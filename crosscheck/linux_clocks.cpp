#include "crosscheck/linux_clocks.h"

#include <fmt/format.h>

#include <algorithm>

namespace tscsim::crosscheck {

namespace guest = model::guest;

namespace {

constexpr Wide kSecond = 1'000'000'000;

std::string text_of(WideRange range) {
  return fmt::format("{}..{}", static_cast<std::int64_t>(range.lo), static_cast<std::int64_t>(range.hi));
}

bool holds(WideRange range, std::uint64_t value) {
  return range.lo <= static_cast<Wide>(value) && static_cast<Wide>(value) <= range.hi;
}

guest::Clocksource clocksource_named(const std::string& name) {
  if (name == "hpet") return guest::register_clocksource(100'000'000, 1, 0xffff'ffff);
  return guest::register_clocksource(static_cast<std::uint32_t>(kPmTimerHz), 1, 0xff'ffff);
}

}  // namespace

Wide floor_of(Wide x, Wide y) { return x >= 0 ? x / y : -((-x + y - 1) / y); }
Wide ceil_of(Wide x, Wide y) { return -floor_of(-x, y); }

WideRange elapsed_ns(ops::Range earlier_pm, ops::Range later_pm) {
  // A count stands for anything up to the next one, and up to the next microsecond.
  constexpr Wide kMicrosecond = 1000;
  const Wide least = static_cast<Wide>(later_pm.lo) - static_cast<Wide>(earlier_pm.hi) - 1;
  const Wide most = static_cast<Wide>(later_pm.hi) - static_cast<Wide>(earlier_pm.lo) + 1;
  return {floor_of(least * kSecond, kPmTimerHz) - kMicrosecond, ceil_of(most * kSecond, kPmTimerHz) + kMicrosecond};
}

WideRange moved_cycles(const ops::LinuxDone& done, std::uint32_t khz) {
  if (done.step.action == ops::LinuxAction::adjust_tsc) {
    const Wide cycles = static_cast<Wide>(done.step.ns) * khz / 1'000'000;
    return {cycles, cycles};
  }
  const Wide most = static_cast<Wide>(done.wrote) - static_cast<Wide>(done.tsc.lo);
  const Wide in_all = ceil_of(
      elapsed_ns({done.pm_timer.lo, done.pm_timer.lo}, {done.pm_timer.hi, done.pm_timer.hi}).hi * khz, 1'000'000);
  const Wide after = static_cast<Wide>(done.tsc.hi) - static_cast<Wide>(done.wrote);
  return {most - std::max<Wide>(0, in_all - after), most};
}

LinuxClocks::LinuxClocks(const ops::LinuxRecording& recording, const guest::GuestEra& era, LinuxResult& result)
    : recording_(recording),
      era_(era),
      result_(result),
      tsc_(guest::register_khz(recording.header.tsc_khz)),
      interval_(guest::cycle_interval(tsc_, static_cast<std::uint32_t>(1'000'000'000 / recording.header.tick_ns))) {}

void LinuxClocks::take(std::size_t, const ops::LinuxDone& done) {
  if (done.step.action == ops::LinuxAction::set_time) set_time(done);
  if (done.step.action == ops::LinuxAction::jump_tsc) last_jump_ = done;
}

void LinuxClocks::take(std::size_t event, const ops::LinuxSample& sample) {
  if (sample.clocksource == "tsc") check_on_tsc(event, sample);
  else check_elsewhere(event, sample);
}

// clock_settime() takes what has gone by since the last tick into the base first. Up to 6.9 it multiplies in 64 bits, and what
// does not fit is lost; but only if no tick came first. Kernel: timekeeping_forward_now(); docs/spec/linux-guest.md
// 4.5.
void LinuxClocks::set_time(const ops::LinuxDone& done) {
  origins_[realtime].reset();
  last_base_.reset();
  bases_.clear();
  if (era_.read == guest::ReadArithmetic::exact || !last_jump_ || !last_jump_->step.at_tick) return;
  const ops::LinuxDone& jump = *last_jump_;
  if (elapsed_ns({jump.pm_timer.lo, jump.pm_timer.lo}, {done.pm_timer.hi, done.pm_timer.hi}).hi >=
      static_cast<Wide>(recording_.header.tick_ns))
    return;
  const auto wraps = [&](std::uint64_t since) { return (static_cast<Wide>(since) * tsc_.mult) >> 64; };
  const Wide lost = wraps(done.tsc.lo - jump.tsc.lo);
  if (lost != wraps(done.tsc.hi - jump.tsc.lo + interval_)) {  // at the very limit
    for (Origin& origin : origins_) origin.reset();
    return;
  }
  for (Origin& origin : origins_)
    if (origin) *origin = {origin->lo - (lost << 64), origin->hi - (lost << 64)};
}

WideRange LinuxClocks::line_ns(const WideRange& origin, WideRange counter, const guest::Clocksource& clock) const {
  return {(origin.lo + counter.lo * clock.mult) >> clock.shift, (origin.hi + counter.hi * clock.mult) >> clock.shift};
}

// False when no origin is left that explains all readings.
bool LinuxClocks::narrow(Origin& origin, WideRange counter, std::uint64_t ns, const guest::Clocksource& clock) const {
  const Wide shifted = static_cast<Wide>(ns) << clock.shift, one = Wide{1} << clock.shift;
  const WideRange allowed{shifted - counter.hi * clock.mult, shifted + one - 1 - counter.lo * clock.mult};
  if (!origin) origin = allowed;
  origin = WideRange{std::max(origin->lo, allowed.lo), std::min(origin->hi, allowed.hi)};
  return origin->lo <= origin->hi;
}

// What the guest computes: the base at the last tick, in whole seconds and a shifted rest, and the product.
std::int64_t LinuxClocks::read(std::size_t index, Wide origin, std::uint64_t tsc, std::uint64_t cycle_last) const {
  const Wide base = origin + static_cast<Wide>(cycle_last) * tsc_.mult, second = kSecond << tsc_.shift;
  const Wide seconds = floor_of(base, second);
  const auto rest = static_cast<std::uint64_t>(base - seconds * second);
  const Wide added =
      index < kCoarse
          ? static_cast<Wide>(guest::vdso_ns(tsc_, era_.vdso, tsc, cycle_last, rest))
          : static_cast<Wide>(guest::read_ns(tsc_, {era_.read, era_.backward, false}, tsc - cycle_last, rest));
  return static_cast<std::int64_t>(seconds * kSecond + added);
}

LinuxClocks::Predicted LinuxClocks::predict(std::size_t index, const ops::LinuxReading& reading,
                                            std::uint64_t base_ns) const {
  const WideRange& base_origin = *origins_[monotonic];
  const Wide base = static_cast<Wide>(base_ns) << tsc_.shift, one = Wide{1} << tsc_.shift;
  const auto first = static_cast<std::uint64_t>(floor_of(base - base_origin.hi, tsc_.mult));
  const auto last = static_cast<std::uint64_t>(ceil_of(base + one - 1 - base_origin.lo, tsc_.mult));
  const WideRange& origin = *origins_[clock_of(index)];
  const WideRange line = line_ns(origin, {static_cast<Wide>(reading.tsc.lo), static_cast<Wide>(reading.tsc.hi)}, tsc_);
  Predicted predicted{{line.hi, line.lo}, true};
  bool begun = false;
  for (const std::uint64_t cycle_last : {first, last}) {
    const Wide lo = read(index, origin.lo, reading.tsc.lo, cycle_last),
               hi = read(index, origin.hi, reading.tsc.hi, cycle_last);
    predicted.on_the_line = predicted.on_the_line && lo == line.lo && hi == line.hi;
    predicted.ns = begun ? WideRange{std::min(predicted.ns.lo, lo), std::max(predicted.ns.hi, hi)} : WideRange{lo, hi};
    begun = true;
  }
  return predicted;
}

void LinuxClocks::tell(std::size_t event, std::size_t index, Verdict verdict, const std::string& text) {
  result_.observations.push_back({event, std::string(ops::kLinuxClocks[index]), verdict, text});
}

void LinuxClocks::check_reading(std::size_t event, std::size_t index, const ops::LinuxReading& reading) {
  Origin& origin = origins_[clock_of(index)];
  const WideRange counter{static_cast<Wide>(reading.tsc.lo), static_cast<Wide>(reading.tsc.hi)};
  if (!origin || !origins_[monotonic] || bases_.empty()) {
    narrow(origin, counter, reading.ns, tsc_);  // the first of its kind: there is nothing to compare it with
    return;
  }
  std::string derived;
  for (const std::uint64_t base_ns : bases_) {
    const Predicted predicted = predict(index, reading, base_ns);
    derived += (derived.empty() ? "" : " or ") + text_of(predicted.ns);
    if (!holds(predicted.ns, reading.ns)) continue;
    if (predicted.on_the_line) narrow(origin, counter, reading.ns, tsc_);
    return tell(event, index, Verdict::bracketed);
  }
  tell(event, index, Verdict::mismatch, fmt::format("Linux read {}, the model {}", reading.ns, derived));
}

// The base moves by whole ticks, added up exactly.
void LinuxClocks::check_base(std::size_t event, std::uint64_t base_ns) {
  if (last_base_) {
    const Wide tick = static_cast<Wide>(interval_) * tsc_.mult, one = Wide{1} << tsc_.shift;
    const Wide moved = (static_cast<Wide>(base_ns) - static_cast<Wide>(*last_base_)) << tsc_.shift, rest = moved % tick;
    const bool whole = moved >= 0 && (rest < one || rest > tick - one);
    tell(event, kCoarse, whole ? Verdict::exact : Verdict::mismatch,
         whole ? ""
               : fmt::format("the base moved from {} to {}, which is not in ticks of {} cycles", *last_base_, base_ns,
                             interval_));
  }
  last_base_ = base_ns;
}

std::uint64_t LinuxClocks::next_base(std::size_t event) const {
  for (std::size_t i = event + 1; i < recording_.events.size(); ++i)
    if (const auto* sample = std::get_if<ops::LinuxSample>(&recording_.events[i]))
      return sample->clocksource == "tsc" ? sample->clocks[kCoarse].ns : 0;
  return 0;
}

// Readings before the base's may stand on the last one that was seen or on this one, those after it on this or the next.
void LinuxClocks::check_on_tsc(std::size_t event, const ops::LinuxSample& sample) {
  const std::uint64_t base_ns = sample.clocks[kCoarse].ns;
  if (std::find(bases_.begin(), bases_.end(), base_ns) == bases_.end()) bases_.push_back(base_ns);
  for (std::size_t index = 0; index < kCoarse; ++index) check_reading(event, index, sample.clocks[index]);
  check_base(event, base_ns);
  bases_ = {base_ns};
  if (const std::uint64_t next = next_base(event); next > base_ns) bases_.push_back(next);
  for (std::size_t index = kCoarse + 1; index < sample.clocks.size(); ++index)
    check_reading(event, index, sample.clocks[index]);
  bases_ = {base_ns};
  last_on_tsc_ = sample;
}

// acpi_pm is the timer that the observer itself read; hpet counts the same time, in 10 ns.
WideRange LinuxClocks::counter_of(const ops::LinuxSample& sample) const {
  if (elsewhere_ != "hpet") return {static_cast<Wide>(sample.pm_timer.lo), static_cast<Wide>(sample.pm_timer.hi)};
  const WideRange ns = elapsed_ns({0, 0}, sample.pm_timer);
  return {floor_of(ns.lo, 10), ceil_of(ns.hi, 10)};
}

// A change of the clocksource does not move a clock: between the last reading on the TSC and the first on the other it went
// at the one rate or the other. From then on it has an origin on the other counter.
void LinuxClocks::check_elsewhere(std::size_t event, const ops::LinuxSample& sample) {
  const bool changed = elsewhere_ != sample.clocksource;
  if (changed) {
    elsewhere_ = sample.clocksource;
    other_ = clocksource_named(elsewhere_);
  }
  const WideRange counter = counter_of(sample);
  std::array<Origin, kClocks> found;
  for (std::size_t index = 0; index < sample.clocks.size(); ++index) {
    if (index == kCoarse) continue;
    const ops::LinuxReading& reading = sample.clocks[index];
    const Clock clock = clock_of(index);
    WideRange expected;
    if (changed) {
      if (!last_on_tsc_ || !origins_[clock]) continue;
      const WideRange by_tsc =
          line_ns(*origins_[clock], {static_cast<Wide>(reading.tsc.lo), static_cast<Wide>(reading.tsc.hi)}, tsc_);
      const WideRange elapsed = elapsed_ns(last_on_tsc_->pm_timer, sample.pm_timer);
      const auto before = static_cast<Wide>(last_on_tsc_->clocks[index].ns);
      expected = {std::min(by_tsc.lo, before + elapsed.lo), std::max(by_tsc.hi, before + elapsed.hi)};
      narrow(found[clock], counter, reading.ns, other_);
    } else {
      if (!origins_[clock]) continue;
      expected = line_ns(*origins_[clock], counter, other_);
      found[clock] = origins_[clock];
      narrow(found[clock], counter, reading.ns, other_);
    }
    const bool good = holds(expected, reading.ns);
    tell(event, index, good ? Verdict::bracketed : Verdict::mismatch,
         good ? "" : fmt::format("Linux read {} on {}, the model {}", reading.ns, elsewhere_, text_of(expected)));
    if (good && !changed) origins_[clock] = found[clock];
  }
  if (changed) origins_ = found;
}

}  // namespace tscsim::crosscheck

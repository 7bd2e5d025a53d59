// The guest's clocks: what a read of each gives, and which counter they stand on.
// Kernel: Linux v6.12 kernel/time/timekeeping.c, kernel/time/clocksource.c, arch/x86/kernel/kvmclock.c, kernel/sched/clock.c;
// docs/spec/linux-guest.md 1.3, 1.6, 1.8, 3.1, 4.3 to 4.6, 4.9.
#include <algorithm>

#include "model/guest/kernel.h"
#include "model/mutation.h"
#include "sim/wide.h"

namespace tscsim::model::guest {

using ops::GuestClocksource;

const Clocksource& GuestKernel::params(GuestClocksource which) const {
  if (which == GuestClocksource::tsc) return tsc_;
  return which == GuestClocksource::kvm_clock ? kvm_clock_ : hpet_;
}

// kvmclock as a clocksource: with the last value of any vCPU where the page is not stable.
std::uint64_t GuestKernel::kvmclock(int vcpu) {
  const std::uint64_t tsc = hw_->rdtsc(vcpu);
  const PvclockRecord record = hw_->pvclock(vcpu);
  const std::uint64_t ns = pvclock_ns(record, tsc);
  if (era_.stop_flag == StopFlag::every_read) consume_stop_flag(vcpu);
  if ((record.flags & ops::pvclock_flag::kTscStable) != 0) return ns;
  return last_value_.not_before(ns);
}

std::uint64_t GuestKernel::cycles(GuestClocksource which, int vcpu) {
  if (which == GuestClocksource::kvm_clock) return kvmclock(vcpu);
  if (which == GuestClocksource::hpet) return (device_ns() / 10) & hpet_.mask;
  const std::uint64_t tsc = hw_->rdtsc(vcpu);
  // read_tsc() itself did so before there was a general rule.
  return era_.backward == BackwardStep::accepted ? std::max(tsc, base_.cycle_last) : tsc;
}

// ktime_get().
std::int64_t GuestKernel::monotonic(int vcpu) {
  const Clocksource& clock = params(current_);
  const std::uint64_t delta = (cycles(current_, vcpu) - base_.cycle_last) & clock.mask;
  const auto base_ns = static_cast<std::int64_t>(base_.sec * kNsPerSecond) + to_monotonic_ns_;
  return base_ns + read_ns(clock, {era_.read, era_.backward, false}, delta, base_.xtime_nsec);
}

// The page of vCPU 0 is read whatever vCPU runs (4.5). Where it is not stable the system call is made instead.
std::uint64_t GuestKernel::vdso_monotonic(int vcpu) {
  std::uint64_t counter = 0;
  if (current_ == GuestClocksource::tsc) {
    counter = hw_->rdtsc(vcpu);
  } else {
    const int page = TSCSIM_MUTATE(guest_vdso_reads_own_page, era_.vdso_reads_first_vcpu, false) ? 0 : vcpu;
    const bool possible = current_ == GuestClocksource::kvm_clock && vdso_may_read_kvmclock_ && page_is_stable(page);
    if (!possible) return static_cast<std::uint64_t>(monotonic(vcpu));
    const std::uint64_t tsc = hw_->rdtsc(vcpu);
    counter = pvclock_ns(hw_->pvclock(page), tsc);
  }
  return base_.sec * kNsPerSecond + static_cast<std::uint64_t>(to_monotonic_ns_) +
         vdso_ns(params(current_), era_.vdso, counter, base_.cycle_last, base_.xtime_nsec);
}

// kvmclock where there is one, whatever the clocksource.
std::uint64_t GuestKernel::sched_clock(int vcpu) {
  if (!spec_.kvmclock) return native_clock_.at(hw_->rdtsc(vcpu));
  return kvmclock(vcpu) - sched_offset_;
}

std::uint64_t GuestKernel::local_clock(int vcpu) {
  const std::uint64_t raw = sched_clock(vcpu);
  if (sched_clock_stable_) return raw;
  Cpu& cpu = at(vcpu);
  const std::uint64_t progress = raw > cpu.tick_raw_ns ? raw - cpu.tick_raw_ns : 0;
  const auto base = static_cast<std::uint64_t>(cpu.tick_gtod_ns);
  const std::uint64_t lowest = std::max(base, cpu.local_clock);
  const std::uint64_t highest = std::max(cpu.local_clock, base + static_cast<std::uint64_t>(tick_ns()));
  cpu.local_clock = std::min(std::max(base + progress, lowest), highest);
  return cpu.local_clock;
}

// A program that measured the TSC's rate when it started and has trusted it since.
std::uint64_t GuestKernel::user_tsc_ns(int vcpu) {
  return static_cast<std::uint64_t>(sim::mul(hw_->rdtsc(vcpu) - user_tsc_start_, 1'000'000) / tsc_khz_);
}

WallTime GuestKernel::wall_now(int vcpu) {
  if (!spec_.kvmclock) return {hw_->rtc_seconds(), 0};
  const WallTime epoch = hw_->wall_clock_epoch(vcpu);
  consume_stop_flag(vcpu);
  return wall_time(epoch.sec, epoch.nsec, kvmclock(vcpu));
}

// All that has gone by goes into the base, in whatever arithmetic the era has: up to 6.9 a product that overflows is lost.
// Kernel: timekeeping_forward_now().
void GuestKernel::forward_now(int vcpu) {
  const Clocksource& clock = params(current_);
  const std::uint64_t now = cycles(current_, vcpu);
  const std::uint64_t delta = clocksource_delta(clock, era_.backward, now, base_.cycle_last);
  base_.cycle_last = now & clock.mask;
  sim::U128 nsec = base_.xtime_nsec;
  if (TSCSIM_MUTATE(guest_forward_always_exact, era_.read == ReadArithmetic::exact, true))
    nsec += sim::mul(delta, clock.mult);
  else nsec += delta * clock.mult;
  const std::uint64_t second = kNsPerSecond << clock.shift;
  base_.sec += static_cast<std::uint64_t>(nsec / second);
  base_.xtime_nsec = static_cast<std::uint64_t>(nsec % second);
}

// CLOCK_REALTIME moves and CLOCK_MONOTONIC stays.
void GuestKernel::add_realtime(std::int64_t ns) {
  const std::uint32_t shift = params(current_).shift;
  const std::int64_t total = static_cast<std::int64_t>(base_.sec * kNsPerSecond + (base_.xtime_nsec >> shift)) + ns;
  const std::uint64_t fraction = base_.xtime_nsec & ((std::uint64_t{1} << shift) - 1);
  base_.sec = static_cast<std::uint64_t>(total) / kNsPerSecond;
  base_.xtime_nsec = (static_cast<std::uint64_t>(total) % kNsPerSecond << shift) | fraction;
  to_monotonic_ns_ -= ns;
}

// Ratings: docs/spec/linux-guest.md 3.1. An override is honoured if it may be chosen at all.
GuestClocksource GuestKernel::best_clocksource() const {
  const bool tsc = !tsc_unstable_ && tsc_high_resolution_;
  if (spec_.clocksource == GuestClocksource::tsc && tsc) return GuestClocksource::tsc;
  if (spec_.clocksource == GuestClocksource::kvm_clock && spec_.kvmclock) return GuestClocksource::kvm_clock;
  if (spec_.clocksource == GuestClocksource::hpet) return GuestClocksource::hpet;
  const bool yields = TSCSIM_MUTATE(guest_kvmclock_never_yields, era_.kvmclock_yields_to_tsc, false) && spec_.invtsc;
  if (spec_.kvmclock && !(yields && tsc)) return GuestClocksource::kvm_clock;
  return tsc ? GuestClocksource::tsc : GuestClocksource::hpet;
}

// The old one is accumulated up to now, then the new one's base is read: no jump, unless forward_now() loses something. All CPUs
// stand still meanwhile, and the first of them does it, whichever asked. So a TSC that was found behind is not what is read.
// Kernel: timekeeping_notify(), stop_machine().
void GuestKernel::select_clocksource(int vcpu) {
  const GuestClocksource best = best_clocksource();
  if (best == current_) return;
  const int first = first_online();
  if (current_ != GuestClocksource::automatic) {
    forward_now(first);
    const std::uint32_t old_shift = params(current_).shift;
    base_.xtime_nsec = base_.xtime_nsec >> old_shift << params(best).shift;
  }
  current_ = best;
  base_.cycle_last = cycles(best, first);
  tell(ops::GuestEventKind::clocksource_switched, vcpu, static_cast<std::uint64_t>(best));
}

void GuestKernel::mark_tsc_unstable(ops::UnstableReason reason, int vcpu) {
  if (tsc_unstable_) return;
  tsc_unstable_ = true;
  if (!spec_.kvmclock) sched_clock_stable_ = false;
  tell(ops::GuestEventKind::tsc_marked_unstable, vcpu, static_cast<std::uint64_t>(reason));
  select_clocksource(vcpu);
}

}  // namespace tscsim::model::guest

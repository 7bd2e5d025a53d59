// What a vCPU's interrupt does: the tick, the detectors, and the clocksource watchdog.
// Kernel: Linux v6.12 kernel/time/hrtimer.c hrtimer_interrupt(), kernel/time/tick-sched.c, kernel/watchdog.c,
// kernel/rcu/tree_stall.h, kernel/hung_task.c, kernel/time/clocksource.c; docs/spec/linux-guest.md 1.4, 1.5, 2.3, 3.4
// to 3.7, 4.2, 4.8, 5.
#include <algorithm>
#include <limits>

#include "base/interrupt.h"
#include "model/guest/accounting.h"
#include "model/guest/detectors.h"
#include "model/guest/kernel.h"
#include "model/guest/tsc_sync.h"
#include "model/mutation.h"
#include "sim/wide.h"

namespace tscsim::model::guest {

using ops::GuestEventKind;

namespace {

// A tick that goes round so often is worth telling: some milliseconds with interrupts off.
constexpr std::uint64_t kSpinning = 1'000'000;

// An interrupt that is overdue comes a moment after the vCPU runs again, so a program may get in before it.
constexpr std::int64_t kOverdue_ns = 1000;

// The next of the instants that come every `period` after `from`, beyond `now`.
std::int64_t forwarded(std::int64_t from, std::int64_t period, std::int64_t now) {
  return from > now ? from : from + ((now - from) / period + 1) * period;
}

}  // namespace

// A long time has many ticks: an interrupt of the program is noticed at each.
void GuestKernel::run_until(std::int64_t at_ns) {
  constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();
  while (!paused_ && !suspended_ && has_vm()) {
    int next = -1;
    for (int vcpu = 0; vcpu < static_cast<int>(cpus_.size()); ++vcpu)
      if (at(vcpu).online && (next < 0 || at(vcpu).fires_at_ns < at(next).fires_at_ns)) next = vcpu;
    if (next < 0 || at(next).fires_at_ns > at_ns || at(next).fires_at_ns == kNever) break;
    base::throw_if_interrupted();
    hw_->advance_to(at(next).fires_at_ns);
    interrupt(next);
  }
}

void GuestKernel::hardware_changed() {
  if (paused_ || suspended_ || !has_vm()) return;
  for (int vcpu = 0; vcpu < static_cast<int>(cpus_.size()); ++vcpu)
    if (at(vcpu).online) aim(vcpu);
}

// The deadline is a value of the guest's TSC; when that comes depends on what is done to the TSC meanwhile.
void GuestKernel::aim(int vcpu) {
  Cpu& cpu = at(vcpu);
  const std::uint64_t now = hw_->rdtsc(vcpu);
  const std::int64_t wait = cpu.deadline_tsc > now ? hw_->ns_for(vcpu, cpu.deadline_tsc - now) : kOverdue_ns;
  const std::int64_t due = wait > std::numeric_limits<std::int64_t>::max() - hw_->now_ns()
                               ? std::numeric_limits<std::int64_t>::max()
                               : hw_->now_ns() + wait;
  cpu.fires_at_ns = hw_->runs_at(vcpu, due);
}

// Kernel: arch/x86/kernel/apic/apic.c lapic_next_deadline().
void GuestKernel::arm(int vcpu) {
  Cpu& cpu = at(vcpu);
  const std::int64_t wait =
      std::clamp<std::int64_t>(std::min(cpu.tick_next_ns, cpu.lockup_next_ns) - monotonic(vcpu), 1, tick_ns());
  cpu.deadline_tsc = hw_->rdtsc(vcpu) + sim::mul_div(static_cast<std::uint64_t>(wait), tsc_khz_, 1'000'000) + 1;
  aim(vcpu);
}

void GuestKernel::interrupt(int vcpu) {
  Cpu& cpu = at(vcpu);
  if (hw_->rdtsc(vcpu) < cpu.deadline_tsc) return aim(vcpu);  // it came too early
  sched_clock(vcpu);                                          // time in interrupts is accounted
  const std::int64_t now = monotonic(vcpu);
  const bool ticks = cpu.tick_next_ns <= now;
  if (ticks) tick(vcpu, now);
  if (cpu.lockup_next_ns <= now) {
    check_lockup(vcpu);
    cpu.lockup_next_ns = forwarded(cpu.lockup_next_ns, static_cast<std::int64_t>(kLockupPeriod_ns), now);
  }
  if (ticks) run_timers(vcpu);
  arm(vcpu);
}

void GuestKernel::tick(int vcpu, std::int64_t now) {
  Cpu& cpu = at(vcpu);
  if (vcpu == first_online() && now - jiffies_at_ns_ >= tick_ns()) {
    const std::int64_t ticks = (now - jiffies_at_ns_) / tick_ns();
    jiffies_ += static_cast<std::uint64_t>(ticks);
    jiffies_at_ns_ += ticks * tick_ns();
    advance_timekeeper(vcpu);
  }
  account_tick(vcpu);
  check_rcu(vcpu);
  cpu.tick_gtod_ns = monotonic(vcpu);
  cpu.tick_raw_ns = sched_clock(vcpu);
  cpu.tick_next_ns = forwarded(cpu.tick_next_ns, tick_ns(), now);
}

void GuestKernel::advance_timekeeper(int vcpu) {
  const Clocksource& clock = params(current_);
  const std::uint64_t offset = clocksource_delta(clock, era_.backward, cycles(current_, vcpu), base_.cycle_last);
  const std::uint64_t rounds = accumulate(clock, spec_.hz, offset, base_);
  if (rounds > kSpinning) tell(GuestEventKind::accumulation_spun, vcpu, rounds);
}

void GuestKernel::account_tick(int vcpu) {
  Cpu& cpu = at(vcpu);
  const auto tick = static_cast<std::uint64_t>(tick_ns());
  const std::uint64_t steal_clock = hw_->steal_ns(vcpu);
  const StealAccount stolen = era_.steal_ticks == StealTicks::whole_ticks
                                  ? account_steal_in_ticks(steal_clock, cpu.steal_prev, tick)
                                  : account_steal(steal_clock, cpu.steal_prev);
  cpu.steal_prev = stolen.prev;
  cpu.steal_ns += stolen.accounted;
  cpu.user_ns += left_of_tick(tick, TSCSIM_MUTATE(guest_user_counts_steal, stolen.accounted, 0));
  const std::uint64_t clock = local_clock(vcpu);
  const auto delta = static_cast<std::int64_t>(clock - cpu.rq_clock);
  if (delta <= 0) return;  // the run queue's clock ignores a step back
  cpu.rq_clock = clock;
  const TaskTime time = update_rq_clock_task(era_.rq_steal, delta, steal_clock, cpu.rq_steal_prev);
  cpu.rq_steal_prev = time.prev;
  cpu.task_ns += time.delta;
}

// A grace period begins at every tick and has not ended by the next one, so that any jump falls into one.
void GuestKernel::check_rcu(int vcpu) {
  const bool due = grace_period_.deadline && jiffies_ >= *grace_period_.deadline;
  if (due && !(TSCSIM_MUTATE(guest_rcu_never_asks, era_.rcu_asks, false) && consume_stop_flag(vcpu))) {
    tell(GuestEventKind::rcu_stall, vcpu, jiffies_ - grace_period_.start);
  }
  grace_period_ = {jiffies_, jiffies_ + kRcuStall_s * spec_.hz};
}

void GuestKernel::check_lockup(int vcpu) {
  Cpu& cpu = at(vcpu);
  const std::uint64_t now = local_clock(vcpu);
  const bool asks_always = era_.lockup_asks == LockupAsks::every_run;
  if (asks_always && consume_stop_flag(vcpu)) cpu.lockup_touched = true;
  const LockupReport report = soft_lockup(cpu.lockup_reference_ns, now);
  const bool touched = std::exchange(cpu.lockup_touched, false);
  if (report.stuck && !TSCSIM_MUTATE(guest_touch_forgotten, touched, false) &&
      (asks_always || !consume_stop_flag(vcpu)))
    tell(GuestEventKind::soft_lockup, vcpu, report.seconds);
  cpu.lockup_touched = false;     // the question itself touches
  cpu.lockup_reference_ns = now;  // the stopper thread runs next
}

// True when the flag was set; then all watchdogs of the guest are touched.
bool GuestKernel::consume_stop_flag(int vcpu) {
  if (!spec_.kvmclock || (hw_->pvclock(vcpu).flags & ops::pvclock_flag::kGuestStopped) == 0) return false;
  hw_->clear_stop_flag(vcpu);
  tell(GuestEventKind::stop_flag_consumed, vcpu);
  if (era_.stop_flag != StopFlag::soft_lockup_only) touch_watchdogs(vcpu);
  return true;
}

// Kernel: Linux v6.12 arch/x86/kernel/pvclock.c pvclock_touch_watchdogs().
void GuestKernel::touch_watchdogs(int vcpu) {
  at(vcpu).lockup_touched = true;
  reset_pending_ += TSCSIM_MUTATE(guest_touch_leaves_watchdog, 1u, 0u);
  scan_skipped_ = true;
  switch (era_.rcu_touch) {
    case RcuTouch::never:
      break;
    case RcuTouch::from_now:
      grace_period_.deadline = jiffies_ + kRcuStall_s * spec_.hz;
      break;
    case RcuTouch::this_grace_period:
    case RcuTouch::after_three_rounds:
      grace_period_.deadline.reset();
      break;
  }
}

// Timers on jiffies, in the order in which they would expire.
void GuestKernel::run_timers(int vcpu) {
  if (vcpu == watchdog_cpu_ && jiffies_ >= watchdog_expires_) run_watchdog(vcpu);
  if (vcpu == first_online() && jiffies_ >= scan_expires_) scan_tasks(vcpu);
  check_tsc_adjust(vcpu);
}

// On entry to idle, at most once a second. Here each vCPU is taken to be idle for a moment that often.
// Kernel: Linux v6.12 arch/x86/kernel/tsc_sync.c tsc_verify_tsc_adjust().
void GuestKernel::check_tsc_adjust(int vcpu) {
  Cpu& cpu = at(vcpu);
  if (!era_.verifies_tsc_adjust || !spec_.tsc_adjust || tsc_unstable_ || jiffies_ < cpu.adjust_check_jiffies) return;
  cpu.adjust_check_jiffies = jiffies_ + spec_.hz;
  const std::uint64_t found = hw_->rdmsr(vcpu, ops::msr::kIa32TscAdjust);
  if (TSCSIM_MUTATE(guest_adjust_not_verified, found == cpu.tsc_adjusted, true)) return;
  hw_->wrmsr(vcpu, ops::msr::kIa32TscAdjust, cpu.tsc_adjusted);
  tell(GuestEventKind::tsc_adjust_restored, vcpu, cpu.tsc_adjusted);
}

// Condemns a task that was blocked at an earlier scan, a whole timeout ago, and has not run since.
void GuestKernel::scan_tasks(int vcpu) {
  const std::uint64_t timeout = kHungTask_s * spec_.hz;
  scan_expires_ = jiffies_ + timeout;
  if (std::exchange(scan_skipped_, false) && TSCSIM_MUTATE(guest_scan_not_skipped, true, false)) return;
  if (!task_blocked_) return;
  if (!task_seen_blocked_) {
    task_seen_blocked_ = jiffies_;
  } else if (jiffies_ - *task_seen_blocked_ >= timeout) {
    tell(GuestEventKind::hung_task, vcpu, (jiffies_ - *task_seen_blocked_) / spec_.hz);
  }
}

// A timer that is armed for an instant that has gone by runs again in the same turn. What each further pass does is the same from
// some pass on, however many there are: touches are used up, and each vCPU was compared.
void GuestKernel::run_watchdog(int vcpu) {
  const std::uint64_t passes = reset_pending_ + cpus_.size() + 2;
  for (std::uint64_t i = 0; i < passes && vcpu == watchdog_cpu_ && jiffies_ >= watchdog_expires_; ++i)
    pass(vcpu, i == 1);
  if (vcpu != watchdog_cpu_ || jiffies_ < watchdog_expires_) return;
  watchdog_expires_ += ((jiffies_ - watchdog_expires_) / watchdog_period() + 1) * watchdog_period();
}

void GuestKernel::pass(int vcpu, bool right_after_another) {
  const bool pending = reset_pending_ != 0;
  const bool from_now =
      TSCSIM_MUTATE(guest_watchdog_timer_from_now, era_.watchdog_timer == WatchdogTimer::after_run, true);
  watchdog_expires_ = (from_now ? jiffies_ : watchdog_expires_) + watchdog_period();
  if (tsc_is_watched()) watch(vcpu, right_after_another);
  if (pending && reset_pending_ != 0) --reset_pending_;
  if (!TSCSIM_MUTATE(guest_watchdog_stays, era_.watchdog_rotates, false)) return;
  do watchdog_cpu_ = (watchdog_cpu_ + 1) % static_cast<int>(cpus_.size());
  while (!at(watchdog_cpu_).online);
}

// 7.1 and 7.2: what two passes microseconds apart find. A sample is the reference, then the TSC, then the reference again; the
// skew is by how much longer it took from the first to the second of these in one pass than in the other, and only the window from
// the first to the third of the later pass, and a 256th of the interval, are allowed for. The model assumes that the first pass
// after the guest stood still reads so much more slowly than the next one, and that later ones take equally long. Every log says so
// (docs/guest.md); how long either took is not modelled.
// Kernel: Linux v7.1 kernel/time/clocksource.c watchdog_check_freq(), clocksource_watchdog().
void GuestKernel::watch(int vcpu, bool right_after_another) {
  const ops::GuestClocksource reference =
      spec_.kvmclock ? ops::GuestClocksource::kvm_clock : ops::GuestClocksource::hpet;
  WatchdogSample now;
  now.cs = cycles(ops::GuestClocksource::tsc, vcpu);
  now.wd = cycles(reference, vcpu);
  const auto last = std::exchange(watchdog_last_, now);
  if (reset_pending_ != 0) tell(GuestEventKind::watchdog_disarmed, vcpu, reset_pending_ - 1);
  if (!last || reset_pending_ != 0) return;
  const bool at_once = now.cs == last->cs && now.wd == last->wd;
  const bool misled = at_once && right_after_another && era_.watchdog == WatchdogRule::relative;
  if (TSCSIM_MUTATE(guest_watchdog_never_misled, misled, false)) {
    tell(GuestEventKind::watchdog_misled, vcpu);
    return mark_tsc_unstable(ops::UnstableReason::watchdog, vcpu);
  }
  WatchdogJudgement judgement;
  if (!at_once) judgement = judge(era_, tsc_, params(reference), *last, now, 0, !spec_.kvmclock);
  switch (judgement.verdict) {
    case WatchdogVerdict::skipped:
      watchdog_expires_ = jiffies_ + watchdog_period();
      [[fallthrough]];
    case WatchdogVerdict::reference:
      tell(GuestEventKind::watchdog_skipped, vcpu, std::max(judgement.wd_ns, judgement.cs_ns));
      return;
    case WatchdogVerdict::unstable:
      tell(GuestEventKind::watchdog_unstable, vcpu, static_cast<std::uint64_t>(judgement.skew_ns()));
      return mark_tsc_unstable(ops::UnstableReason::watchdog, vcpu);
    case WatchdogVerdict::ok:
      break;
  }
  tsc_high_resolution_ = true;
  select_clocksource(vcpu);
  if (era_.watchdog == WatchdogRule::relative) compare_vcpus(vcpu);
}

// 7.1 only: one other vCPU, in turn, and this one read alternately.
void GuestKernel::compare_vcpus(int vcpu) {
  const int count = static_cast<int>(cpus_.size());
  for (int tried = 0; tried < count; ++tried) {
    next_compared_ = (next_compared_ + 1) % count;
    if (next_compared_ == vcpu || !at(next_compared_).online) continue;
    const auto skew = static_cast<std::int64_t>(hw_->rdtsc(next_compared_) - hw_->rdtsc(vcpu));
    const SyncStretch stretch{skew, shared_turn_cycles(vcpu, next_compared_)};
    if (warp_loop(std::span(&stretch, 1)).max_warp != 0)
      mark_tsc_unstable(ops::UnstableReason::skew_between_vcpus, vcpu);
    return;
  }
}

}  // namespace tscsim::model::guest

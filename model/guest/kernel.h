// A Linux guest, as far as it keeps time: it boots on the vCPUs that there are, chooses a clocksource, takes interrupts when its
// TSC deadlines come, and judges its clocks. It acts on readings of its vCPUs' TSCs and pages alone (hardware.h), so whatever a
// VMM does to those, this guest sees as a real one would. Deterministic: no randomness, no parallelism; equal instants go by vCPU.
//
// Left out (docs/guest.md): idle vCPUs that stop their tick, NTP, a watchdog's disturbed reads, the work of drivers and tasks.
// Every vCPU is busy with one task, and a grace period of RCU is always in progress.
// Spec: docs/spec/linux-guest.md.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "model/guest/clocksource.h"
#include "model/guest/era.h"
#include "model/guest/hardware.h"
#include "model/guest/pvclock.h"
#include "model/guest/timekeeper.h"
#include "model/guest/watchdog.h"
#include "ops/guest.h"
#include "ops/operation.h"

namespace tscsim::model::guest {

// Where a read of a clock gets its cycles.
enum class Reader : std::uint8_t { kernel, vdso };

class GuestKernel {
 public:
  // Boots at once, at the hardware's present instant.
  GuestKernel(const ops::GuestSpec& spec, Hardware& hardware);
  // A kernel whose stable release is known.
  GuestKernel(const ops::GuestSpec& spec, Hardware& hardware, const GuestEra& era);

  // The guest goes on on another host, with its memory. What happens next depends on what the VMM restored there.
  void move_to(Hardware& hardware) { hw_ = &hardware; }

  // Takes the interrupts that are due until then.
  void run_until(std::int64_t at_ns);

  // Something was done to the VM or to the host: deadlines are where the TSCs say now.
  void hardware_changed();

  bool paused() const { return paused_; }

  // Not while the VM that it was on is gone and it has not moved.
  bool has_vm() const { return hw_->vcpus() >= static_cast<int>(cpus_.size()); }

  // One operation of a program in the guest, or of the VMM on all of it.
  ops::Outcome perform(const ops::Operation& op);

  // What happened since the last call, in order.
  std::vector<ops::GuestEvent> take_events() { return std::exchange(events_, {}); }

 private:
  struct Cpu {
    bool online = false;
    std::uint64_t deadline_tsc = 0;  // IA32_TSC_DEADLINE
    std::int64_t fires_at_ns = 0;    // when that comes, as things are
    std::int64_t tick_next_ns = 0;   // CLOCK_MONOTONIC
    std::int64_t lockup_next_ns = 0;
    std::uint64_t lockup_reference_ns = 0;  // sched_clock when the stopper thread last ran
    bool lockup_touched = false;
    std::uint64_t steal_prev = 0, rq_steal_prev = 0, rq_clock = 0;
    std::uint64_t user_ns = 0, steal_ns = 0;
    std::int64_t task_ns = 0;
    std::uint64_t tsc_adjusted = 0;
    std::uint64_t adjust_check_jiffies = 0;
    std::uint64_t local_clock = 0;  // the filter of an unstable scheduler clock
    std::int64_t tick_gtod_ns = 0;
    std::uint64_t tick_raw_ns = 0;
  };
  // What RCU waits for, in jiffies.
  struct GracePeriod {
    std::uint64_t start = 0;
    std::optional<std::uint64_t> deadline;  // empty: no stall is reported
  };

  // kernel_boot.cpp
  void boot();
  void bring_up(int vcpu, const ops::Operation* op);
  void register_pages(int vcpu);
  bool tsc_adjust_makes_test_needless(int vcpu);
  void test_tsc(int vcpu, int moved_to);
  int package_of(int vcpu) const { return vcpu % spec_.packages; }
  std::uint64_t shared_turn_cycles(int a, int b) const;
  int first_online() const;

  // kernel_clocks.cpp
  const Clocksource& params(ops::GuestClocksource which) const;
  std::uint64_t kvmclock(int vcpu);
  std::uint64_t cycles(ops::GuestClocksource which, int vcpu);
  bool page_is_stable(int vcpu) { return (hw_->pvclock(vcpu).flags & ops::pvclock_flag::kTscStable) != 0; }
  std::int64_t monotonic(int vcpu);
  std::int64_t realtime(int vcpu) { return monotonic(vcpu) - to_monotonic_ns_; }
  std::uint64_t vdso_monotonic(int vcpu);
  std::uint64_t sched_clock(int vcpu);
  std::uint64_t local_clock(int vcpu);
  std::uint64_t user_tsc_ns(int vcpu);
  void forward_now(int vcpu);
  void add_realtime(std::int64_t ns);
  ops::GuestClocksource best_clocksource() const;
  void select_clocksource(int vcpu);
  void mark_tsc_unstable(ops::UnstableReason reason, int vcpu);
  bool tsc_is_watched() const { return !tsc_exempt_ && !tsc_unstable_; }
  WallTime wall_now(int vcpu);

  // kernel_tick.cpp
  void interrupt(int vcpu);
  void tick(int vcpu, std::int64_t now);
  void advance_timekeeper(int vcpu);
  void account_tick(int vcpu);
  void check_rcu(int vcpu);
  void check_lockup(int vcpu);
  void run_timers(int vcpu);
  void check_tsc_adjust(int vcpu);
  void scan_tasks(int vcpu);
  void run_watchdog(int vcpu);
  void pass(int vcpu, bool right_after_another);
  void watch(int vcpu, bool right_after_another);
  void compare_vcpus(int vcpu);
  bool consume_stop_flag(int vcpu);
  void touch_watchdogs(int vcpu);
  void arm(int vcpu);
  void aim(int vcpu);

  // kernel_ops.cpp
  ops::Outcome read_clock(const ops::Operation& op);
  ops::Outcome read_cpu_times(int vcpu);
  ops::Outcome state();
  void pause(bool devices_stop);
  void resume();
  std::uint64_t device_ns() const {
    return static_cast<std::uint64_t>(devices_stopped_at_.value_or(hw_->now_ns()) - devices_stopped_ns_);
  }
  void suspend(int vcpu);
  void wake(int vcpu);

  void tell(ops::GuestEventKind kind, int vcpu, std::uint64_t value = 0) {
    events_.push_back({kind, vcpu, hw_->now_ns(), value});
  }
  Cpu& at(int vcpu) { return cpus_[static_cast<std::size_t>(vcpu)]; }
  const Cpu& at(int vcpu) const { return cpus_[static_cast<std::size_t>(vcpu)]; }
  std::int64_t tick_ns() const { return static_cast<std::int64_t>(kNsPerSecond / spec_.hz); }
  std::uint64_t watchdog_period() const { return std::max<std::uint64_t>(spec_.hz / 2, 1); }  // jiffies

  ops::GuestSpec spec_;
  GuestEra era_;
  Hardware* hw_;
  std::vector<Cpu> cpus_;
  bool paused_ = false;                             // by the VMM
  std::optional<std::int64_t> devices_stopped_at_;  // with it
  std::int64_t devices_stopped_ns_ = 0;             // for how long before
  bool suspended_ = false;                          // by itself
  std::vector<ops::GuestEvent> events_;

  // Clocksources.
  std::uint32_t tsc_khz_ = 0;
  Clocksource tsc_, kvm_clock_, hpet_;
  bool tsc_unstable_ = false, tsc_exempt_ = false;
  bool tsc_high_resolution_ = false;  // may be chosen
  ops::GuestClocksource current_ = ops::GuestClocksource::automatic;
  LastValue last_value_;
  bool vdso_may_read_kvmclock_ = false;
  std::uint64_t sched_offset_ = 0;
  bool sched_clock_stable_ = true;
  Cyc2Ns native_clock_;
  std::uint64_t user_tsc_start_ = 0;

  // Timekeeper.
  TickBase base_;  // CLOCK_REALTIME
  std::int64_t to_monotonic_ns_ = 0;
  std::int64_t boot_offset_ns_ = 0;  // what the guest slept
  std::int64_t wall_at_suspend_ns_ = 0;
  std::uint64_t jiffies_ = 0;
  std::int64_t jiffies_at_ns_ = 0;  // CLOCK_MONOTONIC at the last jiffy

  // Watchdog and detectors.
  std::optional<WatchdogSample> watchdog_last_;
  std::uint64_t watchdog_expires_ = 0;  // jiffies
  int watchdog_cpu_ = 0;
  int next_compared_ = 0;
  std::uint64_t reset_pending_ = 0;
  GracePeriod grace_period_;
  std::uint64_t scan_expires_ = 0;
  bool scan_skipped_ = false;
  bool task_blocked_ = false;
  std::optional<std::uint64_t> task_seen_blocked_;  // jiffies at which a scan saw it first
};

}  // namespace tscsim::model::guest

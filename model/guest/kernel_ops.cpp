// Operations on the guest: programs that read clocks, vCPUs that come and go, sleep.
#include <cerrno>

#include "model/guest/kernel.h"
#include "model/mutation.h"

namespace tscsim::model::guest {

using ops::Field;
using ops::OpKind;

namespace {

ops::Outcome refused(int error) {
  ops::Outcome out;
  out.error = error;
  return out;
}

}  // namespace

ops::Outcome GuestKernel::perform(const ops::Operation& op) {
  const bool on_vcpu = op.vcpu != ops::kVm;
  const bool stands = paused_ || suspended_ || !has_vm();
  switch (op.kind) {
    case OpKind::pause_vm:
    case OpKind::resume_vm:
      if (paused_ == (op.kind == OpKind::pause_vm)) return refused(EALREADY);
      if (paused_) resume();
      else pause((op.flags & ops::pause_flag::kDevicesStop) != 0);
      return {};
    case OpKind::wake_guest:
      if (!suspended_) return refused(EALREADY);
      wake(first_online());
      return {};
    default:
      break;
  }
  if (stands) return refused(EAGAIN);                                          // nothing runs in it
  while (static_cast<int>(cpus_.size()) < hw_->vcpus()) cpus_.emplace_back();  // plugged in later
  if (op.kind == OpKind::online_vcpu) {
    if (at(op.vcpu).online) return refused(EALREADY);
    bring_up(op.vcpu, &op);
    return {};
  }
  if (on_vcpu && !at(op.vcpu).online) return refused(ENODEV);
  switch (op.kind) {
    case OpKind::read_clock:
      return read_clock(op);
    case OpKind::read_cpu_times:
      return read_cpu_times(op.vcpu);
    case OpKind::guest_state:
      return state();
    case OpKind::offline_vcpu:
      if (op.vcpu == 0) return refused(EBUSY);
      at(op.vcpu).online = false;
      if (watchdog_cpu_ == op.vcpu) watchdog_cpu_ = first_online();
      return {};
    case OpKind::step_realtime:
      forward_now(first_online());
      add_realtime(static_cast<std::int64_t>(op.value));
      return {};
    case OpKind::block_task:
      task_blocked_ = op.value != 0;
      task_seen_blocked_.reset();
      return {};
    case OpKind::suspend_guest:
      suspend(first_online());
      return {};
    default:
      return refused(EINVAL);
  }
}

ops::Outcome GuestKernel::read_clock(const ops::Operation& op) {
  const int vcpu = op.vcpu;
  std::uint64_t ns = 0;
  switch (static_cast<ops::GuestClock>(op.flags)) {
    case ops::GuestClock::monotonic:
      ns = static_cast<std::uint64_t>(monotonic(vcpu));
      break;
    case ops::GuestClock::realtime:
      ns = static_cast<std::uint64_t>(realtime(vcpu));
      break;
    case ops::GuestClock::boottime:
      ns = static_cast<std::uint64_t>(monotonic(vcpu) + boot_offset_ns_);
      break;
    case ops::GuestClock::sched_clock:
      ns = local_clock(vcpu);
      break;
    case ops::GuestClock::vdso_monotonic:
      ns = vdso_monotonic(vcpu);
      break;
    case ops::GuestClock::user_tsc:
      ns = user_tsc_ns(vcpu);
      break;
  }
  ops::Outcome out;
  out.add(Field::ns, ns);
  out.add(Field::tsc, hw_->rdtsc(vcpu));
  return out;
}

ops::Outcome GuestKernel::read_cpu_times(int vcpu) {
  const Cpu& cpu = at(vcpu);
  ops::Outcome out;
  out.add(Field::user, cpu.user_ns);
  out.add(Field::steal, cpu.steal_ns);
  out.add(Field::task, static_cast<std::uint64_t>(cpu.task_ns));
  return out;
}

ops::Outcome GuestKernel::state() {
  ops::Outcome out;
  out.add(Field::clocksource, static_cast<std::uint64_t>(current_));
  out.add(Field::tsc_khz, tsc_khz_);
  out.add(Field::unstable, tsc_unstable_ ? 1 : 0);
  out.add(Field::watched, tsc_is_watched() ? 1 : 0);
  const bool in_vdso = current_ == ops::GuestClocksource::tsc ||
                       (current_ == ops::GuestClocksource::kvm_clock && vdso_may_read_kvmclock_ && page_is_stable(0));
  out.add(Field::vdso, in_vdso ? 1 : 0);
  out.add(Field::exchanges, last_value_.exchanges());
  out.add(Field::held_back, last_value_.held_back());
  out.add(Field::jiffies, jiffies_);
  return out;
}

// Emulated devices count on, unless the VMM stops its own clock, too.
void GuestKernel::pause(bool devices_stop) {
  paused_ = true;
  devices_stop = TSCSIM_MUTATE(guest_devices_stop_always, devices_stop, true);
  if (TSCSIM_MUTATE(guest_devices_never_stop, devices_stop, false)) devices_stopped_at_ = hw_->now_ns();
}

void GuestKernel::resume() {
  paused_ = false;
  if (devices_stopped_at_) devices_stopped_ns_ += hw_->now_ns() - *devices_stopped_at_;
  devices_stopped_at_.reset();
}

// The guest suspends itself (S3). Kernel: timekeeping_suspend(), timekeeping_resume(); docs/spec/linux-guest.md 1.9.
void GuestKernel::suspend(int vcpu) {
  forward_now(vcpu);
  const WallTime wall = wall_now(vcpu);
  wall_at_suspend_ns_ = static_cast<std::int64_t>(wall.sec * kNsPerSecond + wall.nsec);
  suspended_ = true;
}

// How long it slept the persistent clock says, which on KVM is the wall clock made of kvmclock.
void GuestKernel::wake(int vcpu) {
  suspended_ = false;
  register_pages(vcpu);
  const WallTime wall = wall_now(vcpu);
  const std::int64_t slept = static_cast<std::int64_t>(wall.sec * kNsPerSecond + wall.nsec) - wall_at_suspend_ns_;
  base_.cycle_last = cycles(current_, vcpu);
  if (slept > 0) {
    add_realtime(slept);
    boot_offset_ns_ += TSCSIM_MUTATE(guest_sleep_not_in_boottime, slept, 0);
  }
  ++reset_pending_;
  for (int other = 0; other < static_cast<int>(cpus_.size()); ++other) {
    if (!at(other).online) continue;
    if (other != vcpu) register_pages(other);
    at(other).lockup_reference_ns = local_clock(other);
    arm(other);
  }
}

}  // namespace tscsim::model::guest

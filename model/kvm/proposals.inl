// Calls that were proposed and never merged: the precise TSC state of 2020, and what the clock clean-up series v6 adds.
// docs/spec/kvm-timekeeping.md 9.1 and 9.2. Each exists where the era has it; elsewhere KVM does not know the call.
// Left out: CPUID without TSC_ADJUST, bytes of padding.
#pragma once

#include <cerrno>

#include "model/kvm/machine.h"
#include "model/mutation.h"

namespace tscsim::model {

// KVM_GET_TSC_STATE.
template <class Num, class HostType>
typename Machine<Num, HostType>::Outcome Machine<Num, HostType>::get_tsc_state(Vcpu<Num>& vcpu, HostType& host) {
  if (config_.era.precise_tsc == PreciseTsc::none) return refuse(EINVAL);  // a vCPU's unknown call
  const ClockPair<Num> now = wall_clock_readings(host);
  const bool v1 = config_.era.precise_tsc == PreciseTsc::v1;
  Outcome out;
  out.add(ops::Field::nsec, now.ns);
  out.add(ops::Field::tsc, guest_tsc(vcpu, now.tsc));
  out.add(ops::Field::tsc_adjust, vcpu.ia32_tsc_adjust);
  out.add(ops::Field::flags, Num(v1 ? 1 : ops::tsc_state_flag::kTimestamp | ops::tsc_state_flag::kTscAdjust));
  return out;
}

// The wall clock and the TSC, as a pair where the clocksource gives one.
template <class Num, class HostType>
ClockPair<Num> Machine<Num, HostType>::wall_clock_readings(HostType& host) {
  if (const auto pair = host.realtime_pair()) return *pair;
  const Num tsc = host.tsc();
  return {host.realtime_ns(), tsc};
}

// KVM_SET_TSC_STATE: exact, and no generation knows of it.
template <class Num, class HostType>
typename Machine<Num, HostType>::Outcome Machine<Num, HostType>::set_tsc_state(Vcpu<Num>& vcpu,
                                                                               const ops::Operation& op,
                                                                               HostType& host) {
  if (config_.era.precise_tsc == PreciseTsc::none) return refuse(EINVAL);
  const bool v1 = config_.era.precise_tsc == PreciseTsc::v1;
  const ClockPair<Num> now = wall_clock_readings(host);
  Num tsc(op.value);
  if (v1 ? op.realtime != 0 : (op.flags & ops::tsc_state_flag::kTimestamp) != 0) {
    const Num elapsed_ns = now.ns - Num(op.realtime);
    const bool negative = !(elapsed_ns < Num(std::uint64_t{1} << 63));  // the difference is signed
    if (!negative) tsc = tsc + TSCSIM_MUTATE(precise_tsc_stands_still, scale(elapsed_ns, vcpu.virtual_scale), Num(0));
    else if (!v1)
      tsc = TSCSIM_MUTATE(precise_tsc_never_back, tsc - scale(Num(0) - elapsed_ns, vcpu.virtual_scale), tsc);
  }
  set_l1_offset(vcpu, tsc - scale(now.tsc, vcpu.l1_tsc_scaling_ratio));
  const std::uint32_t adjust_valid = v1 ? 1 : ops::tsc_state_flag::kTscAdjust;
  if (TSCSIM_MUTATE(precise_tsc_keeps_adjust, (op.flags & adjust_valid) != 0, false))
    vcpu.ia32_tsc_adjust = Num(op.tsc_adjust);
  follow(Rule::precise_state);
  return {};
}

// KVM_GET_CLOCK_GUEST: the line that this vCPU's page would be computed from now.
template <class Num, class HostType>
typename Machine<Num, HostType>::Outcome Machine<Num, HostType>::get_clock_guest(const Vcpu<Num>& vcpu) {
  if (!config_.era.guest_clock || !vm_.use_master_clock) return refuse(EINVAL);
  const std::uint64_t hz = effective_rate_hz(vcpu.l1_tsc_scaling_ratio);
  if (hz == 0) return refuse(EINVAL);  // the proposal says nothing of it: its kvm_get_time_scale() would not return
  const TimeScale to_ns = time_scale(1'000'000'000, hz);
  Outcome out;
  out.add(ops::Field::tsc_timestamp, guest_tsc(vcpu, vm_.master_cycle_now));
  out.add(ops::Field::system_time, vm_.master_kernel_ns + vm_.kvmclock_offset);
  out.add(ops::Field::mul, Num(to_ns.mul));
  out.add(ops::Field::shift, Num(static_cast<std::uint64_t>(std::int64_t{to_ns.shift})));
  out.add(ops::Field::page_flags, Num(guests_may_trust_pages() ? ops::pvclock_flag::kTscStable : 0));
  return out;
}

// Hz that a page's multiplier and shift stand for, rounded down. mul > 0, |shift| < 32.
constexpr std::uint64_t rate_of_page(TimeScale page) {
  const u128 second = u128{1'000'000'000} << 32;
  const u128 hz = page.shift < 0 ? (second << -page.shift) / page.mul : second / (u128{page.mul} << page.shift);
  return static_cast<std::uint64_t>(hz);
}

// KVM_SET_CLOCK_GUEST: a new pair, and the offset by which the guest's own line goes through it.
template <class Num, class HostType>
typename Machine<Num, HostType>::Outcome Machine<Num, HostType>::set_clock_guest(const Vcpu<Num>& vcpu,
                                                                                 const ops::Operation& op,
                                                                                 HostType& host) {
  constexpr std::uint64_t kRateTolerance_hz = 1000;
  if (!config_.era.guest_clock || op.mul == 0 || op.shift <= -32 || op.shift >= 32) return refuse(EINVAL);
  const TimeScale line{op.mul, op.shift};
  const std::uint64_t given_hz = rate_of_page(line), own_hz = effective_rate_hz(vcpu.l1_tsc_scaling_ratio);
  const std::uint64_t apart_hz = given_hz > own_hz ? given_hz - own_hz : own_hz - given_hz;
  if (TSCSIM_MUTATE(guest_clock_of_any_rate, apart_hz > kRateTolerance_hz, false)) return refuse(ERANGE);
  renew_master_pair(host);
  if (!vm_.use_master_clock) return refuse(EINVAL);
  const Num since = guest_tsc(vcpu, vm_.master_cycle_now) - Num(op.value);
  const Num at_pair = Num(op.realtime) + TSCSIM_MUTATE(guest_clock_restarts, scale(since, line), Num(0));
  vm_.kvmclock_offset = at_pair - vm_.master_kernel_ns;
  request_everywhere(kClockUpdate);
  follow(Rule::clock_on_guests_line);
  return {};
}

// KVM_VCPU_TSC_SCALE of the group that has the offset; it cannot be written.
template <class Num, class HostType>
typename Machine<Num, HostType>::Outcome Machine<Num, HostType>::get_tsc_scale(const Vcpu<Num>& vcpu) {
  if (!config_.era.offset_attribute) return refuse(EINVAL);
  if (!config_.era.tsc_scale_attribute || !config_.tsc_scaling) return refuse(ENXIO);
  Outcome out;
  out.add(ops::Field::tsc_ratio, Num(vcpu.l1_tsc_scaling_ratio.value));
  out.add(ops::Field::tsc_frac_bits, Num(static_cast<std::uint64_t>(vcpu.l1_tsc_scaling_ratio.fraction_bits)));
  return out;
}

}  // namespace tscsim::model

// IA32_TSC_DEADLINE as a register: when a write of it counts, and what it reads as. When the timer fires, and that it
// interrupts, is not modelled.
// Kernel: Linux v6.12 arch/x86/kvm/lapic.c kvm_set_lapic_tscdeadline_msr(), kvm_get_lapic_tscdeadline_msr(),
// apic_update_lvtt(), kvm_apic_set_state(), start_sw_tscdeadline(), apic_timer_expired().
#pragma once

#include <cerrno>

#include "model/kvm/machine.h"
#include "model/mutation.h"

namespace tscsim::model {

// Whether the timer cannot have fired. It fires up to 5 us early (lapic_timer_advance_ns); a deadline that far ahead that
// its nanoseconds times a million pass 64 bits comes out as an earlier one.
template <class Num, class HostType>
bool Machine<Num, HostType>::deadline_is_ahead(const Vcpu<Num>& vcpu, const Num& deadline, HostType& host) const {
  constexpr std::uint64_t kEarly_ns = 5'000, kFarthest_cycles = ~std::uint64_t{0} / 1'000'000;
  const std::uint64_t early_cycles = std::uint64_t{kEarly_ns} * vcpu.virtual_tsc_khz / 1'000'000 + 1;
  const Num left = deadline - guest_tsc(vcpu, host.tsc());
  return Num(early_cycles) < left && left < Num(kFarthest_cycles);
}

template <class Num, class HostType>
typename Machine<Num, HostType>::Outcome Machine<Num, HostType>::write_tsc_deadline(Vcpu<Num>& vcpu, const Num& value,
                                                                                    HostType& host) {
  if (TSCSIM_MUTATE(deadline_needs_no_mode, vcpu.timer_mode != ops::timer_mode::kTscDeadline, false)) {
    follow(Rule::deadline_ignored);
    return {};
  }
  // One that has fired and was not delivered yet takes the new one along.
  if (!(value == Num(0)) && !deadline_is_ahead(vcpu, value, host)) vcpu.deadline_in_doubt = true;
  if (!(vcpu.tsc_deadline == Num(0)) && !deadline_is_ahead(vcpu, vcpu.tsc_deadline, host))
    vcpu.deadline_in_doubt = true;
  vcpu.tsc_deadline = value;
  return {};
}

template <class Num, class HostType>
typename Machine<Num, HostType>::Outcome Machine<Num, HostType>::read_tsc_deadline(Vcpu<Num>& vcpu, HostType& host) {
  Outcome out;
  if (!(vcpu.tsc_deadline == Num(0))) {
    const bool ahead = deadline_is_ahead(vcpu, vcpu.tsc_deadline, host);
    if ((!ahead || vcpu.deadline_in_doubt) && host.deadline_timer_fired(!ahead)) disarm(vcpu);
  }
  out.add(ops::Field::value, vcpu.tsc_deadline);
  return out;
}

// The executor writes back what it read, with another mode.
template <class Num, class HostType>
typename Machine<Num, HostType>::Outcome Machine<Num, HostType>::set_lapic(Vcpu<Num>& vcpu, std::uint64_t timer_mode) {
  if (!vm_.irqchip) return refuse(EINVAL);
  const auto counts_tsc = [](std::uint64_t mode) { return mode == ops::timer_mode::kTscDeadline; };
  if (TSCSIM_MUTATE(mode_keeps_deadline, counts_tsc(vcpu.timer_mode) != counts_tsc(timer_mode), false)) disarm(vcpu);
  vcpu.timer_mode = timer_mode;
  return {};
}

}  // namespace tscsim::model

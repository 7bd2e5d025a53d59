// Writes of the TSC: which of them KVM takes for an attempt to synchronise, what offset results, who is matched.
// Kernel: Linux v7.2 arch/x86/kvm/x86.c kvm_synchronize_tsc(), __kvm_synchronize_tsc(), kvm_track_tsc_matching();
// docs/spec/kvm-timekeeping.md 3 and 4. Left out: guest_tsc_protected (TDX, SEV-SNP).
#pragma once

#include "model/kvm/machine.h"
#include "model/mutation.h"

namespace tscsim::model {

using witness::map_monotone;

template <class Num>
Num scale(const Num& tsc, TscRatio ratio) {
  if (ratio.is_default()) return tsc;
  if (ratio.value == 0) return Num(0);  // a vCPU created at a rate that could not be had
  // Monotone as long as the shifted product keeps its high bits.
  const u128 limit = (u128{~std::uint64_t{0}} << ratio.fraction_bits) / ratio.value;
  const std::uint64_t domain = limit > ~std::uint64_t{0} ? ~std::uint64_t{0} : static_cast<std::uint64_t>(limit);
  return map_monotone(
      tsc, [ratio](std::uint64_t t) { return scale_tsc(t, ratio) + TSCSIM_MUTATE(scaled_tsc_rounds_up, 0u, 1u); },
      domain);
}

template <class Num>
Num scale(const Num& delta, TimeScale time_scale) {
  // A difference that is negative, and counted as unsigned: the shift drops high bits, as multiplying does.
  if (witness::surely_above(delta, scale_delta_domain(time_scale)))
    return scale(witness::times(delta, std::int64_t{1} << time_scale.shift), TimeScale{time_scale.mul, 0});
  return map_monotone(
      delta,
      [time_scale](std::uint64_t d) { return scale_delta(d, time_scale) + TSCSIM_MUTATE(delta_rounds_up, 0u, 1u); },
      scale_delta_domain(time_scale));
}

template <class Num, class HostType>
Num Machine<Num, HostType>::guest_tsc(const Vcpu<Num>& vcpu, const Num& host_tsc) const {
  return vcpu.l1_tsc_offset + scale(host_tsc, vcpu.l1_tsc_scaling_ratio);
}

// Without scaling the hardware only adds the offset, whatever ratio KVM has on record.
template <class Num, class HostType>
Num Machine<Num, HostType>::hardware_tsc(const Vcpu<Num>& vcpu, const Num& host_tsc) const {
  return vcpu.tsc_offset +
         (config_.tsc_scaling || config_.tsc_in_software ? scale(host_tsc, vcpu.tsc_scaling_ratio) : host_tsc);
}

// Kernel: Linux v6.12 x86.c kvm_vcpu_write_tsc_offset(); in 5.10 the vendor modules' write_l1_tsc_offset(). Both trace
// before they write, also when the offset stays what it was.
template <class Num, class HostType>
void Machine<Num, HostType>::set_l1_offset(Vcpu<Num>& vcpu, Num offset) {
  if (TSCSIM_MUTATE(equal_offset_not_written, true, !(offset == vcpu.l1_tsc_offset)))
    trace(ops::TraceKind::write_tsc_offset, index_of(vcpu), {vcpu.l1_tsc_offset, offset});
  if (!config_.honours_tsc_offset) {
    follow(Rule::offset_not_honoured);
    return;
  }
  // The timer was set for where the TSC was.
  if (!(vcpu.tsc_deadline == Num(0))) vcpu.deadline_in_doubt = true;
  vcpu.l1_tsc_offset = offset;
  activate(vcpu);
}

template <class Num, class HostType>
bool Machine<Num, HostType>::all_vcpus_matched() const {
  return vm_.nr_vcpus_matched_tsc + 1 == static_cast<int>(vcpus_.size());
}

// Where a vCPU that joined the generation at its start would be at `ns`.
template <class Num, class HostType>
Num Machine<Num, HostType>::generation_line(const Vcpu<Num>& vcpu, const Num& ns) const {
  return vm_.cur_tsc_write + scale(ns - vm_.cur_tsc_nsec, vcpu.virtual_scale);
}

template <class Num, class HostType>
TscWrite<Num> Machine<Num, HostType>::seen_by_policy(const Vcpu<Num>& vcpu, std::optional<Num> user_value,
                                                     bool by_guest, const Num& scaled_tsc, const Num& ns) const {
  TscWrite<Num> write;
  write.data = user_value.value_or(Num(0));
  write.creation = !user_value.has_value();
  write.by_guest = by_guest;
  write.last = {ns - vm_.last_tsc_nsec, vm_.last_tsc_write, vm_.last_tsc_offset + scaled_tsc};
  write.generation = {ns - vm_.cur_tsc_nsec, vm_.cur_tsc_write, vm_.cur_tsc_offset + scaled_tsc};
  write.virtual_tsc_khz = vcpu.virtual_tsc_khz;
  write.virtual_scale = vcpu.virtual_scale;
  write.user_set_tsc = vm_.user_set_tsc;
  return write;
}

// The instant of a write: the TSC and then the time, or both as a pair where there is one.
template <class Num, class HostType>
ClockPair<Num> Machine<Num, HostType>::write_readings(HostType& host) {
  if (config_.era.paired_write_readings)
    if (const auto pair = host.base_pair()) return *pair;
  const Num tsc = host.tsc();
  return {host.base_ns(), tsc};
}

template <class Num, class HostType>
std::uint32_t Machine<Num, HostType>::rate_to_match() const {
  return config_.era.tsc_matching == TscMatching::rates_and_offsets ? vm_.cur_tsc_khz : vm_.last_tsc_khz;
}

template <class Num, class HostType>
void Machine<Num, HostType>::synchronize(Vcpu<Num>& vcpu, std::optional<Num> user_value, bool by_guest,
                                         HostType& host) {
  const auto [ns, host_tsc] = write_readings(host);
  const Num scaled_tsc = scale(host_tsc, vcpu.l1_tsc_scaling_ratio);
  const TscWrite<Num> write = seen_by_policy(vcpu, user_value, by_guest, scaled_tsc, ns);
  Num data = write.data;
  Num offset = data - scaled_tsc;

  const bool unstable = host.tsc_unstable() && config_.era.unstable_join != ops::UnstableJoin::takes_offset;
  const bool may = !unstable || config_.era.unstable_join != ops::UnstableJoin::own_generation;
  const bool wants = TSCSIM_MUTATE(creation_does_not_join, true, user_value.has_value()) && may &&
                     config_.policy->wants_to_synchronise(write);
  const bool same_rate =
      TSCSIM_MUTATE(rate_not_compared, vcpu.virtual_tsc_khz == rate_to_match(), rate_to_match() != 0);
  const bool matched = wants && (same_rate || !config_.era.compares_rates);
  const bool on_the_line = config_.era.joined_write == ops::JoinedWrite::on_the_line;
  if (matched && TSCSIM_MUTATE(join_kept_as_written, on_the_line, false)) data = generation_line(vcpu, ns);
  if (matched && !unstable) {
    offset = TSCSIM_MUTATE(absorbed_value_kept, vm_.cur_tsc_offset, offset);
    follow(is_zero_request(write) ? Rule::joins_zero : Rule::joins_window);
  } else if (matched) {
    if (!on_the_line) data = data + elapsed_for_unstable_join(vcpu, write.last.elapsed_ns);
    offset = data - (config_.era.paired_write_readings ? scaled_tsc : scale(host.tsc(), vcpu.l1_tsc_scaling_ratio));
    follow(Rule::joins_unstable);
  } else {
    follow(wants ? Rule::starts_generation_rate : Rule::starts_generation);
  }
  record(vcpu, offset, data, ns, matched, user_value.has_value(), host);
}

template <class Num, class HostType>
bool Machine<Num, HostType>::is_zero_request(const TscWrite<Num>& write) {
  return write.creation || (!write.by_guest && write.data == Num(0));
}

template <class Num, class HostType>
Num Machine<Num, HostType>::elapsed_for_unstable_join(const Vcpu<Num>& vcpu, Num elapsed_ns) const {
  if (config_.era.unstable_join == ops::UnstableJoin::adds_thousandth)
    elapsed_ns = map_monotone(elapsed_ns, [](std::uint64_t e) { return e / 1000; });
  return TSCSIM_MUTATE(unstable_join_forgets_elapsed, scale(elapsed_ns, vcpu.virtual_scale), Num(0));
}

template <class Num, class HostType>
void Machine<Num, HostType>::record(Vcpu<Num>& vcpu, Num offset, Num tsc, Num ns, bool matched, bool by_user,
                                    HostType& host) {
  if (by_user) vm_.user_set_tsc = TSCSIM_MUTATE(user_set_not_recorded, true, false);
  vm_.last_tsc_scaling_ratio = vcpu.l1_tsc_scaling_ratio;
  if (config_.era.tsc_matching == TscMatching::rates_and_offsets)
    return record_by_rates_and_offsets(vcpu, offset, tsc, ns, matched, host);
  if (!matched || !TSCSIM_MUTATE(first_write_window_moves, config_.era.window_stays_at_first_write, false))
    vm_.last_tsc_nsec = ns;
  vm_.last_tsc_write = TSCSIM_MUTATE(last_write_not_recorded, tsc, vm_.last_tsc_write);
  vm_.last_tsc_khz = vcpu.virtual_tsc_khz;
  vm_.last_tsc_offset = TSCSIM_MUTATE(last_offset_not_recorded, offset, vm_.last_tsc_offset);
  vcpu.last_guest_tsc = tsc;
  set_l1_offset(vcpu, offset);

  if (!matched) {
    vm_.cur_tsc_generation += TSCSIM_MUTATE(generation_not_advanced, 1u, 0u);
    if (config_.era.narrow_generations) vm_.cur_tsc_generation &= 0xff;
    vm_.cur_tsc_nsec = ns;
    vm_.cur_tsc_write = tsc;
    vm_.cur_tsc_offset = offset;
    vm_.nr_vcpus_matched_tsc = TSCSIM_MUTATE(matched_not_reset, 0, vm_.nr_vcpus_matched_tsc);
  } else if (config_.era.counts_every_match || TSCSIM_MUTATE(matched_counted_twice, false, true) ||
             vcpu.this_tsc_generation != vm_.cur_tsc_generation) {
    vm_.nr_vcpus_matched_tsc += 1;
  }
  vcpu.this_tsc_generation = vm_.cur_tsc_generation;
  vcpu.this_tsc_nsec = vm_.cur_tsc_nsec;
  vcpu.this_tsc_write = vm_.cur_tsc_write;
  track(vcpu, !matched, host);
}

template <class Num, class HostType>
void Machine<Num, HostType>::track(Vcpu<Num>& vcpu, bool new_generation, HostType& host) {
  if (!config_.era.has_generation_count) return;
  const bool could = all_vcpus_matched() && host.tsc_clocksource();
  const bool is_on = vm_.use_master_clock;
  bool wanted = false;
  switch (config_.era.master_clock_request) {
    case MasterClockRequest::when_state_differs:
      wanted = (could && !is_on) || (!all_vcpus_matched() && is_on);
      break;
    case MasterClockRequest::whenever_matched_or_in_use:
      wanted = is_on || could;
      break;
    case MasterClockRequest::new_generation_or_differs:
      wanted = (is_on && new_generation) || is_on != could;
      break;
  }
  if (TSCSIM_MUTATE(master_clock_never_requested, wanted, false)) {
    vcpu.requests |= kMasterClockUpdate;
    follow(Rule::requests_master_clock);
  }
  const auto matched =
      static_cast<std::uint64_t>(vm_.nr_vcpus_matched_tsc) + TSCSIM_MUTATE(track_counts_starter, 0u, 1u);
  trace(ops::TraceKind::track_tsc, index_of(vcpu),
        {Num(matched), Num(vcpus_.size()), Num(is_on ? 1 : 0), clock_mode(host)});
}

// docs/spec/kvm-timekeeping.md 9.2, `record` and `track` of v6.
template <class Num, class HostType>
void Machine<Num, HostType>::record_by_rates_and_offsets(Vcpu<Num>& vcpu, Num offset, Num tsc, Num ns, bool matched,
                                                         HostType& host) {
  if (vcpu.virtual_tsc_khz != vm_.cur_tsc_khz) {
    vm_.cur_freq_generation += TSCSIM_MUTATE(v6_rate_generation_not_advanced, 1u, 0u);
    vm_.all_vcpus_matched_freq = TSCSIM_MUTATE(v6_rates_always_match, false, true);
    vm_.nr_vcpus_matched_freq = 0;
  }
  if (vcpu.this_freq_generation != vm_.cur_freq_generation) {
    vcpu.this_freq_generation = vm_.cur_freq_generation;
    vm_.nr_vcpus_matched_freq += 1;
  }
  vm_.cur_tsc_khz = vcpu.virtual_tsc_khz;
  vcpu.last_guest_tsc = tsc;
  set_l1_offset(vcpu, offset);
  if (!matched) {
    vm_.cur_tsc_generation += 1;
    vm_.all_vcpus_matched_tsc = false;
    vm_.nr_vcpus_matched_tsc = 0;
    vm_.cur_tsc_nsec = ns;
    vm_.cur_tsc_write = tsc;
    vm_.cur_tsc_offset = offset;
  }
  if (vcpu.this_tsc_generation != vm_.cur_tsc_generation) {
    vcpu.this_tsc_generation = vm_.cur_tsc_generation;
    vm_.nr_vcpus_matched_tsc += 1;
  }
  vcpu.this_tsc_nsec = vm_.cur_tsc_nsec;
  vcpu.this_tsc_write = vm_.cur_tsc_write;
  track_by_rates_and_offsets(vcpu, !matched, host);
}

template <class Num, class HostType>
void Machine<Num, HostType>::track_by_rates_and_offsets(Vcpu<Num>& vcpu, bool update, HostType& host) {
  const int online = static_cast<int>(vcpus_.size());
  const bool before = vm_.all_vcpus_matched_tsc;
  vm_.all_vcpus_matched_tsc = vm_.nr_vcpus_matched_tsc >= online;
  update = update || before != vm_.all_vcpus_matched_tsc;
  if (vm_.all_vcpus_matched_tsc || vm_.nr_vcpus_matched_freq >= online) vm_.all_vcpus_matched_freq = true;
  const bool could = vm_.all_vcpus_matched_freq && host.tsc_clocksource() && !vetoed();
  if ((vm_.use_master_clock && TSCSIM_MUTATE(v6_matching_renews_nothing, update, false)) ||
      vm_.use_master_clock != could) {
    vcpu.requests |= kMasterClockUpdate;
    follow(Rule::requests_master_clock);
  }
  trace(ops::TraceKind::track_tsc, index_of(vcpu),
        {Num(static_cast<std::uint64_t>(vm_.nr_vcpus_matched_tsc)), Num(vcpus_.size()),
         Num(vm_.use_master_clock ? 1 : 0), clock_mode(host)});
}

template <class Num, class HostType>
void Machine<Num, HostType>::host_write_tsc(int vcpu, Num value, HostType& host) {
  synchronize(at(vcpu), value, false, host);
}

template <class Num, class HostType>
void Machine<Num, HostType>::guest_write_tsc(int vcpu, Num value, HostType& host) {
  Vcpu<Num>& v = at(vcpu);
  if (TSCSIM_MUTATE(guest_write_synchronises, config_.era.guest_writes == ops::GuestWrites::join, true)) {
    const Num before = v.l1_tsc_offset;
    synchronize(v, value, true, host);
    v.ia32_tsc_adjust = v.ia32_tsc_adjust + (v.l1_tsc_offset - before);
    return;
  }
  const Num moved = value - scale(host.tsc(), v.l1_tsc_scaling_ratio) - v.l1_tsc_offset;
  set_l1_offset(v, v.l1_tsc_offset + moved);
  v.ia32_tsc_adjust = v.ia32_tsc_adjust + TSCSIM_MUTATE(guest_write_leaves_adjust, moved, Num(0));
  follow(Rule::guest_write_moves_offset);
}

template <class Num, class HostType>
void Machine<Num, HostType>::host_write_tsc_adjust(int vcpu, Num value) {
  Vcpu<Num>& v = at(vcpu);
  if (TSCSIM_MUTATE(host_adjust_moves_offset, false, true))
    set_l1_offset(v, v.l1_tsc_offset + (value - v.ia32_tsc_adjust));
  v.ia32_tsc_adjust = value;
  follow(Rule::adjust_by_host);
}

template <class Num, class HostType>
void Machine<Num, HostType>::guest_write_tsc_adjust(int vcpu, Num value) {
  Vcpu<Num>& v = at(vcpu);
  set_l1_offset(v, v.l1_tsc_offset + TSCSIM_MUTATE(guest_adjust_adds, value - v.ia32_tsc_adjust, value));
  v.ia32_tsc_adjust = value;
  if (TSCSIM_MUTATE(guest_adjust_leaves_page, config_.era.guest_adjust_requests_update, false))
    v.requests |= kClockUpdate;
  follow(Rule::adjust_by_guest);
}

// Kernel: Linux v6.12 x86.c kvm_arch_tsc_set_attr().
template <class Num, class HostType>
void Machine<Num, HostType>::set_tsc_offset(int vcpu, Num offset, HostType& host) {
  Vcpu<Num>& v = at(vcpu);
  const bool same_rate = v.virtual_tsc_khz != 0 && rate_to_match() == v.virtual_tsc_khz;
  const bool by_generation =
      TSCSIM_MUTATE(v6_offset_matches_last, config_.era.tsc_matching == TscMatching::rates_and_offsets, false);
  const bool matched = TSCSIM_MUTATE(offset_attribute_never_matches, same_rate, false) &&
                       (by_generation ? vm_.cur_tsc_offset : vm_.last_tsc_offset) == offset;
  const auto [ns, host_tsc] = write_readings(host);
  const Num tsc = scale(host_tsc, v.l1_tsc_scaling_ratio) + offset;
  follow(matched ? Rule::joins_same_offset : Rule::starts_generation);
  record(v, offset, tsc, ns, matched, true, host);
}

}  // namespace tscsim::model

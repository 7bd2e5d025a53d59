// kvmclock: the guest's page, KVM_GET_CLOCK and KVM_SET_CLOCK, the wall clock structure.
// Kernel: Linux v7.2 arch/x86/kvm/x86.c kvm_guest_time_update(), kvm_setup_guest_pvclock(), get_kvmclock(),
// kvm_vm_ioctl_set_clock(), kvm_get_wall_clock_epoch(), kvm_write_wall_clock(); docs/spec/kvm-timekeeping.md 6 and 7.
#pragma once

#include <algorithm>
#include <cerrno>

#include "model/kvm/machine.h"
#include "model/mutation.h"

namespace tscsim::model {

template <class Num, class HostType>
void Machine<Num, HostType>::set_memory(const GuestMemory<Num>& memory) {
  memory_ = memory;
  if (TSCSIM_MUTATE(transfer_forgets_pages, false, true)) memory_.pages.clear();
}

inline constexpr std::uint8_t kCountsFromZero = 4;  // flag of a page, 4.1 to 4.3

template <class Num, class HostType>
void Machine<Num, HostType>::guest_time_update(int vcpu, HostType& host) {
  Vcpu<Num>& v = at(vcpu);
  const bool use_master = vm_.use_master_clock;
  const bool read_now = !use_master || TSCSIM_MUTATE(catchup_at_snapshot, config_.era.catchup_compares_now, false);
  const Num tsc_now = read_now ? host.tsc() : vm_.master_cycle_now;
  const Num ns_now = read_now ? host.base_ns() : vm_.master_kernel_ns;
  follow(use_master ? Rule::page_from_master_pair : Rule::page_from_readings);
  Num tsc_timestamp = TSCSIM_MUTATE(page_holds_host_tsc, guest_tsc(v, tsc_now), tsc_now);
  if (TSCSIM_MUTATE(catchup_never, v.tsc_catchup, false)) tsc_timestamp = caught_up(v, tsc_timestamp, ns_now);
  if (use_master && read_now) tsc_timestamp = guest_tsc(v, vm_.master_cycle_now);
  const Num kernel_ns = use_master ? vm_.master_kernel_ns : ns_now;
  if (config_.era.page_needs_be_active && !v.page_active()) return;

  set_page_rate(v);
  v.last_guest_tsc = tsc_timestamp;

  PvclockPage<Num> fresh;
  fresh.tsc_timestamp = tsc_timestamp;
  fresh.system_time = kernel_ns + TSCSIM_MUTATE(page_without_offset, vm_.kvmclock_offset, Num(0));
  fresh.scale = v.pvclock_scale;
  fresh.flags = TSCSIM_MUTATE(stable_flag_not_cleared, guests_may_trust_pages(), true) ? ops::pvclock_flag::kTscStable
                                                                                       : std::uint8_t{0};
  if (config_.era.clock_start == ClockStart::guest_enables) fresh.flags |= kCountsFromZero;
  if (fills_hyperv_page(vcpu)) update_hyperv_page(fresh);
  if (!v.page_active()) return;
  if (v.guest_stopped_request) {
    fresh.flags |= ops::pvclock_flag::kGuestStopped;
    v.guest_stopped_request = TSCSIM_MUTATE(guest_stopped_sticks, false, true);
  }
  publish(v, fresh);
}

// The guest's TSC that was `tsc` at `ns`, moved forward to where it ought to be, counted from the start of its generation.
// Kernel: Linux v7.2 x86.c compute_guest_tsc().
template <class Num, class HostType>
Num Machine<Num, HostType>::caught_up(Vcpu<Num>& vcpu, const Num& tsc, const Num& ns) {
  // The difference is unsigned (K35). d9173f59df3a makes it signed in 7.4, where nothing asks for an instant before the
  // generation any more.
  const Num wanted = vcpu.this_tsc_write + scale(ns - vcpu.this_tsc_nsec, vcpu.virtual_scale);
  if (!(tsc < wanted)) return tsc;
  set_l1_offset(vcpu, vcpu.l1_tsc_offset + (wanted - tsc));
  return wanted;
}

template <class Num, class HostType>
void Machine<Num, HostType>::set_page_rate(Vcpu<Num>& vcpu) const {
  if (TSCSIM_MUTATE(page_rate_always_effective, config_.era.page_rate, PageRate::effective) ==
      PageRate::requested_once) {
    const std::uint64_t host_hz = std::uint64_t{config_.host_khz} * 1000;
    if (vcpu.hw_tsc_hz == host_hz) return;
    const bool scales = TSCSIM_MUTATE(page_rate_ignores_scaling, config_.tsc_scaling, false);
    vcpu.pvclock_scale = scales_.to_ns(std::uint64_t{scales ? vcpu.virtual_tsc_khz : config_.host_khz} * 1000);
    vcpu.hw_tsc_hz = host_hz;
    return;
  }
  const std::uint64_t hz = effective_rate_hz(vcpu.l1_tsc_scaling_ratio);
  if (vcpu.hw_tsc_hz == hz || hz == 0) return;  // 0: real kernels before 6.16 hang here (K29)
  vcpu.pvclock_scale = scales_.to_ns(hz);
  vcpu.hw_tsc_hz = hz;
}

// The host's rate, scaled: in whole kHz, each time rounded down; in Hz as proposed in v6.
template <class Num, class HostType>
std::uint64_t Machine<Num, HostType>::effective_rate_hz(TscRatio ratio) const {
  const std::uint64_t unit_hz =
      TSCSIM_MUTATE(v6_page_rate_in_khz, config_.era.page_rate == PageRate::effective_hz, false) ? 1 : 1000;
  std::uint64_t rate = config_.host_khz * (1000 / unit_hz);
  if (TSCSIM_MUTATE(page_rate_ignores_scaling, config_.tsc_scaling, false)) {
    rate = scale_tsc(rate, ratio);
    if (rate == 0 && config_.era.page_rate_at_least_1khz) rate = 1;
  }
  return rate * unit_hz;
}

// The page's STABLE flag: a guest may compare what different vCPUs read.
template <class Num, class HostType>
bool Machine<Num, HostType>::guests_may_trust_pages() const {
  if (config_.era.tsc_matching == TscMatching::joiners_counted) return vm_.use_master_clock;
  return vm_.use_master_clock && TSCSIM_MUTATE(v6_stable_without_equal_tscs, vm_.all_vcpus_matched_tsc, true);
}

// The version protocol; the guest's own GUEST_STOPPED bit survives in all kernels (docs/spec/kvm-timekeeping.md 6.2).
template <class Num, class HostType>
void Machine<Num, HostType>::publish(Vcpu<Num>& vcpu, const PvclockPage<Num>& fresh) {
  PvclockPage<Num>& page = page_at(vcpu.page_address());
  const std::uint32_t before = page.version;
  std::uint32_t version = 0;
  switch (config_.era.publication) {
    case PagePublication::single_write:
    case PagePublication::odd_stays_odd:
      version = before + 2;
      break;
    case PagePublication::odd_repaired:
      version = before + (before & 1) + 2;
      break;
    case PagePublication::keeps_guest_stopped:
      version = ((before + 1) | 1) + 1;
      break;
  }
  // Member by member: copied as a whole, the page would wait for the narrower stores that made it.
  page.version = version - TSCSIM_MUTATE(page_version_plus_one, 0u, 1u);
  const std::uint8_t kept = TSCSIM_MUTATE(page_loses_guest_stopped, ops::pvclock_flag::kGuestStopped, std::uint8_t{0});
  page.flags = static_cast<std::uint8_t>(fresh.flags | (page.flags & kept));
  page.tsc_timestamp = fresh.tsc_timestamp;
  page.system_time = fresh.system_time;
  page.scale.mul = fresh.scale.mul;
  page.scale.shift = fresh.scale.shift;
  trace_page(vcpu, page);
}

// Since the page is published through its mapping (5.18/5.19, 916d3608df82) the event follows the second step of the
// version; before, it stood between the two and printed the odd one.
template <class Num, class HostType>
void Machine<Num, HostType>::trace_page(const Vcpu<Num>& vcpu, const PvclockPage<Num>& page) {
  const bool at_the_end = config_.era.publication == PagePublication::keeps_guest_stopped ||
                          config_.era.publication == PagePublication::single_write;
  trace(ops::TraceKind::pvclock_update, index_of(vcpu),
        {Num(page.version - (at_the_end ? 0u : 1u)), page.tsc_timestamp, page.system_time, Num(page.scale.mul),
         Num(static_cast<std::uint64_t>(std::int64_t{page.scale.shift})), Num(page.flags)});
}

// Seen on one host (docs/observed.md): a page that claims TSC_STABLE loses the flag, by the version protocol.
template <class Num, class HostType>
void Machine<Num, HostType>::clear_stable(PvclockPage<Num>& page) {
  if ((page.flags & ops::pvclock_flag::kTscStable) == 0) return;
  page.version = ((page.version + 1) | 1) + 1;
  page.flags &= static_cast<std::uint8_t>(~ops::pvclock_flag::kTscStable);
}

template <class Num, class HostType>
void Machine<Num, HostType>::write_system_time(int vcpu, std::uint64_t value, bool old_msr, bool by_host,
                                               HostType& host) {
  Vcpu<Num>& v = at(vcpu);
  if (vcpu == 0 && !by_host) {
    if (config_.era.clock_start == ClockStart::guest_enables) vm_.kvmclock_offset = Num(0) - host.base_ns();
    const bool runs_old = TSCSIM_MUTATE(old_msr_no_veto, old_msr, false);
    if (vm_.boot_vcpu_runs_old_kvmclock != runs_old) v.requests |= kMasterClockUpdate;
    vm_.boot_vcpu_runs_old_kvmclock = runs_old;
  }
  v.system_time_msr = value;
  v.requests |= kGlobalClockUpdate;
  if (vcpu == 0 && by_host && config_.enabling_clears_stable && v.page_active())
    clear_stable(page_at(v.page_address()));
}

// kvmclock at host TSC `host_tsc` by the master pair, with the host's rate (definition C of
// docs/spec/kvm-timekeeping.md 6.4); from 7.4 on with the guest's, as the page has it, taken from the vCPU whose TSC
// was written last.
template <class Num, class HostType>
Num Machine<Num, HostType>::master_clock_at(const Num& host_tsc) const {
  const TscRatio ratio = vm_.last_tsc_scaling_ratio;
  const bool scales = TSCSIM_MUTATE(get_clock_never_scales, config_.era.get_clock_scales, false) &&
                      config_.tsc_scaling && ratio.value != 0;
  const Num cycles =
      scales ? scale(host_tsc, ratio) - scale(vm_.master_cycle_now, ratio) : host_tsc - vm_.master_cycle_now;
  const std::uint64_t hz = scales ? effective_rate_hz(ratio) : std::uint64_t{config_.host_khz} * 1000;
  const Num since = hz == 0 ? Num(0) : scale(cycles, scales_.to_ns(hz));  // 0: nor does the page have a rate
  return vm_.master_kernel_ns + TSCSIM_MUTATE(get_clock_without_offset, vm_.kvmclock_offset, Num(0)) + since;
}

template <class Num, class HostType>
typename Machine<Num, HostType>::Clock Machine<Num, HostType>::read_clock(HostType& host) {
  Clock result;
  std::optional<ClockPair<Num>> pair;
  if (vm_.use_master_clock && config_.era.clock_flags_accepted) pair = host.realtime_pair();
  const bool falls_back = TSCSIM_MUTATE(get_clock_never_falls_back, config_.era.get_clock_falls_back, false) && !pair;
  if (!vm_.use_master_clock || !config_.era.get_clock_tells_stable || falls_back) {
    result.clock = host.base_ns() + vm_.kvmclock_offset;
    follow(Rule::clock_from_base);
    return result;
  }
  if (pair) {
    result.realtime = pair->ns;
    result.host_tsc = pair->tsc;
    result.flags = ops::clock_flag::kRealtime | ops::clock_flag::kHostTsc;
  }
  const Num host_tsc = pair ? pair->tsc : host.tsc();
  if (config_.era.clock_flags_accepted) result.host_tsc = host_tsc;
  result.flags |= TSCSIM_MUTATE(get_clock_never_stable, ops::clock_flag::kTscStable, 0u);
  result.clock = master_clock_at(host_tsc);
  follow(Rule::clock_from_master_pair);
  return result;
}

template <class Num, class HostType>
bool Machine<Num, HostType>::clock_is_stable(const HostType& host) const {
  const bool falls_back = config_.era.get_clock_falls_back && !host.tsc_clocksource();
  return clock_counts_tsc() && !falls_back;
}

template <class Num, class HostType>
Num Machine<Num, HostType>::kvmclock_now(HostType& host) {
  if (clock_counts_tsc()) return master_clock_at(host.tsc());
  return host.base_ns() + vm_.kvmclock_offset;
}

template <class Num, class HostType>
typename Machine<Num, HostType>::Outcome Machine<Num, HostType>::get_clock(HostType& host) {
  const Clock clock = read_clock(host);
  Outcome out;
  out.add(ops::Field::clock, clock.clock);
  out.add(ops::Field::flags, Num(clock.flags));
  out.add(ops::Field::realtime, clock.realtime);
  out.add(ops::Field::host_tsc, clock.host_tsc);
  return out;
}

template <class Num, class HostType>
typename Machine<Num, HostType>::Outcome Machine<Num, HostType>::set_clock(const ops::Operation& op, HostType& host) {
  constexpr std::uint32_t kKnown = ops::clock_flag::kTscStable | ops::clock_flag::kRealtime | ops::clock_flag::kHostTsc;
  const std::uint32_t valid = config_.era.clock_flags_accepted ? kKnown : 0;
  if ((op.flags & ~valid & TSCSIM_MUTATE(set_clock_takes_any_flag, ~0u, 0u)) != 0) return refuse(EINVAL);

  const auto difference = [&] { vm_.kvmclock_offset = vm_.kvmclock_offset + (Num(op.value) - kvmclock_now(host)); };
  Num clock(op.value);
  switch (config_.era.set_clock) {
    case SetClock::no_renewal:
    case SetClock::renews_afterwards:
      vm_.kvmclock_offset = clock - host.base_ns();
      if (config_.era.set_clock == SetClock::renews_afterwards) update_master_clock(host);
      return {};
    case SetClock::difference_then_renew:
      difference();
      update_master_clock(host);
      return {};
    case SetClock::renew_then_difference:
      update_master_clock(host);
      difference();
      return {};
    case SetClock::anchored_at_master_pair:
      break;
  }
  request_hyperv_page();
  if (TSCSIM_MUTATE(set_clock_keeps_old_pair, true, !vm_.use_master_clock)) renew_master_pair(host);
  if (TSCSIM_MUTATE(set_clock_renews_twice, false, true)) renew_master_pair(host);
  if ((op.flags & TSCSIM_MUTATE(set_clock_ignores_realtime, ops::clock_flag::kRealtime, 0u)) != 0) {
    const Num now = host.realtime_ns();
    if (TSCSIM_MUTATE(set_clock_goes_backwards, Num(op.realtime) < now, true)) {
      clock = clock + TSCSIM_MUTATE(set_clock_subtracts_realtime, now - Num(op.realtime), Num(op.realtime) - now);
      follow(Rule::clock_advanced_by_realtime);
    }
  }
  vm_.kvmclock_offset = clock - (vm_.use_master_clock ? vm_.master_kernel_ns : host.base_ns());
  request_everywhere(TSCSIM_MUTATE(set_clock_updates_no_page, kClockUpdate, kNoRequest));
  return {};
}

template <class Num, class HostType>
Num Machine<Num, HostType>::wall_clock_epoch(HostType& host) {
  switch (config_.era.wall_clock) {
    case WallClock::from_boot_time: {
      const Num realtime = host.realtime_ns();
      return realtime - host.base_ns() - vm_.kvmclock_offset;
    }
    case WallClock::two_readings: {
      const Num realtime = host.realtime_ns();
      return realtime - kvmclock_now(host);
    }
    case WallClock::one_pair:
      break;
  }
  if (vm_.use_master_clock) {
    if (const auto pair = host.realtime_pair()) return pair->ns - master_clock_at(pair->tsc);
  }
  const Num realtime = host.realtime_ns();
  const Num clock = kvmclock_now(host);
  return TSCSIM_MUTATE(wall_clock_adds_kvmclock, realtime - clock, realtime + clock);
}

template <class Num, class HostType>
void Machine<Num, HostType>::write_wall_clock(Vcpu<Num>& vcpu, std::uint64_t address, HostType& host) {
  constexpr std::uint64_t kSecond_ns = 1'000'000'000;
  vm_.wall_clock_msr = address;  // one for the VM
  vcpu.wall_clock_address = address;
  if (address == 0) return;
  const Num epoch = wall_clock_epoch(host);
  const Num seconds = map_monotone(epoch, [](std::uint64_t ns) { return ns / kSecond_ns; });
  WallClockPage<Num>& page = wall_clock_at(address);
  page.version += (page.version & 1) + TSCSIM_MUTATE(wall_clock_version_odd, 2u, 1u);
  const Num whole_ns = witness::times(seconds, static_cast<std::int64_t>(kSecond_ns));
  page.nsec = epoch - TSCSIM_MUTATE(wall_clock_nsec_not_reduced, whole_ns, Num(0));
  page.sec = map_monotone(
      seconds, [](std::uint64_t s) { return s & 0xffff'ffff; }, 0xffff'ffff);
}

}  // namespace tscsim::model

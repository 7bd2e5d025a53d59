#include "model/kvm/era.h"

#include <array>
#include <charconv>

namespace tscsim::model {
namespace {

struct SyncEra {
  int major, minor;
  std::string_view name;
  std::string_view heuristic;
};

// First version of each era of the TSC write, newest first. Spec section 3.5.
constexpr std::array kSyncEras = {
    SyncEra{6, 15, "6.15", "window-after-user-write"}, SyncEra{6, 8, "6.8", "window-after-user-write"},
    SyncEra{5, 16, "5.16", "window"},                  SyncEra{5, 10, "5.10", "window"},
    SyncEra{4, 12, "4.12", "window"},                  SyncEra{3, 17, "3.19", "window-us"},
    SyncEra{3, 8, "3.9", "window-us"},                 SyncEra{3, 4, "3.6", "window-us"},
};

GlobalUpdate global_update_for(KernelVersion v) {
  if (v.at_least(6, 19)) return GlobalUpdate::immediate;
  if (v.at_least(3, 15)) return GlobalUpdate::delayed;
  return v.at_least(3, 11) ? GlobalUpdate::immediate : GlobalUpdate::own_vcpu_only;
}

MasterClockRequest request_for(KernelVersion v) {
  if (v.at_least(6, 8)) return MasterClockRequest::new_generation_or_differs;
  return v.at_least(3, 19) ? MasterClockRequest::whenever_matched_or_in_use : MasterClockRequest::when_state_differs;
}

SetClock set_clock_for(KernelVersion v) {
  if (v.at_least(5, 12)) return SetClock::anchored_at_master_pair;
  if (v.at_least(4, 13)) return SetClock::renew_then_difference;
  if (v.at_least(4, 9)) return SetClock::difference_then_renew;
  return v.at_least(3, 15) ? SetClock::renews_afterwards : SetClock::no_renewal;
}

PagePublication publication_for(KernelVersion v) {
  if (v.at_least(5, 19)) return PagePublication::keeps_guest_stopped;
  if (v.at_least(4, 15)) return PagePublication::odd_repaired;
  return v.at_least(4, 2) ? PagePublication::odd_stays_odd : PagePublication::single_write;
}

WallClock wall_clock_for(KernelVersion v) {
  if (v.at_least(6, 8)) return WallClock::one_pair;
  return v.at_least(5, 5) ? WallClock::two_readings : WallClock::from_boot_time;
}

// d9130a2dfdd4 is in 5.15 and was taken into the 5.10 stable series.
bool guest_adjust_updates(KernelVersion v) {
  const bool stable_5_10 = v.major == 5 && v.minor == 10 && v.patch != 0;
  return v.at_least(5, 15) || stable_5_10;
}

constexpr std::array kKernels = {
    KnownKernel{"3.4", "generations; window of one second in microseconds; every write goes through the heuristic"},
    KnownKernel{"3.8", "the master clock; vCPUs that match are counted"},
    KnownKernel{"3.16", "a TSC that went backwards while a CPU was down vetoes the master clock for good"},
    KnownKernel{"3.17", "a vCPU that joins a generation again is not counted again"},
    KnownKernel{"3.19", "any match while the TSC clocksource is in use requests a master clock update"},
    KnownKernel{"4.9", "KVM_GET_CLOCK follows the master clock and says KVM_CLOCK_TSC_STABLE"},
    KnownKernel{"4.12", "window in cycles; a host write of 0 always joins"},
    KnownKernel{"4.13", "KVM_SET_CLOCK renews the master pair before it computes the difference"},
    KnownKernel{"5.6", "kvmclock counts CLOCK_MONOTONIC_RAW"},
    KnownKernel{"5.8", "KVM_SET_TSC_KHZ works again on hardware without TSC scaling"},
    KnownKernel{"5.10", "guest writes of IA32_TSC move the offset and TSC_ADJUST; they no longer synchronise"},
    KnownKernel{"5.12", "KVM_SET_CLOCK is exact at the master pair"},
    KnownKernel{"5.14", "a host suspend tells the guests, by GUEST_STOPPED"},
    KnownKernel{"5.15", "a guest write of TSC_ADJUST refreshes its kvmclock page"},
    KnownKernel{"5.16", "the TSC offset attribute; KVM_CLOCK_REALTIME and KVM_CLOCK_HOST_TSC"},
    KnownKernel{"5.18", "KVM_SET_TSC_KHZ on the VM"},
    KnownKernel{"6.1", "Debian 12; same timekeeping as 5.18, page publication of 5.19"},
    KnownKernel{"6.8", "values are compared only after user space has set a TSC; fewer master clock renewals"},
    KnownKernel{"6.12", "Debian 13; same timekeeping as 6.8"},
    KnownKernel{"6.15", "protected guest TSCs; GUEST_STOPPED no longer leaks into Xen pages"},
    KnownKernel{"6.16", "the page's rate is at least 1 kHz"},
    KnownKernel{"6.17", "KVM_SET_TSC_KHZ on the VM is refused once a vCPU exists"},
    KnownKernel{"6.19", "kvmclock updates reach all vCPUs at once, no delayed or periodic work"},
    KnownKernel{"7.1", "global updates on load are limited to ten a second"},
    KnownKernel{"7.3", "setting Xen shared info no longer renews the master clock"},
};

}  // namespace

std::optional<KernelVersion> KernelVersion::parse(std::string_view release) {
  KernelVersion version;
  version.minor = -1;
  const char* at = release.data();
  const char* const end = at + release.size();
  for (int* part : {&version.major, &version.minor, &version.patch}) {
    int number = 0;
    const auto [next, error] = std::from_chars(at, end, number);
    if (error != std::errc{} || number < 0) break;
    *part = number;
    if (part == &version.minor && (next == end || *next != '.')) return version;
    // Distributions name their ABI so: "5.10.0-46-amd64" is not 5.10.0.
    if (part == &version.patch && number == 0 && next != end && *next == '-') version.patch = -1;
    if (next == end || *next != '.') break;
    at = next + 1;
  }
  if (version.major == 0 || version.minor < 0) return std::nullopt;
  return version;
}

Era era_for(KernelVersion v) {
  Era era;
  for (const SyncEra& candidate : kSyncEras) {
    era.sync_era = candidate.name;
    era.heuristic = candidate.heuristic;
    if (v.at_least(candidate.major, candidate.minor)) break;
  }
  era.counts_every_match = !v.at_least(3, 17);
  era.narrow_generations = !v.at_least(3, 17);
  era.has_generation_count = v.at_least(3, 8);
  if (!v.at_least(5, 10)) era.guest_writes = ops::GuestWrites::join;
  if (!v.at_least(4, 12)) era.unstable_join = ops::UnstableJoin::adds_thousandth;
  era.offset_attribute = v.at_least(5, 16);
  era.guest_adjust_requests_update = guest_adjust_updates(v);
  era.vm_tsc_khz = v.at_least(5, 18);
  era.vm_tsc_khz_refused_after_vcpu = v.at_least(6, 17);
  era.khz_always_refused_without_scaling = !v.at_least(5, 8);
  era.page_rate_at_least_1khz = v.at_least(6, 16);
  era.clock_flags_accepted = v.at_least(5, 16);
  era.get_clock_tells_stable = v.at_least(4, 9);
  era.backwards_tsc_vetoes_master_clock = v.at_least(3, 16);
  era.suspend_sets_guest_stopped = v.at_least(5, 14);
  era.load_update_rate_limited = v.at_least(7, 1);
  era.master_clock_request = request_for(v);
  era.global_update = global_update_for(v);
  era.set_clock = set_clock_for(v);
  era.wall_clock = wall_clock_for(v);
  era.publication = publication_for(v);
  return era;
}

std::span<const KnownKernel> known_kernels() { return kKernels; }

}  // namespace tscsim::model

#include "model/kvm/era.h"

#include <array>
#include <charconv>

#include "ops/kernel_release.h"

namespace tscsim::model {
namespace {

struct SyncEra {
  int major, minor;
  std::string_view name;
  std::string_view heuristic;
};

// First version of each era of the TSC write, newest first. docs/spec/kvm-timekeeping.md 3.5.
constexpr std::array kSyncEras = {
    SyncEra{6, 15, "6.15", "window-after-user-write"},
    SyncEra{6, 8, "6.8", "window-after-user-write"},
    SyncEra{5, 16, "5.16", "window"},
    SyncEra{5, 10, "5.10", "window"},
    SyncEra{4, 12, "4.12", "window"},
    SyncEra{3, 17, "3.19", "window-us"},
    SyncEra{3, 8, "3.9", "window-us"},
    SyncEra{3, 4, "3.6", "window-us"},
    SyncEra{2, 6, "3.3", "window-from-first-write"},
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

HypervPageUpdate hyperv_page_for(KernelVersion v) {
  if (v.at_least(5, 18)) return HypervPageUpdate::when_pending;
  if (v.at_least(5, 13)) return HypervPageUpdate::invalidated;
  return v.at_least(4, 10) ? HypervPageUpdate::every_update : HypervPageUpdate::never_filled;
}

WallClock wall_clock_for(KernelVersion v) {
  if (v.at_least(6, 8)) return WallClock::one_pair;
  return v.at_least(5, 5) ? WallClock::two_readings : WallClock::from_boot_time;
}

// What was taken into the 5.10 stable series: d9130a2dfdd4, 6cd88243c7e0 (both seen in 5.10.262).
bool is_stable_5_10(KernelVersion v) { return v.major == 5 && v.minor == 10 && v.patch != 0; }

BaseClock base_clock_for(KernelVersion v) {
  if (v.at_least(5, 6)) return BaseClock::raw;
  return v.at_least(5, 5) ? BaseClock::mixed : BaseClock::boottime;
}

ClockStart clock_start_for(KernelVersion v) {
  if (v.at_least(4, 9)) return ClockStart::vm_creation;
  return v.at_least(4, 1) && !v.at_least(4, 4) ? ClockStart::guest_enables : ClockStart::host_boot;
}

void queued(KernelVersion v, Era& era) {
  if (!v.at_least(7, 4)) return;
  era.get_clock_scales = true;
  era.get_clock_falls_back = true;
  era.catchup_compares_now = true;
}

constexpr std::array kProposals = {
    KnownProposal{Proposal::precise_tsc_v1, "precise-tsc-v1", 5, 10, "5.10+precise-tsc-v1",
                  "KVM_GET_TSC_STATE and KVM_SET_TSC_STATE; a negative wall clock difference counts as none",
                  "RFC v1, Maxim Levitsky, 30 November 2020"},
    KnownProposal{Proposal::precise_tsc_v2, "precise-tsc-v2", 5, 10, "5.10+precise-tsc-v2",
                  "the same, with signed differences and a flag for the timestamp; the quirk TSC_HOST_ACCESS",
                  "RFC v2, Maxim Levitsky, 3 December 2020"},
    KnownProposal{
        Proposal::clock_v6, "clock-v6", 7, 4, "7.4+clock-v6",
        "rates and offsets matched separately, the window anchored at the generation, the guest's clock as an "
        "interface, rates in Hz",
        "Cleaning up the KVM clock mess, v6, David Woodhouse and Jack Allister, 3 July 2026"},
};

void apply_clock_v6(Era& era) {
  era.heuristic = "window-from-generation";
  era.tsc_matching = TscMatching::rates_and_offsets;
  era.joined_write = ops::JoinedWrite::on_the_line;
  era.guest_clock = true;
  era.tsc_scale_attribute = true;
  era.page_rate = PageRate::effective_hz;
  era.khz_resynchronises = true;
  era.one_renewal_per_round = true;
  era.creation_renews_master_clock = true;
  era.paired_write_readings = true;
}

void apply(Proposal proposal, Era& era) {
  switch (proposal) {
    case Proposal::none:
      break;
    case Proposal::precise_tsc_v1:
      era.precise_tsc = PreciseTsc::v1;
      break;
    case Proposal::precise_tsc_v2:
      era.precise_tsc = PreciseTsc::v2;
      break;
    case Proposal::clock_v6:
      apply_clock_v6(era);
      break;
  }
}

}  // namespace

std::optional<KernelVersion> KernelVersion::parse_modelled(std::string_view release) {
  const std::optional<ops::KernelRelease> written = ops::kernel_release(release);
  if (!written) return std::nullopt;
  KernelVersion version{written->major, written->minor, written->patch};
  if (written->proposal.empty()) return version;
  for (const KnownProposal& known : kProposals) {
    if (known.name != written->proposal || !version.at_least(known.major, known.minor)) continue;
    version.proposal = known.proposal;
    return version;
  }
  return std::nullopt;
}

std::span<const KnownProposal> known_proposals() { return kProposals; }

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
  if (!v.at_least(3, 4)) era.unstable_join = ops::UnstableJoin::adds_elapsed;
  era.offset_attribute = v.at_least(5, 16);
  era.window_stays_at_first_write = !v.at_least(3, 4);
  era.compares_rates = v.at_least(3, 4);
  era.guest_adjust_requests_update = v.at_least(5, 15) || is_stable_5_10(v);
  era.vm_tsc_khz = v.at_least(5, 18);
  era.vm_tsc_khz_refused_after_vcpu = v.at_least(6, 17);
  era.khz_always_refused_without_scaling = !v.at_least(5, 8);
  era.rate_tolerance = v.at_least(3, 4);
  era.refused_rate_reported = v.at_least(4, 4) || !v.at_least(3, 4);
  era.vmx_tsc_scaling = v.at_least(4, 4);
  era.page_needs_be_active = !v.at_least(4, 9);
  era.old_msr_vetoes_master_clock = v.at_least(4, 0);
  era.page_rate_at_least_1khz = v.at_least(6, 16);
  era.clock_flags_accepted = v.at_least(5, 16);
  era.get_clock_tells_stable = v.at_least(4, 9);
  era.backwards_tsc_vetoes_master_clock = v.at_least(3, 16);
  era.suspend_sets_guest_stopped = v.at_least(5, 14);
  era.load_update_rate_limited = v.at_least(7, 1);
  era.timers_round_up = v.at_least(4, 8);
  era.base_clock = base_clock_for(v);
  era.clock_start = clock_start_for(v);
  era.page_rate = v.at_least(4, 9) ? PageRate::effective : PageRate::requested_once;
  queued(v, era);
  era.hyperv_msrs_need_cpuid = v.at_least(5, 12);
  era.steal_counted_at_load = !v.at_least(4, 4);
  era.every_unload_preempts = !v.at_least(5, 19) && !is_stable_5_10(v);
  era.nested_scaling = v.at_least(5, 14);
  era.host_reads_l1_tsc = v.at_least(5, 9);
  era.hyperv_page = hyperv_page_for(v);
  era.master_clock_request = request_for(v);
  era.global_update = global_update_for(v);
  era.set_clock = set_clock_for(v);
  era.wall_clock = wall_clock_for(v);
  era.publication = publication_for(v);
  apply(v.proposal, era);
  return era;
}

bool has_era(KernelVersion version) { return version.at_least_2_6(37); }

}  // namespace tscsim::model

// What changed in KVM's timekeeping over the years, as named behaviours. A kernel version selects a value for each;
// the machine asks for behaviours and never compares versions. Spec: docs/spec/kvm-timekeeping.md 3.5, 5, 6, 7.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "ops/heuristic.h"

namespace tscsim::model {

// Series that were posted and never merged, on top of a kernel. docs/spec/kvm-timekeeping.md 9.
enum class Proposal : std::uint8_t {
  none,
  precise_tsc_v1,  // Maxim Levitsky, 30 November 2020
  precise_tsc_v2,  // 3 December 2020
  clock_v6,        // "Cleaning up the KVM clock mess", David Woodhouse, 3 July 2026
};

struct KernelVersion {
  int major = 0;
  int minor = 0;
  int patch = -1;  // -1: not said, meaning the last of its stable series

  Proposal proposal = Proposal::none;

  // "6.12", "6.1.176-1", "6.18.44-fc": leading numbers; nullopt when there are not at least two.
  static std::optional<KernelVersion> parse(std::string_view release);
  // Up to 2.6.39 a version had three numbers, of which the first two stayed.
  bool at_least_2_6(int other_patch) const {
    return at_least(3, 0) || (major == 2 && minor == 6 && patch >= other_patch);
  }
  // A word that a person wrote, read strictly (ops/kernel_release.h); nullopt also for a proposal that is not known or that
  // was not made for this kernel. For modelled kernels: a real one that calls itself so need not be it.
  static std::optional<KernelVersion> parse_modelled(std::string_view release);
  bool at_least(int other_major, int other_minor) const {
    return major > other_major || (major == other_major && minor >= other_minor);
  }
};

enum class MasterClockRequest : std::uint8_t {
  when_state_differs,          // 3.8 to 3.18
  whenever_matched_or_in_use,  // 3.19 to 6.7, 7f187922ddf6
  new_generation_or_differs,   // 6.8, c52ffadc65e2
};

// Who gets a clock update when a vCPU is loaded on another CPU, or writes its system time MSR.
enum class GlobalUpdate : std::uint8_t {
  own_vcpu_only,  // to 3.10
  immediate,      // 3.11 to 3.14, and again since 6.19 (43ddbf16edf5)
  delayed,        // 3.15 to 6.18: others after 100 ms (7e44e4495a39), and all every 300 s
};

enum class SetClock : std::uint8_t {
  no_renewal,               // to 3.11
  renews_afterwards,        // by 3.15, to 4.8
  difference_then_renew,    // 4.9 to 4.12
  renew_then_difference,    // 4.13 to 5.11, 0bc48bea36d1
  anchored_at_master_pair,  // 5.12, 77fcbe823f00
};

enum class WallClock : std::uint8_t {
  from_boot_time,  // to 5.4
  two_readings,    // 5.6 to 6.7
  one_pair,        // 6.8, 5d6d6a7d7e66
};

// What the master clock asks of the vCPUs' TSCs.
enum class TscMatching : std::uint8_t {
  joiners_counted,    // as many vCPUs joined the generation as there are
  rates_and_offsets,  // proposed v6: equal rates are enough; the page's STABLE flag asks for equal offsets, too
};

// KVM_GET_TSC_STATE, KVM_SET_TSC_STATE and the quirk TSC_HOST_ACCESS.
enum class PreciseTsc : std::uint8_t { none, v1, v2 };

enum class PagePublication : std::uint8_t {
  single_write,         // to 4.0: one write, version + 2
  odd_stays_odd,        // 4.2 to 4.12
  odd_repaired,         // 4.15 to 5.17
  keeps_guest_stopped,  // 5.18/5.19: version = (v + 1) | 1, then + 1
};

// Which clock kvmclock counts (docs/spec/kvm-timekeeping.md 5.2).
enum class BaseClock : std::uint8_t {
  boottime,  // to 5.4: CLOCK_BOOTTIME, with NTP's corrections
  mixed,     // 5.5: raw where time and TSC are read together (53fafdbb8b21), CLOCK_BOOTTIME elsewhere
  raw,       // 5.6: CLOCK_MONOTONIC_RAW and the time suspended (8171cd68806b)
};

// From when kvmclock counts.
enum class ClockStart : std::uint8_t {
  host_boot,      // to 4.8, but 4.1 to 4.3
  guest_enables,  // 4.1 to 4.3: vCPU 0's guest writes its system time MSR; COUNTS_FROM_ZERO in the page
  vm_creation,    // 4.9
};

enum class PageRate : std::uint8_t {
  requested_once,  // to 4.8: the requested one where the hardware scales; renewed only when the host's rate changes
  effective,       // 4.9, 78db6a503796: the host's, scaled
  effective_hz,    // proposed v6: not in whole kHz
};

// Who fills the Hyper-V reference TSC page, and when.
enum class HypervPageUpdate : std::uint8_t {
  never_filled,  // to 4.9: the page stays at sequence 0
  every_update,  // 4.10 to 5.12 (095cf55df7ab): each clock update of vCPU 0
  invalidated,  // 5.13 to 5.17 (e880c6ea55b9): likewise, and a renewal of the master pair sets the sequence to 0 at once
  when_pending,  // 5.18 (42dcbe7d8bac): the next clock update of any vCPU, once after each renewal
};

struct Era {
  std::string_view sync_era;                                 // docs/spec/kvm-timekeeping.md 3.5; vectors.json
  std::string_view heuristic;                                // name of the policy (sync_policy.h)
  bool counts_every_match = false;                           // 3.8 to 3.16: a vCPU that joins again is counted again
  bool narrow_generations = false;                           // to 3.16: generation numbers are 8 bit
  bool has_generation_count = true;                          // nr_vcpus_matched_tsc and the master clock exist (3.8)
  ops::GuestWrites guest_writes = ops::GuestWrites::adjust;  // joined to 5.9 (0c899c25d754)
  // 3.4 to 4.11: an unstable join adds a thousandth of the elapsed time
  ops::UnstableJoin unstable_join = ops::UnstableJoin::adds_elapsed;
  ops::JoinedWrite joined_write = ops::JoinedWrite::as_written;
  // To 3.3: the window is measured from the first write of a series, and rates are not compared (4dd7980b2140).
  bool window_stays_at_first_write = false;
  bool compares_rates = true;
  bool offset_attribute = true;                     // 5.16, 828ca89628bf
  bool guest_adjust_requests_update = true;         // 5.15, d9130a2dfdd4; in 5.10.y too
  bool vm_tsc_khz = true;                           // 5.18, ffbb61d09fc5
  bool vm_tsc_khz_refused_after_vcpu = true;        // 6.17, dcbe5a466c12
  bool khz_always_refused_without_scaling = false;  // to 5.7
  bool rate_tolerance = true;                       // 3.4: within 250 ppm nothing is scaled
  bool refused_rate_reported = true;                // 4.4; from 3.4 on KVM_SET_TSC_KHZ said 0
  bool vmx_tsc_scaling = true;                      // 4.4
  bool page_rate_at_least_1khz = true;              // 6.16, 4578a747f3c7
  bool page_needs_be_active = false;                // to 4.4: without a page, a guest time update ends early
  bool old_msr_vetoes_master_clock = true;          // 4.0, 54750f2cf042
  bool clock_flags_accepted = true;    // KVM_SET_CLOCK takes flags, KVM_GET_CLOCK gives realtime and host_tsc: 5.16
  bool get_clock_tells_stable = true;  // 4.9, e3fd9a93a12a
  bool backwards_tsc_vetoes_master_clock = true;  // 3.16, 16a960215886
  bool suspend_sets_guest_stopped = true;         // 5.14, 2fdef3a2ae4d
  bool load_update_rate_limited = false;          // 7.1, 8fe2e698fce4
  bool timers_round_up = true;                    // 4.8, 500462a9de65: what is put off never comes early
  // Queued for 7.4, as posted; what was committed has not been read.
  bool get_clock_scales = false;      // abdef42276d8
  bool get_clock_falls_back = false;  // 25f75fb43fd5: as without master clock when the pair cannot be read
  bool catchup_compares_now = false;  // 92fac63cc739: also with master clock; so never before the generation
  BaseClock base_clock = BaseClock::raw;
  ClockStart clock_start = ClockStart::vm_creation;
  PageRate page_rate = PageRate::effective;
  bool hyperv_msrs_need_cpuid = true;  // 5.12, 8f014550dfb1
  bool steal_counted_at_load = false;  // to 4.3 (7cae2bedcbd4): by whichever thread loads the vCPU or writes the MSR
  bool every_unload_preempts = false;  // to 5.18 (6cd88243c7e0); not in 5.10.y
  bool nested_scaling = true;          // 5.14, d041b5ea9335
  bool host_reads_l1_tsc = true;       // 5.9, ee6fa0530194
  HypervPageUpdate hyperv_page = HypervPageUpdate::when_pending;
  MasterClockRequest master_clock_request = MasterClockRequest::new_generation_or_differs;
  GlobalUpdate global_update = GlobalUpdate::immediate;
  SetClock set_clock = SetClock::anchored_at_master_pair;
  WallClock wall_clock = WallClock::one_pair;
  PagePublication publication = PagePublication::keeps_guest_stopped;
  // Proposals.
  PreciseTsc precise_tsc = PreciseTsc::none;
  TscMatching tsc_matching = TscMatching::joiners_counted;
  bool guest_clock = false;                   // KVM_GET_CLOCK_GUEST, KVM_SET_CLOCK_GUEST
  bool tsc_scale_attribute = false;           // KVM_VCPU_TSC_SCALE
  bool khz_resynchronises = false;            // KVM_SET_TSC_KHZ writes the TSC that the vCPU had, at the new rate
  bool one_renewal_per_round = false;         // the first vCPU that renews the pair spares the others
  bool creation_renews_master_clock = false;  // if it is off
  bool paired_write_readings = false;         // a TSC write reads TSC and time as a pair
  friend bool operator==(const Era&, const Era&) = default;
};

Era era_for(KernelVersion version);

// The oldest kernel that there is an era for is 2.6.37.
bool has_era(KernelVersion version);
inline constexpr std::string_view kOldestKernel = "2.6.37";
// Queued changes make a 7.4 that is not out.
struct KnownProposal {
  Proposal proposal{};
  std::string_view name;     // after the '+'
  int major = 0, minor = 0;  // the first kernel that it can be chosen for
  std::string_view kernel;   // with the kernel that it was posted for
  std::string_view changed;
  std::string_view source;
};
std::span<const KnownProposal> known_proposals();
inline constexpr std::string_view kNewestKernel = "7.3";

}  // namespace tscsim::model

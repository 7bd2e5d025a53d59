#include "model/kvm/changes.h"

#include <array>
#include <iterator>

namespace tscsim::model {
namespace {

using enum Subject;

constexpr Change kChanges[] = {
    {"2.6.37", "3.4", tsc_writes, "a write joins if it is within 5 s of the first of the series, in value and in time",
     "", "3.5"},
    {"2.6.37", "5.8", tsc_rates, "KVM_SET_TSC_KHZ needs scaling hardware", "", "2"},
    {"2.6.37", "3.4", tsc_rates, "every rate but the host's is scaled", "", "1.5"},
    {"2.6.37", "4.9", pages, "where the hardware scales, the page's rate is the one first requested", "", "6.1"},
    {"2.6.37", "4.2", pages, "a page is published in one write", "", "6.2"},
    {"2.6.37", "5.5", host_clock, "kvmclock counts CLOCK_BOOTTIME, with NTP's corrections", "", "5.2"},
    {"2.6.37", "4.1", host_clock, "kvmclock counts from the host's boot", "", "5.4"},
    {"2.6.37", "4.9", clock_ioctls, "KVM_GET_CLOCK counts the host's clock, whatever the guest's page counts", "",
     "7.1"},
    {"2.6.37", "3.15", clock_ioctls, "KVM_SET_CLOCK moves the offset and nothing else", "", "7.2"},
    {"2.6.37", "3.11", page_renewal, "a vCPU's page is renewed for itself alone", "", "5.5"},
    {"2.6.37", "5.6", wall_clock, "the wall clock is the host's boot time less the clock's offset", "", "6.5"},
    {"3.4", "4.12", tsc_writes,
     "generations; a write joins within one second, in microseconds, of where the last one would be by now; equal rates only",
     "5d3cb0f6a8e3, 4dd7980b2140", "3.5"},
    {"3.4", "", tsc_rates, "within 250 ppm of the host's rate nothing is scaled", "", "1.4"},
    {"3.4", "", suspend, "after a TSC that restarted the offsets are corrected, so that no guest's TSC steps back", "",
     "5.7"},
    {"3.8", "", master_clock, "one pair of TSC and time for all vCPUs of a VM that match, on a TSC clocksource",
     "d828199e8444", "5.1"},
    {"3.11", "3.15", page_renewal,
     "a vCPU that is loaded on another CPU, without master clock, has all pages renewed at once", "0061d53daf26",
     "5.5"},
    {"3.15", "6.19", page_renewal, "other vCPUs' pages follow after 100 ms, and all every 300 s",
     "7e44e4495a39, 332967a3eac0", "5.5"},
    {"3.15", "4.13", clock_ioctls, "KVM_SET_CLOCK renews the master pair afterwards", "", "7.2"},
    {"3.16", "", suspend, "a TSC that went backwards vetoes the master clock for good", "16a960215886", "5.1"},
    {"3.17", "", master_clock,
     "a vCPU that joins a generation again is not counted again; generations count in 64 bits", "0d3da0d26e3c", "3.5"},
    {"3.19", "6.8", master_clock, "any write that leaves all vCPUs matched, and any while it is on, renews the pair",
     "7f187922ddf6", "3.4"},
    {"4.0", "", master_clock, "a guest whose boot vCPU uses the old kvmclock MSR has none", "54750f2cf042", "5.1"},
    {"4.1", "4.4", host_clock, "kvmclock counts from when the guest enables it, and says COUNTS_FROM_ZERO", "", "5.4"},
    {"4.2", "5.19", pages, "a page is published in three writes, by its version", "", "6.2"},
    {"4.4", "4.9", host_clock, "kvmclock counts from the host's boot again", "", "5.4"},
    {"4.4", "", tsc_rates, "TSC scaling on Intel, too; a refused rate is reported", "", "1.5"},
    {"4.4", "", steal_time,
     "steal time is counted at the entry; before, by whichever thread loaded the vCPU or wrote the MSR, from then on",
     "7cae2bedcbd4", "docs/spec/linux-guest.md 6.1"},
    {"4.8", "", page_renewal,
     "what is put off comes up to a tick after its delay, in the wheel's coarser ranges later; before, up to a tick early",
     "500462a9de65", "5.5"},
    {"4.9", "", clock_ioctls, "KVM_GET_CLOCK follows the master clock and says KVM_CLOCK_TSC_STABLE",
     "108b249c453d, e3fd9a93a12a", "7.1"},
    {"4.9", "", pages, "the page's rate is the host's, scaled, and follows KVM_SET_TSC_KHZ", "78db6a503796", "6.1"},
    {"4.9", "", host_clock, "kvmclock counts from the creation of the VM", "", "5.4"},
    {"4.10", "5.13", hyperv, "each clock update of vCPU 0 writes the reference TSC page", "095cf55df7ab", "11.1"},
    {"4.12", "", tsc_writes,
     "a write joins within one second, in cycles, of where the last one would be by now; a host write of 0 and a new vCPU always do",
     "c5e8ec8e9b89, bd8fab39cd4f", "3.5"},
    {"4.13", "5.12", clock_ioctls, "KVM_SET_CLOCK renews the master pair before it computes the difference",
     "0bc48bea36d1", "7.2"},
    {"4.15", "", suspend, "the veto after a TSC that went backwards is the VM's own, no longer all VMs'",
     "a826faf108e2", "5.7"},
    {"4.15", "5.19", pages, "an odd version that a guest left in its page is mended", "", "6.2"},
    {"5.5", "5.6", host_clock, "the master pair counts CLOCK_MONOTONIC_RAW, single readings still CLOCK_BOOTTIME",
     "53fafdbb8b21", "5.2"},
    {"5.6", "", host_clock, "kvmclock counts CLOCK_MONOTONIC_RAW, and the time suspended", "8171cd68806b", "5.2"},
    {"5.6", "6.8", wall_clock, "the wall clock is real time less kvmclock, from two readings", "", "6.5"},
    {"5.8", "", tsc_rates, "KVM_SET_TSC_KHZ works on hardware without TSC scaling", "", "2"},
    {"5.9", "", nested, "a host reads L1's TSC also while L2 is active", "ee6fa0530194", "12"},
    {"5.10", "", tsc_writes, "a guest's write of IA32_TSC moves its offset and TSC_ADJUST, and never joins",
     "0c899c25d754", "3.1"},
    {"5.12", "", clock_ioctls, "KVM_SET_CLOCK is exact at the master pair", "77fcbe823f00", "7.2"},
    {"5.12", "", hyperv, "a guest has Hyper-V's MSRs only with Hyper-V in its CPUID", "8f014550dfb1", "11.1"},
    {"5.13", "5.18", hyperv, "a renewal of the master pair invalidates the reference TSC page until vCPU 0 is entered",
     "e880c6ea55b9", "11.1"},
    {"5.13", "", hyperv, "under TSC emulation control the reference TSC page is left alone", "0469f2f7ab4c", "11.1"},
    {"5.14", "", nested, "L1 may scale L2's TSC", "d041b5ea9335", "1.9"},
    {"5.14", "", suspend, "a host that goes to sleep tells its guests, by GUEST_STOPPED", "2fdef3a2ae4d", "5.7"},
    {"5.15", "", pages, "a guest's write of TSC_ADJUST renews its page", "d9130a2dfdd4", "3.1"},
    {"5.16", "", tsc_writes, "the TSC offset is an attribute of the vCPU: KVM_VCPU_TSC_OFFSET",
     "58d4277be9b6, 828ca89628bf", "4"},
    {"5.16", "", clock_ioctls, "KVM_CLOCK_REALTIME and KVM_CLOCK_HOST_TSC, both ways", "c68dc1b577ea", "7.1"},
    {"5.18", "", tsc_rates, "KVM_SET_TSC_KHZ on the VM sets the rate of vCPUs to come", "ffbb61d09fc5", "2"},
    {"5.18", "", hyperv, "the reference TSC page is renewed by any vCPU, once after each renewal of the master pair",
     "42dcbe7d8bac", "11.1"},
    {"5.19", "", steal_time, "a vCPU is called preempted only between two instructions (in 5.10.y too)", "6cd88243c7e0",
     "docs/spec/linux-guest.md 6.1"},
    {"5.19", "", pages, "a page is published through its mapping; version = (v + 1) | 1, then + 1", "", "6.2"},
    {"6.3", "", tsc_rates, "the host's rate is read when it is used, after its calibration (not in the model)",
     "3ebcbd2244f5", "5.6"},
    {"6.8", "", tsc_writes, "values are compared only after user space has set a TSC", "bf328e22e472", "3.5"},
    {"6.8", "", master_clock, "the pair is renewed only for a new generation, or when the master clock goes on or off",
     "c52ffadc65e2", "3.4"},
    {"6.8", "", wall_clock, "with master clock, the wall clock comes from one pair of readings", "5d6d6a7d7e66", "6.5"},
    {"6.15", "", tsc_writes, "a protected TSC (TDX, SEV-SNP) is left alone (not in the model)",
     "5f3b30b2b0d9, adafea110600", "3.5"},
    {"6.15", "", pages, "GUEST_STOPPED no longer leaks into Xen's pages (not in the model)",
     "93fb0b10e712, 24c166378026", "6.1"},
    {"6.16", "", pages, "the page's rate is at least 1 kHz", "4578a747f3c7", "6.1"},
    {"6.17", "", tsc_rates, "KVM_SET_TSC_KHZ on the VM is refused once a vCPU exists", "dcbe5a466c12", "2"},
    {"6.19", "", page_renewal, "all vCPUs' pages are renewed at once; no delayed and no periodic work",
     "43ddbf16edf5, 446fcce2a52b, e78fb96b41c6", "5.5"},
    {"7.1", "", page_renewal, "at most ten renewals of all pages a second, for vCPUs that move", "8fe2e698fce4", "5.5"},
    {"7.3", "", master_clock, "setting Xen's shared info no longer renews the pair (not in the model)", "633d7652f80f",
     "5.3"},
    {"7.4", "", clock_ioctls, "KVM_GET_CLOCK counts what the guest's page counts, scaling and all", "abdef42276d8",
     "9.2"},
    {"7.4", "", clock_ioctls, "KVM_GET_CLOCK is as without master clock when the pair cannot be read", "25f75fb43fd5",
     "9.2"},
    {"7.4", "", wall_clock, "the wall clock is computed by what KVM_GET_CLOCK returns", "c56419275caa", "9.2"},
    {"7.4", "", pages, "a TSC is caught up to what it ought to be now, with master clock, too", "92fac63cc739", "9.2"},
    {"7.4", "", pages, "what a TSC ought to be at an instant before its generation is less, not wrapped",
     "d9173f59df3a", "9.2"},
};

}  // namespace

std::string_view name_of(Subject subject) {
  constexpr std::array<std::string_view, static_cast<std::size_t>(Subject::count)> kNames = {
      "TSC writes",      "TSC rates",        "master clock",
      "kvmclock pages",  "renewal of pages", "KVM_GET_CLOCK and KVM_SET_CLOCK",
      "host clock",      "host suspend",     "wall clock",
      "Hyper-V's clock", "steal time",       "nested guests"};
  return kNames[static_cast<std::size_t>(subject)];
}

std::span<const Change> changes() { return kChanges; }

bool holds(const Change& change, KernelVersion version) {
  const auto at_least = [version](std::string_view text) {
    const KernelVersion other = *KernelVersion::parse(text);
    return other.major == 2 ? version.at_least_2_6(other.patch) : version.at_least(other.major, other.minor);
  };
  return at_least(change.version) && (change.until.empty() || !at_least(change.until));
}

KernelVersion newest_known_kernel() { return *KernelVersion::parse(std::rbegin(kChanges)->version); }

std::string_view title_of(const Change& change) { return change.version == "7.4" ? "7.4 (queued)" : change.version; }

}  // namespace tscsim::model

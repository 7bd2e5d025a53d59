#include "model/kvm/rules.h"

#include <array>
#include <cstddef>

namespace tscsim::model {
namespace {

constexpr std::array<RuleInfo, static_cast<std::size_t>(Rule::count)> kRules = {{
    {"starts-generation", "the write is no attempt to synchronise: it starts a generation with this vCPU alone", "3.3"},
    {"starts-generation-rate", "the vCPU's rate differs from that of the last write: it starts a generation", "3.3"},
    {"joins-zero", "zero always asks to synchronise: the vCPU takes the generation's offset", "3.3 item 4"},
    {"joins-window",
     "the value lies within one second of where the last write would be by now: it is ignored, the vCPU takes the "
     "generation's offset",
     "3.2, 3.3 item 5"},
    {"joins-unstable", "the write joins; on an unstable host TSC the elapsed cycles are added to the value",
     "3.3 item 13"},
    {"joins-same-offset", "rate and offset equal those of the last write: the vCPU joins the generation", "4"},
    {"guest-write-moves-offset", "a guest write moves the offset and TSC_ADJUST by the same amount", "3.1"},
    {"adjust-by-host", "a host write of TSC_ADJUST is stored and moves nothing", "3.1"},
    {"adjust-by-guest", "a guest write of TSC_ADJUST moves the offset by the difference", "3.1"},
    {"offset-not-honoured", "this KVM accepts TSC offsets and does not apply them", "docs/spec/vmm-procedures.md 8"},
    {"requests-master-clock", "a master clock update is requested for this vCPU's next entry", "3.4"},
    {"master-clock-on", "all vCPUs match and the host's clocksource is the TSC: the master clock is on", "5.1"},
    {"master-clock-off-unmatched", "not all vCPUs match: the master clock is off", "5.1"},
    {"master-clock-off-clocksource", "the host's clocksource is not the TSC: the master clock is off", "5.1"},
    {"master-clock-off-veto", "a backwards TSC or the old kvmclock MSR vetoes the master clock", "5.1"},
    {"page-from-master-pair", "the kvmclock page is computed from the VM's master pair", "6.1"},
    {"page-from-readings", "the kvmclock page is computed from readings of its own", "6.1"},
    {"clock-from-master-pair", "KVM_GET_CLOCK extrapolates from the master pair", "7.1"},
    {"clock-from-base", "without master clock the clock is the host's raw clock plus an offset", "7.1"},
    {"clock-advanced-by-realtime", "the clock is moved forward by the wall time that has passed", "7.2"},
    {"khz-in-tolerance", "the rate is within the tolerance: the guest runs at the host's rate", "1.4"},
    {"khz-scaled", "the hardware scales the TSC", "1.5"},
    {"khz-catchup", "above the host's rate without scaling: the TSC catches up in jumps", "1.5, 6.3"},
    {"khz-refused", "the rate cannot be had; what was recorded of it stays", "1.5"},
    {"guest-stopped-set", "the page will carry GUEST_STOPPED at the next entry", "6.6"},
    {"deadline-ignored",
     "the local APIC's timer is not in TSC-deadline mode: the write of IA32_TSC_DEADLINE is ignored",
     "docs/spec/vmm-procedures.md 8"},
    {"backwards-tsc-on-load", "this pCPU's TSC is behind where the vCPU last ran: KVM marks the host's TSC unstable",
     "5.5"},
    {"offset-recomputed-on-load",
     "on an unstable host TSC each load sets the offset so that the guest's TSC goes on from where it stopped", "5.5"},
    {"backwards-tsc-on-enable",
     "a CPU came up with a TSC behind a vCPU's last: all offsets will be moved by the difference and the VM loses its "
     "master clock for good",
     "5.7"},
    {"offset-adjusted-on-load", "the correction for a TSC that restarted moves the offset at this load", "5.7"},
    {"precise-state", "the TSC is what the state has reached on this host's wall clock; no generation knows of it",
     "9.1"},
    {"clock-on-guests-line", "kvmclock goes on along the line that the guest had: the pair is new, the clock is not",
     "9.2"},
    {"hyperv-page-filled", "the Hyper-V page is filled from this clock update, with the next sequence", "11.1"},
    {"hyperv-page-kept", "TSC emulation control is on: the Hyper-V page is taken as it lies there", "11.1"},
    {"hyperv-page-unusable", "without master clock, or outside memory, the Hyper-V page cannot be used", "11.1"},
    {"reference-time-from-page", "the reference counter is vCPU 0's TSC by the scale and offset of the page", "11.1"},
    {"reference-time-from-clock", "the page is not in force: the reference counter is kvmclock in units of 100 ns",
     "11.1"},
    {"steal-time-recorded", "the entry adds to steal what the thread has waited since the last record",
     "docs/spec/linux-guest.md 6"},
    {"l2-entered", "L1's offset and ratio for L2 are combined with L0's for L1", "1.9"},
    {"l2-entry-failed", "a failed entry subtracts L2's offset and leaves the ratio, which undoes no scaling", "1.9"},
    {"refused", "KVM refuses the call", "2, 4, 7"},
}};

}  // namespace

const RuleInfo& info(Rule rule) { return kRules[static_cast<std::size_t>(rule)]; }

}  // namespace tscsim::model

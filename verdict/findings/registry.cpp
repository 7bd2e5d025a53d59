// The table of all findings, one row each, in the order of docs/spec/vmm-procedures.md 14.
#include <algorithm>
#include <array>

#include "verdict/findings/families.h"

namespace tscsim::verdict {

using namespace findings;

const std::vector<FindingInfo>& all_findings() {
  using enum Level;
  static const std::vector<FindingInfo> kAll{
      {"interleaved-create", error,
       "The TSC of one vCPU is restored before another vCPU is created, and the two end in different generations.",
       "Each vCPU ends in a generation of its own; the master clock is off.",
       "Create all vCPUs first, or write vCPU 0's TSC offset to all of them afterwards.", "2.1, 6.4",
       "cloud-hypervisor #8383", interleaved_create},
      {"no-common-generation", error, "When the guest goes on, its vCPUs are in different generations.",
       "TSCs apart (E7), slow clock reads, an unstable TSC in the guest.",
       "Write one TSC offset to all vCPUs (KVM_VCPU_TSC_OFFSET), last, with all rates set before.", "2.4",
       "cloud-hypervisor #8383, QEMU hotplug", no_common_generation},
      {"khz-after-create", error, "A vCPU is created at the VM's default rate while the others run at another.",
       "It cannot join their generation; the master clock is off.",
       "Set the VM's rate (KVM_SET_TSC_KHZ on the VM, 5.18) before the first vCPU is created.", "4.8",
       "QEMU, February 2026", khz_after_create},
      {"khz-silent-250ppm", warning,
       "The rate saved and the rate in force differ by no more than 250 ppm, without scaling.",
       "The guest's TSC runs fast or slow by as much (E9): up to 0.9 s an hour.",
       "Use a host that scales, or one of the same rate.", "3 E9, 5.4", "Firecracker, QEMU, libvirt",
       khz_silent_250ppm},
      {"khz-missing", error, "The rate in force differs from the one saved by more than 250 ppm.",
       "The guest's TSC changes its rate (E9).",
       "Set the saved rate (KVM_SET_TSC_KHZ) and give up where it is refused.", "7.4", "crosvm", khz_missing},
      {"written-value-discarded", error,
       "A restored TSC value lies within a second of the destination's own timeline and is ignored.",
       "The guest reads the destination's timeline (E6): up to a second off.",
       "Write the offset instead of the value (KVM_VCPU_TSC_OFFSET).", "2.2, 4.6", "QEMU, young guests",
       written_value_discarded},
      {"zero-is-not-reset", warning,
       "TSC = 0 is written to reset a vCPU that has run since it was created or last reset.",
       "No effect: 0 asks to synchronise.", "Write the offset, or 1 as QEMU does since 7.0.", "2.2a, 4.4",
       "OpenVMM #4253, QEMU before 7.0", zero_is_not_reset},
      {"reset-absorbed", warning, "TSC = 1 is written within a second of the last write.",
       "No effect: the TSC is not reset.", "Write the offset.", "4.3, 4.4", "QEMU, early reset", reset_absorbed},
      {"write-pass-too-long", error, "A pass of TSC writes takes more than a second, and the values are not advanced.",
       "The later vCPUs begin a generation of their own.",
       "Write one offset to all vCPUs, or advance the values by the time that has passed.", "3 E7",
       "big VMs, slow hosts", write_pass_too_long},
      {"tsc-before-long-step", warning, "Much time passes between the write of the TSC and the first entry.",
       "The guest sees it pass (E4): its TSC jumps forward by it.", "Write the TSC last, just before the first entry.",
       "3 E4", "crosvm, Firecracker, QEMU -S", tsc_before_long_step},
      {"clock-tsc-split", warning, "kvmclock and the TSC lose different amounts (E3).", "The guest's two clocks part.",
       "Treat both alike: the documented procedure (offset and realtime), or stop both.", "3 E3, 9",
       "QEMU, crosvm, cloud-hypervisor", clock_tsc_split},
      {"clock-after-run", error,
       "KVM_SET_CLOCK comes after the guest has run again, by a KVM_RUN that did not end with EINTR.",
       "The guest runs on a stale page, and its clock steps while it runs.", "Set the clock before the first entry.",
       "6.2", "cloud-hypervisor #7930", clock_after_run},
      {"clock-missing", error, "A restored guest with kvmclock goes on without KVM_SET_CLOCK.",
       "kvmclock starts near zero.", "Save the clock and set it before the first entry.", "7.4",
       "crosvm, command-line restore", clock_missing},
      {"clock-stale", error,
       "A saved clock is set a second time after the guest has run, and its memory does not go back.",
       "kvmclock goes back.", "Save the clock at each stop; forget it once it is set.", "7.2", "crosvm, second suspend",
       clock_stale},
      {"clock-flags-passthrough", warning, "The flags that KVM_GET_CLOCK returned are passed to KVM_SET_CLOCK.",
       "An advance by the wall clock that nobody asked for (5.16), EINVAL before.",
       "Pass no flags, or KVM_CLOCK_REALTIME on purpose.", "2.6, 5.4", "Firecracker before 1.16",
       clock_flags_passthrough},
      {"realtime-without-tsc", warning, "kvmclock is moved on by the wall clock, the TSC is restored by value.",
       "kvmclock counts the gap, the TSC does not (E3).", "Move the TSC on as well: the documented procedure.",
       "3 E3, 9", "cloud-hypervisor, Firecracker clock_realtime", realtime_without_tsc},
      {"realtime-unsynchronised", warning,
       "The wall clocks of the two hosts are apart, or the saved time lies in the future.",
       "kvmclock is off by as much (E5), or not moved on at all.", "Synchronise the hosts' clocks.", "3 E5, 15.10", "",
       realtime_unsynchronised},
      {"deadline-before-tsc", error, "IA32_TSC_DEADLINE is restored before the TSC.",
       "The timer fires early, or late, or not at all.", "Restore the LAPIC, then the TSC, then the deadline.", "5.4",
       "Firecracker #4099", deadline_before_tsc},
      {"deadline-before-lapic", error, "IA32_TSC_DEADLINE is restored while the timer is not in TSC-deadline mode.",
       "The write is ignored: a lost timer.", "Restore the LAPIC, then the TSC, then the deadline.", "8", "Kata #13798",
       deadline_before_lapic},
      {"deadline-zero", error, "The saved deadline is 0 because the timer has just fired, and it is restored so.",
       "The tick is lost.", "Restore a deadline that has passed, such as the saved TSC.", "5.3", "Firecracker #4618",
       deadline_zero},
      {"ctrl-lost", warning, "KVM_KVMCLOCK_CTRL is called before the memory is saved and not after it is loaded.",
       "The flag is not in the saved page: soft lockup warnings after the restore.",
       "Call it on the destination, before the first entry.", "2.7, 5.4", "Firecracker #5322", ctrl_lost},
      {"ctrl-missing", warning, "The guest goes on after a long stop without KVM_KVMCLOCK_CTRL.",
       "Soft lockup and RCU stall warnings.", "Call it for each vCPU before the first entry.", "2.7", "", ctrl_missing},
      {"page-newer-than-tsc", error,
       "The TSC is restored below the timestamp of the kvmclock page that lies in the guest's memory and that the guest still uses.",
       "Time stands or wraps in old guests; QEMU aborts.", "Restore the TSC that belongs to the memory.", "4.5",
       "QEMU before 7.2 on 5.16", page_newer_than_tsc},
      {"master-clock-off", warning, "The master clock is off when the guest goes on.",
       "Slow clock reads in the guest; KVM_GET_CLOCK gives no realtime.",
       "Put all vCPUs into one generation, on a host whose clocksource is the TSC.", "2.4", "", master_clock_off},
      {"ignored-write", error, "KVM accepts a TSC write and the offset stays what it was.",
       "The guest reads the host's TSC, whatever is restored.",
       "Use a KVM that honours TSC offsets; give the guest kvmclock as its clock.", "8", "nested back ends (PVM)",
       ignored_write},
      {"vmclock-not-bumped", note, "A guest is restored without a change of VMClock's disruption marker.",
       "A guest that has VMClock keeps a stale calibration.", "Change the marker before the first entry.", "12", "",
       vmclock_not_bumped},
      {"overdue-timers", warning, "The guest's TSC deadline is long past when it runs again.",
       "Timers fire in a burst; watchdogs and leases expire.", "Stop the clocks instead, or tell the guest.", "9",
       "superserve #461", overdue_timers},
  };
  return kAll;
}

const FindingInfo* find_finding(std::string_view id) {
  const auto& all = all_findings();
  const auto found = std::find_if(all.begin(), all.end(), [&](const FindingInfo& info) { return info.id == id; });
  return found == all.end() ? nullptr : &*found;
}

std::string_view name_of(Level level) {
  constexpr std::array<std::string_view, 3> kNames{"note", "warning", "error"};
  return kNames.at(static_cast<std::size_t>(level));
}

Case examine(const Course& course, const Thresholds& thresholds) {
  Case c{course, decisions_of(course), disturbances_of(course), {}, thresholds};
  for (const Disturbance& d : c.disturbances) c.measures.push_back(measure(course, d, c.decisions));
  return c;
}

void Sink::add(std::size_t moment, std::vector<std::int32_t> vcpus, std::string message) {
  add(info_.level, moment, std::move(vcpus), std::move(message));
}
void Sink::add(Level level, std::size_t moment, std::vector<std::int32_t> vcpus, std::string message) {
  findings.push_back({&info_, level, moment, std::move(vcpus), std::move(message)});
}
void Sink::undecided(std::string why) { open.push_back({&info_, std::move(why)}); }

namespace findings {

bool restores(const Disturbance& d) {
  return d.kind == DisturbanceKind::restore || d.kind == DisturbanceKind::migration;
}

std::vector<std::size_t> done(const Case& c, const Disturbance& d) {
  std::vector<std::size_t> all = d.operations;
  std::erase_if(all, [&](std::size_t i) { return !c.course.succeeded(i); });
  return all;
}

std::vector<const Decision*> values_written(const Case& c, const Disturbance& d) {
  std::vector<const Decision*> found;
  for (const Decision& decision : c.decisions)
    if (!decision.creation && !decision.by_offset && decision.host == d.host && is_in(d, decision.moment))
      found.push_back(&decision);
  return found;
}

bool is_in(const Disturbance& d, std::size_t moment) {
  return std::binary_search(d.operations.begin(), d.operations.end(), moment);
}

}  // namespace findings
}  // namespace tscsim::verdict

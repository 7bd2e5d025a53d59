// What KVM's clock events say about a VM: when its master clock was on, which rule kept it off and which vCPU's write
// decided that, when a vCPU's TSC was moved, and by how much its kvmclock stepped from page to page.
//
// It walks the events alone, so it works on every recording that has some: imported ones, and those of the lab. What a
// tracepoint does not print (a generation's number, who asked for an update, the two vetoes of the master clock) is
// inferred from the order of the others; where two explanations remain, both are named. Nothing is concluded across a
// gap. Spec: docs/spec/kvm-timekeeping.md 3.3, 5.1, 5.7, 6.1 and 10; docs/spec/vmm-procedures.md 16.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ops/recording.h"

namespace tscsim::logs {

// Why the master clock is off.
enum class OffCause : std::uint8_t {
  no_vcpu,        // the VM was just created
  not_matched,    // not all vCPUs are in the current generation
  host_clock,     // the host's clocksource is not the TSC
  backwards_tsc,  // the host's TSC went backwards since (suspend)
  old_kvmclock,   // the boot vCPU's guest uses the old system time MSR
  veto,           // one of these two; the log does not tell which
  unknown,        // it was off when the log began
};
std::string_view name_of(OffCause cause);  // "not-matched"

// A time for which the master clock was on, or off for one reason. Entries are indices into the recording.
struct MasterClockPhase {
  bool on = false;
  std::optional<OffCause> cause{};          // when off
  std::size_t since = 0;                    // the event that shows it
  bool since_before = false;                // it was so already when the log began, or before a gap
  std::optional<std::size_t> decided_by{};  // the write that made the difference
  std::vector<int> outside{};               // vCPUs known not to be in the current generation
  std::string why{};
};

struct Finding {
  std::string id{};                    // "master-clock-off", "tsc-moved", ...; see finding_ids()
  std::size_t entry = 0;               // the event that shows it
  std::optional<std::size_t> until{};  // where it was over
  std::vector<int> vcpus{};
  std::optional<std::int64_t> cycles{};  // guest cycles: how far offsets are apart, by how much a TSC was moved
  std::optional<std::int64_t> ns{};      // the same in time where the rate is known; a step of kvmclock
  std::string text{};                    // what happened, with the numbers
  std::string rule{};                    // KVM's rule, and where it is
  std::string cure{};                    // may be empty
};

// What is known of a vCPU after the last event.
struct VcpuSummary {
  int vcpu = 0;
  std::optional<std::uint64_t> offset;
  std::optional<bool> in_generation;  // the current one
  std::uint32_t khz = 0;              // by its last page; 0: no page
  std::size_t pages = 0;
  std::size_t steps = 0;  // pairs of pages whose step could be computed
  std::int64_t least_step_ns = 0, greatest_step_ns = 0;
  std::size_t least_step_at = 0, greatest_step_at = 0;
};

struct Explanation {
  std::vector<MasterClockPhase> master_clock;  // in order
  std::vector<Finding> findings;               // in order of their entry
  std::vector<VcpuSummary> vcpus;
  std::vector<std::string> undecided;  // what the recorder did not show
  bool from_creation = false;          // the VM's creation is among the events
  std::size_t gaps = 0;
};

// Of the VM on one host. A recording without events gives an empty explanation.
Explanation explain(const ops::Recording& recording, int host = 0);

// Why the master clock is off after the last event; nothing when it is on, or not known.
const MasterClockPhase* why_master_clock_off(const Explanation& explanation);

struct FindingInfo {
  std::string_view id;
  std::string_view meaning;
};
std::vector<FindingInfo> finding_ids();

}  // namespace tscsim::logs

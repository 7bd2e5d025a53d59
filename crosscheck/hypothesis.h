// One possible history of the KVM under observation: the model's machine over unknowns, the unknowns, and the work
// that KVM has put off.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "crosscheck/checker.h"
#include "crosscheck/guest_writes.h"
#include "model/kvm/machine.h"
#include "model/members.h"
#include "ops/recording.h"
#include "witness/witness.h"

namespace tscsim::crosscheck {

using witness::Witness;
using witness::WitnessSpace;

struct Pending {
  model::DelayedWork work{};
  std::uint64_t earliest_base_ns = 0;  // it cannot have run before
  TSCSIM_MEMBERS(work, earliest_base_ns)
};

// Jiffies of a host, as far as they are known: how long one is, and how far CLOCK_MONOTONIC, which they follow, may be from the
// base clock. Linux rounds a tick to whole ns: 300 of 3'333'333 ns are not quite a second.
struct Jiffies {
  bool known = false;  // how long one is
  std::uint64_t longest_ns = 0;
  std::uint64_t slew_ppm = 0;
  TSCSIM_MEMBERS(known, longest_ns, slew_ppm)

  explicit Jiffies(const ops::TargetProfile& profile);
  // A delay of a whole number of jiffies, as long as it is at the least and at the most.
  ops::Range delay(std::uint64_t ns) const;
};

// One host and its VM.
struct HostHistory {
  model::Machine<Witness> machine;
  std::vector<Pending> pending;
  std::set<std::int32_t> waited_in_guest;  // vCPUs whose threads waited for a CPU during their last KVM_RUN
  bool tsc_clocksource = true;
  bool tsc_unstable = false;
  // After a TSC was moved, KVM's pairs may hold the timekeeper's cycle_last, ahead of the pCPU's own TSC
  // (docs/spec/kvm-timekeeping.md 5.2): at most the highest TSC seen so far, and what has been counted since.
  bool tsc_moved = false;
  std::uint64_t highest_tsc = 0;
  std::uint64_t highest_at_base_ns = 0;
  // base_ns around the last jump of the TSC. Until the next tick jiffies stand where they were before it; a delay that
  // is counted from there is over as soon as the tick finds out.
  std::optional<ops::Range> jump;
  bool clocksource_left = false;       // since; what other VMs had before does not matter any more
  model::GuestMemory<Witness> saved;   // put aside for another host
  std::vector<ops::TraceKind> traces;  // the tracepoints that were listened to
  bool strange_guest = false;          // it runs code of its own (ops::Header::vmm)
  bool pages_are_seen = true;  // there are such pages, and somebody looks: else it does not matter when KVM writes them
  bool joined_late = false;    // what was done to the VM before is not known: nothing of it can be judged
  bool one_reg_unseen = false;  // the VMM may have written MSRs by a call that its recorder did not tell

  HostHistory(const ops::Recording& recording, int host);
  Witness slept_ns{};  // by which jiffies are behind the base clock
  Jiffies jiffies;
  TSCSIM_MEMBERS(machine, pending, waited_in_guest, tsc_clocksource, tsc_unstable, tsc_moved, highest_tsc,
                 highest_at_base_ns, jump, clocksource_left, saved, traces, strange_guest, pages_are_seen, joined_late,
                 one_reg_unseen, slept_ns, jiffies)

  // The time, in base_ns, that jiffies show at the least when it is `base_ns`, give or take a tick.
  std::uint64_t least_jiffies_at(std::uint64_t base_ns) const;
};

// Hosts share no unknown: their readings are of different counters, and what passes from one to the other is in the
// operations' operands and in the guest's memory.
struct Hypothesis {
  // The state: what determines the future. `space` is of it as far as it knows of what is in the others.
  std::vector<HostHistory> hosts;
  std::vector<GuestWrite> guest_writes;  // that have not happened yet
  WitnessSpace space;
  std::vector<std::size_t> order;  // of the entries so far
  std::vector<Answer> answers;
  std::vector<Observation> observations;
  std::string failure;  // when an observation contradicted it
  std::vector<InferredWrite> inferred;
  std::shared_ptr<const std::map<std::size_t, std::size_t>> unseen_writes;  // readings_after_unseen_writes()

  explicit Hypothesis(const ops::Recording& recording);
};

// Executes `entry` under the hypothesis and compares. False when the entry contradicts it; then `failure` explains.
bool advance(Hypothesis& hypothesis, const ops::Entry& entry, std::size_t index);

// Not of the machine: the checker itself asks it.
inline constexpr const char* kOrderQuestion = "which of two calls that overlap came first";

// Follows the recording once more along the history that check() found, up to the entry that contradicts it; `visit` sees
// the hypothesis after each entry.
void retrace(const ops::Recording& recording, const Result& found,
             const std::function<void(Hypothesis&, std::size_t)>& visit);

}  // namespace tscsim::crosscheck

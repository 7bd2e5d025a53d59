// One possible history of the KVM under observation: the model's machine over unknowns, the unknowns, and the work
// that KVM has put off.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "crosscheck/checker.h"
#include "crosscheck/guest_writes.h"
#include "model/kvm/machine.h"
#include "ops/recording.h"
#include "witness/witness.h"

namespace tscsim::crosscheck {

using witness::Witness;
using witness::WitnessSpace;

struct Pending {
  model::DelayedWork work{};
  std::uint64_t earliest_base_ns = 0;  // it cannot have run before
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

  HostHistory(const ops::Recording& recording, int host);
  // The time, in base_ns, that jiffies show at the least when it is `base_ns`, give or take a tick.
  std::uint64_t least_jiffies_at(std::uint64_t base_ns) const;
};

// Hosts share no unknown: their readings are of different counters, and what passes from one to the other is in the
// operations' operands and in the guest's memory.
struct Hypothesis {
  std::vector<HostHistory> hosts;
  WitnessSpace space;
  std::vector<std::size_t> order;  // of the entries so far
  std::vector<Answer> answers;
  std::vector<Observation> observations;
  std::string failure;                   // when an observation contradicted it
  std::vector<GuestWrite> guest_writes;  // that have not happened yet

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

// All that determines what the hypothesis says about the future, as text; equal texts, equal futures.
std::string digest(const Hypothesis& hypothesis);

}  // namespace tscsim::crosscheck

// What a recording says about the steps of a program: which entry belongs to which step, what rate each vCPU
// had, and how far a recorded number may lie from what it would be had every operation run when it was due.
//
// A number is uncertain in two ways on real hardware. It counts time, so lateness moves it (noise); and it
// may depend on where this host's counters happen to stand (shift), in which case no expected constant can be
// right. Both are found by perturbing what the number comes from and looking how it moves.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "ops/program.h"
#include "ops/recording.h"
#include "scenarios/captures.h"

namespace tscsim::scenarios {

using ops::Wide;

// One number of a recording.
struct Observation {
  std::size_t entry = 0;
  ops::Field field{};
  friend auto operator<=>(const Observation&, const Observation&) = default;
};

// How inputs move: the host's counters by constants, and single observations by lateness. It also remembers,
// for one use, what was computed and which observations lateness acts on.
struct Perturbation {
  std::map<std::int32_t, Wide> host_tsc;  // by host: added to every reading of its TSC
  Wide realtime_ns = 0;                   // of all hosts: what their wall clocks are apart is measured
  std::map<Observation, Wide> noise;

  mutable std::map<Observation, Wide> memo;
  mutable std::set<Observation> roots;
  mutable int depth = 0;

  Wide host_tsc_of(std::int32_t host) const {
    const auto found = host_tsc.find(host);
    return found == host_tsc.end() ? Wide{0} : found->second;
  }
};

class Observations {
 public:
  // Both must outlive this. Throws ops::InputError when the recording is not of this program.
  Observations(const ops::Program& program, const ops::Recording& recording);

  bool simulated() const { return recording_.header.profile.target == "model"; }
  const ops::Recording& recording() const { return recording_; }
  const ops::Entry& entry(std::size_t index) const { return recording_.entries[index]; }

  // Setup and timeline steps in one row. Without an entry: the recording ends before.
  std::size_t steps() const { return program_.setup.size() + program_.timeline.size(); }
  const ops::Step& step(std::size_t index) const;
  std::optional<std::size_t> entry_of_step(std::size_t index) const;
  std::optional<std::size_t> step_of_entry(std::size_t entry) const;
  bool is_setup(std::size_t entry) const;

  // The step that captures `name`; nullopt if none does.
  std::optional<std::size_t> step_of_capture(const std::string& name) const;

  Quantity quantity(const Observation& observation) const;
  Wide value(const Observation& observation) const;  // the entry must hold the field

  // By how much the observation moves under `perturbation`; adds to its roots. Lateness acts on an
  // observation itself when it counts time; one that is derived (an offset set from captured values) moves
  // with its origin.
  Wide moved_by(const Observation& observation, const Perturbation& perturbation) const;
  // The greatest noise that lateness up to `entry` puts on a root, in the root's own unit.
  Wide noise_of(const Observation& root, std::size_t entry) const;

  // kHz of the guest TSC of the operation's vCPU (or VM) when `entry` ran.
  std::uint32_t guest_khz(const ops::Operation& op, std::size_t entry) const;

  // Spread of lateness in ns among the steps up to `entry`: latest minus earliest; 0 on the model.
  Wide slack_ns(std::size_t entry) const;
  // How far CLOCK_REALTIME wandered up to `entry` from the clock that times the steps, and from what the scenario
  // says of the hosts' wall clocks; 0 on the model.
  Wide wall_slack_ns(std::size_t entry) const;

 private:
  // Where a vCPU's TSC offset came from at some entry.
  struct OffsetOrigin {
    enum class Kind : std::uint8_t {
      floating,  // a TSC value written at some instant: the host's TSC then is in it
      pinned,    // set as an offset, by `step`
      unknown,   // a value was written where it may have joined an offset that was set
    } kind = Kind::floating;
    std::optional<std::size_t> step;  // absent: KVM's own value at creation
  };
  struct VcpuState {
    std::uint32_t khz = 0;
    OffsetOrigin offset;
    bool adjust_counts_time = false;
  };
  struct VmState {
    std::uint32_t khz = 0;                  // of vCPUs created later
    std::optional<std::size_t> clock_step;  // the KVM_SET_CLOCK that stands
    bool clock_by_realtime = false;         // some KVM_SET_CLOCK used CLOCK_REALTIME
    bool offset_was_set = false;
  };
  template <class T>
  using History = std::map<std::size_t, T>;  // state from that entry on

  void match_steps();
  void follow(std::size_t entry);
  void follow_rate(std::size_t entry);
  void follow_offset(std::size_t entry);
  void follow_clock(std::size_t entry);
  // An operation names the host and the vCPU.
  VcpuState& change_vcpu(const ops::Operation& op, std::size_t entry);
  VmState& change_vm(const ops::Operation& op, std::size_t entry);
  VmState vm_at(const ops::Operation& op, std::size_t entry) const;
  VcpuState vcpu_at(const ops::Operation& op, std::size_t entry) const;
  const ops::HostHeader& host_of(const ops::Operation& op) const { return recording_.header.host(op.host); }

  Wide moved(const Observation& observation, const Perturbation& perturbation) const;
  Wide scaled_tsc_moved(const ops::Operation& op, const VcpuState& vcpu, const Perturbation& perturbation) const;
  Wide offset_moved(const ops::Operation& op, const VcpuState& vcpu, const Perturbation& perturbation) const;
  Wide clock_moved(const VmState& vm, const Perturbation& perturbation) const;
  Wide operand_moved(const std::optional<ops::Expression>& expression, std::size_t step,
                     const Perturbation& perturbation) const;
  Wide spread_ns(std::size_t entry) const;

  const ops::Program& program_;
  const ops::Recording& recording_;
  std::vector<std::size_t> entry_of_step_;
  std::map<std::size_t, std::size_t> step_of_entry_;
  std::map<std::string, std::size_t> step_of_capture_;
  std::map<std::pair<std::int32_t, std::int32_t>, History<VcpuState>> vcpus_;  // by host and index
  std::map<std::int32_t, History<VmState>> vms_;                               // by host
};

// The observation that `load` names; nullopt when the capture, its entry or the field is missing.
std::optional<Observation> observation_of(const Observations& observations, const std::string& name,
                                          const std::string& field);

}  // namespace tscsim::scenarios

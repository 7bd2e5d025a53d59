// What a list of operations did to the clocks of a VM: each operation with the state in which it left KVM.
//
// A scenario is run on the model. A recording is followed by the cross-check's machinery: the model is driven with the
// recorded operations, and what it cannot know is bounded by the brackets that were measured. Either way the state beside
// an operation is KVM's own (generation, offset, last write), which no ioctl returns.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "crosscheck/guest_writes.h"
#include "model/kvm/arithmetic.h"
#include "model/kvm/rules.h"
#include "ops/error.h"
#include "ops/program.h"
#include "ops/recording.h"
#include "verdict/span.h"

namespace tscsim::verdict {

// A host's TSC and base clock, read one after the other.
struct Reading {
  Wide tsc = 0;
  Wide base_ns = 0;
};

// kvmclock, as KVM counts it until somebody touches it again.
struct ClockView {
  bool by_tsc = false;  // from the master clock's pair; else by the host's base clock
  Span ns;              // at `tsc`; else what is added to base_ns
  Span tsc;             // host cycles
  std::uint32_t host_khz = 0;
  Span at(const Reading& now) const;
};

struct VcpuView {
  Span tsc;                    // what its RDTSC reads at Moment::end
  Span offset;                 // guest TSC minus scaled host TSC, signed
  Span offset_moved;           // the same minus what it was after the moment before, on this host
  Span offset_to_first;        // the same minus vCPU 0's
  Span last_seen;              // where its TSC stood when it last left the guest
  std::uint32_t khz = 0;       // virtual_tsc_khz
  std::uint32_t true_khz = 0;  // at which its TSC counts, as far as the host's rate is what KVM takes it for
  model::TscRatio ratio;
  std::uint64_t generation = 0;
  bool kvmclock = false;
  bool stopped_pending = false;  // GUEST_STOPPED is requested and not yet in the page
  std::uint64_t timer_mode = 0;
  std::optional<Span> page_tsc;  // tsc_timestamp of the kvmclock page in guest memory; empty: none was ever written
};

// The VM of one host when an operation is over.
struct VmView {
  std::vector<VcpuView> vcpus;
  bool master_clock = false;
  bool vetoed = false;  // a TSC that went backwards, or the old kvmclock MSR
  bool tsc_clocksource = true;
  bool tsc_unstable = false;
  ClockView kvmclock;
  Span kvmclock_moved;      // ns, against what it would be had this moment not been
  Span last_write;          // the value of the last TSC write
  Span last_write_base_ns;  // and when it was, by the host's base clock
  std::uint32_t last_khz = 0;
  std::uint64_t generation = 0;
  bool user_set_tsc = false;
};

// An operation, or (`guest_ran`) that a Linux guest ran on by itself between two of them.
struct Moment {
  std::size_t entry = 0;   // in the recording; of guest_ran, the operation before
  Span at_ns;              // scenario time
  Span base_ns;            // the host's base clock
  Reading begin{}, end{};  // what is told of `after` is told for the end
  std::vector<model::Rule> rules;
  VmView after;
  std::optional<ops::Operation> guest_ran;
  bool followed(model::Rule rule) const;
  // Where the vCPU's TSC stood when the operation began, had it been then as it is after.
  Span tsc_at_begin(std::size_t vcpu) const;
};

// A guest that boots, takes interrupts and reads clocks runs, whether or not a `run` says so.
bool is_guest_activity(ops::OpKind kind);

// Guest cycles between two readings of the host's TSC.
Wide guest_cycles(const VcpuView& vcpu, Wide from_tsc, Wide to_tsc);

// From here on KVM did not what the model derives.
struct Departure {
  std::size_t entry = 0;
  std::string explanation;
};

struct Course {
  ops::Recording recording;
  std::vector<Moment> moments;       // of every entry that is no probe and was executed
  std::vector<ops::HostSpec> hosts;  // as a scenario describes them; empty for a recording
  std::vector<ops::Place> places;    // of the scenario's step, by moment; empty for a recording
  std::optional<Departure> departure;
  std::vector<crosscheck::GuestWrite> guest_writes;  // of somebody else's guest: inferred from what its VMM read later

  const ops::Entry& entry(std::size_t moment) const { return recording.entries[moments[moment].entry]; }
  const ops::Operation& op(std::size_t moment) const {
    return moments[moment].guest_ran ? *moments[moment].guest_ran : entry(moment).op;
  }
  bool succeeded(std::size_t moment) const {
    return moments[moment].guest_ran || (entry(moment).supported && entry(moment).outcome.error == 0);
  }
  const ops::TargetProfile& profile(int host) const { return recording.header.host(host).profile; }
  const VmView& after(std::size_t moment) const { return moments[moment].after; }
  // Whether the guest did it. KVM_RUN with EAGAIN has started a vCPU and not entered it; one with EINTR was interrupted
  // before it came to the guest or after, so that it tells nothing for sure.
  bool by_guest(std::size_t moment) const;
  bool surely_by_guest(std::size_t moment) const;
  // The VM of that host just before the moment; nullptr: nothing was done there yet.
  const VmView* before(std::size_t moment) const;
  std::optional<std::size_t> previous_on_host(std::size_t moment) const;
};

// Throws ops::InputError when an operand cannot be evaluated, as run_program() does.
Course follow(const ops::Program& program, std::uint64_t seed = 1);
Course follow(ops::Recording recording);

}  // namespace tscsim::verdict

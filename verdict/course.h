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

#include "model/kvm/arithmetic.h"
#include "model/kvm/rules.h"
#include "ops/error.h"
#include "ops/program.h"
#include "ops/recording.h"
#include "verdict/span.h"

namespace tscsim::verdict {

struct VcpuView {
  Span tsc;                    // what its RDTSC reads
  Span offset;                 // guest TSC minus scaled host TSC, signed
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
  Span kvmclock;            // ns
  Span last_write;          // the value of the last TSC write
  Span last_write_base_ns;  // and when it was, by the host's base clock
  std::uint32_t last_khz = 0;
  std::uint64_t generation = 0;
  bool user_set_tsc = false;
};

struct Moment {
  std::size_t entry = 0;  // in the recording
  Span at_ns;             // scenario time
  Span base_ns;           // the host's base clock
  std::vector<model::Rule> rules;
  VmView after;
  bool followed(model::Rule rule) const;
};

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

  const ops::Entry& entry(std::size_t moment) const { return recording.entries[moments[moment].entry]; }
  const ops::Operation& op(std::size_t moment) const { return entry(moment).op; }
  bool succeeded(std::size_t moment) const { return entry(moment).supported && entry(moment).outcome.error == 0; }
  const ops::TargetProfile& profile(int host) const { return recording.header.host(host).profile; }
  const VmView& after(std::size_t moment) const { return moments[moment].after; }
  // The VM of that host just before the moment; nullptr: nothing was done there yet.
  const VmView* before(std::size_t moment) const;
  std::optional<std::size_t> previous_on_host(std::size_t moment) const;
};

// Throws ops::InputError when an operand cannot be evaluated, as run_program() does.
Course follow(const ops::Program& program, std::uint64_t seed = 1);
Course follow(ops::Recording recording);

}  // namespace tscsim::verdict

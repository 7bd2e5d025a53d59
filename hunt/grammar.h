// Random lists of operations, weighted, with the values at which KVM's code branches.
#pragma once

#include <cstdint>
#include <string>

#include "hunt/draft.h"
#include "ops/recording.h"
#include "sim/random.h"

namespace tscsim::hunt {

// What the target can do, so that the grammar asks for things worth asking.
struct Ground {
  std::uint32_t host_khz = 2'600'000;
  int pcpus = 1;
  std::uint32_t slowest_khz = 1;  // that a guest may be given
  bool offset_attribute = true;
  bool clock_flags = true;
  bool rdtscp = true;
  // What the target lets us do to the host.
  bool clocksource_changes = false;
  bool tsc_jumps = false;
  bool suspends = false;
  bool pcpu_hotplug = false;
  bool hyperv = false;
  bool steal_time = false;
  bool marks_unstable = false;  // the model only
};
Ground ground_of(const ops::TargetProfile& profile);

// One draft, determined by the stream. Short: it runs in a few milliseconds of scenario time.
Draft random_draft(const std::string& name, const Ground& ground, sim::Stream& random);

}  // namespace tscsim::hunt

// Continuity of a kvmclock page: a guest computes its clock from the page it has, then from the next one. What the old
// page would say at the new page's time stamp, against what the new page says, is the step that the guest sees.
#pragma once

#include <cstdint>
#include <optional>

#include "ops/trace_event.h"

namespace tscsim::logs {

struct ClockPage {
  std::uint64_t tsc_timestamp = 0;
  std::uint64_t system_time = 0;
  std::uint32_t mul = 0;
  std::int8_t shift = 0;
  friend bool operator==(const ClockPage&, const ClockPage&) = default;
};

// Of a kvm_pvclock_update.
ClockPage page_of(const ops::TraceEvent& event);

// What the page says at guest TSC `tsc`, before its time stamp too. Nothing for a page that converts nothing.
std::optional<std::uint64_t> clock_at(const ClockPage& page, std::uint64_t tsc);

// The step in ns, positive forward. `tsc_moved`: by how many cycles the guest's TSC was moved between the two.
std::optional<std::int64_t> page_step_ns(const ClockPage& before, const ClockPage& after, std::uint64_t tsc_moved = 0);

}  // namespace tscsim::logs

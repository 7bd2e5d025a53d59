// Where in a list of operations the guest's clocks were in the hands of the VMM or of the host: between the last thing
// that the guest did before and the first thing that it did after.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "verdict/course.h"

namespace tscsim::verdict {

enum class DisturbanceKind : std::uint8_t {
  start,      // a new VM
  restore,    // a new VM with values that were saved elsewhere
  migration,  // to another host
  reset,      // TSCs were written, with 0 or 1
  rewrite,    // TSCs were written with other values
  hotplug,    // vCPUs were added
  go_back,    // to what was saved before the guest ran on: its memory, its TSCs and its clock
  clock_set,  // kvmclock was set, and no TSC was written
  pause,      // the guest was told that it was stopped, and no clock was written
  host_event,
};
std::string_view name_of(DisturbanceKind kind);

struct Disturbance {
  DisturbanceKind kind{};
  std::int32_t from_host = 0;
  std::int32_t host = 0;                // where the guest goes on
  std::vector<std::size_t> operations;  // moments, in order
  std::optional<std::size_t> before;    // the guest's last moment; empty: it had not run yet
  std::optional<std::size_t> stop;      // the first operation after that
  // Where the guest that goes on was saved, when it had run on since: `before` and `stop` are those of that time.
  std::optional<std::size_t> saved;
  std::optional<std::size_t> ran_until;  // the guest's last moment before the operations, with `saved` or without
  bool loads_memory = false;             // the recording or the scenario says so; else it is inferred from the values
  std::optional<std::size_t> resume;     // the guest's first moment after; empty: it did not run any more
  std::vector<std::optional<std::size_t>> entries;  // the same for each vCPU
  std::size_t settled = 0;  // the last of them before the next disturbance: all requests are served

  // Where the outcome is looked at.
  std::size_t end() const { return resume ? *resume : operations.back(); }
};

std::vector<Disturbance> disturbances_of(const Course& course);

}  // namespace tscsim::verdict

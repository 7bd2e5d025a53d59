// What came of one disturbance: how far each clock is from where it would be had the VM never stopped, and which named
// error that is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "verdict/course.h"
#include "verdict/decisions.h"
#include "verdict/disturbance.h"
#include "verdict/errors.h"

namespace tscsim::verdict {

// When the procedure did what; empty: it did not.
struct Instants {
  std::optional<Span> stop, clock_read, clock_set, resume;  // P0, P2, P4, R
  std::vector<std::optional<Span>> tsc_read, tsc_written;   // P1(v), P3(v)
  bool clock_by_realtime = false;
  std::optional<std::size_t> clock_set_moment;
};

struct VcpuMeasure {
  std::int32_t vcpu = 0;
  std::uint32_t khz = 0;          // of its cycles
  std::optional<Span> tsc_error;  // cycles: ahead (+) of a VM that never stopped
  std::optional<Span> tsc_step;   // cycles: what the guest sees pass between the stop and its entry
  Span skew;                      // cycles: its TSC minus vCPU 0's
  std::optional<Span> skew_before;
  std::optional<Span> before_entry;  // ns that its TSC ran before the entry, since it was written
  std::optional<Wide> rate_error_ppb;
  std::optional<Decision> decision;  // the last write of its TSC in this disturbance
};

struct NamedError {
  ErrorName name{};
  std::int32_t vcpu = -1;  // -1: of the VM
  Span value;
  std::string_view unit;  // "ns", "cycles", "ppb"
};

struct Measure {
  Instants instants;
  std::vector<VcpuMeasure> vcpus;
  bool kvmclock_page = false;          // a page of kvmclock is known when the guest goes on: it sees that clock
  std::optional<Span> kvmclock_error;  // ns
  std::optional<Span> kvmclock_step;
  std::optional<Span> split;  // E3, of vCPU 0: kvmclock's error minus the TSC's, ns
  std::optional<bool> master_before;
  bool master_after = false;
  std::vector<NamedError> errors;
};

Measure measure(const Course& course, const Disturbance& disturbance, const std::vector<Decision>& decisions);

}  // namespace tscsim::verdict

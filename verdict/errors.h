// The errors by name: what a pause, restore or migration can do to a guest's clocks, and how much of it, computed from
// the instants of the procedure alone. The names are those of docs/spec/vmm-procedures.md 3; measure.h finds what
// really came of an operation list, so that the two can be compared.
//
// Positive: the guest's clock is ahead of where it would be had the VM never stopped.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "verdict/span.h"

namespace tscsim::verdict {

enum class ErrorName : std::uint8_t {
  kvmclock_pause_loss,  // E1
  tsc_freeze_loss,      // E2
  clock_disagreement,   // E3
  run_before_entry,     // E4
  realtime_advance,     // E5
  snap,                 // E6
  skew,                 // E7
  erased_skew,          // E8
  rate_error,           // E9
  ratio_rounding,       // E10
  khz_rounding,         // E11
  offset_procedure,     // E12
  realtime_slew,        // E13
  wall_clock_step,      // E14
  page_rounding,        // E15
  count,
};

struct ErrorInfo {
  std::string_view id;       // "E1"
  std::string_view name;     // "kvmclock pause loss"
  std::string_view formula;  // "-(P4 - P2)"
};
const ErrorInfo& info(ErrorName name);

namespace formula {

// Instants in ns of true time. P1: the TSC is read; P2: the clock is read; P3: the TSC is written; P4: the clock is set.
constexpr Wide kvmclock_pause_loss(Wide p2, Wide p4) { return -(p4 - p2); }
constexpr Wide tsc_freeze_loss(Wide p1, Wide p3) { return -(p3 - p1); }
constexpr Wide clock_disagreement(Wide p1, Wide p2, Wide p3, Wide p4) { return (p2 - p1) - (p4 - p3); }
// With the clock moved on by realtime, and only the clock. e_s, e_d: errors of the two wall clocks.
constexpr Wide clock_disagreement_by_realtime(Wide p1, Wide p3, Wide e_s, Wide e_d) { return (p3 - p1) + e_d - e_s; }
constexpr Wide run_before_entry(Wide written, Wide entered) { return entered - written; }
constexpr Wide realtime_advance(Wide p2, Wide p4, Wide e_s, Wide e_d) {
  const Wide by = (p4 - p2) + e_d - e_s;
  return by > 0 ? by : 0;
}
constexpr Wide snap(Wide written_cycles, Wide in_force_cycles) { return in_force_cycles - written_cycles; }
// Of vCPU v to vCPU 0, each on a generation of its own.
constexpr Wide skew(Wide p1_v, Wide p1_0, Wide p3_v, Wide p3_0) { return (p1_v - p1_0) - (p3_v - p3_0); }
constexpr Wide erased_skew(Wide before) { return -before; }
// Parts in 10^9 of the rate that the guest counts on.
constexpr Wide rate_error_ppb(std::uint64_t destination_khz, std::uint64_t saved_khz) {
  return floor_div((Wide{destination_khz} - Wide{saved_khz}) * 1'000'000'000, saved_khz);
}
// At most, in parts in 10^18; `fraction_bits` of the ratio are 48 on Intel and 32 on AMD.
constexpr Wide ratio_rounding_e18(std::uint64_t host_khz, std::uint64_t guest_khz, int fraction_bits) {
  return Wide{1'000'000'000} * 1'000'000'000 * host_khz / guest_khz >> fraction_bits;
}
// At most: half a kHz, in parts in 10^9.
constexpr Wide khz_rounding_ppb(std::uint64_t khz) { return 500'000'000 / Wide{khz}; }
constexpr Wide offset_procedure_cycles(std::uint64_t khz, Wide e_s, Wide e_d) {
  return floor_div((e_d - e_s) * khz, 1'000'000);
}
// The clock goes by the wall clock where the TSC goes by the raw one: `wall` and `raw` are what each counted meanwhile.
constexpr Wide realtime_slew(Wide wall_ns, Wide raw_ns) { return wall_ns - raw_ns; }
inline constexpr Wide kPageRounding_ns = 2;

}  // namespace formula
}  // namespace tscsim::verdict

// What a captured name stands for, known before anything runs: the operation that it captures and, for each
// field, what the number counts. The parser checks expressions with it, the evaluation decides with it how
// far a value may lie from the schedule on real hardware.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ops/error.h"
#include "ops/expression.h"
#include "ops/operation.h"

namespace tscsim::scenarios {

// What a number that an operation returned counts.
enum class Quantity : std::uint8_t {
  plain,           // flags, versions, multipliers, kHz: does not depend on when the operation ran
  guest_tsc,       // guest cycles at the instant of the operation
  tsc_offset,      // guest cycles minus host cycles
  tsc_adjust,      // guest cycles, set rather than counted: TSC_ADJUST, TSC_DEADLINE
  host_tsc,        // host cycles at the instant of the operation
  kvmclock_ns,     // ns of kvmclock at the instant of the operation
  realtime_ns,     // CLOCK_REALTIME in ns
  reference_time,  // Hyper-V's, in units of 100 ns, at the instant of the operation
  steal_ns,        // what a vCPU's thread has waited: the scheduler's business
  wall_seconds,    // wall clock, whole seconds or the ns within one
  khz,
};

bool counts_cycles(Quantity quantity);
bool counts_ns(Quantity quantity);

// The fields that `kind` returns, in their order.
std::vector<ops::Field> fields_of(ops::OpKind kind);

Quantity quantity_of(ops::OpKind kind, std::uint32_t msr, ops::Field field);

struct Capture {
  std::string name;
  ops::OpKind kind{};
  std::uint32_t msr = 0;
  std::int32_t vcpu = ops::kVm;
  ops::Place place;
};

// The field that `field` means for this capture; an empty text means the primary one.
std::optional<ops::Field> capture_field(const Capture& capture, std::string_view field);

// One use of a captured name in an expression.
struct Load {
  std::string name;
  std::string field;       // empty: the primary one
  std::size_t offset = 0;  // in the expression's text
  ops::Unit context{};     // what the expression counts where the name stands
  bool in_call = false;    // inside cycles(...) or ns(...)
};

// The uses in the order of the text, repetitions included; `unit` is what the whole expression counts.
std::vector<Load> loads_of(const ops::Expression& expression, ops::Unit unit);

}  // namespace tscsim::scenarios

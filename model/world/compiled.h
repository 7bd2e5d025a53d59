// A program made ready to be run many times: names are resolved, operands are short lists of instructions, and what may
// vary from run to run has a number. Nothing of a scenario's text is touched any more.
//
//   model::RunRequest request;
//   request.slots = {{SlotKind::shift, 7}, {SlotKind::realtime_error_ns, 1}};   // what varies
//   request.captures = {"after.ns", "saved"};                                   // what is to be told of each run
//   request.metrics = true;
//   const model::Compiled compiled = model::compile(scenario.program, request);
//
//   model::Runner runner(compiled);            // one for each thread; world/runner.h
//   for (...) {
//     runner.set(0, delay_ns);                 // stays set until it is set again
//     runner.set(1, error_ns);
//     if (!runner.run()) ... runner.failure()  // where run_program would have thrown ops::InputError
//     ... runner.captured(0), runner.metrics()
//   }
//
// A run returns what ops::run_program() on model::simulate() records, value for value (tests/compiled_runs_test.cpp).
// Probes are not executed: they only read. Where reading leaves traces (a vCPU is loaded for it), the run leaves them too.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "model/kvm/machine.h"
#include "ops/expression.h"
#include "ops/program.h"

namespace tscsim::model {

// Steps are counted through set-up and timeline.
enum class SlotKind : std::uint8_t {
  // Of step `index`. Steps whose times change run in the order of their times, those of equal times in the program's.
  at,        // its time, ns
  shift,     // added to its time and to those of all timeline steps behind it in the program, ns
  value,     // the constant Operation::value
  realtime,  // the constant Operation::realtime
  literal,   // number `part` (from 0, in the order of the text) in the expression that gives its value
  // Of host `index`; see ops::HostSpec.
  tsc_khz,
  tsc_error_ppb,
  uptime_ns,
  realtime_ns,
  realtime_error_ns,
  realtime_drift_ppb,
  pcpu_tsc_offset,  // of pCPU `part`
};

struct Slot {
  SlotKind kind{};
  std::size_t index = 0;
  std::size_t part = 0;
};

struct RunRequest {
  std::vector<Slot> slots;
  std::vector<std::string> captures;  // "name", for its primary field, or "name.field"
  bool metrics = false;
  bool outcomes = false;  // of every step, for Runner::outcome()
};

// One instruction of an operand. Values lie on a stack; the deepest operand's depth is known.
struct OperandCode {
  ops::Expression::Code code{};
  ops::OpKind kind{};          // load: the operation whose outcome it reads
  ops::Field field{};          // load
  std::uint8_t position = 0;   // load: where the field was found last
  std::uint32_t captured = 0;  // load: index into the kept outcomes
  ops::Wide number = 0;        // push
};

struct Span {
  std::uint32_t begin = 0, end = 0;
  bool empty() const { return begin == end; }
};

inline constexpr std::uint32_t kNotKept = ~std::uint32_t{0};

// Who executes a step.
enum class Executes : std::uint8_t { machine, host, saves_memory, loads_memory };

struct CompiledStep {
  ops::Operation op;               // with constants filled in
  Span value, realtime;            // into Compiled::code; empty: the constant stands
  std::uint32_t saved = kNotKept;  // the kept outcome that the operation gives back
  std::uint32_t kept = kNotKept;   // where its own outcome is kept
  bool touches = false;            // each vCPU of its host is looked at afterwards, which leaves traces
  bool shows_clock = false;        // KVM_GET_CLOCK or a probe that is one follows
  bool learns = false;             // it may change what rate operands are converted at
  bool reads_clock = false;        // it is a guest's reading, which metrics compare
  bool computed = false;           // it has operands that are not constants
  Executes executes = Executes::machine;
};

struct Compiled {
  struct Wanted {
    std::uint32_t kept = 0;
    ops::OpKind kind{};
    ops::Field field{};
  };
  std::vector<ops::HostSpec> hosts;
  std::vector<MachineConfig> configs;  // one for each host
  std::vector<CompiledStep> steps;
  std::vector<ops::Place> places;  // of the steps
  std::size_t setup_steps = 0;
  std::vector<OperandCode> code;
  std::size_t stack_depth = 0;
  std::size_t kept = 0;  // outcomes that are kept
  std::vector<Wanted> captures;
  std::vector<Slot> slots;
  bool times_vary = false;
  bool metrics = false;
  bool outcomes = false;
};

// Throws ops::InputError: an unknown kernel or heuristic, a step that takes a Linux guest, a capture or field that is not there when its step runs in the
// program's order, a slot that names nothing.
Compiled compile(const ops::Program& program, const RunRequest& request = {});

}  // namespace tscsim::model

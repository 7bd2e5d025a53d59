// A program is a scenario made flat: the list of operations in the order in which they run, with operands that may
// depend on what earlier operations returned. Both executors run the same list.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ops/error.h"
#include "ops/executor.h"
#include "ops/expression.h"
#include "ops/operation.h"

namespace tscsim::ops {

struct PcpuSpec {
  std::int64_t tsc_offset = 0;  // cycles: this pCPU's counter minus pCPU 0's at boot
  friend bool operator==(const PcpuSpec&, const PcpuSpec&) = default;
};

// A host as a scenario asks for it. The model builds it; a real target either is such a host or is not.
struct HostSpec {
  std::string name = "a";
  std::string kernel;          // "6.12"; empty: the newest known
  std::string vendor = "vmx";  // "vmx" or "svm"
  bool tsc_scaling = false;
  std::uint32_t tsc_khz = 2'600'000;  // what KVM knows
  std::int64_t tsc_error_ppb = 0;     // the true rate of the counter minus tsc_khz
  bool tsc_khz_written = false;       // the author wrote `tsc:`; cycle counts in `expect` hold only there
  std::int64_t uptime_ns = 3'600'000'000'000;
  std::int64_t realtime_ns = 1'700'000'000'000'000'000;  // CLOCK_REALTIME at scenario time 0, before realtime_error
  std::int64_t realtime_error_ns = 0;
  std::int64_t realtime_drift_ppb = 0;  // CLOCK_REALTIME's rate error (NTP slewing)
  bool tsc_clocksource = true;
  bool tsc_unstable = false;
  bool honours_tsc_offset = true;
  std::vector<PcpuSpec> pcpus{1};
  friend bool operator==(const HostSpec&, const HostSpec&) = default;
};

struct Step {
  Operation op;                        // with constants filled in
  std::optional<Expression> value;     // when present, replaces op.value at run time
  std::optional<Expression> realtime;  // likewise op.realtime
  std::string saved;                   // a captured structure that the operation gives back; empty: none
  std::string capture;                 // name under which the outcome is kept; empty: none
  Place place;
  std::string procedure;       // that this step is of; empty: the author wrote it into the scenario
  Place used_at;               // where the scenario uses that procedure
  std::uint32_t position = 0;  // among all steps of the timeline, as the author wrote them
};

struct Program {
  std::string name;
  std::string hash;
  std::vector<HostSpec> hosts{1};  // at least one; the set-up is on the first
  std::string heuristic;           // policy name; empty: the kernel's own
  std::vector<Step> setup;         // before scenario time 0
  std::vector<Step> timeline;      // ordered by (at_ns, position in the file)
};

// Runs a program. Probes (reads of TSC offset, TSC_ADJUST and the kvmclock page of each vCPU) follow every step that
// may change state, in the same way on every target. `progress` may be empty; it is called before each step.
// Throws InputError when an operand cannot be evaluated (overflow, captured operation failed).
Recording run_program(const Program& program, Executor& executor, std::uint64_t seed,
                      const std::function<void(std::size_t, std::size_t)>& progress = {});

// Whether a step takes a Linux guest, which only the model has.
bool has_linux_guest(const Program& program);

// Whether the probes after a step of this kind read the state of every vCPU of its host, and its kvmclock.
bool probed_whole(OpKind kind);

// Runs only the steps of one host, for hosts that are not there at the same time. What is known of the others is in
// `earlier`, a recording of this program's hosts before this one (empty for the first); the result has both, in the
// program's order. The clock of a host other than the first starts with its first step, at that step's time.
Recording run_on_host(const Program& program, int host, Executor& executor, std::uint64_t seed,
                      const Recording& earlier);

// Why the hosts cannot run one after the other: the first step that needs something from a host after its own. The
// step's place is in it; nothing when they can.
std::optional<Diagnostic> obstacle_to_turns(const Program& program);

}  // namespace tscsim::ops

// A scenario file as the program sees it: who wrote it about what, the flat list of operations, and what must
// hold.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ops/error.h"
#include "ops/expression.h"
#include "ops/program.h"

namespace tscsim::scenarios {

// Kernel releases from one version on and before another; empty: no bound.
struct KernelRange {
  std::string from, before;
  bool contains(const std::string& release) const;
};

// Orders versions by their first two numbers: 6.1 before 6.12. What stands behind them does not count.
std::pair<int, int> version_number(const std::string& release);

struct Meta {
  std::string name;  // equals the file's stem
  std::string title;
  std::string source;                // empty if the author gave none
  std::string story;                 // likewise
  std::string since;                 // first kernel on which the expectations hold, "5.16"; empty: any
  std::vector<std::string> kernels;  // on each of which the timeline runs, ascending; empty: on the host's
  std::string kernel;                // the one of `kernels` that this copy is for; empty: all of them
  bool model_only = false;           // the expectations rest on instants that no real machine can keep
};

// What an expectation looks at.
enum class Subject : std::uint8_t {
  value,       // an expression over captures
  step_error,  // the errno of one step
  tsc_offset,  // the metrics; see metrics.h
  tsc_adjust,
  master_clock,
  tsc_skew,
  kvmclock_skew,
  tsc_jump,
  kvmclock_jump,
  clock_jump,  // of a Linux guest; guest_metrics.h
  clock_skew,
  monotonic_backwards,
  paused_time_kept,
  wall_clock_error,
  kvmclock_divergence,
  guest_clocksource,
  guest_event,
};

// Metrics of a Linux guest, which only the model has.
constexpr bool is_guest_metric(Subject subject) { return subject >= Subject::clock_jump; }

// at_most_either_way: of a metric with a sign, whose size is bounded in both directions.
enum class Relation : std::uint8_t { is, is_not, at_least, at_most, at_most_either_way, equal, unequal };

struct Expectation {
  Subject subject{};
  ops::Place place;
  std::string text;  // one line, as a report shows it: "b is a", "tsc_offset of all is equal"
  Relation relation = Relation::is;
  ops::Unit unit = ops::Unit::ns;         // in which both sides count
  std::optional<ops::Expression> left;    // Subject::value
  std::optional<ops::Expression> right;   // absent for equal, unequal, step_error; master_clock: 1 on, 0 off
  std::optional<ops::Expression> within;  // tolerance, in `unit`; absent: 0
  std::vector<std::int32_t> of;           // vCPUs that a metric looks at; empty: all that exist at that time
  std::optional<std::int64_t> at_ns;      // a metric looks at what was recorded at or before; absent: at all
  std::optional<std::int64_t> from_ns;    // and, for skew and jump, at or after
  std::optional<std::int32_t> host;       // whose VM a metric looks at; absent (skew and jump only): all of them
  std::uint32_t selector = 0;             // clock_jump, clock_skew: GuestClock; guest_event: GuestEventKind
  int error = 0;                          // step_error: the errno
  std::size_t step = 0;                   // step_error: index into Program::timeline
  KernelRange kernels;                    // on which it is meant to hold
};

// A line of the timeline that uses a procedure.
struct ProcedureUse {
  std::string kind;  // "migrate"
  std::string name;  // "qemu/migrate"
  ops::Place place;
};

// A step that KVM may refuse with this error without anything being wrong: the VMM goes on.
struct ToleratedError {
  std::size_t step = 0;  // index into Program::timeline
  int error = 0;
};

// A difference of instants, ns, on whose sign the parser decided: that times run down the page, where a procedure ends. As long as
// no sign changes, instants follow parameters without a new decision (sweep/subject.h).
struct Pivot {
  std::int64_t difference = 0;
  bool required = false;  // not to be negative, or the scenario is refused
};

// How a scenario is to be swept when the command line does not say: its key `sweep`.
struct SweepSpec {
  enum class Meant : std::uint8_t { unsaid, together, apart };
  Meant meant =
      Meant::unsaid;  // by the VMM or the guest: that the vCPUs' TSCs are equal, or that a value is taken as it is
  std::string error;  // apart: an expression, what came of the value minus what was meant
  std::vector<std::pair<std::string, std::string>> vary;  // name and distribution
};

struct Scenario {
  Meta meta;
  ops::Program program;
  std::vector<Expectation> expectations;  // in the order of the file
  std::vector<ToleratedError> tolerated;
  std::vector<ProcedureUse> procedures;  // in the order of the file
  std::vector<Pivot> pivots;
  SweepSpec sweep;
};

// One VMM procedure in the place of another.
struct ProcedureReplacement {
  std::string old_name;  // empty: of every one of the same kind
  std::string new_name;
};

// Another value for a scalar of the file; overrides.h says how it is named.
struct Override {
  std::string name;
  std::string value;  // as an author would write it
};

struct ParseOptions {
  std::vector<std::string> procedure_folders;  // searched before the shipped ones
  std::vector<ProcedureReplacement> replace;   // the first that fits counts
  std::vector<Override> overrides = {};
};

// `file` appears in messages; its stem must be the scenario's name unless `file` is empty or "-". Throws
// ops::InputError that holds every fault found, in the order of their places.
Scenario parse_scenario(std::string_view text, const std::string& file, const ParseOptions& options = {});

// The scenario on each of its `kernels` in turn; itself when it has none.
std::vector<Scenario> for_each_kernel(const Scenario& scenario);

// "young-guest", and "young-guest@6.7" for the copy that is for one kernel of several.
std::string label(const Scenario& scenario);

// Reads and parses. Also throws ops::InputError when the file cannot be read; a file above kMaxFileBytes is
// not read into memory.
Scenario load_scenario(const std::string& path, const ParseOptions& options = {});

// `path` itself when it is a file, otherwise all *.yaml files below it, sorted bytewise; folders named
// `refused` or `testdata` are for tests, those named `procedures` hold procedures: they are left out unless `path` names
// one. Throws ops::InputError.
std::vector<std::string> find_scenarios(const std::string& path);

// The shipped scenarios; their procedures are in its folder `procedures`.
std::string library_folder();

}  // namespace tscsim::scenarios

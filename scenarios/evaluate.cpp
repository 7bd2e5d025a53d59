// Each expectation becomes a difference of two sides, an interval that the difference is known to lie in, and
// a relation that holds on all of the interval, on none of it, or on a part.
#include "scenarios/evaluate.h"

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <limits>
#include <map>
#include <set>

#include "base/interrupt.h"
#include "scenarios/errno_names.h"
#include "scenarios/guest_metrics.h"
#include "scenarios/metrics.h"
#include "scenarios/observations.h"
#include "scenarios/units.h"

namespace tscsim::scenarios {
namespace {

using ops::Entry;
using ops::Field;
using ops::OpKind;

// What cannot be decided, and why; caught where the verdict is made.
struct Undecidable {
  State state;
  std::string detail;
};

[[noreturn]] void not_run(const std::string& need) { throw Undecidable{State::not_run, need}; }

Wide magnitude(Wide value) { return value < 0 ? -value : value; }

// Cycle counters wrap at 2^64: a difference of cycles is the shortest way round.
Wide wrapped(Wide difference, ops::Unit unit) {
  if (unit == ops::Unit::ns) return difference;
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(difference));
}

std::string wide_text(Wide value) {
  if (value >= std::numeric_limits<std::int64_t>::min() && value <= std::numeric_limits<std::int64_t>::max())
    return grouped(static_cast<std::int64_t>(value));
  std::string digits;
  for (Wide rest = magnitude(value); rest != 0; rest /= 10)
    digits += static_cast<char>('0' + static_cast<int>(rest % 10));
  for (std::size_t at = 3; at < digits.size(); at += 4) digits.insert(at, "_");
  if (value < 0) digits += '-';
  std::reverse(digits.begin(), digits.end());
  return digits;
}

// Numbers of cycles above 2^63 are small negative ones: offsets, adjustments.
std::string number_text(Wide value, ops::Unit unit) {
  const bool negative = unit == ops::Unit::cycles && value > std::numeric_limits<std::int64_t>::max() &&
                        value <= std::numeric_limits<std::uint64_t>::max();
  return wide_text(negative ? wrapped(value, unit) : value);
}

std::string version_of(const std::string& release) {  // "6.12.5-amd64" -> "6.12"
  const std::size_t major = release.find('.');
  if (major == std::string::npos) return release;
  std::size_t end = major + 1;
  while (end < release.size() && release[end] >= '0' && release[end] <= '9') ++end;
  return release.substr(0, end);
}

std::string op_text(const ops::Operation& op) {
  return std::string(ops::name_of(op.kind)) + (op.vcpu == ops::kVm ? "" : " on vCPU " + std::to_string(op.vcpu));
}

// Whether `op` leaves everything as it is. A guest's read is none of these: entering the guest serves
// requests.
bool only_looks(const ops::Operation& op) {
  switch (op.kind) {
    case OpKind::get_tsc_khz:
    case OpKind::get_msr:
    case OpKind::get_tsc_offset:
    case OpKind::get_clock:
    case OpKind::peek_pvclock:
    case OpKind::peek_wall_clock:
    case OpKind::peek_hyperv_page:
    case OpKind::peek_steal_time:
    case OpKind::bump_vmclock:
      return true;
    default:
      return false;
  }
}

bool changes_rate(const ops::Program& program) {
  return std::any_of(program.timeline.begin(), program.timeline.end(),
                     [](const ops::Step& step) { return step.op.kind == OpKind::set_tsc_khz; });
}

// In the lab the wall clocks of several hosts are set apart as the scenario says; by how much they miss it is measured.
bool grants_wall_clocks(const ops::Program& program, const ops::TargetProfile& profile) {
  return program.hosts.size() > 1 && profile.target.rfind("lab:", 0) == 0;
}

bool has_own_clock_errors(const ops::HostSpec& host, bool wall_clock_granted) {
  return host.tsc_error_ppb != 0 || (host.realtime_error_ns != 0 && !wall_clock_granted) ||
         host.realtime_drift_ppb != 0 ||
         std::any_of(host.pcpus.begin(), host.pcpus.end(), [](const auto& pcpu) { return pcpu.tsc_offset != 0; });
}

bool moves_clocksource(const ops::Program& program) {
  return std::any_of(program.timeline.begin(), program.timeline.end(),
                     [](const ops::Step& step) { return step.op.kind == OpKind::set_clocksource; });
}

// What the scenario asks of its host and this one does not have; empty if it is such a host. The TSC's
// frequency is judged for each expectation by itself.
std::string missing_host(const ops::Program& program, const ops::HostSpec& host, const ops::TargetProfile& profile) {
  if (host.kernel.find('+') != std::string::npos)
    return "needs: the model, as the kernel " + host.kernel + " with a proposal that was never merged";
  if (program.heuristic != profile.heuristic) return "needs: the model, with the heuristic " + program.heuristic;
  if (!host.kernel.empty() && version_of(host.kernel) != version_of(profile.kernel))
    return "needs: kernel " + host.kernel + " (here " + profile.kernel + ")";
  if (has_own_clock_errors(host, grants_wall_clocks(program, profile)))
    return "needs: a simulated host, with the clock errors that the scenario gives it";
  if (host.tsc_unstable != profile.tsc_unstable)
    return host.tsc_unstable ? "needs: a host that takes its TSC for unstable" : "needs: a stable TSC";
  if (host.tsc_clocksource != profile.tsc_clocksource && !moves_clocksource(program))
    return host.tsc_clocksource ? "needs: clocksource tsc" : "needs: a clocksource other than tsc";
  if (changes_rate(program) && host.tsc_scaling != profile.tsc_scaling)
    return host.tsc_scaling ? "needs: tsc scaling" : "needs: a host without tsc scaling";
  if (program.hosts.size() > 1 && host.tsc_khz_written && host.tsc_khz != profile.host_khz)
    return "needs: tsc " + frequency_text(host.tsc_khz) + " (here " + frequency_text(profile.host_khz) + ")";
  return {};
}

std::string missing_hosts(const Scenario& scenario, const ops::Header& header) {
  const ops::Program& program = scenario.program;
  for (int host = 0; host < header.hosts(); ++host) {
    ops::HostSpec spec = program.hosts[static_cast<std::size_t>(host)];
    if (!scenario.meta.kernels.empty()) spec.kernel.clear();  // any from the first on
    const std::string missing = missing_host(program, spec, header.host(host).profile);
    if (!missing.empty()) return missing + (header.hosts() > 1 ? ", as host " + spec.name : "");
  }
  return {};
}

class Evaluator {
 public:
  Evaluator(const Scenario& scenario, const ops::Recording& recording)
      : scenario_(scenario), seen_(scenario.program, recording), kernel_(recording.header.profile.kernel) {
    for (int host = 0; host < recording.header.hosts() && missing_host_.empty(); ++host)
      missing_host_ = unmet_kernel(scenario, recording.header.host(host).profile.kernel);
    if (seen_.simulated() || !missing_host_.empty()) return;
    missing_host_ = scenario.meta.model_only ? "needs: the model, where operations run on the nanosecond"
                                             : missing_hosts(scenario, recording.header);
  }

  std::vector<Verdict> evaluate() {
    std::vector<Verdict> verdicts = unexpected_refusals();
    for (std::size_t i = 0; i < scenario_.expectations.size(); ++i) {
      base::throw_if_interrupted();
      const Expectation& expectation = scenario_.expectations[i];
      if (!meant_here(expectation)) continue;
      Verdict verdict{static_cast<int>(i), expectation.place, expectation.text, State::not_run, {}};
      judge(expectation, verdict);
      verdicts.push_back(std::move(verdict));
    }
    return verdicts;
  }

 private:
  // Kernels are told apart in scenarios of one host only. On one older than all of them nothing is meant, and each
  // expectation is reported as not run.
  bool meant_here(const Expectation& expectation) const {
    return expectation.kernels.contains(kernel_) || !unmet_kernel(scenario_, kernel_).empty();
  }

  void judge(const Expectation& expectation, Verdict& verdict) const {
    try {
      if (!missing_host_.empty()) not_run(missing_host_);
      switch (expectation.subject) {
        case Subject::value:
          judge_value(expectation, verdict);
          break;
        case Subject::step_error:
          judge_error(expectation, verdict);
          break;
        case Subject::tsc_offset:
        case Subject::tsc_adjust:
          judge_each_vcpu(expectation, verdict);
          break;
        case Subject::master_clock:
          judge_master_clock(expectation, verdict);
          break;
        case Subject::tsc_skew:
        case Subject::kvmclock_skew:
          judge_skew(expectation, verdict);
          break;
        case Subject::tsc_jump:
        case Subject::kvmclock_jump:
          judge_jump(expectation, verdict);
          break;
        default:
          judge_guest(expectation, verdict);
          break;
      }
    } catch (const Undecidable& why) {
      verdict.state = why.state;
      verdict.detail = why.detail;
    } catch (const ops::ExpressionError& error) {
      verdict.state = State::failed;
      verdict.detail = std::string("cannot be computed: ") + error.what();
    }
  }

  // ---- steps ----

  bool may_fail(std::size_t step) const {
    const std::size_t setup = scenario_.program.setup.size();
    return std::any_of(scenario_.expectations.begin(), scenario_.expectations.end(), [&](const Expectation& e) {
      return e.subject == Subject::step_error && e.step + setup == step && meant_here(e);
    });
  }

  // An error that the VMM passes over.
  bool is_tolerated(std::size_t step, int error) const {
    const std::size_t setup = scenario_.program.setup.size();
    return std::any_of(scenario_.tolerated.begin(), scenario_.tolerated.end(),
                       [&](const ToleratedError& e) { return e.step + setup == step && e.error == error; });
  }

  std::string step_place(std::size_t step) const {
    if (step < scenario_.program.setup.size()) return "the set-up";
    const ops::Step& found = seen_.step(step);
    if (found.procedure.empty()) return "the step at line " + std::to_string(found.place.line);
    return "the step at line " + std::to_string(found.place.line) + " of " + found.procedure + ", used at line " +
           std::to_string(found.used_at.line) + ",";
  }

  static std::string with_note(const Entry& entry) { return entry.note.empty() ? "" : " (" + entry.note + ")"; }

  std::vector<Verdict> unexpected_refusals() const {
    std::vector<Verdict> verdicts;
    std::string missing = missing_host_;
    for (std::size_t step = 0; step < seen_.steps(); ++step) {
      const ops::Operation& op = seen_.step(step).op;
      const auto entry = seen_.entry_of_step(step);
      const ops::Step& planned = seen_.step(step);
      const ops::Place& place = planned.procedure.empty() ? planned.place : planned.used_at;
      Verdict verdict{kImplicit, place, op_text(op) + " succeeds", State::failed, {}, step};
      if (!entry) {
        verdict.state = State::not_run;
        verdict.detail = "the recording ends before " + step_place(step);
        verdicts.push_back(std::move(verdict));
        break;
      }
      const Entry& found = seen_.entry(*entry);
      // What a Linux guest would have set up (its kvmclock pages) is not there for the steps that follow.
      if (!found.supported && op.kind == ops::OpKind::boot_guest && missing.empty()) missing = "needs: a Linux guest";
      if (!found.supported || found.outcome.error == 0 || may_fail(step) || is_tolerated(step, found.outcome.error))
        continue;
      verdict.error = found.outcome.error;
      verdict.detail = step_place(step) + " was refused: " + errno_name(found.outcome.error) + with_note(found);
      if (!missing.empty()) {
        verdict.state = State::not_run;
        verdict.detail += "; " + missing;
      }
      verdicts.push_back(std::move(verdict));
    }
    return verdicts;
  }

  void judge_error(const Expectation& expectation, Verdict& verdict) const {
    const std::size_t step = expectation.step + scenario_.program.setup.size();
    const auto index = seen_.entry_of_step(step);
    if (!index) not_run("the recording ends before this step");
    const Entry& entry = seen_.entry(*index);
    require_supported(entry);
    require_history(*index);
    const int error = entry.outcome.error;
    verdict.state = error == expectation.error ? State::held : State::failed;
    verdict.detail = (error == 0 ? "it succeeded" : "it failed with " + errno_name(error)) + with_note(entry);
  }

  // ---- what the target lacks ----

  static std::string unsupported_text(const Entry& entry) {
    return entry.note.empty() ? "needs: " + op_text(entry.op) : entry.note;
  }

  static void require_supported(const Entry& entry) {
    if (!entry.supported) not_run(unsupported_text(entry));
  }

  // A step that this target could not execute leaves another state than the scenario means.
  void require_history(std::size_t last) const {
    for (std::size_t index = 0; index <= last; ++index) {
      const Entry& entry = seen_.entry(index);
      if (!entry.op.probe && !entry.supported && !only_looks(entry.op)) not_run(unsupported_text(entry));
    }
  }

  // The guest's TSC is where KVM says only if offsets are honoured.
  bool rests_on_offset(const Observation& observation) const {
    const OpKind kind = seen_.entry(observation.entry).op.kind;
    const Quantity quantity = seen_.quantity(observation);
    return quantity == Quantity::guest_tsc || quantity == Quantity::tsc_offset ||
           (kind == OpKind::read_pvclock && quantity == Quantity::kvmclock_ns);
  }

  const ops::TargetProfile& profile_of(const Observation& observation) const {
    return seen_.recording().header.host(seen_.entry(observation.entry).op.host).profile;
  }

  void require_profile(const Observation& observation) const {
    const ops::TargetProfile& profile = profile_of(observation);
    const bool adjust_of_tsc_write =
        seen_.quantity(observation) == Quantity::tsc_adjust && !roots_of(observation).empty();
    if (!profile.honours_tsc_offset && (rests_on_offset(observation) || adjust_of_tsc_write))
      not_run("needs: honoured TSC offset");
    if (!profile.clock_has_realtime && observation.field == Field::realtime) not_run("needs: KVM_CLOCK_REALTIME");
    if (!profile.clock_has_realtime && observation.field == Field::host_tsc) not_run("needs: KVM_CLOCK_HOST_TSC");
  }

  std::set<Observation> roots_of(const Observation& observation) const {
    const Perturbation none;
    seen_.moved_by(observation, none);
    return none.roots;
  }

  // ---- a difference of two sides ----

  // left - right as a function of the observations that it reads.
  using Lookup = std::function<Wide(const Observation&)>;
  using Difference = std::function<Wide(const Lookup&)>;

  struct Interval {
    Wide middle = 0;
    Wide slack = 0;  // to either side
  };

  // What all expectations on numbers share: is it observable here, does it depend on this host, how far is it
  // sure.
  Interval interval(const Difference& difference, const std::vector<Observation>& reads, ops::Unit unit) const {
    std::size_t last = 0;
    for (const Observation& read : reads) {
      require_profile(read);
      last = std::max(last, read.entry);
    }
    require_history(last);
    const auto plain = [&](const Observation& o) { return seen_.value(o); };
    const Wide middle = difference(plain);
    if (seen_.simulated()) return {wrapped(middle, unit), 0};
    require_independence(difference, middle, unit);
    return {wrapped(middle, unit), slack_of(difference, middle, unit, last)};
  }

  Wide perturbed(const Difference& difference, const Perturbation& perturbation) const {
    return difference([&](const Observation& o) { return seen_.value(o) + seen_.moved_by(o, perturbation); });
  }

  // Were the host's counters elsewhere, the difference must be the same; else only a simulated host, whose
  // counters stand where the scenario says, can decide.
  void require_independence(const Difference& difference, Wide middle, ops::Unit unit) const {
    constexpr Wide kTscShift_ms = 384'623;  // whole milliseconds scale to whole cycles of any rate
    constexpr Wide kRealtimeShift = 7'000'000'000'003'000;
    for (int host = 0; host < seen_.recording().header.hosts(); ++host) {
      Perturbation tsc;
      tsc.host_tsc[host] = kTscShift_ms * std::max(seen_.recording().header.host(host).profile.host_khz, 1U);
      if (wrapped(perturbed(difference, tsc) - middle, unit) != 0)
        not_run("needs: a simulated host; the value depends on where this host's TSC stands");
    }
    Perturbation realtime;
    realtime.realtime_ns = kRealtimeShift;
    if (wrapped(perturbed(difference, realtime) - middle, unit) != 0)
      not_run("needs: a simulated host; the value depends on this host's wall clock");
  }

  // Each root moves the difference by something; the sum of the greatest movements bounds it, if they add up.
  Wide slack_of(const Difference& difference, Wide middle, ops::Unit unit, std::size_t last) const {
    Perturbation together;
    perturbed(difference, together);
    const std::set<Observation> roots = together.roots;
    together = {};
    Wide sum = 0, signed_sum = 0;
    for (const Observation& root : roots) {
      Perturbation alone;
      alone.noise[root] = together.noise[root] = seen_.noise_of(root, last);
      const Wide movement = wrapped(perturbed(difference, alone) - middle, unit);
      sum += magnitude(movement);
      signed_sum += movement;
    }
    const Wide all = wrapped(perturbed(difference, together) - middle, unit);
    const Wide rounding = static_cast<Wide>(roots.size()) + 1;
    if (magnitude(all - signed_sum) > rounding)
      throw Undecidable{State::unsure, "the expression multiplies or divides readings that lateness moves"};
    return roots.empty() || sum == 0 ? Wide{0} : sum + rounding;
  }

  // ---- relations ----

  static State decide(Wide lo, Wide hi, Relation relation, Wide tolerance) {
    const bool straddles = lo <= 0 && hi >= 0;
    const Wide nearest = straddles ? Wide{0} : std::min(magnitude(lo), magnitude(hi));
    const Wide farthest = std::max(magnitude(lo), magnitude(hi));
    bool always = false, never = false;
    switch (relation) {
      case Relation::is:
      case Relation::equal:
      case Relation::at_most_either_way:
        always = farthest <= tolerance;
        never = nearest > tolerance;
        break;
      case Relation::is_not:
      case Relation::unequal:
        always = nearest > tolerance;
        never = farthest <= tolerance;
        break;
      case Relation::at_least:
        always = lo >= 0;
        never = hi < 0;
        break;
      case Relation::at_most:
        always = hi <= 0;
        never = lo > 0;
        break;
    }
    return always ? State::held : never ? State::failed : State::unsure;
  }

  static const char* unit_word(ops::Unit unit) { return unit == ops::Unit::ns ? " ns" : " cycles"; }

  // `found` and `wanted` are for the reader; the decision is about the interval of found - wanted.
  void conclude(const Expectation& expectation, const Interval& known, Wide found, Wide wanted, Wide tolerance,
                bool plain, Verdict& verdict) const {
    verdict.state = decide(known.middle - known.slack, known.middle + known.slack, expectation.relation, tolerance);
    const ops::Unit unit = expectation.unit;
    const std::string word = plain ? "" : unit_word(unit);
    verdict.detail += "found " + number_text(found, unit) + word + ", expected ";
    if (expectation.relation == Relation::is_not) verdict.detail += "not ";
    if (expectation.relation == Relation::at_least) verdict.detail += "at least ";
    if (expectation.relation == Relation::at_most) verdict.detail += "at most ";
    if (expectation.relation == Relation::at_most_either_way) {
      verdict.detail += "at most " + wide_text(tolerance) + word + " either way";
      if (known.slack != 0) verdict.detail += "; slack " + wide_text(known.slack) + word;
      return;
    }
    verdict.detail += number_text(wanted, unit) + word;
    if (tolerance != 0) verdict.detail += " within " + wide_text(tolerance) + word;
    if (known.slack != 0) verdict.detail += "; slack " + wide_text(known.slack) + word;
  }

  // ---- cycle constants ----

  // The part of an expression in cycles that is a bare number: its value with all names 0, less its
  // durations. At 10^6 kHz a nanosecond is a cycle, at 2 * 10^6 it is two, so the durations cancel.
  static bool holds_cycle_count(const std::optional<ops::Expression>& expression) {
    if (!expression) return false;
    const auto zero = [](std::string_view, std::string_view) { return std::optional<Wide>(0); };
    try {
      return 2 * expression->evaluate(zero, 1'000'000) - expression->evaluate(zero, 2'000'000) != 0;
    } catch (const ops::ExpressionError&) {
      return true;
    }
  }

  void require_rate(const Expectation& expectation, const std::set<Observation>& roots) const {
    const bool counts = expectation.unit == ops::Unit::cycles &&
                        (holds_cycle_count(expectation.left) || holds_cycle_count(expectation.right) ||
                         holds_cycle_count(expectation.within));
    if (!counts) return;
    for (const Observation& root : roots) {
      const ops::HostSpec& host = scenario_.program.hosts[static_cast<std::size_t>(seen_.entry(root.entry).op.host)];
      const std::uint32_t host_khz = profile_of(root).host_khz;
      if (host.tsc_khz_written && host.tsc_khz != host_khz)
        not_run("needs: tsc " + frequency_text(host.tsc_khz) + " (here " + frequency_text(host_khz) + ")");
    }
  }

  std::set<Observation> all_roots(const std::vector<Observation>& reads) const {
    std::set<Observation> roots;
    for (const Observation& read : reads) roots.merge(roots_of(read));
    return roots;
  }

  // ---- captured values ----

  // The observation behind a captured name, or why there is none.
  Observation captured(const std::string& name, const std::string& field) const {
    const auto step = seen_.step_of_capture(name);
    const auto index = step ? seen_.entry_of_step(*step) : std::nullopt;
    if (!index) not_run("the recording ends before '" + name + "' is captured");
    const Entry& entry = seen_.entry(*index);
    require_supported(entry);
    if (entry.outcome.error != 0)
      throw Undecidable{State::failed, "'" + name + "' was not captured: " + step_place(*step) +
                                           " was refused: " + errno_name(entry.outcome.error)};
    const auto observation = observation_of(seen_, name, field);
    if (!observation) not_run("needs: the field '" + field + "' of " + std::string(ops::name_of(entry.op.kind)));
    return *observation;
  }

  std::vector<Observation> reads_of(const Expectation& expectation) const {
    std::vector<Observation> reads;
    for (const auto* side : {&expectation.left, &expectation.right})
      if (*side)
        for (const Load& load : loads_of(**side, expectation.unit)) reads.push_back(captured(load.name, load.field));
    return reads;
  }

  Wide side(const ops::Expression& expression, const Lookup& lookup, std::uint32_t khz) const {
    return expression.evaluate(
        [&](std::string_view name, std::string_view field) -> std::optional<Wide> {
          return lookup(captured(std::string(name), std::string(field)));
        },
        khz);
  }

  // A bound in both directions is a tolerance around 0.
  static bool bounds_size(const Expectation& expectation) {
    return expectation.relation == Relation::at_most_either_way;
  }

  Wide wanted_of(const Expectation& expectation, const Lookup& lookup, std::uint32_t khz) const {
    return bounds_size(expectation) ? Wide{0} : side(*expectation.right, lookup, khz);
  }

  Wide tolerance_of(const Expectation& expectation, std::uint32_t khz) const {
    if (bounds_size(expectation)) return expectation.right->evaluate({}, khz);
    return expectation.within ? expectation.within->evaluate({}, khz) : Wide{0};
  }

  void judge_value(const Expectation& expectation, Verdict& verdict) const {
    const std::vector<Observation> reads = reads_of(expectation);
    const Entry& first = seen_.entry(reads.front().entry);
    const std::uint32_t khz = seen_.guest_khz(first.op, reads.front().entry);
    const Difference difference = [&](const Lookup& lookup) {
      return side(*expectation.left, lookup, khz) - side(*expectation.right, lookup, khz);
    };
    require_rate(expectation, all_roots(reads));
    Interval known = interval(difference, reads, expectation.unit);
    if (equal_offsets(expectation, reads)) known.slack = 0;
    const auto plain = [&](const Observation& o) { return seen_.value(o); };
    const bool bare = std::all_of(reads.begin(), reads.end(), [&](const Observation& read) {
      const Quantity quantity = seen_.quantity(read);
      return !counts_cycles(quantity) && !counts_ns(quantity);
    });
    conclude(expectation, known, side(*expectation.left, plain, khz), side(*expectation.right, plain, khz),
             tolerance_of(expectation, khz), bare, verdict);
  }

  // `o1 is o0`: lateness does not make two offsets equal, only a joined generation or a set offset does, so
  // they are compared bit for bit.
  bool equal_offsets(const Expectation& expectation, const std::vector<Observation>& reads) const {
    const bool bare = expectation.left->text().find_first_of("+-*/(") == std::string::npos &&
                      expectation.right->text().find_first_of("+-*/(") == std::string::npos;
    const bool compares = expectation.relation == Relation::is || expectation.relation == Relation::is_not;
    return bare && compares && !expectation.within && reads.size() == 2 &&
           std::all_of(reads.begin(), reads.end(),
                       [&](const Observation& read) { return seen_.quantity(read) == Quantity::tsc_offset; });
  }

  // ---- metrics of each vCPU ----

  bool in_window(const Expectation& expectation, std::size_t entry) const {
    const std::int64_t at_ns = seen_.entry(entry).op.at_ns;
    const bool early_enough = !expectation.at_ns || seen_.is_setup(entry) || at_ns <= *expectation.at_ns;
    const bool late_enough = !expectation.from_ns || (!seen_.is_setup(entry) && at_ns >= *expectation.from_ns);
    const bool on_host = !expectation.host || seen_.entry(entry).op.host == *expectation.host;
    return early_enough && late_enough && on_host;
  }

  std::vector<std::int32_t> vcpus_of(const Expectation& expectation) const {
    if (!expectation.of.empty()) return expectation.of;
    std::set<std::int32_t> vcpus;  // that moved with the guest count once
    for (std::size_t index = 0; index < seen_.recording().entries.size(); ++index) {
      const Entry& entry = seen_.entry(index);
      if (entry.op.kind == OpKind::create_vcpu && entry.supported && entry.outcome.error == 0 &&
          in_window(expectation, index))
        vcpus.insert(entry.op.vcpu);
    }
    return {vcpus.begin(), vcpus.end()};
  }

  static bool reads_metric(Subject subject, const ops::Operation& op) {
    if (subject == Subject::tsc_offset) return op.kind == OpKind::get_tsc_offset;
    const bool reads_msr = op.kind == OpKind::get_msr || op.kind == OpKind::rdmsr;
    return reads_msr && op.msr == ops::msr::kIa32TscAdjust;
  }

  Observation last_reading(const Expectation& expectation, std::int32_t vcpu) const {
    std::optional<std::size_t> last;
    for (std::size_t index = 0; index < seen_.recording().entries.size(); ++index) {
      const ops::Operation& op = seen_.entry(index).op;
      if (op.vcpu == vcpu && reads_metric(expectation.subject, op) && in_window(expectation, index)) last = index;
    }
    if (!last && expectation.subject == Subject::tsc_offset &&
        !seen_.recording().header.host(expectation.host.value_or(0)).profile.offset_attribute)
      not_run("needs: the TSC offset attribute");
    if (!last) not_run("nothing was read from vCPU " + std::to_string(vcpu));
    const Entry& entry = seen_.entry(*last);
    require_supported(entry);
    if (!entry.outcome.find(Field::value))
      throw Undecidable{State::failed, op_text(entry.op) + " was refused: " + errno_name(entry.outcome.error)};
    return {*last, Field::value};
  }

  void judge_each_vcpu(const Expectation& expectation, Verdict& verdict) const {
    std::vector<Observation> readings;
    for (const std::int32_t vcpu : vcpus_of(expectation)) readings.push_back(last_reading(expectation, vcpu));
    if (readings.empty()) not_run("no vCPU exists at that time");
    if (expectation.right) return compare_each(expectation, readings, verdict);
    if (readings.size() < 2) not_run("only one vCPU exists at that time");
    judge_equality(expectation, readings, verdict);
  }

  // Bit for bit, so lateness does not come into it.
  void judge_equality(const Expectation& expectation, const std::vector<Observation>& readings,
                      Verdict& verdict) const {
    std::size_t last = 0;
    for (const Observation& reading : readings) {
      require_profile(reading);
      last = std::max(last, reading.entry);
    }
    require_history(last);
    const Wide first = seen_.value(readings.front());
    const bool equal = std::all_of(readings.begin(), readings.end(),
                                   [&](const Observation& reading) { return seen_.value(reading) == first; });
    verdict.state = equal == (expectation.relation == Relation::equal) ? State::held : State::failed;
    for (const Observation& reading : readings)
      verdict.detail += (verdict.detail.empty() ? "vCPU " : ", vCPU ") +
                        std::to_string(seen_.entry(reading.entry).op.vcpu) + ": " +
                        number_text(seen_.value(reading), ops::Unit::cycles);
    if (const Wide slack = seen_.slack_ns(last); slack != 0)
      verdict.detail += "; operations ran up to " + wide_text(slack) + " ns late";
  }

  // The worst vCPU gives the verdict: failed before not decided before held.
  void compare_each(const Expectation& expectation, const std::vector<Observation>& readings, Verdict& verdict) const {
    std::optional<Verdict> worst;
    for (const Observation& reading : readings) {
      Verdict one = verdict;
      try {
        compare_one(expectation, reading, one);
      } catch (const Undecidable& why) {
        one.state = why.state;
        one.detail = why.detail;
      }
      if (!worst || severity(one.state) > severity(worst->state)) worst = std::move(one);
    }
    verdict = std::move(*worst);
  }

  static int severity(State state) {
    switch (state) {
      case State::held:
        return 0;
      case State::not_run:
        return 1;
      case State::unsure:
        return 2;
      case State::failed:
        return 3;
    }
    return 3;
  }

  void compare_one(const Expectation& expectation, const Observation& reading, Verdict& verdict) const {
    std::vector<Observation> reads{reading};
    for (const Load& load : loads_of(*expectation.right, expectation.unit))
      reads.push_back(captured(load.name, load.field));
    const std::int32_t vcpu = seen_.entry(reading.entry).op.vcpu;
    const std::uint32_t khz = seen_.guest_khz(seen_.entry(reading.entry).op, reading.entry);
    const Difference difference = [&](const Lookup& lookup) {
      return lookup(reading) - side(*expectation.right, lookup, khz);
    };
    require_rate(expectation, all_roots(reads));
    const Interval known = interval(difference, reads, expectation.unit);
    const auto plain = [&](const Observation& o) { return seen_.value(o); };
    verdict.detail = "vCPU " + std::to_string(vcpu) + ": ";
    conclude(expectation, known, seen_.value(reading), side(*expectation.right, plain, khz),
             tolerance_of(expectation, khz), false, verdict);
  }

  // ---- master clock ----

  void judge_master_clock(const Expectation& expectation, Verdict& verdict) const {
    std::optional<std::size_t> last;
    for (std::size_t index = 0; index < seen_.recording().entries.size(); ++index)
      if (seen_.entry(index).op.kind == OpKind::get_clock && in_window(expectation, index)) last = index;
    if (!last) not_run("KVM_GET_CLOCK was not called by then");
    const Entry& entry = seen_.entry(*last);
    require_supported(entry);
    require_history(*last);
    const std::uint64_t* flags = entry.outcome.find(Field::flags);
    if (!flags) throw Undecidable{State::failed, "KVM_GET_CLOCK was refused: " + errno_name(entry.outcome.error)};
    const bool on = (*flags & ops::clock_flag::kTscStable) != 0;
    const bool wanted = expectation.right->as_constant() == Wide{1};
    verdict.state = on == wanted ? State::held : State::failed;
    verdict.detail = std::string("it is ") + (on ? "on" : "off") + ": flags " + std::to_string(*flags) + " at " +
                     grouped(entry.op.at_ns) + " ns";
  }

  // ---- a Linux guest ----

  void judge_guest(const Expectation& expectation, Verdict& verdict) const {
    if (!seen_.simulated()) not_run("needs: a Linux guest");
    const std::optional<Found> found = find_in_guest(expectation, scenario_.program, seen_.recording());
    if (!found) not_run("nothing was recorded that it could be found in");
    const auto plain = [&](const Observation& o) { return seen_.value(o); };
    const Wide wanted = wanted_of(expectation, plain, 1'000'000);
    verdict.detail = found->where + (found->where.empty() ? "" : ": ");
    conclude(expectation, {found->value - wanted, 0}, found->value, wanted, tolerance_of(expectation, 1'000'000),
             expectation.unit != ops::Unit::ns, verdict);
  }

  // ---- skew and jump ----

  static Field reading_field(OpKind kind) { return kind == OpKind::read_pvclock ? Field::ns : Field::value; }

  static bool is_reading(const Expectation& expectation, OpKind kind) {
    if (expectation.unit == ops::Unit::ns) return kind == OpKind::read_pvclock;
    return kind == OpKind::rdtsc || kind == OpKind::rdtscp;
  }

  // The guest readings in the window, in order. A refused one is no evidence and is reported as what it is.
  std::vector<Observation> guest_readings(const Expectation& expectation) const {
    std::vector<Observation> readings;
    std::string missing;
    for (std::size_t index = 0; index < seen_.recording().entries.size(); ++index) {
      const Entry& entry = seen_.entry(index);
      if (!is_reading(expectation, entry.op.kind) || !in_window(expectation, index)) continue;
      const Field field = reading_field(entry.op.kind);
      if (!entry.supported) missing = unsupported_text(entry);
      if (entry.outcome.find(field)) readings.push_back({index, field});
    }
    if (!missing.empty()) not_run(missing);
    return readings;
  }

  struct Pair {
    Observation early, late;  // for a skew: the lower and the higher
    Wide value = 0;
    Wide host_progress = 0;  // for a jump
  };

  Wide pair_difference(const Pair& pair, const Lookup& lookup, ops::Unit unit) const {
    return wrapped(lookup(pair.late) - lookup(pair.early), unit);
  }

  void judge_skew(const Expectation& expectation, Verdict& verdict) const {
    const std::optional<Pair> widest = widest_pair(expectation);
    if (!widest) not_run("no two vCPUs were read at the same instant");
    const Entry& at = seen_.entry(widest->early.entry);
    verdict.detail = "at " + grouped(at.op.at_ns) + " ns, vCPU " + std::to_string(at.op.vcpu) + " behind vCPU " +
                     std::to_string(seen_.entry(widest->late.entry).op.vcpu) + ": ";
    const Judged judged = judge_pair(expectation, *widest, verdict);
    // A skew has no sign, so what the slack takes below 0 folds there.
    const Wide least = std::max(Wide{0}, widest->value - judged.slack);
    verdict.state = decide(least - judged.wanted, judged.hi, expectation.relation, judged.tolerance);
  }

  // Of each instant, the first reading of each vCPU; of all instants, the one where they lie farthest apart.
  std::optional<Pair> widest_pair(const Expectation& expectation) const {
    std::map<std::pair<std::int64_t, std::int32_t>, std::map<std::int32_t, Observation>> instants;  // and hosts
    for (const Observation& reading : guest_readings(expectation)) {
      const ops::Operation& op = seen_.entry(reading.entry).op;
      instants[{op.at_ns, op.host}].try_emplace(op.vcpu, reading);
    }
    const auto plain = [&](const Observation& o) { return seen_.value(o); };
    std::optional<Pair> widest;
    for (const auto& [instant, readings] : instants)
      for (const auto& [vcpu, reading] : readings) {
        const Observation& first = readings.begin()->second;
        if (reading == first) continue;
        Pair pair = spread(readings, expectation.unit, plain);
        if (!widest || pair.value > widest->value) widest = pair;
        break;
      }
    return widest;
  }

  Pair spread(const std::map<std::int32_t, Observation>& readings, ops::Unit unit, const Lookup& lookup) const {
    const Observation& first = readings.begin()->second;
    Pair pair{first, first, 0, 0};
    Wide least = 0, most = 0;
    for (const auto& [vcpu, reading] : readings) {
      const Wide ahead = wrapped(lookup(reading) - lookup(first), unit);
      if (ahead < least) pair.early = reading;
      if (ahead > most) pair.late = reading;
      least = std::min(least, ahead);
      most = std::max(most, ahead);
    }
    if (pair.early == pair.late) pair.late = std::next(readings.begin())->second;  // all equal
    pair.value = most - least;
    return pair;
  }

  void judge_jump(const Expectation& expectation, Verdict& verdict) const {
    const std::vector<Pair> jumps = jumps_of(expectation);
    if (jumps.empty()) not_run("no vCPU was read twice");
    const Pair& greatest = *std::max_element(jumps.begin(), jumps.end(), [](const Pair& a, const Pair& b) {
      return magnitude(a.value) < magnitude(b.value);
    });
    verdict.detail = "vCPU " + std::to_string(seen_.entry(greatest.late.entry).op.vcpu) + " between " +
                     grouped(seen_.entry(greatest.early.entry).op.at_ns) + " ns and " +
                     grouped(seen_.entry(greatest.late.entry).op.at_ns) + " ns: ";
    const Judged judged = judge_pair(expectation, greatest, verdict);
    verdict.state = decide(judged.lo, judged.hi, expectation.relation, judged.tolerance);
    // Without lateness another step might have been the greatest; it must then give the same verdict.
    const Wide slack = (judged.hi - judged.lo) / 2;
    for (const Pair& jump : jumps) {
      if (slack == 0 || magnitude(jump.value) < magnitude(greatest.value) - 2 * slack) continue;
      const Wide moved = jump.value - greatest.value;
      if (decide(judged.lo + moved, judged.hi + moved, expectation.relation, judged.tolerance) != verdict.state)
        verdict.state = State::unsure;
    }
  }

  // Each two readings in a row of each vCPU, with what the guest's clock gained on the host's between them.
  std::vector<Pair> jumps_of(const Expectation& expectation) const {
    const std::vector<Observation> readings = guest_readings(expectation);
    std::vector<Pair> jumps;
    for (const std::int32_t vcpu : vcpus_of(expectation)) {
      std::optional<Observation> before;
      for (const Observation& reading : readings) {
        if (seen_.entry(reading.entry).op.vcpu != vcpu) continue;
        if (before) jumps.push_back(jump_between(expectation, *before, reading));
        before = reading;
      }
    }
    return jumps;
  }

  Pair jump_between(const Expectation& expectation, const Observation& early, const Observation& late) const {
    const Entry& entry = seen_.entry(late.entry);
    const Wide elapsed_ns = Wide{entry.op.at_ns} - seen_.entry(early.entry).op.at_ns;
    const bool ns = expectation.unit == ops::Unit::ns;
    const Wide khz = seen_.guest_khz(entry.op, late.entry);
    Pair pair{early, late, 0, ns ? elapsed_ns : elapsed_ns * khz / 1'000'000};
    pair.value = pair_difference(
        pair, [&](const Observation& o) { return seen_.value(o); }, expectation.unit);
    pair.value -= pair.host_progress;
    return pair;
  }

  // The interval of value - expected.
  struct Judged {
    Wide lo, hi, wanted, slack, tolerance;
  };

  Judged judge_pair(const Expectation& expectation, const Pair& pair, Verdict& verdict) const {
    std::vector<Observation> reads{pair.early, pair.late};
    for (const Load& load : loads_of(*expectation.right, expectation.unit))
      reads.push_back(captured(load.name, load.field));
    const std::uint32_t khz = seen_.guest_khz(seen_.entry(pair.late.entry).op, pair.late.entry);
    const Difference difference = [&](const Lookup& lookup) {
      return pair_difference(pair, lookup, expectation.unit) - pair.host_progress - wanted_of(expectation, lookup, khz);
    };
    require_rate(expectation, all_roots(reads));
    // Any reading of the window may be the decisive one, so lateness counts up to the last of them.
    const std::vector<Observation> readings = guest_readings(expectation);
    reads.push_back(readings.back());
    const Interval known = interval(difference, reads, expectation.unit);
    const Wide wanted = wanted_of(
        expectation, [&](const Observation& o) { return seen_.value(o); }, khz);
    const Wide tolerance = tolerance_of(expectation, khz);
    conclude(expectation, known, pair.value, wanted, tolerance, false, verdict);
    return {known.middle - known.slack, known.middle + known.slack, wanted, known.slack, tolerance};
  }

  const Scenario& scenario_;
  Observations seen_;
  std::string kernel_;  // of the host, or of the first of several
  std::string missing_host_;
};

}  // namespace

std::string_view name_of(State state) {
  switch (state) {
    case State::held:
      return "held";
    case State::failed:
      return "failed";
    case State::unsure:
      return "unsure";
    case State::not_run:
      return "not run";
  }
  return "not run";
}

std::string unmet_kernel(const Scenario& scenario, const std::string& release) {
  const std::string& since = scenario.meta.since;
  if (since.empty() || version_number(release) >= version_number(since)) return {};
  return "needs: Linux " + since + " or later (here " + release + ")";
}

std::vector<Verdict> evaluate(const Scenario& scenario, const ops::Recording& recording) {
  return Evaluator(scenario, recording).evaluate();
}

}  // namespace tscsim::scenarios

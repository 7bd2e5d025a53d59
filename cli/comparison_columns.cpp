#include "cli/comparison_columns.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "cli/arguments.h"
#include "cli/text.h"
#include "scenarios/captures.h"
#include "scenarios/guest_metrics.h"

namespace tscsim::cli {
namespace {

using ops::OpKind;
using scenarios::Subject;
using Shows = Column::Shows;

const std::vector<Column>& kvm_columns() {
  static const std::vector<Column> all{{Shows::tsc_jump, "tsc_jump", "cycles"},
                                       {Shows::tsc_skew, "tsc_skew", "cycles"},
                                       {Shows::kvmclock_jump, "kvmclock_jump", "ns"},
                                       {Shows::kvmclock_skew, "kvmclock_skew", "ns"},
                                       {Shows::master_clock, "master_clock", ""}};
  return all;
}

Column guest_column(const scenarios::Metric& metric) {
  const bool counts = metric.subject == Subject::guest_event || metric.subject == Subject::guest_clocksource;
  return {Shows::guest_metric, std::string(metric.name), counts ? "" : "ns", &metric};
}

// ---- captures ----

struct CaptureName {
  std::string name, field;
};

CaptureName split(const std::string& text) {
  const auto dot = text.find('.');
  return {text.substr(0, dot), dot == std::string::npos ? "" : text.substr(dot + 1)};
}

template <class Use>
void for_each_step(const ops::Program& program, Use use) {
  std::size_t index = 0;
  for (const auto* steps : {&program.setup, &program.timeline})
    for (const ops::Step& step : *steps) use(step, index++);
}

std::string unit_of(const ops::Operation& op, ops::Field field) {
  const scenarios::Quantity quantity = scenarios::quantity_of(op.kind, op.msr, field);
  if (scenarios::counts_cycles(quantity)) return "cycles";
  if (scenarios::counts_ns(quantity)) return "ns";
  return quantity == scenarios::Quantity::khz ? "kHz" : "";
}

std::optional<ops::Field> field_of(const ops::Operation& op, const std::string& field) {
  scenarios::Capture capture;
  capture.kind = op.kind;
  return scenarios::capture_field(capture, field);
}

[[noreturn]] void refuse_field(const CaptureName& wanted, const ops::Operation& op) {
  std::vector<std::string> fields;
  for (const ops::Field field : scenarios::fields_of(op.kind)) fields.emplace_back(ops::name_of(field));
  if (wanted.field.empty())
    throw UsageError(
        fmt::format("--metrics: '{}' is not one number; name a field: {}", wanted.name, fmt::join(fields, ", ")));
  throw UsageError(fmt::format("--metrics: '{}' has no field '{}'{}", wanted.name, wanted.field,
                               suggestion(wanted.field, fields, fmt::format("it has {}", fmt::join(fields, ", ")))));
}

// The first variant that has it decides what it counts: the others capture it from the same kind of operation, or not at all.
std::optional<Column> capture_column(const std::string& text, const std::vector<scenarios::Scenario>& variants) {
  const CaptureName wanted = split(text);
  std::optional<Column> column;
  for (const scenarios::Scenario& variant : variants)
    for_each_step(variant.program, [&](const ops::Step& step, std::size_t) {
      if (column || step.capture != wanted.name) return;
      const auto field = field_of(step.op, wanted.field);
      if (!field) refuse_field(wanted, step.op);
      column = Column{Shows::capture, text, unit_of(step.op, *field)};
    });
  return column;
}

[[noreturn]] void refuse_name(const std::string& name, const std::vector<scenarios::Scenario>& variants) {
  std::set<std::string> words{"expectations"};
  for (const Column& column : kvm_columns()) words.insert(column.name);
  for (const scenarios::Scenario& variant : variants) {
    for_each_step(variant.program, [&](const ops::Step& step, std::size_t) { words.insert(step.capture); });
    if (!ops::has_linux_guest(variant.program)) continue;
    for (const scenarios::Metric& metric : scenarios::guest_metrics()) words.emplace(metric.name);
  }
  words.erase("");
  throw UsageError(
      fmt::format("--metrics: '{}' is no metric and nothing is captured so{}", name,
                  suggestion(name, {words.begin(), words.end()}, "'tscsim compare --help' lists the metrics")));
}

Column column_named(const std::string& name, const std::vector<scenarios::Scenario>& variants) {
  const bool guest = ops::has_linux_guest(variants.front().program);
  if (name == "expectations") return {Shows::expectations, name, "held"};
  for (const Column& column : kvm_columns()) {
    if (column.name != name) continue;
    if (guest && column.shows != Shows::master_clock)
      throw UsageError(fmt::format(
          "--metrics: '{}' is of scenarios without a Linux guest; see 'monotonic_jump', 'monotonic_skew'", name));
    return column;
  }
  for (const scenarios::Metric& metric : scenarios::guest_metrics()) {
    if (metric.name != name) continue;
    if (!guest)
      throw UsageError(fmt::format("--metrics: '{}' is of scenarios with a Linux guest, which this is not", name));
    return guest_column(metric);
  }
  if (const auto column = capture_column(name, variants)) return *column;
  refuse_name(name, variants);
}

// ---- cells ----

ops::Wide magnitude(ops::Wide value) { return value < 0 ? -value : value; }

// What lies above 2^63 is mostly a small negative number, as everywhere in the output.
Cell number_cell(ops::Wide value) {
  const auto bits = static_cast<std::uint64_t>(value);
  const auto number = static_cast<std::int64_t>(bits);
  return {number_text(bits), std::to_string(number), magnitude(number)};
}

template <class Number>
Cell number_cell(const std::optional<Number>& value) {
  return value ? number_cell(ops::Wide{*value}) : Cell{};
}

// Where the guest is in the end: a metric of the state looks at that host, as an expectation does.
std::int32_t last_host(const ops::Program& program) {
  std::int32_t loaded = -1, created = 0;
  for_each_step(program, [&](const ops::Step& step, std::size_t) {
    if (step.op.kind == OpKind::load_memory) loaded = step.op.host;
    if (step.op.kind == OpKind::create_vm) created = step.op.host;
  });
  return loaded >= 0 ? loaded : created;
}

Cell master_clock_cell(const Run& run) {
  const std::int32_t host = last_host(run.scenario.program);
  const std::uint64_t* last = nullptr;
  for (const ops::Entry& entry : run.recording.entries) {
    if (entry.op.kind != OpKind::get_clock || entry.op.host != host) continue;
    if (const std::uint64_t* flags = entry.outcome.find(ops::Field::flags)) last = flags;
  }
  if (!last) return {};
  const bool on = (*last & ops::clock_flag::kTscStable) != 0;
  return {on ? "on" : "off", on ? "on" : "off", on ? 0 : 1};
}

Cell guest_cell(const scenarios::Metric& metric, const Run& run) {
  scenarios::Expectation about;
  about.subject = metric.subject;
  about.selector = metric.selector;
  const auto found = scenarios::find_in_guest(about, run.scenario.program, run.recording);
  if (!found) return {};
  if (metric.subject != Subject::guest_clocksource) return number_cell(found->value);
  const std::string name(ops::name_of(static_cast<ops::GuestClocksource>(found->value)));
  return {name, name, std::nullopt};
}

Cell capture_cell(const std::string& text, const Run& run) {
  const CaptureName wanted = split(text);
  std::optional<std::size_t> captured;
  for_each_step(run.scenario.program, [&](const ops::Step& step, std::size_t index) {
    if (step.capture == wanted.name) captured = index;
  });
  std::size_t step = 0;
  for (const ops::Entry& entry : run.recording.entries) {
    if (entry.op.probe || captured != step++) continue;
    const auto field = field_of(entry.op, wanted.field);
    const std::uint64_t* value = field ? entry.outcome.find(*field) : nullptr;
    return value ? number_cell(ops::Wide{*value}) : Cell{};
  }
  return {};
}

// Where some were not run, how many held says nothing of this row against the others.
Cell expectations_cell(const Run& run) {
  int held = 0, not_run = 0, all = 0;
  for (const scenarios::Verdict& verdict : run.verdicts) {
    if (verdict.index == scenarios::kImplicit) continue;
    ++all;
    if (verdict.state == scenarios::State::held) ++held;
    if (verdict.state == scenarios::State::not_run) ++not_run;
  }
  if (all == 0) return {};
  const std::string text = fmt::format("{}/{}", held, all);
  return {text, text, not_run == 0 ? std::optional<ops::Wide>(-held) : std::nullopt};
}

}  // namespace

std::vector<Column> usual_columns(bool linux_guest) {
  if (!linux_guest) return kvm_columns();
  std::vector<Column> columns{kvm_columns().back()};
  for (const scenarios::Metric& metric : scenarios::guest_metrics()) columns.push_back(guest_column(metric));
  return columns;
}

std::vector<Column> columns_named(const std::vector<std::string>& names,
                                  const std::vector<scenarios::Scenario>& variants) {
  std::vector<Column> columns;
  for (const std::string& name : names) columns.push_back(column_named(name, variants));
  return columns;
}

Cell cell_of(const Column& column, const Run& run) {
  switch (column.shows) {
    case Shows::tsc_jump:
      return number_cell(run.metrics.tsc_jump);
    case Shows::tsc_skew:
      return number_cell(run.metrics.tsc_skew);
    case Shows::kvmclock_jump:
      return number_cell(run.metrics.kvmclock_jump);
    case Shows::kvmclock_skew:
      return number_cell(run.metrics.kvmclock_skew);
    case Shows::master_clock:
      return master_clock_cell(run);
    case Shows::guest_metric:
      return guest_cell(*column.metric, run);
    case Shows::capture:
      return capture_cell(column.name, run);
    case Shows::expectations:
      return expectations_cell(run);
  }
  return {};
}

}  // namespace tscsim::cli

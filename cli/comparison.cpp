#include "cli/comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>

#include "cli/arguments.h"
#include "cli/interrupt.h"
#include "cli/session.h"
#include "cli/text.h"
#include "model/kvm/changes.h"
#include "model/world/simulation.h"
#include "scenarios/errno_names.h"
#include "scenarios/procedure_library.h"

namespace tscsim::cli {
namespace {

using scenarios::Scenario;

bool contains(const std::vector<std::string>& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

void add_once(std::vector<std::string>& words, const std::string& word) {
  if (!contains(words, word)) words.push_back(word);
}

// ---- kernels ----

std::vector<std::string> all_kernels() {
  std::vector<std::string> kernels;
  for (const model::Change& change : model::changes()) add_once(kernels, std::string(change.version));
  return kernels;
}

// Kernels that the scenario lists are its own, each a row.
std::vector<std::string> kernels_of(const Question& question, const Scenario& own) {
  const std::vector<std::string> of_own = own.meta.kernels.empty() ? std::vector{std::string(kOwn)} : own.meta.kernels;
  if (question.kernels.empty()) return of_own;
  std::vector<std::string> kernels;
  for (const std::string& kernel : question.kernels) {
    if (kernel != kOwn && kernel != kAll) check_model(kernel, "");
    for (const std::string& one : kernel == kOwn ? of_own : kernel == kAll ? all_kernels() : std::vector{kernel})
      add_once(kernels, one);
  }
  return kernels;
}

std::string own_kernels_text(const Scenario& own) {
  std::string text;
  for (const ops::HostSpec& host : own.program.hosts) {
    const std::string kernel = host.kernel.empty() ? std::string(model::kNewestKernel) : host.kernel;
    if (own.program.hosts.size() == 1) return kernel;
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", host.name, kernel);
  }
  return text;
}

// ---- procedures ----

std::vector<scenarios::ProcedureReplacement> replacements_in(const std::string& procedures) {
  std::vector<scenarios::ProcedureReplacement> replace;
  std::istringstream parts(procedures);
  for (std::string part; procedures != kOwn && std::getline(parts, part, '+');)
    replace.push_back(replacement_from(part));
  return replace;
}

std::vector<std::string> names_used(const Scenario& scenario) {
  std::vector<std::string> names;
  for (const scenarios::ProcedureUse& use : scenario.procedures) add_once(names, use.name);
  return names;
}

const scenarios::Procedure& procedure_named(const std::string& name, scenarios::ProcedureLibrary& library) {
  if (const scenarios::Procedure* found = library.find(name)) return *found;
  throw UsageError(fmt::format("--procedures: there is no procedure '{}'{}", name,
                               suggestion(name, library.names(), "see 'tscsim list procedures'")));
}

// A row that says it is another procedure's and is not would mislead.
void check_use(const scenarios::ProcedureReplacement& replacement, const scenarios::Procedure& made,
               const Scenario& own, const Scenario& variant) {
  const std::vector<std::string> before = names_used(own), used = names_used(variant);
  if (!replacement.old_name.empty() && !contains(before, replacement.old_name))
    throw UsageError(
        fmt::format("--procedures: the scenario does not use '{}'{}", replacement.old_name,
                    suggestion(replacement.old_name, before,
                               before.empty() ? "it uses none" : fmt::format("it uses {}", fmt::join(before, ", ")))));
  if (!contains(used, made.name))
    throw UsageError(fmt::format("--procedures: '{}' replaces nothing: it is for {}, and the scenario {}uses {}",
                                 replacement.new_name, name_of(made.kind), used == before ? "" : "then ",
                                 used.empty() ? "no procedure" : fmt::format("{}", fmt::join(used, ", "))));
}

Scenario with_procedures(const Question& question, const std::string& procedures, const Scenario& own) {
  scenarios::ParseOptions options;
  options.procedure_folders = question.procedure_folders;
  scenarios::ProcedureLibrary library(question.file, options);
  options.replace = replacements_in(procedures);
  for (const scenarios::ProcedureReplacement& replacement : options.replace)
    procedure_named(replacement.new_name, library);
  Scenario variant = scenarios::load_scenario(question.file, options);
  for (const scenarios::ProcedureReplacement& replacement : options.replace)
    check_use(replacement, procedure_named(replacement.new_name, library), own, variant);
  return variant;
}

// ---- one row ----

Scenario with_kernel_and_heuristic(Scenario scenario, const Variant& variant) {
  for (ops::HostSpec& host : scenario.program.hosts)
    if (variant.kernel != kOwn) host.kernel = variant.kernel;
  if (variant.heuristic != kOwn) scenario.program.heuristic = variant.heuristic;
  return scenario;
}

// "refused: kvmclock_ctrl on vCPU 0, EINVAL"; `step` counts through set-up and timeline.
std::string refusal_text(const ops::Program& program, std::size_t step, int error) {
  const std::size_t setup = program.setup.size();
  const ops::Operation& op = (step < setup ? program.setup[step] : program.timeline[step - setup]).op;
  return fmt::format("refused: {}{}, {}", name_of(op.kind),
                     op.vcpu == ops::kVm ? "" : fmt::format(" on vCPU {}", op.vcpu), scenarios::errno_name(error));
}

void note_verdicts(const Run& run, bool expectations_shown, std::vector<std::string>& notes) {
  int not_run = 0;
  std::string why;
  for (const scenarios::Verdict& verdict : run.verdicts) {
    if (verdict.index == scenarios::kImplicit)
      add_once(notes, refusal_text(run.scenario.program, verdict.step, verdict.error));
    else if (verdict.state == scenarios::State::not_run && not_run++ == 0) why = verdict.detail;
  }
  if (expectations_shown && not_run != 0) notes.push_back(fmt::format("{} not run: {}", not_run, why));
}

// Throws ops::InputError when a step needs what another that was refused did not return.
Run run_of(Scenario scenario) {
  Run run;
  run.scenario = std::move(scenario);
  const ops::Program& program = run.scenario.program;
  const auto executor = model::simulate(program.hosts, program.heuristic);
  run.recording = ops::run_program(program, *executor, 1, [](std::size_t, std::size_t) { throw_if_interrupted(); });
  run.verdicts = scenarios::evaluate(run.scenario, run.recording);
  if (ops::has_linux_guest(program)) return run;
  model::RunRequest request;
  request.metrics = true;
  const model::Compiled compiled = model::compile(program, request);
  model::Runner runner(compiled);
  if (runner.run()) run.metrics = runner.metrics();
  return run;
}

bool may_be_refused(const Scenario& scenario, std::size_t step, int error) {
  const std::size_t setup = scenario.program.setup.size();
  return std::any_of(scenario.tolerated.begin(), scenario.tolerated.end(),
                     [&](const auto& one) { return one.step + setup == step && one.error == error; }) ||
         std::any_of(scenario.expectations.begin(), scenario.expectations.end(), [&](const auto& one) {
           return one.subject == scenarios::Subject::step_error && one.step + setup == step;
         });
}

// A run that stopped leaves no recording; compiled, it tells how far it came.
void note_refusals_before_the_stop(const Scenario& scenario, std::vector<std::string>& notes) {
  if (ops::has_linux_guest(scenario.program)) return;
  model::RunRequest request;
  request.outcomes = true;
  const model::Compiled compiled = model::compile(scenario.program, request);
  model::Runner runner(compiled);
  runner.run();
  for (std::size_t step = 0; step < compiled.steps.size(); ++step) {
    const ops::Outcome* outcome = runner.outcome(step);
    if (outcome == nullptr || outcome->error == 0 || may_be_refused(scenario, step, outcome->error)) continue;
    add_once(notes, refusal_text(scenario.program, step, outcome->error));
  }
}

ComparedRow row_of(const Variant& variant, const Scenario& with_procedures, const std::vector<Column>& columns) {
  ComparedRow row{variant, std::vector<Cell>(columns.size()), {}};
  const Scenario scenario = with_kernel_and_heuristic(with_procedures, variant);
  try {
    for (const ops::HostSpec& host : scenario.program.hosts) check_model(host.kernel, scenario.program.heuristic);
  } catch (const ops::InputError& error) {  // each of the two is known, and they do not go together
    row.notes.push_back("not possible: " + first_line(error.diagnostics().front().message));
    return row;
  }
  try {
    const Run run = run_of(scenario);
    for (std::size_t i = 0; i < columns.size(); ++i) row.cells[i] = cell_of(columns[i], run);
    const bool expectations = std::any_of(columns.begin(), columns.end(),
                                          [](const Column& c) { return c.shows == Column::Shows::expectations; });
    note_verdicts(run, expectations, row.notes);
  } catch (const ops::InputError& error) {
    note_refusals_before_the_stop(scenario, row.notes);
    row.notes.push_back("stopped: " + first_line(error.diagnostics().front().message));
  }
  return row;
}

// ---- the table ----

void mark_column(std::vector<ComparedRow>& rows, std::size_t column) {
  std::optional<ops::Wide> best, worst;
  for (const ComparedRow& row : rows)
    if (const auto badness = row.cells[column].badness) {
      best = std::min(best.value_or(*badness), *badness);
      worst = std::max(worst.value_or(*badness), *badness);
    }
  if (best == worst) return;
  for (ComparedRow& row : rows) {
    Cell& cell = row.cells[column];
    if (cell.badness == best) cell.mark = Mark::best;
    else if (cell.badness == worst) cell.mark = Mark::worst;
  }
}

// An event that no run had, a clock that none read.
bool says_nothing(const Column& column, const std::vector<ComparedRow>& rows, std::size_t index) {
  if (column.shows != Column::Shows::guest_metric) return false;
  const bool event = column.metric->subject == scenarios::Subject::guest_event;
  return std::all_of(rows.begin(), rows.end(), [&](const ComparedRow& row) {
    return row.cells[index].text.empty() || (event && row.cells[index].plain == "0");
  });
}

void leave_out_columns_without_news(Comparison& comparison) {
  for (std::size_t i = comparison.columns.size(); i-- > 0;) {
    if (!says_nothing(comparison.columns[i], comparison.rows, i)) continue;
    const auto at = static_cast<std::ptrdiff_t>(i);
    comparison.columns.erase(comparison.columns.begin() + at);
    for (ComparedRow& row : comparison.rows) row.cells.erase(row.cells.begin() + at);
  }
}

}  // namespace

Comparison compare(const Question& question) {
  scenarios::ParseOptions options;
  options.procedure_folders = question.procedure_folders;
  const Scenario own = scenarios::load_scenario(question.file, options);
  const std::vector<std::string> kernels = kernels_of(question, own);
  for (const std::string& heuristic : question.heuristics)
    if (heuristic != kOwn) check_model("", heuristic);
  std::vector<Scenario> variants;
  for (const std::string& procedures : question.procedures)
    variants.push_back(with_procedures(question, procedures, own));
  Comparison comparison{own.meta.name, own.meta.title, own_kernels_text(own), own.program.heuristic, {}, {}};
  comparison.columns = question.metrics.empty() ? usual_columns(ops::has_linux_guest(own.program))
                                                : columns_named(question.metrics, variants);
  for (const std::string& kernel : kernels)
    for (std::size_t i = 0; i < variants.size(); ++i)
      for (const std::string& heuristic : question.heuristics)
        comparison.rows.push_back(row_of({kernel, question.procedures[i], heuristic}, variants[i], comparison.columns));
  if (question.metrics.empty()) leave_out_columns_without_news(comparison);
  for (std::size_t i = 0; i < comparison.columns.size(); ++i) mark_column(comparison.rows, i);
  return comparison;
}

}  // namespace tscsim::cli

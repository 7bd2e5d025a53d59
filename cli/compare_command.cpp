// tscsim compare: one scenario under kernels x procedures x heuristics on the model, as a table.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <sstream>

#include "cli/commands.h"
#include "cli/comparison.h"
#include "cli/csv.h"
#include "cli/text.h"

namespace tscsim::cli {
namespace {

// ---- what was asked ----

std::vector<std::string> items_of(const std::string& option, const std::string& text, char separator) {
  std::vector<std::string> items;
  std::istringstream parts(text);
  for (std::string item; std::getline(parts, item, separator);) {
    if (item.empty())
      throw UsageError(fmt::format("--{} '{}': there is nothing between two '{}'", option, text, separator));
    if (std::find(items.begin(), items.end(), item) == items.end()) items.push_back(item);
  }
  if (items.empty()) throw UsageError(fmt::format("--{} names nothing", option));
  return items;
}

std::vector<std::string> list_of(const Arguments& arguments, const std::string& option) {
  return arguments.has(option) ? items_of(option, arguments.text(option), ',') : std::vector<std::string>{};
}

// Parameters of one heuristic have commas between them.
std::vector<std::string> heuristics_of(const Arguments& arguments) {
  std::vector<std::string> heuristics;
  for (const std::string& given : arguments.texts("heuristics"))
    for (const std::string& heuristic : items_of("heuristics", given, ';'))
      if (std::find(heuristics.begin(), heuristics.end(), heuristic) == heuristics.end())
        heuristics.push_back(heuristic);
  return heuristics;
}

Question question_of(const Arguments& arguments) {
  Question question;
  question.file = arguments.positional.front();
  question.kernels = list_of(arguments, "kernels");
  question.metrics = list_of(arguments, "metrics");
  if (arguments.has("procedures")) question.procedures = list_of(arguments, "procedures");
  if (arguments.has("heuristics")) question.heuristics = heuristics_of(arguments);
  for (const std::string& folder : arguments.texts("procedure-folder")) {
    std::error_code ignored;
    if (!std::filesystem::is_directory(folder, ignored))
      throw UsageError(fmt::format("--procedure-folder {}: there is no such folder", folder));
    question.procedure_folders.push_back(folder);
  }
  return question;
}

// The command that prints this row alone.
std::string command_of(const Question& question, const Comparison& comparison, const ComparedRow& row) {
  std::string metrics;
  for (const Column& column : comparison.columns) metrics += (metrics.empty() ? "" : ",") + column.name;
  std::string command =
      fmt::format("tscsim compare {} --kernels {} --procedures {} --heuristics {} --metrics {}",
                  shell_word(question.file), shell_word(row.variant.kernel), shell_word(row.variant.procedures),
                  shell_word(row.variant.heuristic), shell_word(metrics));
  for (const std::string& folder : question.procedure_folders) command += " --procedure-folder " + shell_word(folder);
  return command;
}

std::string_view mark_text(Mark mark) { return mark == Mark::best ? " *" : mark == Mark::worst ? " !" : "  "; }

// ---- text ----

struct TextColumn {
  std::string name, unit;
  bool right = false;
  std::vector<std::string> cells;

  std::size_t width() const {
    std::size_t most = std::max(name.size(), unit.size());
    for (const std::string& cell : cells) most = std::max(most, cell.size());
    return most;
  }
};

std::vector<TextColumn> text_columns(const Comparison& comparison) {
  std::vector<TextColumn> columns{
      {"#", "", true, {}}, {"kernel", "", false, {}}, {"procedures", "", false, {}}, {"heuristic", "", false, {}}};
  for (const ComparedRow& row : comparison.rows) {
    columns[0].cells.push_back(std::to_string(columns[0].cells.size() + 1));
    columns[1].cells.push_back(row.variant.kernel);
    columns[2].cells.push_back(row.variant.procedures);
    columns[3].cells.push_back(row.variant.heuristic);
  }
  for (std::size_t i = 0; i < comparison.columns.size(); ++i) {
    columns.push_back({comparison.columns[i].name + "  ", comparison.columns[i].unit + "  ", true, {}});
    for (const ComparedRow& row : comparison.rows)
      columns.back().cells.push_back((row.cells[i].text.empty() ? "-" : row.cells[i].text) +
                                     std::string(mark_text(row.cells[i].mark)));
  }
  columns.push_back({"note", "", false, {}});
  for (const ComparedRow& row : comparison.rows)
    columns.back().cells.push_back(fmt::format("{}", fmt::join(row.notes, "; ")));
  return columns;
}

template <class Get>
std::string line_of(const std::vector<TextColumn>& columns, Get get) {
  std::string line;
  for (const TextColumn& column : columns)
    line += column.right ? fmt::format("  {:>{}}", get(column), column.width())
                         : fmt::format("  {:<{}}", get(column), column.width());
  return line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
}

bool is_shown(const Comparison& comparison, std::string_view word, std::string Variant::*part) {
  return std::any_of(comparison.rows.begin(), comparison.rows.end(),
                     [&](const ComparedRow& row) { return row.variant.*part == word; });
}

std::string legend(const Comparison& comparison) {
  const auto any = [&](auto holds) {
    return std::any_of(comparison.rows.begin(), comparison.rows.end(),
                       [&](const ComparedRow& row) { return std::any_of(row.cells.begin(), row.cells.end(), holds); });
  };
  std::string text;
  if (any([](const Cell& cell) { return cell.mark != Mark::none; }))
    text +=
        "  * best and ! worst of the column: the smallest and the largest magnitude; master clock on and off; most and fewest held\n";
  if (any([](const Cell& cell) { return cell.text.empty(); }))
    text += "  - no value: the scenario does not read what it is found in, or the run did not get there\n";
  if (is_shown(comparison, kOwn, &Variant::kernel)) text += fmt::format("  kernel own: {}\n", comparison.own_kernels);
  if (is_shown(comparison, kOwn, &Variant::heuristic))
    text +=
        fmt::format("  heuristic own: {}\n",
                    comparison.own_heuristic.empty() ? "the kernel's" : "the scenario's, " + comparison.own_heuristic);
  return text;
}

void print_text(const Question& question, const Comparison& comparison) {
  const std::vector<TextColumn> columns = text_columns(comparison);
  std::cout << fmt::format("{}: {}\n\n", comparison.name, comparison.title);
  std::cout << line_of(columns, [](const TextColumn& column) { return column.name; });
  std::cout << line_of(columns, [](const TextColumn& column) { return column.unit; });
  for (std::size_t i = 0; i < comparison.rows.size(); ++i)
    std::cout << line_of(columns, [&](const TextColumn& column) { return column.cells[i]; });
  std::cout << "\n" << legend(comparison) << "\neach row alone\n";
  for (std::size_t i = 0; i < comparison.rows.size(); ++i)
    std::cout << fmt::format("  {:>{}}  {}\n", i + 1, columns[0].width(),
                             command_of(question, comparison, comparison.rows[i]));
}

// ---- for programs ----

std::vector<std::string> marked(const Comparison& comparison, const ComparedRow& row, Mark mark) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < row.cells.size(); ++i)
    if (row.cells[i].mark == mark) names.push_back(comparison.columns[i].name);
  return names;
}

Json row_json(const Question& question, const Comparison& comparison, const ComparedRow& row) {
  Json values = Json::object();
  for (std::size_t i = 0; i < row.cells.size(); ++i)
    values[comparison.columns[i].name] = row.cells[i].text.empty() ? Json(nullptr) : Json(row.cells[i].plain);
  return {{"kernel", row.variant.kernel},
          {"procedures", row.variant.procedures},
          {"heuristic", row.variant.heuristic},
          {"values", values},
          {"best", marked(comparison, row, Mark::best)},
          {"worst", marked(comparison, row, Mark::worst)},
          {"notes", row.notes},
          {"command", command_of(question, comparison, row)}};
}

void print_json(const Question& question, const Comparison& comparison) {
  Json columns = Json::array(), rows = Json::array();
  for (const Column& column : comparison.columns) columns.push_back({{"name", column.name}, {"unit", column.unit}});
  for (const ComparedRow& row : comparison.rows) rows.push_back(row_json(question, comparison, row));
  print({{"command", "compare"},
         {"summary", {{"rows", comparison.rows.size()}}},
         {"scenario", comparison.name},
         {"file", question.file},
         {"own_kernels", comparison.own_kernels},
         {"own_heuristic", comparison.own_heuristic},
         {"columns", columns},
         {"rows", rows}});
}

void print_csv(const Question& question, const Comparison& comparison) {
  std::vector<std::string> header{"kernel", "procedures", "heuristic"};
  for (const Column& column : comparison.columns)
    header.push_back(column.unit.empty() ? column.name : fmt::format("{} [{}]", column.name, column.unit));
  for (const char* name : {"best", "worst", "note", "command"}) header.emplace_back(name);
  print_csv_line(header);
  for (const ComparedRow& row : comparison.rows) {
    std::vector<std::string> fields{row.variant.kernel, row.variant.procedures, row.variant.heuristic};
    for (const Cell& cell : row.cells) fields.push_back(cell.plain);
    for (const Mark mark : {Mark::best, Mark::worst})
      fields.push_back(fmt::format("{}", fmt::join(marked(comparison, row, mark), " ")));
    fields.push_back(fmt::format("{}", fmt::join(row.notes, "; ")));
    fields.push_back(command_of(question, comparison, row));
    print_csv_line(fields);
  }
}

int run(const Arguments& arguments) {
  const Question question = question_of(arguments);
  const Comparison comparison = compare(question);
  const std::string format = arguments.text("format");
  if (format == "json") print_json(question, comparison);
  else if (format == "csv") print_csv(question, comparison);
  else print_text(question, comparison);
  return kAllHeld;
}

void add_options(OptionList& options) {
  options.text(
      "kernels", "LIST",
      "kernels of all hosts, such as 5.10,6.1,6.12; 'all': each that changed something; 'own': the scenario's (default)");
  options.text(
      "procedures", "LIST",
      "VMM procedures in the place of those of their kind, such as qemu/migrate,documented/migrate; OLD=NEW of that one; "
      "several of one row joined by '+'; 'own': the scenario's (default)");
  options.texts(
      "heuristics", "NAME|PARAMETERS",
      "a heuristic, such as never or window=500ms,zero_write=value; may be repeated, or several with ';' between them; "
      "'own': the scenario's or else the kernel's (default)");
  options.text(
      "metrics", "LIST",
      "the columns: tsc_jump, tsc_skew, kvmclock_jump, kvmclock_skew, master_clock, expectations, captures of the scenario "
      "(after, after.tsc), with a Linux guest its metrics (tscsim list metrics); default: the first five, or the guest's");
  options.texts(
      "procedure-folder", "DIR",
      "a folder of VMM procedures, before the shipped ones; may be repeated (--procedures of other commands)");
}

}  // namespace

Command compare_command() {
  return {
      "compare",
      "FILE",
      "one scenario under several kernels, VMM procedures and heuristics on the model, as a table",
      "tscsim compare scenarios/vmm/hosts/other-kernel.yaml --kernels 5.10,6.12 --procedures own,documented/migrate --heuristics own --heuristics never",
      add_options,
      run,
      "A value is best or worst of its column by its magnitude. What KVM refused stands in the row's note. The exit status is 0\n"
      "whatever the table says: it compares, 'tscsim check' judges. docs/compare.md has more.\n",
      {"text", "json", "csv"}};
}

}  // namespace tscsim::cli

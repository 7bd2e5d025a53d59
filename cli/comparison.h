// One scenario on the model under several kernels, procedures and heuristics: what each of them makes of its clocks.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/comparison_columns.h"

namespace tscsim::cli {

// As it is written on the command line. kOwn: as the scenario says or, where it does not, as the kernel has it.
struct Variant {
  std::string kernel, procedures, heuristic;
};
inline constexpr std::string_view kOwn = "own";
inline constexpr std::string_view kAll = "all";  // of kernels: each that changed something

struct Question {
  std::string file;
  std::vector<std::string> kernels;  // empty: the scenario's own
  std::vector<std::string> procedures{std::string(kOwn)};
  std::vector<std::string> heuristics{std::string(kOwn)};
  std::vector<std::string> metrics;  // empty: those that the scenario has something to say about
  std::vector<std::string> procedure_folders;
};

struct ComparedRow {
  Variant variant;
  std::vector<Cell> cells;         // one for each column
  std::vector<std::string> notes;  // what KVM refused; why there are no values
};

struct Comparison {
  std::string name, title;
  std::string own_kernels;    // "6.1", "a 6.1, b 6.12"
  std::string own_heuristic;  // empty: the kernel's
  std::vector<Column> columns;
  std::vector<ComparedRow> rows;
};

// Throws UsageError and ops::InputError for words that are none, before anything runs. What goes wrong in a run is noted in
// its row.
Comparison compare(const Question& question);

}  // namespace tscsim::cli

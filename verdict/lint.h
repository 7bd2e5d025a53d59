// All findings of an operation list, and the forms in which they are told.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "verdict/findings/finding.h"

namespace tscsim::verdict {

struct LintReport {
  std::string name;  // of the scenario or the recording
  std::string file;
  std::size_t header_line = 1;    // of the recording in its file, which may hold several
  std::size_t vm = 1, vms = 1;    // which of them it is
  std::vector<Finding> findings;  // in the order of the moments
  std::vector<Undecided> undecided;
  const Course* course = nullptr;
};

// `disabled`: identifiers that are not looked for.
LintReport lint(const Course& course, const Thresholds& thresholds = {}, const std::set<std::string>& disabled = {});

std::string lint_text(const LintReport& report);
// SARIF 2.1.0, one run with all rules; what is not decidable is a notification. Files are told relative to the working
// directory where they lie in it. An indented document without a final newline.
std::string lint_sarif(const std::vector<LintReport>& reports, const std::string& version);
// An array of objects, one for each report.
std::string lint_json(const std::vector<LintReport>& reports);

}  // namespace tscsim::verdict

// What comparing recordings with the model came to: printed as it goes, and summed up as text, JSON and JUnit.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "cli/arguments.h"
#include "cli/junit.h"
#include "cli/session.h"
#include "cli/text.h"
#include "crosscheck/checker.h"

namespace tscsim::cli {

struct Counts {
  std::array<std::size_t, crosscheck::kVerdicts> of{};
  void add(const crosscheck::Result& result);
  std::size_t operator[](crosscheck::Verdict v) const { return of[static_cast<std::size_t>(v)]; }
  Json json() const;
  std::string text() const;
};

// One cell of the table scenario x target.
struct Compared {
  std::string scenario;
  std::string target;
  Counts counts;
  bool disagrees = false;  // a mismatch, or an expectation that failed
  std::string not_run;     // the reason; empty when it ran
};

class CrosscheckReport {
 public:
  // `text`: print each comparison as it is made.
  explicit CrosscheckReport(bool text) : text_(text) {}

  // Compares one recording. `kept`: where it is written when it disagrees; empty: nowhere.
  void compare(const std::string& name, const ops::Recording& recording,
               const std::vector<scenarios::Verdict>& verdicts, const std::string& kept);
  // An operand that cannot be evaluated because the target refused what it rests on says something about the target.
  void not_run(const std::string& name, const std::string& target, const std::string& why);
  // The target died, or never came up, which says nothing of the model: exit status 3, unless something disagrees.
  void lost(const std::string& name, const std::string& target, const std::string& why);
  void unavailable(const std::string& target, const std::string& why);
  void unreadable() { ++errors_; }

  // Prints the summary and writes --junit. The command's exit status.
  int finish(const std::string& command, const Arguments& arguments) const;

 private:
  Json summary() const;
  int status() const;

  bool text_;
  Counts counts_;
  Tally expectations_;
  std::size_t errors_ = 0;
  std::size_t lost_ = 0;
  std::vector<Compared> cells_;
  Json unavailable_ = Json::array();  // targets, with the reason
  Json items_ = Json::array();
  std::vector<JunitCase> junit_;
};

// The table scenario x target: "ok 102" (exact observations), "MISMATCH", "not run".
std::string matrix_text(const std::vector<Compared>& cells);

}  // namespace tscsim::cli

// What comparing recordings with the model came to: printed as it goes, and summed up as text, JSON and JUnit.
#pragma once

#include <array>
#include <map>
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

// What a recording came to. Two kinds of bad news, never one word: KVM is not the model, and the author's expectation does
// not hold, in which KVM and the model may well agree.
enum class Agreement { agree, disagree, expectation_failed, not_run };

// One cell of the table scenario x target.
struct Compared {
  std::string scenario;
  std::string target;
  Counts counts;
  Agreement agreement = Agreement::agree;
};

// What is compared, beside the recording itself.
struct RecordedScenario {
  std::string name;
  std::string file;                               // that was named on the command line
  std::vector<scenarios::Verdict> verdicts = {};  // of the scenario's expectations
  std::string undone = {};  // why the recording is not of what the scenario is about (scenarios/undone.h)
  std::string kept = {};    // where it is written when something is wrong with it; empty: nowhere
};

// What is printed of each comparison as it is made. Brief: of those that are wrong all, of the rest a line for each kernel,
// at the end.
enum class Lines { each, brief, none };

// --brief
void add_brief_option(OptionList& options);
Lines lines_of(const Arguments& arguments);

class CrosscheckReport {
 public:
  explicit CrosscheckReport(Lines lines) : text_(lines != Lines::none), brief_(lines == Lines::brief) {}

  void compare(const RecordedScenario& subject, const ops::Recording& recording);
  // An operand that cannot be evaluated because the target refused what it rests on says something about the target.
  void not_run(const RecordedScenario& subject, const std::string& target, const std::string& why);
  // The target died, or never came up, which says nothing of the model: exit status 3, unless something disagrees.
  void lost(const RecordedScenario& subject, const std::string& target, const std::string& why);
  void unavailable(const std::string& target, const std::string& why);
  // Bad input: said on standard error, too.
  void unreadable(const std::string& file, const std::string& why);
  // The run ended before its time. `left`: what was not compared, in words.
  void interrupted(const std::string& left);
  bool empty() const { return cells_.empty(); }

  // Prints the summary and writes --junit. The command's exit status.
  int finish(const std::string& command, const Arguments& arguments) const;

 private:
  Json summary() const;
  int status() const;
  std::size_t count(Agreement agreement) const;
  void add_not_run(const RecordedScenario& subject, const std::string& target, const std::string& why);

  std::string kernels_text() const;

  struct Kernel {
    std::size_t recordings = 0;
    Counts counts;
  };

  bool text_;
  bool brief_;
  std::map<std::string, Kernel> kernels_;  // "Linux 6.12, AMD"
  Counts counts_;
  Tally expectations_;
  std::size_t errors_ = 0;
  std::size_t lost_ = 0;
  std::string left_;  // by an interrupt; empty: the run is complete
  std::vector<Compared> cells_;
  Json unavailable_ = Json::array();  // targets, with the reason
  Json items_ = Json::array();
  std::vector<JunitCase> junit_;
};

// The table scenario x target: "ok 102" (exact observations), "MISMATCH", "not run".
std::string matrix_text(const std::vector<Compared>& cells);

}  // namespace tscsim::cli

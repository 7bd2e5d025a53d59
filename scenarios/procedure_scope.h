// What names mean inside one use of a procedure: its parameters, its instants, its hosts, and its captures, which are its
// own: `tsc` of the third use of a migration is `migrate3_tsc` to the rest of the scenario, and `migrate3_tsc_1` where it
// was captured on each vCPU.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "scenarios/captures.h"
#include "scenarios/procedure.h"
#include "scenarios/reader.h"
#include "scenarios/scenario.h"

namespace tscsim::scenarios {

struct LocalCapture {
  Capture capture;     // under its local name
  std::string prefix;  // of the use that captured it
  bool each = false;   // one for each vCPU, of which `vcpus` exist
  std::int32_t vcpus = 0;
};

// A use of a procedure that is over, for a later one that goes on from it.
struct PastUse {
  std::string prefix;
  std::string procedure;
  std::vector<LocalCapture> captures;
  std::int32_t host = 0;   // where the guest was
  std::int32_t vcpus = 0;  // that it had
};

class ProcedureScope {
 public:
  ProcedureScope(const Procedure& procedure, std::string prefix, ops::Place used_at)
      : procedure_(procedure), prefix_(std::move(prefix)), used_at_(std::move(used_at)) {}

  const Procedure& procedure() const { return procedure_; }
  const std::string& prefix() const { return prefix_; }
  const ops::Place& used_at() const { return used_at_; }

  // ---- parameters ----
  void set_argument(const std::string& name, const std::string& value) { arguments_[name] = value; }
  YamlNode with_arguments(const YamlNode& node) const;

  // ---- instants ----
  void begin_at(std::int64_t ns) { instants_["begin"] = ns; }
  std::int64_t begin_ns() const { return instants_.at("begin"); }
  void set_instant(const std::string& name, std::int64_t ns) { instants_[name] = ns; }
  void drop_instant(const std::string& name) { instants_.erase(name); }
  bool has_instant(const std::string& name) const { return instants_.count(name) != 0 || name == "end"; }
  void reach(std::int64_t ns) {  // a step runs then
    pivots_.push_back({ns - end_ns_.value_or(ns), false});
    end_ns_ = std::max(end_ns_.value_or(ns), ns);
  }
  const std::vector<Pivot>& pivots() const { return pivots_; }
  void pivot(Pivot one) { pivots_.push_back(one); }
  bool has_run() const { return end_ns_.has_value(); }
  std::int64_t end_ns() const { return end_ns_.value_or(instants_.at("begin")); }  // of the steps so far
  std::optional<std::int64_t> instant_ns(Reader& reader, const YamlNode& node) const;

  // ---- captures ----
  void inherit(const PastUse& use);
  // Reports a name that is taken by another step.
  bool declare(Diagnostics& diagnostics, const YamlNode& node, LocalCapture capture);
  const std::vector<LocalCapture>& captures() const { return captures_; }
  // What an expression may name: on one vCPU the captures of that vCPU, too.
  std::vector<Capture> visible(bool on_vcpu) const;
  // The scenario's name for a local one, in a step on `vcpu`.
  std::string actual(const std::string& local, std::int32_t vcpu) const;
  ops::Expression actual(const ops::Expression& expression, std::int32_t vcpu) const;

  std::int32_t source = 0;                  // host where the guest is, or where the snapshot was taken
  std::optional<std::int32_t> destination;  // of a migration or restore
  std::int32_t vcpus = 0;                   // of the guest
  std::optional<std::int32_t> turn;         // the vCPU whose turn it is in each_vcpu

 private:
  std::vector<std::string> words_of_time() const;

  const Procedure& procedure_;
  std::string prefix_;
  ops::Place used_at_;
  std::map<std::string, std::string> arguments_;
  std::map<std::string, std::int64_t> instants_;
  std::optional<std::int64_t> end_ns_;
  std::vector<Pivot> pivots_;
  std::vector<LocalCapture> captures_;
};

}  // namespace tscsim::scenarios

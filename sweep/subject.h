// What is swept: a scenario, what varies in it, and what is told of each run.
//
// The scenario is read once and compiled once. Instants and operands follow the parameters by whole numbers: how is found by reading
// the scenario again with each parameter moved by one, and holds as long as no decision of the parser falls otherwise
// (scenarios::Scenario::pivots). A run in which one does is read and compiled for itself, and so is every run of a scenario
// whose operations do not follow so simply: the same result, at another speed.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "model/world/compiled.h"
#include "scenarios/scenario.h"
#include "sweep/distribution.h"
#include "sweep/quantity.h"

namespace tscsim::sweep {

struct Variation {
  std::string name;  // scenarios/overrides.h
  Distribution distribution;
};

// "downtime=uniform(100 ms, 2 s)". Throws std::invalid_argument.
Variation parse_variation(const std::string& text);

// Those that a scenario's file has under 'sweep'. The files of empirical() are looked for beside it. Throws ops::InputError.
std::vector<Variation> variations_of(const scenarios::SweepSpec& sweep, const std::string& file);

struct SubjectSpec {
  std::string text, file;           // of the scenario
  scenarios::ParseOptions options;  // without overrides
  std::string kernel, heuristic;    // of all hosts, instead of the scenario's; empty: those stand
  std::uint64_t seed = 1;
  std::vector<Variation> variations;
  std::vector<Quantity> quantities;
};

enum class Fate : std::uint8_t {
  ran,
  refused,
  failed
};  // refused: by the parser; failed: an operand could not be evaluated

struct RunResult {
  Fate fate{};
  std::vector<std::int64_t> drawn;  // of each variation
  std::vector<Seen> seen;           // of each quantity
  bool explain = true;              // in: say why it was refused, which takes reading the scenario again
  std::string trouble;              // of a run that was refused or failed
};

// How a value follows the parameters: base plus the sum of weight * (drawn - typical).
struct Follows {
  std::int64_t base = 0;
  std::vector<std::int64_t> weights;  // of each variation
  bool required = false;              // of a pivot
};

class Subject {
 public:
  // Throws ops::InputError when the scenario is wrong, or a parameter names nothing: at the parameters' typical values and at
  // everything that is drawn.
  explicit Subject(SubjectSpec spec);

  const SubjectSpec& spec() const { return spec_; }
  const std::string& scenario_hash() const { return hash_; }
  std::size_t hosts() const { return hosts_; }
  bool compiled_once() const { return slow_.empty(); }
  // Why every run is read for itself; empty when it is not.
  const std::string& slow() const { return slow_; }

  // The values of one run.
  void draw(std::uint64_t run, std::vector<std::int64_t>& drawn) const;
  // The scenario with these values.
  scenarios::Scenario scenario(const std::vector<std::int64_t>& drawn) const;

 private:
  friend class Worker;
  struct Moving {
    model::Slot slot;
    Follows follows;
  };
  void find_slots(const scenarios::Scenario& base, const std::vector<scenarios::Scenario>& moved,
                  const std::vector<std::int64_t>& steps);
  void verify() const;
  ops::Program ordered(const ops::Program& program) const;
  void find_start();
  std::vector<scenarios::Scenario> moved_by_one(std::vector<std::int64_t>& steps) const;

  SubjectSpec spec_;
  std::string hash_;
  std::size_t hosts_ = 0;
  std::vector<std::int64_t> typical_;  // the point from which values are followed
  bool in_written_order_ = true;       // in which equal instants keep their order whatever the instants are
  std::vector<Moving> moving_;
  std::vector<Follows> pivots_;  // those that move
  model::Compiled compiled_;
  std::string slow_;
};

// Runs runs, one after the other; one for each thread. The subject must outlive it.
class Worker {
 public:
  explicit Worker(const Subject& subject);
  void run(std::uint64_t run, RunResult& result);

 private:
  enum class Way : std::uint8_t { compiled, apart, refused };
  Way way_of(const std::vector<std::int64_t>& drawn);
  void run_apart(RunResult& result);
  void tell(const model::Runner& runner, RunResult& result) const;

  const Subject& subject_;
  std::unique_ptr<model::Runner> runner_;
  std::vector<Quantity> quantities_;
};

}  // namespace tscsim::sweep

// The differential hunt: random operation lists on real KVM, each recording compared with the model. What disagrees is
// shrunk to a small scenario.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "crosscheck/checker.h"
#include "hunt/draft.h"
#include "hunt/grammar.h"

namespace tscsim::hunt {

// What became of one scenario on the target: a recording, or the target died of it. Neither when the scenario's input
// turned out to be wrong as it ran.
struct Execution {
  std::optional<ops::Recording> recording;
  std::string failure;
};

// Runs scenarios on the target, in order; several may share one boot.
using RunAll = std::function<std::vector<Execution>(const std::vector<scenarios::Scenario>&)>;

struct Find {
  std::string name;
  Draft draft;
  std::optional<ops::Recording> recording;  // of this draft; none when the target died of it
  std::string explanation;
};

struct Options {
  std::uint64_t seed = 1;
  std::uint64_t first = 0;  // number of the first run
  std::uint64_t runs = 100;
  std::size_t batch = 1;        // scenarios handed to the target at once
  std::size_t most_finds = 10;  // then the hunt ends
  int shrink_attempts = 200;    // executions spent on making one find smaller
};

struct Tally {
  std::uint64_t runs = 0;
  std::uint64_t operations = 0;  // written ones; probes are not counted
  std::array<std::uint64_t, crosscheck::kVerdicts> observations{};
};

struct Outcome {
  Tally tally;
  std::vector<Find> finds;
};

// What the hunt reports while it goes on. Exceptions of these pass through it.
struct Observer {
  std::function<void(const Tally&)> progress;  // after each batch
  std::function<void(const Find&)> spotted;    // before it is shrunk, which takes time
  std::function<void(const Find&)> found;      // shrunk
};

// Exceptions of run_all pass through.
Outcome hunt(const Options& options, const Ground& ground, const RunAll& run_all, const Observer& observer);

// The draft of run `number`: what `--first number --runs 1` executes.
Draft draft_of_run(const Options& options, const Ground& ground, std::uint64_t number);

}  // namespace tscsim::hunt

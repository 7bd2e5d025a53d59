// Heuristics on trial: situations in which it is known what the VMM or the guest meant, each run many times under each policy.
#pragma once

#include <atomic>
#include <optional>
#include <string>
#include <vector>

#include "sweep/aggregate.h"
#include "sweep/subject.h"

namespace tscsim::sweep {

struct Policy {
  std::string label;
  std::string kernel;     // of all hosts
  std::string heuristic;  // empty: the kernel's own
};

// One kernel of each era of the heuristic, the proposals, and what-if policies on the newest kernel.
std::vector<Policy> known_policies();

struct Situation {
  std::string name, title, file, text;
  scenarios::SweepSpec sweep;
  scenarios::ParseOptions options;
};

// Throws ops::InputError: not a scenario, or one without 'sweep: {meant: ...}'.
Situation load_situation(const std::string& path, const scenarios::ParseOptions& options);

// What came of one situation under one policy. Quantities, in this order.
enum class Told : std::uint8_t { error, master_clock, kvmclock_jump };
struct Cell {
  Aggregate runs{3};
  std::string impossible;  // why there are none
  const QuantityAggregate& of(Told what) const { return runs.of[static_cast<std::size_t>(what)]; }
  // Runs whose error is not 0: a synchronisation missed, or one that nobody meant.
  std::uint64_t wrong() const;
};

struct Trial {
  std::uint64_t runs = 10'000;
  std::uint64_t seed = 1;
  unsigned threads = 1;
  const std::atomic<bool>* interrupted = nullptr;
};

// Nothing when interrupted.
std::optional<Cell> judge(const Situation& situation, const Policy& policy, const Trial& trial);

// A policy's runs of all situations in which the same was meant, added up.
Cell sum_of(const std::vector<const Cell*>& cells);

}  // namespace tscsim::sweep

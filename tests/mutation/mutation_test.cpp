// Mutation proof: each deliberate error of model/mutation.h must be noticed by a scenario's expectation, by a
// recording of real KVM, or by a numeric vector of the spec. The model without an error must pass all three.
//
// Usage: mutation_test VECTORS_PROGRAM [PART/PARTS [all]]. Prints who notices what first: a scenario; with `all`, or when
// no scenario does, a recording and the vectors, too.
//        mutation_test --by FILE... judges by the recordings in these files alone, such as those that
//        `tscsim crosscheck --keep` and `tscsim hunt --keep` wrote, and prints which mutants they let pass.
#include "model/mutation.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "crosscheck/checker.h"
#include "model/world/simulation.h"
#include "ops/error.h"
#include "scenarios/evaluate.h"
#include "scenarios/scenario.h"
#include "stored_recordings.h"

namespace tscsim {
namespace {

// Mutants that nothing notices, each with the reason. Kept honest: a mutant listed here that is noticed fails
// the test.
struct Survivor {
  std::string_view mutant;
  std::string_view reason;
};
constexpr std::array<Survivor, 0> kSurvivors = {};

struct Evidence {
  std::vector<scenarios::Scenario> scenarios;
  std::vector<StoredRecording> recordings;
  std::string vectors_program;
};

Evidence collect(const std::string& vectors_program) {
  Evidence evidence;
  evidence.vectors_program = vectors_program;
  for (const std::string& path : scenarios::find_scenarios(TSCSIM_SCENARIOS))
    for (scenarios::Scenario& scenario : scenarios::for_each_kernel(scenarios::load_scenario(path)))
      evidence.scenarios.push_back(std::move(scenario));
  evidence.recordings = stored_recordings(TSCSIM_RECORDINGS);
  return evidence;
}

// A scenario notices the mutant when an expectation no longer holds, or when it can no longer run to its end.
bool notices(const scenarios::Scenario& scenario) {
  try {
    const auto executor = model::simulate(scenario.program.hosts, scenario.program.heuristic);
    const ops::Recording recording = ops::run_program(scenario.program, *executor, 1);
    const auto verdicts = scenarios::evaluate(scenario, recording);
    return std::any_of(verdicts.begin(), verdicts.end(), [](const scenarios::Verdict& v) {
      return v.state == scenarios::State::failed || v.state == scenarios::State::unsure;
    });
  } catch (const ops::InputError&) {
    return true;
  }
}

bool notices(const ops::Recording& recording) {
  return crosscheck::check(recording).count(crosscheck::Verdict::mismatch) != 0;
}

std::string by_scenario(const Evidence& evidence) {
  for (const scenarios::Scenario& scenario : evidence.scenarios)
    if (notices(scenario)) return scenarios::label(scenario);
  return "";
}

std::string by_recording(const Evidence& evidence) {
  for (const auto& [name, archived, recording] : evidence.recordings)
    if (notices(recording)) return name;
  return "";
}

std::string by_vectors(const Evidence& evidence, std::string_view mutant) {
  setenv("TSCSIM_MUTANT", std::string(mutant).c_str(), 1);
  posix_spawn_file_actions_t quiet;
  posix_spawn_file_actions_init(&quiet);
  posix_spawn_file_actions_addopen(&quiet, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  std::string program = evidence.vectors_program, fail_fast = "--gtest_fail_fast";
  char* arguments[] = {program.data(), fail_fast.data(), nullptr};
  pid_t pid = 0;
  int status = 0;
  const bool started = posix_spawn(&pid, program.c_str(), &quiet, nullptr, arguments, environ) == 0;
  posix_spawn_file_actions_destroy(&quiet);
  const bool ended = started && waitpid(pid, &status, 0) == pid && WIFEXITED(status);
  if (!ended || WEXITSTATUS(status) > 1) throw std::runtime_error("cannot run " + program);
  return WEXITSTATUS(status) == 0 ? "" : "vectors";
}

const Survivor* listed_survivor(std::string_view mutant) {
  const auto found =
      std::find_if(kSurvivors.begin(), kSurvivors.end(), [&](const Survivor& s) { return s.mutant == mutant; });
  return found == kSurvivors.end() ? nullptr : found;
}

// Whether this is as it must be. Prints one line.
bool try_mutant(const Evidence& evidence, std::size_t index, bool all) {
  const model::MutantInfo& mutant = model::kMutants[index];
  model::active_mutant = static_cast<model::Mutant>(index);
  const std::string scenario = by_scenario(evidence);
  const bool further = all || scenario.empty();
  const std::string recording = further ? by_recording(evidence) : "not asked";
  const std::string vectors = further ? by_vectors(evidence, mutant.name) : "not asked";
  model::active_mutant = model::Mutant::none;
  const bool noticed = !scenario.empty() || !recording.empty() || !vectors.empty();
  const auto cell = [](const std::string& who) { return who.empty() ? std::string("-") : who; };
  fmt::print("{:<33} {:<44} {:<44} {}\n", mutant.name, cell(scenario), cell(recording), cell(vectors));
  if (index == 0) {
    if (noticed) fmt::print("  WRONG: the model as it is must pass\n");
    return !noticed;
  }
  const Survivor* const survivor = listed_survivor(mutant.name);
  if (noticed && survivor != nullptr) fmt::print("  WRONG: it is listed as a survivor; take it off the list\n");
  if (!noticed)
    fmt::print("  {}: {}\n", survivor == nullptr ? "SURVIVES" : "survives",
               survivor == nullptr ? mutant.what : survivor->reason);
  return noticed == (survivor == nullptr);
}

struct Part {
  std::size_t number = 1, of = 1;
};

std::optional<Part> part_from(std::string_view text) {
  Part part;
  const auto slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  std::from_chars(text.data(), text.data() + slash, part.number);
  std::from_chars(text.data() + slash + 1, text.data() + text.size(), part.of);
  if (part.number == 0 || part.number > part.of) return std::nullopt;
  return part;
}

int run(const std::string& vectors_program, Part part, bool all) {
  const Evidence evidence = collect(vectors_program);
  if (evidence.scenarios.empty() || evidence.recordings.empty()) {
    fmt::print("there is no scenario or no recording to judge by\n");
    return 1;
  }
  fmt::print("{:<33} {:<44} {:<44} {}\n", "mutant", "scenario", "recording", "vectors");
  int wrong = 0, tried = 0;
  if (!try_mutant(evidence, 0, true)) return 1;
  for (std::size_t i = 1; i < model::kMutants.size(); ++i) {
    if (i % part.of != part.number % part.of) continue;
    ++tried;
    if (!try_mutant(evidence, i, all)) ++wrong;
  }
  fmt::print("{} mutants, {} not as they must be\n", tried, wrong);
  return wrong == 0 ? 0 : 1;
}

// What recordings alone notice, with nothing demanded: docs/lab.md says what is known of those that pass.
int run_by_recordings(std::span<char* const> files) {
  Evidence evidence;
  for (const char* file : files)
    for (ops::Recording& recording : storage::read_recordings(file)) {
      std::string name = fmt::format("{}:{}", recording.header.profile.target, recording.header.scenario);
      evidence.recordings.push_back({std::move(name), true, std::move(recording)});
    }
  std::vector<std::string> passed;
  for (std::size_t i = 0; i < model::kMutants.size(); ++i) {
    model::active_mutant = static_cast<model::Mutant>(i);
    const std::string noticed = by_recording(evidence);
    fmt::print("{:<42} {}\n", model::kMutants[i].name, noticed.empty() ? "-" : noticed);
    if (noticed.empty() == (i != 0)) passed.emplace_back(model::kMutants[i].name);
  }
  fmt::print("{} recordings; not as they must be: {}\n", evidence.recordings.size(), fmt::join(passed, ", "));
  return 0;
}

}  // namespace
}  // namespace tscsim

int main(int argc, char** argv) {
  const bool by_recordings = argc > 2 && std::string_view(argv[1]) == "--by";
  const auto part = tscsim::part_from(!by_recordings && argc > 2 ? argv[2] : "1/1");
  if (argc < 2 || !part) {
    std::cerr << "usage: mutation_test VECTORS_PROGRAM [PART/PARTS [all]]\n       mutation_test --by RECORDING...\n";
    return 2;
  }
  try {
    if (by_recordings) return tscsim::run_by_recordings({argv + 2, static_cast<std::size_t>(argc) - 2});
    return tscsim::run(argv[1], *part, argc > 3 && std::string_view(argv[3]) == "all");
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 2;
  }
}

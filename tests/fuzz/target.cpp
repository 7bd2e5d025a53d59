#include "target.h"

#include <cstdio>
#include <cstdlib>

#include "ops/error.h"

namespace tscsim::fuzz {

std::span<const Target> targets() {
  static const std::vector<Target> all = [] {
    std::vector<Target> made;
    for (const auto& some :
         {log_targets(), recording_targets(), scenario_targets(), sweep_targets(), lab_targets(), judge_targets()})
      made.insert(made.end(), some.begin(), some.end());
    return made;
  }();
  return all;
}

const Target* find_target(std::string_view name) {
  for (const Target& target : targets())
    if (target.name == name) return &target;
  return name == faulty_target().name ? &faulty_target() : nullptr;
}

void promise(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "promise broken: %s\n", what);
  std::abort();
}

void refuses_or_runs(const std::function<void()>& body) {
  try {
    body();
  } catch (const ops::InputError& error) {
    promise(!error.diagnostics().empty(), "a refusal has a diagnostic");
    for (const ops::Diagnostic& diagnostic : error.diagnostics())
      promise(!diagnostic.message.empty() && !ops::to_text(diagnostic).empty(), "a diagnostic says something");
  }
}

}  // namespace tscsim::fuzz

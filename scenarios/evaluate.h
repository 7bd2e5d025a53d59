// Whether a scenario's expectations hold in a recording, whoever made it.
//
// On the model every operation runs exactly when it is due, so a value is compared as it stands. On real
// hardware operations run late. How late was measured (the brackets of the recording), and no more than that
// is allowed for: a value that counts time is known up to the spread of lateness, and an expectation is
// decided only where the whole of that interval decides it. Four words, never merged: held, failed, unsure
// (the slack is wider than the claim), not_run (this target lacks something, which is named).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ops/recording.h"
#include "scenarios/scenario.h"

namespace tscsim::scenarios {

enum class State : std::uint8_t { held, failed, unsure, not_run };

std::string_view name_of(State state);

struct Verdict {
  int index = 0;  // in Scenario::expectations; kImplicit for what every scenario expects
  ops::Place place;
  std::string text;  // of the expectation
  State state{};
  std::string detail;    // both sides, the slack, or the missing need
  std::size_t step = 0;  // of kImplicit: through set-up and timeline
  int error = 0;         // and with what it was refused; 0: it was never reached
};
inline constexpr int kImplicit = -1;  // that a step succeeds; reported only when it does not

// Why the expectations do not hold on this kernel release: it is older than `since:`. Empty when it is not.
std::string unmet_kernel(const Scenario& scenario, const std::string& release);

// One verdict for each expectation, in order, after those for steps that were refused though they should not
// be. Throws ops::InputError when the recording's operations are not the scenario's.
std::vector<Verdict> evaluate(const Scenario& scenario, const ops::Recording& recording);

}  // namespace tscsim::scenarios

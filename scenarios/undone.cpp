#include "scenarios/undone.h"

#include <algorithm>
#include <array>
#include <optional>

namespace tscsim::scenarios {
namespace {

using ops::OpKind;

// What prepares, looks, or gives the guest its turn; a timeline of other steps is about those.
bool is_about_nothing(OpKind kind) {
  switch (kind) {
    case OpKind::create_vm:
    case OpKind::create_vcpu:
    case OpKind::run:
    case OpKind::get_tsc_khz:
    case OpKind::get_msr:
    case OpKind::get_tsc_offset:
    case OpKind::get_clock:
    case OpKind::get_tsc_state:
    case OpKind::get_clock_guest:
    case OpKind::get_tsc_scale:
    case OpKind::rdtsc:
    case OpKind::rdtscp:
    case OpKind::rdmsr:
    case OpKind::read_pvclock:
    case OpKind::read_hyperv_page:
    case OpKind::peek_pvclock:
    case OpKind::peek_wall_clock:
    case OpKind::peek_hyperv_page:
    case OpKind::peek_steal_time:
    case OpKind::read_clock:
    case OpKind::read_cpu_times:
    case OpKind::guest_state:
      return true;
    default:
      return false;
  }
}

struct Steps {
  int done = 0, undone = 0;
  std::string need;  // of the first that was not done
};

using StepsByKind = std::array<Steps, ops::kOpKinds>;

// What the target lacked for this step; nullopt when it was done.
std::optional<std::string> need_of(const ops::Entry& entry, const Scenario& scenario, const ops::Recording& recording) {
  if (!entry.supported) return entry.note;
  const std::size_t pcpus = scenario.program.hosts.at(static_cast<std::size_t>(entry.op.host)).pcpus.size();
  const bool moves_nothing =
      entry.op.kind == OpKind::move_vcpu && pcpus > 1 && recording.header.host(entry.op.host).profile.pcpus == 1;
  if (!moves_nothing) return std::nullopt;
  return "needs: " + std::to_string(pcpus) + " pCPUs (here 1)";
}

// Of the timeline; probes belong to no step.
StepsByKind count_steps(const Scenario& scenario, const ops::Recording& recording) {
  StepsByKind kinds;
  std::size_t step = 0;
  for (const ops::Entry& entry : recording.entries) {
    if (entry.op.probe || step++ < scenario.program.setup.size() || is_about_nothing(entry.op.kind)) continue;
    Steps& steps = kinds.at(static_cast<std::size_t>(entry.op.kind));
    const std::optional<std::string> need = need_of(entry, scenario, recording);
    ++(need ? steps.undone : steps.done);
    if (need && steps.need.empty()) steps.need = *need;
  }
  return kinds;
}

std::string text_of(OpKind kind, const Steps& steps) {
  const std::string count = std::to_string(steps.undone) + " of " + std::to_string(steps.undone + steps.done) +
                            " steps '" + std::string(ops::name_of(kind)) + "' were not done";
  return steps.need.empty() ? count : steps.need + "; " + count;
}

}  // namespace

std::string undone(const Scenario& scenario, const ops::Recording& recording, const std::vector<Verdict>& verdicts) {
  const bool decided = std::any_of(verdicts.begin(), verdicts.end(),
                                   [](const Verdict& verdict) { return verdict.state != State::not_run; });
  if (decided) return "";
  const StepsByKind kinds = count_steps(scenario, recording);
  const bool did_any = std::any_of(kinds.begin(), kinds.end(), [](const Steps& steps) { return steps.done != 0; });
  if (did_any && scenario.expectations.empty()) return "";
  for (std::size_t kind = 0; kind < kinds.size(); ++kind)
    if (kinds[kind].undone != 0) return text_of(static_cast<OpKind>(kind), kinds[kind]);
  return "";
}

}  // namespace tscsim::scenarios

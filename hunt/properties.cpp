#include "hunt/properties.h"

#include <fmt/format.h>

#include <array>
#include <map>
#include <set>

#include "hunt/shrink.h"
#include "model/world/simulation.h"
#include "ops/error.h"

namespace tscsim::hunt {
namespace {

using ops::Field;
using ops::OpKind;

bool writes_tsc(const ops::Entry& e) {
  switch (e.op.kind) {
    case OpKind::set_msr:
    case OpKind::wrmsr:
      return e.op.msr == ops::msr::kIa32Tsc || e.op.msr == ops::msr::kIa32TscAdjust;
    case OpKind::set_tsc_offset:
    case OpKind::set_tsc_khz:
      return true;
    default:
      return false;
  }
}

std::uint64_t value_of(const ops::Entry& e, Field field) {
  const std::uint64_t* value = e.outcome.find(field);
  return value == nullptr ? 0 : *value;
}

// A vCPU's TSC steps back only when it is written, or with the TSC of the pCPU that it is on: a vCPU that comes to a
// pCPU with a TSC behind, and one whose host slept, goes on from where it was.
std::optional<std::string> tsc_steps_back(const ops::Recording& recording) {
  std::map<int, std::uint64_t> last;
  for (std::size_t i = 0; i < recording.entries.size(); ++i) {
    const ops::Entry& e = recording.entries[i];
    if (writes_tsc(e)) last.erase(e.op.vcpu);
    if (e.op.kind == OpKind::jump_host_tsc) last.clear();
    if (e.op.kind != OpKind::rdtsc && e.op.kind != OpKind::read_pvclock) continue;
    const std::uint64_t tsc = value_of(e, e.op.kind == OpKind::rdtsc ? Field::value : Field::tsc);
    const auto before = last.find(e.op.vcpu);
    if (before != last.end() && static_cast<std::int64_t>(tsc - before->second) < 0)
      return fmt::format("entry {}: vCPU {} reads TSC {} after {}", i, e.op.vcpu, tsc, before->second);
    last[e.op.vcpu] = tsc;
  }
  return std::nullopt;
}

// Readings at the same instant by vCPUs whose pages came from the same master pair agree, up to one unit of rounding,
// as long as their guest TSCs agree.
std::optional<std::string> kvmclock_differs(const ops::Recording& recording) {
  const ops::Entry* before = nullptr;
  for (std::size_t i = 0; i < recording.entries.size(); ++i) {
    const ops::Entry& e = recording.entries[i];
    if (e.op.kind != OpKind::read_pvclock) {
      if (!e.op.probe) before = nullptr;
      continue;
    }
    const auto same = [&](Field f) { return value_of(*before, f) == value_of(e, f); };
    const bool stable = (value_of(e, Field::page_flags) & ops::pvclock_flag::kTscStable) != 0;
    const bool comparable = before != nullptr && stable && before->op.at_ns == e.op.at_ns && same(Field::page_flags) &&
                            same(Field::tsc) && same(Field::tsc_timestamp) && same(Field::system_time);
    if (comparable && !same(Field::ns))
      return fmt::format("entry {}: vCPU {} reads kvmclock {}, vCPU {} reads {}", i, before->op.vcpu,
                         value_of(*before, Field::ns), e.op.vcpu, value_of(e, Field::ns));
    before = &e;
  }
  return std::nullopt;
}

// The flag TSC_STABLE in a page and in KVM_GET_CLOCK promises equal TSCs: nothing but a guest's own write, or a rate of
// its own, may make offsets differ while it is set. On an unstable host each load moves an offset by itself.
std::optional<std::string> stable_with_unequal_offsets(const ops::Recording& recording) {
  std::map<int, std::uint64_t> offsets;
  std::set<int> not_entered;  // since their offset was written
  bool excused = false;
  for (std::size_t i = 0; i < recording.entries.size(); ++i) {
    const ops::Entry& e = recording.entries[i];
    excused = excused || e.op.kind == OpKind::wrmsr || e.op.kind == OpKind::set_tsc_khz ||
              e.op.kind == OpKind::mark_tsc_unstable || e.op.kind == OpKind::jump_host_tsc;
    if (e.op.kind == OpKind::get_tsc_offset) offsets[e.op.vcpu] = value_of(e, Field::value);
    // An unmatched write takes effect on the clock at that vCPU's next entry; only then must the flag have gone.
    if (writes_tsc(e) || e.op.kind == OpKind::create_vcpu) not_entered.insert(e.op.vcpu);
    if (e.op.kind != OpKind::run) continue;
    not_entered.erase(e.op.vcpu);
    std::optional<ops::Entry> clock;
    for (std::size_t j = i + 1; j < recording.entries.size() && recording.entries[j].op.probe; ++j)
      if (recording.entries[j].op.kind == OpKind::get_clock) clock = recording.entries[j];
    if (!clock || excused || !not_entered.empty() ||
        (value_of(*clock, Field::flags) & ops::clock_flag::kTscStable) == 0)
      continue;
    for (const auto& [vcpu, offset] : offsets)
      if (offset != offsets.begin()->second)
        return fmt::format("entry {}: KVM_CLOCK_TSC_STABLE with offset {} on vCPU {} and {} on vCPU 0", i,
                           static_cast<std::int64_t>(offset), vcpu, static_cast<std::int64_t>(offsets.begin()->second));
  }
  return std::nullopt;
}

// The cross-check must accept what the model itself produced.
std::optional<std::string> checker_refuses(const ops::Recording& recording) {
  const crosscheck::Result result = crosscheck::check(recording);
  if (!result.mismatches.empty()) return result.mismatches.front().explanation;
  return std::nullopt;
}

constexpr std::array kProperties = {
    Property{"tsc-steps-back-only-when-written", "a vCPU's TSC steps back only when it or the host's TSC is written",
             tsc_steps_back},
    Property{"kvmclock-is-one-line", "vCPUs with one master pair and one TSC read one kvmclock", kvmclock_differs},
    Property{"stable-means-equal-offsets",
             "KVM_CLOCK_TSC_STABLE is not set while the host's writes left unequal offsets",
             stable_with_unequal_offsets},
    Property{"model-agrees-with-itself", "the cross-check accepts the model's own recordings", checker_refuses},
};

std::optional<std::string> violation_of(const Property& property, const Draft& draft, const Modelled& modelled) {
  scenarios::Scenario scenario = to_scenario(draft);
  scenario.program.hosts.front().kernel = modelled.kernel;
  const auto executor = model::simulate(scenario.program.hosts, modelled.heuristic);
  return property.violation(ops::run_program(scenario.program, *executor, 1));
}

// A draft from which too much was cut is no scenario any more.
bool still_violates(const Property& property, const Draft& draft, const Modelled& modelled) {
  try {
    return violation_of(property, draft, modelled).has_value();
  } catch (const ops::InputError&) {
    return false;
  }
}

}  // namespace

std::span<const Property> properties() { return kProperties; }

const Property* find_property(std::string_view name) {
  for (const Property& property : kProperties)
    if (property.name == name) return &property;
  return nullptr;
}

std::optional<PropertyFind> hunt_property(const Property& property, const Modelled& modelled, const Options& options,
                                          const std::function<void(std::uint64_t)>& progress) {
  Ground ground;
  ground.pcpus = 2;
  ground.clocksource_changes = ground.tsc_jumps = ground.suspends = ground.pcpu_hotplug = ground.marks_unstable =
      ground.hyperv = ground.steal_time = true;
  for (std::uint64_t i = 0; i < options.runs; ++i) {
    const Draft draft = draft_of_run(options, ground, options.first + i);
    if (violation_of(property, draft, modelled)) {
      const Draft small = shrink(draft, options.shrink_attempts, [&](const std::vector<Draft>& candidates) {
        std::vector<bool> answers;
        for (const Draft& candidate : candidates) answers.push_back(still_violates(property, candidate, modelled));
        return answers;
      });
      return PropertyFind{small, *violation_of(property, small, modelled)};
    }
    progress(i + 1);
  }
  return std::nullopt;
}

}  // namespace tscsim::hunt

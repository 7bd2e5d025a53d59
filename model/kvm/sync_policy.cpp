#include "model/kvm/sync_policy.h"

#include <fmt/format.h>

#include <vector>

#include "model/kvm/policies/list.h"
#include "model/kvm/policies/window.h"
#include "ops/error.h"

namespace tscsim::model {

#define DECLARE(name)       \
  PolicyInfo name##_info(); \
  std::shared_ptr<const SyncPolicy> name();
TSCSIM_POLICIES(DECLARE)
#undef DECLARE

namespace {

// The named instances of the parameterised heuristic: what differs from `window`, the rule of 4.12, whose parameters are
// the defaults of ops::HeuristicParameters.
constexpr PolicyInfo kInstances[] = {
    {"window-us", "any write within one second, in microseconds, of where the last one would be by now",
     "Linux 3.4 to 4.11, kvm_write_tsc()", "compare=host_time_us,zero_write=value,creation=value"},
    {"window", "0, or within one second of guest cycles of where the last write would be by now",
     "Linux 4.12 to 6.7, kvm_write_tsc(), kvm_synchronize_tsc(); c5e8ec8e9b89, bd8fab39cd4f", "window=1s"},
    {"window-after-user-write", "as window, but values are compared only after user space has set a TSC",
     "Linux 6.8 and later, kvm_synchronize_tsc(); bf328e22e472", "after_user_write=yes"},
    {"window-from-generation",
     "as window-after-user-write, but measured from the write that started the generation; a write that joins is kept as "
     "the generation's own value, which repairs K36",
     "Cleaning up the KVM clock mess, v6 (July 2026), not merged; docs/spec/kvm-timekeeping.md 9.2",
     "after_user_write=yes,anchor=generation,joined_write=on_the_line"},
    {"never", "every write starts a generation of its own", "what-if",
     "window=0s,zero_write=own_generation,creation=own_generation"},
    {"always", "every write joins the current generation", "what-if", "window=unbounded"},
};

struct CppPolicy {
  PolicyInfo info;
  std::shared_ptr<const SyncPolicy> (*make)();
};
const std::vector<CppPolicy>& cpp_policies() {
#define ENTRY(name) {name##_info(), name},
  static const std::vector<CppPolicy> all = {TSCSIM_POLICIES(ENTRY)};
#undef ENTRY
  return all;
}

[[noreturn]] void refuse(std::string message, std::string mend) {
  throw ops::InputError(ops::Diagnostic{{}, std::move(message), std::move(mend), "", 1});
}

const PolicyInfo& find_info(std::string_view name) {
  for (const PolicyInfo& info : sync_policies())
    if (info.name == name) return info;
  std::vector<std::string> names;
  for (const PolicyInfo& info : sync_policies()) names.emplace_back(info.name);
  const std::string near = ops::nearest_word(std::string(name), names);
  refuse(fmt::format("unknown heuristic '{}'", name),
         near.empty() ? "see 'tscsim list heuristics'" : fmt::format("did you mean '{}'?", near));
}

ops::HeuristicParameters parameters_of(const PolicyInfo& info) {
  if (info.parameters.empty())
    refuse(fmt::format("heuristic '{}' has no parameters", info.name),
           "base another one on it in C++: docs/heuristics.md");
  ops::HeuristicParameters parameters;
  ops::HeuristicText{{}, std::string(info.parameters)}.apply(parameters);
  return parameters;
}

}  // namespace

std::span<const PolicyInfo> sync_policies() {
  static const std::vector<PolicyInfo> all = [] {
    std::vector<PolicyInfo> infos(std::begin(kInstances), std::end(kInstances));
    for (const CppPolicy& policy : cpp_policies()) infos.push_back(policy.info);
    return infos;
  }();
  return all;
}

std::shared_ptr<const SyncPolicy> sync_policy(std::string_view text, std::string_view kernels_own) {
  const ops::HeuristicText asked = ops::split_heuristic(text);
  const PolicyInfo& base = find_info(asked.base.empty() ? kernels_own : std::string_view(asked.base));
  if (asked.assignments.empty())
    for (const CppPolicy& policy : cpp_policies())
      if (policy.info.name == base.name) return policy.make();
  ops::HeuristicParameters parameters = parameters_of(base);
  if (const auto error = asked.apply(parameters)) refuse(error->message, error->mend);
  return window_policy(parameters);
}

}  // namespace tscsim::model

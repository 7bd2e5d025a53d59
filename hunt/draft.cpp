#include "hunt/draft.h"

#include <fmt/format.h>

namespace tscsim::hunt {

std::string to_yaml(const Draft& draft) {
  std::string text = fmt::format("name: {}\ntitle: Found by tscsim hunt\nsource: {}\n\n", draft.name, draft.source);
  if (!draft.host.empty()) text += fmt::format("host: {{{}}}\n", draft.host);
  text += fmt::format("vm: {{vcpus: {}, kvmclock: {}{}{}}}\n\ntimeline:\n", draft.vcpus, draft.kvmclock ? "on" : "off",
                      draft.hyperv ? ", hyperv: on" : "", draft.irqchip ? ", irqchip: on" : "");
  std::int64_t at_ns = 0;
  for (const DraftStep& step : draft.steps) {
    at_ns += step.gap_ns;
    text += fmt::format("  - {{at: {} ns, {}}}\n", at_ns, step.body);
  }
  return text;
}

scenarios::Scenario to_scenario(const Draft& draft) {
  return scenarios::parse_scenario(to_yaml(draft), draft.name + ".yaml");
}

}  // namespace tscsim::hunt

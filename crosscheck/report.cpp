#include "crosscheck/report.h"

#include <fmt/format.h>

#include "ops/operation_text.h"
#include "ops/spec_citation.h"

namespace tscsim::crosscheck {
namespace {

std::string bracket_text(const ops::Range& range) {
  if (range.lo == range.hi) return fmt::format("{}", range.lo);
  return fmt::format("{} .. {} ({} wide)", range.lo, range.hi, range.hi - range.lo);
}

std::string derived_text(const Observation& o) {
  return o.lo == o.hi ? fmt::format("{}", o.lo) : fmt::format("{} .. {}", o.lo, o.hi);
}

}  // namespace

std::string operation_text(const ops::Operation& op) {
  const std::string host = op.host == 0 ? "" : fmt::format(" on host {}", op.host);
  return fmt::format("{}{} at {} ns{}", ops::action_text(op), host, op.at_ns, op.probe ? " (probe)" : "");
}

std::string explain(const ops::Entry& entry, const Observation& o, const model::Machine<witness::Witness>& machine) {
  return explain(entry, o.what, fmt::format("{}", o.observed), derived_text(o), machine);
}

std::string explain(const ops::Entry& entry, const std::string& what, const std::string& kvm,
                    const std::string& derived, const model::Machine<witness::Witness>& machine) {
  std::string text = fmt::format("{}\n", operation_text(entry.op));
  text += fmt::format("  {:<9} {} = {}\n", "kvm", what, kvm);
  text += fmt::format("  {:<9} {} = {}\n", "model", what, derived);
  text += fmt::format("  {:<9} host TSC {}\n", "bracket", bracket_text(entry.bracket.tsc));
  const auto& vm = machine.vm();
  text += fmt::format("  {:<9} generation {}, {} of {} vCPUs matched besides its starter, master clock {}\n", "state",
                      vm.cur_tsc_generation, vm.nr_vcpus_matched_tsc, machine.vcpus().size(),
                      vm.use_master_clock ? "on" : "off");
  if (machine.story().empty()) text += fmt::format("  {:<9} no rule of the model changes state here\n", "why");
  for (const model::Rule rule : machine.story()) {
    const model::RuleInfo& rule_info = model::info(rule);
    text +=
        fmt::format("  {:<9} {} ({})\n", "why", rule_info.sentence, ops::spec_citation(ops::kKvmSpec, rule_info.spec));
  }
  text.pop_back();
  return text;
}

}  // namespace tscsim::crosscheck

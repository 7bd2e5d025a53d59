#include "crosscheck/report.h"

#include <fmt/format.h>

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
  std::string text;
  if (op.vcpu != ops::kVm) text += fmt::format("vcpu {} ", op.vcpu);
  text += ops::name_of(op.kind);
  const bool has_msr = op.kind == ops::OpKind::set_msr || op.kind == ops::OpKind::get_msr ||
                       op.kind == ops::OpKind::wrmsr || op.kind == ops::OpKind::rdmsr;
  if (has_msr) text += fmt::format(" {}", ops::msr_name(op.msr));
  const bool has_value = op.kind == ops::OpKind::set_msr || op.kind == ops::OpKind::wrmsr ||
                         op.kind == ops::OpKind::set_tsc_khz || op.kind == ops::OpKind::set_tsc_offset ||
                         op.kind == ops::OpKind::set_clock || op.kind == ops::OpKind::move_vcpu;
  if (has_value) text += fmt::format(" {}", op.value);
  if (op.kind == ops::OpKind::set_clock && op.flags != 0) text += fmt::format(" flags {:#x} realtime {}", op.flags, op.realtime);
  return text + fmt::format(" at {} ns{}", op.at_ns, op.probe ? " (probe)" : "");
}

std::string explain(const ops::Entry& entry, const Observation& o, const model::Machine<witness::Witness>& machine) {
  std::string text = fmt::format("{}\n", operation_text(entry.op));
  text += fmt::format("  {:<9} {} = {}\n", "kvm", o.what, o.observed);
  text += fmt::format("  {:<9} {} = {}\n", "model", o.what, derived_text(o));
  text += fmt::format("  {:<9} host TSC {}\n", "bracket", bracket_text(entry.bracket.tsc));
  const auto& vm = machine.vm();
  text += fmt::format("  {:<9} generation {}, {} of {} vCPUs matched besides its starter, master clock {}\n", "state",
                      vm.cur_tsc_generation, vm.nr_vcpus_matched_tsc, machine.vcpus().size(),
                      vm.use_master_clock ? "on" : "off");
  if (machine.story().empty()) text += fmt::format("  {:<9} no rule of the model changes state here\n", "why");
  for (const model::Rule rule : machine.story()) {
    const model::RuleInfo& rule_info = model::info(rule);
    text += fmt::format("  {:<9} {} (kvm-timekeeping.md section {})\n", "why", rule_info.sentence, rule_info.spec);
  }
  text.pop_back();
  return text;
}

}  // namespace tscsim::crosscheck

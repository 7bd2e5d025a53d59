// One line of the timeline is one word of the language with its operands. Words map to operations almost one
// to one; the exceptions (kvmclock, wall_clock, sample, vcpu: all) are written out while a line is read, so nothing
// below the parser knows of them.
#include "scenarios/timeline_lines.h"

#include <algorithm>

#include "base/interrupt.h"
#include "scenarios/errno_names.h"
#include "scenarios/units.h"

namespace tscsim::scenarios {
namespace {

std::vector<std::string> step_keys() {
  std::vector<std::string> keys{"at", "on", "vcpu", "as", "fails", "may_fail", "gap", "thread"};
  for (const auto& some : {words(), procedure_words()}) keys.insert(keys.end(), some.begin(), some.end());
  return keys;
}

bool begins_with_start(const YamlNode* timeline) {
  if (!timeline || !timeline->is(YamlNode::Kind::sequence)) return false;
  return std::any_of(timeline->items.begin(), timeline->items.end(), [](const YamlNode& step) {
    return std::any_of(step.members.begin(), step.members.end(),
                       [](const YamlMember& m) { return m.key.text == "start"; });
  });
}

}  // namespace

using Kind = YamlNode::Kind;

Timeline TimelineParser::parse(const YamlNode* node, const ops::Place& vm_place) {
  set_up(node, vm_place);
  if (node) parse_steps(*node);
  finish();
  return std::move(out_);
}

// A timeline with a `start` makes its VM itself.
void TimelineParser::set_up(const YamlNode* timeline, const ops::Place& place) {
  out_.linux_guest = vm_.guest.has_value();
  if (begins_with_start(timeline)) {
    if (vm_.tsc_khz != 0)
      reader().diagnostics().add(*timeline,
                                 "'vm: {tsc: ...}' is set in the set-up, and this timeline starts its VM itself",
                                 "remove 'tsc' from 'vm', and use 'start: {with: qemu/start-tsc-frequency, ...}'");
    return;
  }
  setup_step(OpKind::create_vm, ops::kVm, place).flags = vm_flags();
  for (std::int32_t vcpu = 0; vcpu < vm_.vcpus; ++vcpu)
    setup_step(OpKind::create_vcpu, vcpu, place).flags = vcpu_flags();
  set_up_rate(place);
  forget_vm();
  // A Linux guest enables its pages itself.
  here().vcpu.assign(static_cast<std::size_t>(vm_.vcpus),
                     {vm_.kvmclock || (vm_.guest && vm_.guest->kvmclock), vm_.tsc_khz != 0 ? vm_.tsc_khz : here().khz});
  for (std::int32_t vcpu = 0; vm_.kvmclock && vcpu < vm_.vcpus; ++vcpu) {
    ops::Operation& op = setup_step(OpKind::set_msr, vcpu, place);
    op.msr = ops::msr::kKvmSystemTimeNew;
    op.value = page_of(ops::layout::kPvclockPages, vcpu) | 1;
  }
  if (vm_.guest && vm_.vcpus > 0) setup_step(OpKind::boot_guest, ops::kVm, place).guest = *vm_.guest;
}

// As QEMU does with tsc-frequency: the rate of each vCPU, then the TSCs, which begin at 0.
void TimelineParser::set_up_rate(const ops::Place& place) {
  if (vm_.tsc_khz == 0) return;
  for (std::int32_t vcpu = 0; vcpu < vm_.vcpus; ++vcpu)
    setup_step(OpKind::set_tsc_khz, vcpu, place).value = vm_.tsc_khz;
  for (std::int32_t vcpu = 0; vcpu < vm_.vcpus; ++vcpu)
    setup_step(OpKind::set_msr, vcpu, place).msr = ops::msr::kIa32Tsc;
}

ops::Operation& TimelineParser::setup_step(OpKind kind, std::int32_t vcpu, const ops::Place& place) {
  ops::Step step;
  step.op.kind = kind;
  step.op.vcpu = vcpu;
  step.place = place;
  out_.setup.push_back(std::move(step));
  return out_.setup.back().op;
}

void TimelineParser::parse_steps(const YamlNode& node) {
  if (!node.is(Kind::sequence)) {
    diagnostics().add(node, "expected timeline as a list of steps, found " + found_text(node),
                      "write each step as '- {at: 0 ms, vcpu: 0, rdtsc: a}'");
    return;
  }
  for (const YamlNode& item : node.items) {
    base::throw_if_interrupted();
    parse_step(item);
    if (planned_.size() > kMaxSteps) {
      diagnostics().add(item, "the timeline expands into more than " + grouped(kMaxSteps) + " operations",
                        "sample less often or for a shorter time");
      return;
    }
  }
}

void TimelineParser::parse_step(const YamlNode& node) {
  const Fields fields(diagnostics(), node, "a step", step_keys());
  if (!fields.valid()) return;
  Line line;
  line.node = &node;
  line.fields = &fields;
  bool good = read_word(line);
  good = read_instant(line) && good;
  if (!line.word) return;
  if (line.word->operand == Operand::procedure) return good ? use_procedure(line) : void();
  if (good) busy_with_.clear();
  parse_line(line, good);
}

// What stands in a line besides its instant.
void TimelineParser::parse_line(Line& line, bool good) {
  good = read_host(line) && good;
  if (!check_vm(line)) return;
  if (!read_vcpus(line)) {
    good = false;
    line.vcpus.clear();  // a vCPU that does not exist is not looked up below
  }
  good = read_gap(line) && good;
  good = read_thread(line) && good;
  good = read_fails(line) && good;
  good = read_may_fail(line) && good;
  good = read_capture(line) && good;
  // A line at fault is still read to its end, so that all its faults are reported at once.
  const std::size_t before = planned_.size();
  read_operand(line);
  if (!good) planned_.resize(before);
  else if (planned_.size() > before) note_pause(line);
}

ops::Step& TimelineParser::plan(const Line& line, OpKind kind, std::int32_t vcpu, std::int64_t at_ns) {
  Planned planned;
  planned.step.op.kind = kind;
  planned.step.op.vcpu = vcpu;
  planned.step.op.at_ns = at_ns;
  planned.step.op.host = host_;
  planned.step.place = diagnostics().place(*line.node);
  if (scope_) {
    planned.step.used_at = scope_->used_at();
    planned.step.procedure = scope_->procedure().name;
    scope_->reach(at_ns);
  }
  planned_.push_back(std::move(planned));
  return planned_.back().step;
}

void TimelineParser::finish() {
  for (const HostVm& vm : vms_) out_.vcpus = std::max(out_.vcpus, vm.vcpus());
  for (std::size_t i = 0; i < planned_.size(); ++i) planned_[i].step.position = static_cast<std::uint32_t>(i);
  std::stable_sort(planned_.begin(), planned_.end(),
                   [](const Planned& a, const Planned& b) { return a.step.op.at_ns < b.step.op.at_ns; });
  for (Planned& planned : planned_) {
    for (const Refusal& refused : planned.fails) out_.refusals.push_back(refusal(planned, refused));
    for (const int error : planned.may_fail) out_.tolerated.push_back({out_.steps.size(), error});
    out_.steps.push_back(std::move(planned.step));
  }
}

Expectation TimelineParser::refusal(const Planned& planned, const Refusal& refused) const {
  Expectation expectation;
  expectation.subject = Subject::step_error;
  expectation.place = planned.step.used_at.file.empty() ? planned.step.place : planned.step.used_at;
  expectation.error = refused.error;
  expectation.kernels = refused.kernels;
  expectation.step = out_.steps.size();
  const ops::Operation& op = planned.step.op;
  expectation.text = std::string(ops::name_of(op.kind)) +
                     (op.vcpu == ops::kVm ? "" : " on vCPU " + std::to_string(op.vcpu)) + " fails with " +
                     errno_name(refused.error);
  return expectation;
}

Timeline parse_timeline(Reader& reader, const YamlNode* node, const std::vector<ops::HostSpec>& hosts, const VmSpec& vm,
                        const ops::Place& vm_place, const std::vector<std::string>& kernels,
                        ProcedureLibrary& procedures) {
  return TimelineParser(reader, hosts, vm, kernels, procedures).parse(node, vm_place);
}

}  // namespace tscsim::scenarios

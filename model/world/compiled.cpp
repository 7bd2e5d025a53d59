#include "model/world/compiled.h"

#include <algorithm>
#include <map>
#include <set>

#include "model/world/simulation.h"

namespace tscsim::model {
namespace {

using ops::OpKind;

[[noreturn]] void refuse(const ops::Place& place, std::string what, std::string mend = {}) {
  throw ops::InputError(ops::Diagnostic{place, std::move(what), std::move(mend), {}, 1});
}

std::string in_quotes(const std::string& text) { return "'" + text + "'"; }

// A probe loads every vCPU and unloads it. That leaves traces where loading does more than note the time: where a vCPU
// can come to another pCPU or find its host changed, and on kernels that mark it preempted at each unload.
bool looking_leaves_traces(const ops::Program& program, int host, const MachineConfig& config) {
  if (program.hosts[static_cast<std::size_t>(host)].tsc_unstable) return true;
  const auto moves = [&](const ops::Step& step) {
    if (step.op.host != host) return false;
    switch (step.op.kind) {
      case OpKind::move_vcpu:
      case OpKind::mark_tsc_unstable:
      case OpKind::suspend_host:
      case OpKind::offline_pcpu:
      case OpKind::online_pcpu:
        return true;
      case OpKind::set_msr:
      case OpKind::wrmsr:
        return step.op.msr == ops::msr::kKvmStealTime && config.era.every_unload_preempts;
      default:
        return false;
    }
  };
  return std::any_of(program.setup.begin(), program.setup.end(), moves) ||
         std::any_of(program.timeline.begin(), program.timeline.end(), moves);
}

bool learns_rate(OpKind kind) {
  return kind == OpKind::create_vm || kind == OpKind::create_vcpu || kind == OpKind::set_tsc_khz ||
         kind == OpKind::get_tsc_khz;
}

bool reads_guest_clock(OpKind kind) {
  return kind == OpKind::rdtsc || kind == OpKind::rdtscp || kind == OpKind::read_pvclock;
}

Executes executes(OpKind kind) {
  if (kind == OpKind::save_memory) return Executes::saves_memory;
  if (kind == OpKind::load_memory) return Executes::loads_memory;
  const bool host = ops::is_host_event(kind) || kind == OpKind::move_vcpu || kind == OpKind::delay_vcpu;
  return host ? Executes::host : Executes::machine;
}

class Compiler {
 public:
  Compiler(const ops::Program& program, const RunRequest& request) : program_(program), request_(request) {}

  Compiled compile() {
    out_.hosts = program_.hosts;
    out_.setup_steps = program_.setup.size();
    out_.metrics = request_.metrics;
    out_.outcomes = request_.outcomes;
    for (std::size_t host = 0; host < program_.hosts.size(); ++host) add_host(static_cast<int>(host));
    for (const auto* steps : {&program_.setup, &program_.timeline})
      for (const ops::Step& step : *steps) add_step(step);
    for (const std::string& text : request_.captures) out_.captures.push_back(wanted(text));
    for (const Slot& slot : request_.slots) add_slot(slot);
    return std::move(out_);
  }

 private:
  struct Captured {
    std::uint32_t kept = 0;
    OpKind kind{};
  };

  void add_host(int host) {
    const ops::TargetProfile profile =
        profile_of(program_.hosts[static_cast<std::size_t>(host)], program_.heuristic, Tracing::off);
    out_.configs.push_back(machine_config(profile));
    const bool leaves = looking_leaves_traces(program_, host, out_.configs.back());
    touches_.push_back(leaves);
  }

  void add_step(const ops::Step& step) {
    if (ops::needs_linux_guest(step.op.kind))
      refuse(step.place,
             "'" + std::string(ops::name_of(step.op.kind)) +
                 "' takes a Linux guest, which runs by the million do not have",
             "leave the guest out, or use 'tscsim run'");
    CompiledStep made;
    made.op = step.op;
    if (!step.saved.empty()) made.saved = captured(step, step.saved).kept;
    if (step.value) made.value = operand(step, *step.value);
    if (step.realtime) made.realtime = operand(step, *step.realtime);
    const bool whole_vm = ops::probed_whole(step.op.kind);
    if (whole_vm) made.touches = touches_[static_cast<std::size_t>(step.op.host)];
    made.shows_clock = whole_vm || step.op.kind == OpKind::get_clock;
    made.learns = learns_rate(step.op.kind);
    made.reads_clock = reads_guest_clock(step.op.kind);
    made.computed = made.saved != kNotKept || step.value || step.realtime;
    made.executes = executes(step.op.kind);
    if (!step.capture.empty()) {
      if (captures_.contains(step.capture))
        refuse(step.place, in_quotes(step.capture) + " is already captured", "capture into another name");
      captures_[step.capture] = {static_cast<std::uint32_t>(out_.kept), step.op.kind};
    }
    if (request_.outcomes || !step.capture.empty()) made.kept = static_cast<std::uint32_t>(out_.kept++);
    out_.steps.push_back(made);
    out_.places.push_back(step.place);
  }

  const Captured& captured(const ops::Step& step, const std::string& name) const {
    const auto found = captures_.find(name);
    if (found == captures_.end()) refuse(step.place, "nothing is captured as " + in_quotes(name) + " before this step");
    return found->second;
  }

  static ops::Field field_of(const ops::Place& place, const std::string& name, OpKind kind,
                             const std::string& field_name) {
    const auto field = field_name.empty() ? ops::primary_field(kind) : ops::field_from(field_name);
    if (!field && field_name.empty()) refuse(place, in_quotes(name) + " is not one number", "name a field");
    if (!field) refuse(place, in_quotes(name) + " has no field " + in_quotes(field_name));
    return *field;
  }

  Span operand(const ops::Step& step, const ops::Expression& expression) {
    Span span{static_cast<std::uint32_t>(out_.code.size()), 0};
    std::size_t depth = 0;
    for (const ops::Expression::Instruction& instruction : expression.code()) {
      OperandCode made;
      made.code = instruction.code;
      made.number = instruction.number;
      if (instruction.code == ops::Expression::Code::load) {
        const Captured& source = captured(step, instruction.name);
        made.kind = source.kind;
        made.captured = source.kept;
        made.field = field_of(step.place, instruction.name, source.kind, instruction.field);
      }
      depth += 1 - static_cast<std::size_t>(ops::Expression::taken_by(instruction.code));
      out_.stack_depth = std::max(out_.stack_depth, depth);
      out_.code.push_back(made);
    }
    span.end = static_cast<std::uint32_t>(out_.code.size());
    return span;
  }

  Compiled::Wanted wanted(const std::string& text) const {
    const auto dot = text.find('.');
    const std::string name = text.substr(0, dot);
    const auto found = captures_.find(name);
    if (found == captures_.end()) refuse({}, "nothing is captured as " + in_quotes(name));
    const std::string field = dot == std::string::npos ? "" : text.substr(dot + 1);
    return {found->second.kept, found->second.kind, field_of({}, name, found->second.kind, field)};
  }

  void add_slot(const Slot& slot) {
    const bool of_step = slot.kind <= SlotKind::literal;
    if (slot.index >= (of_step ? out_.steps.size() : out_.hosts.size()))
      refuse({}, std::string("a slot names ") + (of_step ? "step " : "host ") + std::to_string(slot.index) +
                     ", which is not there");
    if (slot.kind == SlotKind::pcpu_tsc_offset && slot.part >= out_.hosts[slot.index].pcpus.size())
      refuse({}, "a slot names pCPU " + std::to_string(slot.part) + ", which is not there");
    if (slot.kind == SlotKind::literal && slot.part >= literals(out_.steps[slot.index]))
      refuse(out_.places[slot.index],
             "a slot names number " + std::to_string(slot.part) + " of this operand, which is not there");
    if (slot.kind == SlotKind::at || slot.kind == SlotKind::shift) {
      if (slot.index < out_.setup_steps) refuse(out_.places[slot.index], "the set-up has no times");
      out_.times_vary = true;
    }
    out_.slots.push_back(slot);
  }

  std::size_t literals(const CompiledStep& step) const {
    return static_cast<std::size_t>(
        std::count_if(out_.code.begin() + step.value.begin, out_.code.begin() + step.value.end,
                      [](const OperandCode& c) { return c.code == ops::Expression::Code::push; }));
  }

  const ops::Program& program_;
  const RunRequest& request_;
  Compiled out_;
  std::map<std::string, Captured> captures_;
  std::vector<bool> touches_;  // by host
};

}  // namespace

Compiled compile(const ops::Program& program, const RunRequest& request) {
  return Compiler(program, request).compile();
}

}  // namespace tscsim::model

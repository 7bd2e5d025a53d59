// Runs a flat program on an executor and probes after each step what the step may have changed. The probes
// are part of the recording and the same on every target, so the cross-check can pin what KVM read inside a
// step by the state that the step left behind.
#include "ops/program.h"

#include <algorithm>

namespace tscsim::ops {
namespace {

// What the runner knows of one vCPU.
struct Vcpu {
  std::int32_t index = 0;
  std::uint32_t tsc_khz = 0;
  bool kvmclock_enabled = false;  // its page exists, so it can be looked at
};

enum class ProbeScope : std::uint8_t { nothing, page_of_vcpu, whole_vm };

// What a step of this kind may change. A guest's reads change nothing but the page, which KVM may refresh on
// entry.
ProbeScope probe_scope(OpKind kind) {
  switch (kind) {
    case OpKind::create_vcpu:
    case OpKind::set_tsc_khz:
    case OpKind::set_msr:
    case OpKind::set_tsc_offset:
    case OpKind::set_clock:
    case OpKind::kvmclock_ctrl:
    case OpKind::run:
    case OpKind::wrmsr:
    case OpKind::move_vcpu:
    case OpKind::set_clocksource:
    case OpKind::mark_tsc_unstable:
    case OpKind::jump_host_tsc:
    case OpKind::suspend_host:
    case OpKind::offline_pcpu:
    case OpKind::online_pcpu:
      return ProbeScope::whole_vm;
    case OpKind::rdtsc:
    case OpKind::rdtscp:
    case OpKind::rdmsr:
    case OpKind::read_pvclock:
      return ProbeScope::page_of_vcpu;
    case OpKind::create_vm:
    case OpKind::get_tsc_khz:
    case OpKind::get_msr:
    case OpKind::get_tsc_offset:
    case OpKind::get_clock:
    case OpKind::peek_pvclock:
    case OpKind::peek_wall_clock:
      return ProbeScope::nothing;
  }
  return ProbeScope::nothing;
}

bool enables_kvmclock(const Operation& op) {
  const bool writes = op.kind == OpKind::set_msr || op.kind == OpKind::wrmsr;
  return writes && (op.msr == msr::kKvmSystemTime || op.msr == msr::kKvmSystemTimeNew);
}

bool succeeded(const Entry& entry) {
  return entry.supported && entry.outcome.error == 0;
}

std::string in_quotes(std::string_view text) {
  return "'" + std::string(text) + "'";
}

std::string step_text(const Operation& op) {
  std::string text(name_of(op.kind));
  if (op.vcpu != kVm) text += " on vCPU " + std::to_string(op.vcpu);
  return text;
}

class Runner {
 public:
  Runner(const Program& program, Executor& executor, std::uint64_t seed)
      : program_(program), executor_(executor) {
    recording_.header.scenario = program.name;
    recording_.header.scenario_hash = program.hash;
    recording_.header.seed = seed;
    recording_.header.profile = executor.profile();
    vm_khz_ = executor.profile().host_khz;
  }

  Recording run(const std::function<void(std::size_t, std::size_t)>& progress) {
    const std::size_t total = program_.setup.size() + program_.timeline.size();
    std::size_t done = 0;
    const auto run_steps = [&](const std::vector<Step>& steps) {
      for (const Step& step : steps) {
        if (progress) progress(done, total);
        run_step(step);
        ++done;
      }
    };
    run_steps(program_.setup);
    executor_.start_clock(recording_.header);
    run_steps(program_.timeline);
    return std::move(recording_);
  }

 private:
  struct Capture {
    std::string name;
    Place place;
    std::size_t entry = 0;
  };

  [[noreturn]] static void refuse(const Step& step, std::string message, std::string mend = {}) {
    throw InputError({step.place, std::move(message), std::move(mend), {}, 1});
  }

  // ---- operands ----

  const Capture* find_capture(std::string_view name) const {
    for (const Capture& capture : captures_)
      if (capture.name == name) return &capture;
    return nullptr;
  }

  static std::string why_without_value(const Entry& entry) {
    if (!entry.supported)
      return "is not supported here" + (entry.note.empty() ? "" : " (" + entry.note + ")");
    return "failed with errno " + std::to_string(entry.outcome.error);
  }

  Wide captured(const Step& step, std::string_view name, std::string_view field_name) const {
    const Capture* capture = find_capture(name);
    if (!capture) refuse(step, "nothing is captured as " + in_quotes(name) + " before this step");
    const Entry& entry = recording_.entries[capture->entry];
    const std::string origin = in_quotes(name) + ", captured from " + step_text(entry.op) + " at line " +
                               std::to_string(capture->place.line) + ",";
    if (!succeeded(entry))
      refuse(step, step_text(step.op) + " needs " + origin + " which " + why_without_value(entry));
    const auto field = field_name.empty() ? primary_field(entry.op.kind) : field_from(field_name);
    const std::uint64_t* value = field ? entry.outcome.find(*field) : nullptr;
    if (!value && field_name.empty())
      refuse(step, origin + " is not one number", "name a field: " + fields_text(entry));
    if (!value)
      refuse(step, origin + " has no field " + in_quotes(field_name), "use one of " + fields_text(entry));
    // The shift is the one signed field; a TSC offset stays what KVM gives, a number modulo 2^64.
    return *field == Field::shift ? Wide{static_cast<std::int64_t>(*value)} : Wide{*value};
  }

  static std::string fields_text(const Entry& entry) {
    std::string text;
    for (std::size_t i = 0; i < entry.outcome.count; ++i)
      text += (i ? ", " : "") + std::string(name_of(entry.outcome.fields[i].field));
    return text.empty() ? "it has none" : text;
  }

  std::uint64_t operand(const Step& step, const Expression& expression) const {
    Wide value = 0;
    try {
      value = expression.evaluate(
          [&](std::string_view name, std::string_view field) { return captured(step, name, field); },
          step.op.kind == OpKind::jump_host_tsc ? executor_.profile().host_khz : khz_of(step.op.vcpu));
    } catch (const ExpressionError& error) {
      refuse(step, in_quotes(expression.text()) + ": " + error.what(), error.mend);
    }
    if (value < Wide{INT64_MIN} || value > Wide{UINT64_MAX})
      refuse(step, in_quotes(expression.text()) + ": the value does not fit 64 bits");
    return static_cast<std::uint64_t>(value);
  }

  Operation resolved(const Step& step) const {
    Operation op = step.op;
    if (step.value) op.value = operand(step, *step.value);
    if (step.realtime) op.realtime = operand(step, *step.realtime);
    return op;
  }

  // ---- steps ----

  void run_step(const Step& step) {
    const Operation op = resolved(step);
    const std::size_t index = recording_.entries.size();
    recording_.entries.push_back(executor_.execute(op));
    if (!step.capture.empty()) capture(step, index);
    learn(recording_.entries[index]);
    probe(op);
  }

  void capture(const Step& step, std::size_t index) {
    if (const Capture* first = find_capture(step.capture))
      refuse(step,
             in_quotes(step.capture) + " is already captured at line " + std::to_string(first->place.line),
             "capture into another name");
    captures_.push_back({step.capture, step.place, index});
  }

  void execute_probe(OpKind kind, std::int32_t vcpu, std::int64_t at_ns, std::uint32_t msr = 0) {
    Operation op;
    op.kind = kind;
    op.vcpu = vcpu;
    op.msr = msr;
    op.at_ns = at_ns;
    op.probe = true;
    recording_.entries.push_back(executor_.execute(op));
  }

  void probe(const Operation& op) {
    const ProbeScope scope = probe_scope(op.kind);
    if (scope == ProbeScope::nothing) return;
    for (const Vcpu& vcpu : vcpus_) {
      const bool whole = scope == ProbeScope::whole_vm;
      if (!whole && vcpu.index != op.vcpu) continue;
      if (whole && executor_.profile().offset_attribute)
        execute_probe(OpKind::get_tsc_offset, vcpu.index, op.at_ns);
      if (whole) execute_probe(OpKind::get_msr, vcpu.index, op.at_ns, msr::kIa32TscAdjust);
      if (vcpu.kvmclock_enabled) execute_probe(OpKind::peek_pvclock, vcpu.index, op.at_ns);
    }
    if (scope == ProbeScope::whole_vm) execute_probe(OpKind::get_clock, kVm, op.at_ns);
  }

  // ---- what the runner keeps track of ----

  Vcpu* find_vcpu(std::int32_t index) {
    const auto found =
        std::find_if(vcpus_.begin(), vcpus_.end(), [=](const Vcpu& v) { return v.index == index; });
    return found == vcpus_.end() ? nullptr : &*found;
  }

  std::uint32_t khz_of(std::int32_t vcpu) const {
    for (const Vcpu& known : vcpus_)
      if (known.index == vcpu) return known.tsc_khz;
    return vm_khz_;
  }

  void learn_khz(std::int32_t vcpu, std::uint64_t khz) {
    if (khz > UINT32_MAX) return;
    std::uint32_t& known = vcpu == kVm || !find_vcpu(vcpu) ? vm_khz_ : find_vcpu(vcpu)->tsc_khz;
    known = khz == 0 ? executor_.profile().host_khz
                     : static_cast<std::uint32_t>(khz);  // 0 asks for the host's rate
  }

  void learn(const Entry& entry) {
    if (!succeeded(entry)) return;
    const Operation& op = entry.op;
    if (op.kind == OpKind::create_vcpu) vcpus_.push_back({op.vcpu, vm_khz_, false});
    if (op.kind == OpKind::set_tsc_khz) learn_khz(op.vcpu, op.value);
    if (op.kind == OpKind::get_tsc_khz)
      if (const std::uint64_t* khz = entry.outcome.find(Field::value)) learn_khz(op.vcpu, *khz);
    if (enables_kvmclock(op))
      if (Vcpu* vcpu = find_vcpu(op.vcpu)) vcpu->kvmclock_enabled = (op.value & 1) != 0;
  }

  const Program& program_;
  Executor& executor_;
  Recording recording_;
  std::vector<Capture> captures_;
  std::vector<Vcpu> vcpus_;
  std::uint32_t vm_khz_ = 0;
};

}  // namespace

Recording run_program(const Program& program, Executor& executor, std::uint64_t seed,
                      const std::function<void(std::size_t, std::size_t)>& progress) {
  return Runner(program, executor, seed).run(progress);
}

}  // namespace tscsim::ops

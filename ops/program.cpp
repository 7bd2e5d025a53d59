// Runs a flat program on an executor and probes after each step what the step may have changed. The probes
// are part of the recording and the same on every target, so the cross-check can pin what KVM read inside a
// step by the state that the step left behind.
#include "ops/program.h"

#include <algorithm>
#include <deque>

#include "base/interrupt.h"

namespace tscsim::ops {
namespace {

// What the runner knows of one vCPU.
struct Vcpu {
  std::int32_t index = 0;
  std::uint32_t tsc_khz = 0;
  bool kvmclock_enabled = false;  // its page exists, so it can be looked at
  bool steal_time_enabled = false;
};

// What the runner knows of the VM on one host.
struct Vm {
  std::vector<Vcpu> vcpus;
  std::uint32_t khz = 0;  // of vCPUs created later
  bool hyperv_page_enabled = false;
};

enum class ProbeScope : std::uint8_t { nothing, pages_of_vcpu, whole_vm };

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
    case OpKind::set_lapic:
    case OpKind::run:
    case OpKind::wrmsr:
    case OpKind::move_vcpu:
    case OpKind::set_clocksource:
    case OpKind::mark_tsc_unstable:
    case OpKind::jump_host_tsc:
    case OpKind::suspend_host:
    case OpKind::offline_pcpu:
    case OpKind::online_pcpu:
    case OpKind::load_memory:
    case OpKind::set_tsc_state:
    case OpKind::set_clock_guest:
      return ProbeScope::whole_vm;
    case OpKind::rdtsc:
    case OpKind::rdtscp:
    case OpKind::rdmsr:
    case OpKind::read_pvclock:
    case OpKind::read_hyperv_page:
    case OpKind::enter_l2:
    case OpKind::leave_l2:
      return ProbeScope::pages_of_vcpu;
    case OpKind::create_vm:
    case OpKind::get_tsc_khz:
    case OpKind::get_msr:
    case OpKind::get_tsc_offset:
    case OpKind::get_clock:
    case OpKind::peek_pvclock:
    case OpKind::peek_wall_clock:
    case OpKind::peek_hyperv_page:
    case OpKind::peek_steal_time:
    case OpKind::bump_vmclock:
    case OpKind::delay_vcpu:
    case OpKind::save_memory:
    case OpKind::get_tsc_state:
    case OpKind::disable_quirks:
    case OpKind::get_clock_guest:
    case OpKind::get_tsc_scale:
    case OpKind::observed:
    case OpKind::boot_guest:  // a Linux guest is in the model alone, which has nothing to find out by probes
    case OpKind::online_vcpu:
    case OpKind::offline_vcpu:
    case OpKind::read_clock:
    case OpKind::read_cpu_times:
    case OpKind::guest_state:
    case OpKind::step_realtime:
    case OpKind::block_task:
    case OpKind::suspend_guest:
    case OpKind::wake_guest:
    case OpKind::pause_vm:
    case OpKind::resume_vm:
    case OpKind::share_pcpus:
      return ProbeScope::nothing;
  }
  return ProbeScope::nothing;
}

bool writes_msr(const Operation& op, std::uint32_t msr) {
  return (op.kind == OpKind::set_msr || op.kind == OpKind::wrmsr) && op.msr == msr;
}

bool enables_kvmclock(const Operation& op) {
  return writes_msr(op, msr::kKvmSystemTime) || writes_msr(op, msr::kKvmSystemTimeNew);
}

bool succeeded(const Entry& entry) { return entry.supported && entry.outcome.error == 0; }

std::string in_quotes(std::string_view text) { return "'" + std::string(text) + "'"; }

std::string step_text(const Operation& op) {
  std::string text(name_of(op.kind));
  if (op.vcpu != kVm) text += " on vCPU " + std::to_string(op.vcpu);
  return text;
}

class Runner {
 public:
  Runner(const Program& program, Executor& executor, std::uint64_t seed)
      : program_(program), executor_(executor), vms_(program.hosts.size()) {
    recording_.header.scenario = program.name;
    recording_.header.scenario_hash = program.hash;
    recording_.header.seed = seed;
    recording_.header.other_hosts.resize(program.hosts.size() - 1);
    for (int host = 0; host < hosts() && hosts() > 1; ++host)
      recording_.header.host(host).name = program.hosts[static_cast<std::size_t>(host)].name;
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
    for (int host = 0; host < hosts(); ++host) meet(host);
    run_steps(program_.setup);
    for (int host = 0; host < hosts(); ++host) start_clock(host, 0);
    run_steps(program_.timeline);
    return std::move(recording_);
  }

  Recording run_only(int host, const Recording& earlier) {
    for (int before = 0; before < host; ++before) {
      recording_.header.host(before) = earlier.header.host(before);
      vm(before).khz = recording_.header.host(before).profile.host_khz;
    }
    for (const Entry& entry : earlier.entries) earlier_[entry.op.host].push_back(entry);
    meet(host);
    for (const Step& step : program_.setup) run_or_repeat(step, host);
    bool started = host == 0;
    if (started) start_clock(host, 0);
    for (const Step& step : program_.timeline) {
      if (!started && step.op.host == host) start_clock(host, step.op.at_ns);
      started = started || step.op.host == host;
      run_or_repeat(step, host);
    }
    return std::move(recording_);
  }

 private:
  struct Capture {
    std::string name;
    Place place;
    std::size_t entry = 0;
  };

  [[noreturn]] static void refuse(const Step& step, std::string message, std::string mend = {}) {
    if (!step.procedure.empty())
      message += "\n  used at " + step.used_at.file + ":" + std::to_string(step.used_at.line);
    throw InputError({step.place, std::move(message), std::move(mend), {}, 1});
  }

  // ---- hosts ----

  int hosts() const { return static_cast<int>(program_.hosts.size()); }
  Vm& vm(int host) { return vms_[static_cast<std::size_t>(host)]; }
  const Vm& vm(int host) const { return vms_[static_cast<std::size_t>(host)]; }

  void meet(int host) {
    recording_.header.host(host).profile = executor_.profile(host);
    vm(host).khz = executor_.profile(host).host_khz;
  }

  void start_clock(int host, std::int64_t now_ns) { executor_.start_clock(host, now_ns, recording_.header.host(host)); }

  void run_or_repeat(const Step& step, int host) {
    if (step.op.host == host) run_step(step);
    else repeat(step);
  }

  // Takes a step of another host, with its probes, from the earlier recording; what comes there later is not known yet.
  void repeat(const Step& step) {
    std::deque<Entry>& entries = earlier_[step.op.host];
    if (entries.empty()) return;
    const std::size_t index = recording_.entries.size();
    do {
      recording_.entries.push_back(std::move(entries.front()));
      entries.pop_front();
    } while (!entries.empty() && entries.front().op.probe);
    if (!step.capture.empty()) capture(step, index);
    learn(recording_.entries[index]);
  }

  // ---- operands ----

  const Capture* find_capture(std::string_view name) const {
    for (const Capture& capture : captures_)
      if (capture.name == name) return &capture;
    return nullptr;
  }

  static std::string why_without_value(const Entry& entry) {
    if (!entry.supported) return "is not supported here" + (entry.note.empty() ? "" : " (" + entry.note + ")");
    return "failed with errno " + std::to_string(entry.outcome.error);
  }

  Wide captured(const Step& step, std::string_view name, std::string_view field_name) const {
    const Capture* capture = find_capture(name);
    if (!capture) refuse(step, "nothing is captured as " + in_quotes(name) + " before this step");
    const Entry& entry = recording_.entries[capture->entry];
    const std::string origin = in_quotes(name) + ", captured from " + step_text(entry.op) + " at line " +
                               std::to_string(capture->place.line) + ",";
    if (!succeeded(entry)) refuse(step, step_text(step.op) + " needs " + origin + " which " + why_without_value(entry));
    const auto field = field_name.empty() ? primary_field(entry.op.kind) : field_from(field_name);
    const std::uint64_t* value = field ? entry.outcome.find(*field) : nullptr;
    if (!value && field_name.empty())
      refuse(step, origin + " is not one number", "name a field: " + fields_text(entry));
    if (!value) refuse(step, origin + " has no field " + in_quotes(field_name), "use one of " + fields_text(entry));
    return numeric_value(entry.op.kind, *field, *value);
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
          step.op.kind == OpKind::jump_host_tsc ? executor_.profile(step.op.host).host_khz : khz_of(step.op));
    } catch (const ExpressionError& error) {
      refuse(step, in_quotes(expression.text()) + ": " + error.what(), error.mend);
    }
    if (value < Wide{INT64_MIN} || value > Wide{UINT64_MAX})
      refuse(step, in_quotes(expression.text()) + ": the value does not fit 64 bits");
    return static_cast<std::uint64_t>(value);
  }

  // The structure as it was read is written back.
  void give_back(const Step& step, Operation& op) const {
    const auto field = [&](Field name) {
      return static_cast<std::uint64_t>(captured(step, step.saved, name_of(name)));
    };
    if (op.kind == OpKind::set_tsc_state) {
      op.value = field(Field::tsc);
      op.realtime = field(Field::nsec);
      op.tsc_adjust = field(Field::tsc_adjust);
      op.flags = static_cast<std::uint32_t>(field(Field::flags));
    } else {
      op.value = field(Field::tsc_timestamp);
      op.realtime = field(Field::system_time);
      op.mul = static_cast<std::uint32_t>(field(Field::mul));
      op.shift = static_cast<std::int8_t>(field(Field::shift));
    }
  }

  Operation resolved(const Step& step) const {
    Operation op = step.op;
    if (!step.saved.empty()) give_back(step, op);
    if (step.value) op.value = operand(step, *step.value);
    if (step.realtime) op.realtime = operand(step, *step.realtime);
    return op;
  }

  // ---- steps ----

  void run_step(const Step& step) {
    base::throw_if_interrupted();
    const Operation op = resolved(step);
    const std::size_t index = recording_.entries.size();
    recording_.entries.push_back(executor_.execute(op));
    if (!step.capture.empty()) capture(step, index);
    learn(recording_.entries[index]);
    probe(op);
  }

  void capture(const Step& step, std::size_t index) {
    if (const Capture* first = find_capture(step.capture))
      refuse(step, in_quotes(step.capture) + " is already captured at line " + std::to_string(first->place.line),
             "capture into another name");
    captures_.push_back({step.capture, step.place, index});
  }

  void execute_probe(OpKind kind, std::int32_t vcpu, const Operation& after, std::uint32_t msr = 0) {
    Operation op;
    op.kind = kind;
    op.vcpu = vcpu;
    op.msr = msr;
    op.at_ns = after.at_ns;
    op.host = after.host;
    op.probe = true;
    recording_.entries.push_back(executor_.execute(op));
  }

  void probe(const Operation& op) {
    const ProbeScope scope = probe_scope(op.kind);
    if (scope == ProbeScope::nothing) return;
    for (const Vcpu& vcpu : vm(op.host).vcpus) {
      const bool whole = scope == ProbeScope::whole_vm;
      if (!whole && vcpu.index != op.vcpu) continue;
      if (whole && executor_.profile(op.host).offset_attribute) execute_probe(OpKind::get_tsc_offset, vcpu.index, op);
      if (whole) execute_probe(OpKind::get_msr, vcpu.index, op, msr::kIa32TscAdjust);
      if (vcpu.kvmclock_enabled) execute_probe(OpKind::peek_pvclock, vcpu.index, op);
      if (vcpu.steal_time_enabled) execute_probe(OpKind::peek_steal_time, vcpu.index, op);
    }
    if (vm(op.host).hyperv_page_enabled) execute_probe(OpKind::peek_hyperv_page, kVm, op);
    if (scope == ProbeScope::whole_vm) execute_probe(OpKind::get_clock, kVm, op);
  }

  // ---- what the runner keeps track of ----

  Vcpu* find_vcpu(const Operation& op) {
    std::vector<Vcpu>& vcpus = vm(op.host).vcpus;
    const auto found = std::find_if(vcpus.begin(), vcpus.end(), [&](const Vcpu& v) { return v.index == op.vcpu; });
    return found == vcpus.end() ? nullptr : &*found;
  }

  std::uint32_t khz_of(const Operation& op) const {
    for (const Vcpu& known : vm(op.host).vcpus)
      if (known.index == op.vcpu) return known.tsc_khz;
    return vm(op.host).khz;
  }

  void learn_khz(const Operation& op, std::uint64_t khz) {
    if (khz > UINT32_MAX) return;
    std::uint32_t& known = op.vcpu == kVm || !find_vcpu(op) ? vm(op.host).khz : find_vcpu(op)->tsc_khz;
    known = khz == 0 ? recording_.header.host(op.host).profile.host_khz
                     : static_cast<std::uint32_t>(khz);  // 0 asks for the host's rate
  }

  void learn(const Entry& entry) {
    if (!succeeded(entry)) return;
    const Operation& op = entry.op;
    if (op.kind == OpKind::create_vm) vm(op.host) = Vm{{}, recording_.header.host(op.host).profile.host_khz, false};
    if (op.kind == OpKind::create_vcpu) vm(op.host).vcpus.push_back({op.vcpu, vm(op.host).khz, false, false});
    if (op.kind == OpKind::set_tsc_khz) learn_khz(op, op.value);
    if (op.kind == OpKind::get_tsc_khz)
      if (const std::uint64_t* khz = entry.outcome.find(Field::value)) learn_khz(op, *khz);
    if (enables_kvmclock(op))
      if (Vcpu* vcpu = find_vcpu(op)) vcpu->kvmclock_enabled = (op.value & 1) != 0;
    if (writes_msr(op, msr::kKvmStealTime))
      if (Vcpu* vcpu = find_vcpu(op)) vcpu->steal_time_enabled = (op.value & 1) != 0;
    if (writes_msr(op, msr::kHvReferenceTsc)) vm(op.host).hyperv_page_enabled = (op.value & 1) != 0;
  }

  const Program& program_;
  Executor& executor_;
  Recording recording_;
  std::vector<Capture> captures_;
  std::vector<Vm> vms_;                       // one for each host
  std::map<int, std::deque<Entry>> earlier_;  // entries of other hosts that are still to be repeated
};

// Whose outcome a step needs: the hosts of what its operands read, and of the memory that it loads.
std::vector<int> hosts_needed(const Step& step, const std::map<std::string, int>& host_of_capture) {
  std::vector<int> hosts;
  if (const auto saved = host_of_capture.find(step.saved); saved != host_of_capture.end())
    hosts.push_back(saved->second);
  if (step.op.kind == OpKind::load_memory) hosts.push_back(static_cast<int>(step.op.value));
  for (const std::optional<Expression>* operand : {&step.value, &step.realtime}) {
    if (!*operand) continue;
    for (const std::string& name : (*operand)->names())
      if (const auto found = host_of_capture.find(name); found != host_of_capture.end()) hosts.push_back(found->second);
  }
  return hosts;
}

}  // namespace

bool probed_whole(OpKind kind) { return probe_scope(kind) == ProbeScope::whole_vm; }

Recording run_program(const Program& program, Executor& executor, std::uint64_t seed,
                      const std::function<void(std::size_t, std::size_t)>& progress) {
  return Runner(program, executor, seed).run(progress);
}

Recording run_on_host(const Program& program, int host, Executor& executor, std::uint64_t seed,
                      const Recording& earlier) {
  return Runner(program, executor, seed).run_only(host, earlier);
}

std::optional<Diagnostic> obstacle_to_turns(const Program& program) {
  std::map<std::string, int> host_of_capture;
  const auto name_of_host = [&](int host) { return in_quotes(program.hosts[static_cast<std::size_t>(host)].name); };
  for (const auto* steps : {&program.setup, &program.timeline})
    for (const Step& step : *steps) {
      for (const int needed : hosts_needed(step, host_of_capture)) {
        if (needed <= step.op.host) continue;
        return Diagnostic{step.place,
                          step_text(step.op) + " on host " + name_of_host(step.op.host) + " needs what host " +
                              name_of_host(needed) + " did; here the hosts run one after the other, " +
                              name_of_host(step.op.host) + " first",
                          "run it on the model, or write the hosts in the order in which they depend on each other",
                          {},
                          1};
      }
      if (!step.capture.empty()) host_of_capture.emplace(step.capture, step.op.host);
    }
  return std::nullopt;
}

bool has_linux_guest(const Program& program) {
  const auto needs = [](const Step& step) { return needs_linux_guest(step.op.kind); };
  return std::any_of(program.setup.begin(), program.setup.end(), needs) ||
         std::any_of(program.timeline.begin(), program.timeline.end(), needs);
}

}  // namespace tscsim::ops

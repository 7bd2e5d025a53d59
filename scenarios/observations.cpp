// Follows the steps of a program through a recording.
#include "scenarios/observations.h"

#include <algorithm>
#include <limits>

namespace tscsim::scenarios {
namespace {

using ops::Entry;
using ops::Field;
using ops::OpKind;

constexpr int kMaxDepth = 100;  // of offsets set from captured offsets set from ...
// Stands for "depends on the host in a way that is not known": unlike any sum of sensible movements.
constexpr Wide kUnknownMovement = (Wide{1} << 61) + 12345;

Wide ceil_divide(Wide a, Wide b) { return a / b + (a % b > 0 ? 1 : 0); }
Wide floor_divide(Wide a, Wide b) { return a / b - (a % b < 0 ? 1 : 0); }

bool succeeded(const Entry& entry) { return entry.supported && entry.outcome.error == 0; }

std::string op_text(const ops::Operation& op) {
  return std::string(ops::name_of(op.kind)) + (op.vcpu == ops::kVm ? "" : " on vCPU " + std::to_string(op.vcpu));
}

bool same_operation(const ops::Operation& planned, const ops::Operation& recorded) {
  return planned.kind == recorded.kind && planned.vcpu == recorded.vcpu && planned.msr == recorded.msr &&
         planned.host == recorded.host && planned.at_ns == recorded.at_ns;
}

[[noreturn]] void refuse(const ops::Place& place, const std::string& message) {
  throw ops::InputError(ops::Diagnostic{place, message, "record this scenario again", {}, 1});
}

// The value of `history` that holds at `entry`.
template <class T>
const T* at(const std::map<std::size_t, T>& history, std::size_t entry) {
  const auto after = history.upper_bound(entry);
  return after == history.begin() ? nullptr : &std::prev(after)->second;
}

}  // namespace

Observations::Observations(const ops::Program& program, const ops::Recording& recording)
    : program_(program), recording_(recording) {
  if (recording.header.scenario_hash != program.hash)
    refuse({}, "the recording is of another scenario or of another version of it: '" + recording.header.scenario +
                   "', hash " + recording.header.scenario_hash + "; this one has " + program.hash);
  if (recording.header.hosts() != static_cast<int>(program.hosts.size()))
    refuse({}, "the recording is of " + std::to_string(recording.header.hosts()) + " hosts, the scenario has " +
                   std::to_string(program.hosts.size()));
  for (int host = 0; host < recording.header.hosts(); ++host)
    vms_[host][0].khz = recording.header.host(host).profile.host_khz;
  match_steps();
  for (std::size_t index = 0; index < recording.entries.size(); ++index) follow(index);
}

const ops::Step& Observations::step(std::size_t index) const {
  const std::size_t before = program_.setup.size();
  return index < before ? program_.setup[index] : program_.timeline[index - before];
}

void Observations::match_steps() {
  for (std::size_t index = 0; index < recording_.entries.size(); ++index) {
    const ops::Operation& op = entry(index).op;
    if (op.probe) continue;
    const std::size_t next = entry_of_step_.size();
    if (next >= steps()) refuse({}, "the recording goes on after the last step, with " + op_text(op));
    if (!same_operation(step(next).op, op))
      refuse(step(next).place,
             "the recording has " + op_text(op) + " where the scenario has " + op_text(step(next).op));
    step_of_entry_[index] = next;
    entry_of_step_.push_back(index);
  }
  for (std::size_t index = 0; index < steps(); ++index)
    if (!step(index).capture.empty()) step_of_capture_.emplace(step(index).capture, index);
}

std::optional<std::size_t> Observations::entry_of_step(std::size_t index) const {
  return index < entry_of_step_.size() ? std::optional(entry_of_step_[index]) : std::nullopt;
}

std::optional<std::size_t> Observations::step_of_entry(std::size_t entry) const {
  const auto found = step_of_entry_.find(entry);
  return found == step_of_entry_.end() ? std::nullopt : std::optional(found->second);
}

bool Observations::is_setup(std::size_t entry) const {
  const std::size_t before = program_.setup.size();
  return entry_of_step_.size() <= before || entry < entry_of_step_[before];
}

std::optional<std::size_t> Observations::step_of_capture(const std::string& name) const {
  const auto found = step_of_capture_.find(name);
  return found == step_of_capture_.end() ? std::nullopt : std::optional(found->second);
}

Quantity Observations::quantity(const Observation& observation) const {
  const ops::Operation& op = entry(observation.entry).op;
  return quantity_of(op.kind, op.msr, observation.field);
}

Wide Observations::value(const Observation& observation) const {
  const std::uint64_t* found = entry(observation.entry).outcome.find(observation.field);
  if (!found) throw std::logic_error("the entry does not hold this field");
  return ops::numeric_value(entry(observation.entry).op.kind, observation.field, *found);
}

// ---- what changes along the way ----

Observations::VcpuState Observations::vcpu_at(const ops::Operation& op, std::size_t entry) const {
  const auto history = vcpus_.find({op.host, op.vcpu});
  const VcpuState* state = history == vcpus_.end() ? nullptr : at(history->second, entry);
  return state ? *state : VcpuState{vm_at(op, entry).khz, {}, false};
}

Observations::VmState Observations::vm_at(const ops::Operation& op, std::size_t entry) const {
  return *at(vms_.at(op.host), entry);
}

Observations::VcpuState& Observations::change_vcpu(const ops::Operation& op, std::size_t entry) {
  return vcpus_[{op.host, op.vcpu}].insert_or_assign(entry, vcpu_at(op, entry)).first->second;
}

Observations::VmState& Observations::change_vm(const ops::Operation& op, std::size_t entry) {
  return vms_[op.host].insert_or_assign(entry, vm_at(op, entry)).first->second;
}

void Observations::follow(std::size_t index) {
  if (!succeeded(entry(index))) return;
  follow_rate(index);
  follow_offset(index);
  follow_clock(index);
}

// The same bookkeeping as the runner's, so that a duration means the same cycles in an operand and in an
// expectation.
void Observations::follow_rate(std::size_t index) {
  const ops::Operation& op = entry(index).op;
  if (op.kind == OpKind::create_vm) change_vm(op, index) = VmState{host_of(op).profile.host_khz, {}, false, false};
  if (op.kind == OpKind::create_vcpu) change_vcpu(op, index) = VcpuState{vm_at(op, index).khz, {}, false};
  std::uint64_t khz = op.value;
  if (op.kind == OpKind::get_tsc_khz) {
    const std::uint64_t* read = entry(index).outcome.find(Field::value);
    if (!read) return;
    khz = *read;
  } else if (op.kind != OpKind::set_tsc_khz) {
    return;
  }
  if (khz > std::numeric_limits<std::uint32_t>::max()) return;
  const auto rate = khz == 0 ? host_of(op).profile.host_khz : static_cast<std::uint32_t>(khz);
  if (op.vcpu == ops::kVm) change_vm(op, index).khz = rate;
  else change_vcpu(op, index).khz = rate;
}

void Observations::follow_offset(std::size_t index) {
  const ops::Operation& op = entry(index).op;
  const bool tsc = op.msr == ops::msr::kIa32Tsc;
  const bool host_write = op.kind == OpKind::set_msr && tsc;
  const bool guest_write = op.kind == OpKind::wrmsr && tsc;
  const bool created = op.kind == OpKind::create_vcpu;
  using Kind = OffsetOrigin::Kind;
  if (op.kind == OpKind::set_tsc_offset) {
    change_vm(op, index).offset_was_set = true;
    change_vcpu(op, index).offset = {Kind::pinned, step_of_entry(index)};
  } else if (host_write || created) {
    // Either may join the generation in force, whose offset may be one that was set.
    const bool ambiguous = vm_at(op, index).offset_was_set;
    change_vcpu(op, index).offset = {ambiguous ? Kind::unknown : Kind::floating,
                                     host_write ? step_of_entry(index) : std::nullopt};
  } else if (guest_write) {
    VcpuState& vcpu = change_vcpu(op, index);
    vcpu.offset = {Kind::floating, step_of_entry(index)};
    vcpu.adjust_counts_time = true;  // TSC_ADJUST takes the difference to the TSC at the write
  } else if (op.kind == OpKind::set_msr && op.msr == ops::msr::kIa32TscAdjust) {
    change_vcpu(op, index).adjust_counts_time = false;
  } else if (op.kind == OpKind::wrmsr && op.msr == ops::msr::kIa32TscAdjust) {
    // The offset moves by the difference to the old TSC_ADJUST, which is known only as well as that one.
    VcpuState& vcpu = change_vcpu(op, index);
    if (vcpu.offset.kind == Kind::pinned) vcpu.offset.kind = Kind::unknown;
    vcpu.adjust_counts_time = false;
  }
}

void Observations::follow_clock(std::size_t index) {
  const ops::Operation& op = entry(index).op;
  if (op.kind != OpKind::set_clock) return;
  VmState& vm = change_vm(op, index);
  vm.clock_step = step_of_entry(index);
  vm.clock_by_realtime = vm.clock_by_realtime || (op.flags & ops::clock_flag::kRealtime) != 0;
}

std::uint32_t Observations::guest_khz(const ops::Operation& op, std::size_t entry) const {
  return op.vcpu == ops::kVm ? vm_at(op, entry).khz : vcpu_at(op, entry).khz;
}

// ---- perturbation ----

Wide Observations::moved_by(const Observation& observation, const Perturbation& perturbation) const {
  const auto known = perturbation.memo.find(observation);
  if (known != perturbation.memo.end()) return known->second;
  if (perturbation.depth >= kMaxDepth) return kUnknownMovement;
  ++perturbation.depth;
  const Wide result = moved(observation, perturbation);
  --perturbation.depth;
  perturbation.memo[observation] = result;
  return result;
}

Wide Observations::moved(const Observation& observation, const Perturbation& perturbation) const {
  const auto noise = [&] {
    perturbation.roots.insert(observation);
    const auto found = perturbation.noise.find(observation);
    return found == perturbation.noise.end() ? Wide{0} : found->second;
  };
  const ops::Operation& op = entry(observation.entry).op;
  const VcpuState vcpu = vcpu_at(op, observation.entry);
  switch (quantity(observation)) {
    case Quantity::plain:
    case Quantity::khz:
      return 0;
    case Quantity::guest_tsc:
      return noise() + scaled_tsc_moved(op, vcpu, perturbation) + offset_moved(op, vcpu, perturbation);
    case Quantity::tsc_offset:
      return (vcpu.offset.kind == OffsetOrigin::Kind::pinned ? 0 : noise()) + offset_moved(op, vcpu, perturbation);
    case Quantity::tsc_adjust:
      return vcpu.adjust_counts_time ? noise() : 0;
    case Quantity::host_tsc:
      return noise() + perturbation.host_tsc_of(op.host);
    case Quantity::kvmclock_ns:
      return noise() + clock_moved(vm_at(op, observation.entry), perturbation);
    case Quantity::reference_time:
      return noise() + clock_moved(vm_at(op, observation.entry), perturbation) / 100;
    case Quantity::steal_ns:
      return noise();
    case Quantity::realtime_ns:
    case Quantity::wall_seconds:
      return noise() + perturbation.realtime_ns;
  }
  return 0;
}

// The host's TSC as the guest's rate counts it. Within KVM's tolerance of 250 ppm nothing is scaled.
Wide Observations::scaled_tsc_moved(const ops::Operation& op, const VcpuState& vcpu,
                                    const Perturbation& perturbation) const {
  const Wide host_tsc = perturbation.host_tsc_of(op.host);
  const ops::TargetProfile& profile = host_of(op).profile;
  const Wide apart = Wide{vcpu.khz} - profile.host_khz;
  const bool scales = profile.tsc_scaling && (apart < 0 ? -apart : apart) * 1'000'000 > Wide{profile.host_khz} * 250;
  return scales ? host_tsc * vcpu.khz / profile.host_khz : host_tsc;
}

Wide Observations::offset_moved(const ops::Operation& op, const VcpuState& vcpu,
                                const Perturbation& perturbation) const {
  const Wide host_tsc = scaled_tsc_moved(op, vcpu, perturbation);
  if (vcpu.offset.kind == OffsetOrigin::Kind::unknown) return host_tsc == 0 ? 0 : kUnknownMovement;
  const bool pinned = vcpu.offset.kind == OffsetOrigin::Kind::pinned;
  const Wide own = pinned ? 0 : -host_tsc;
  if (!vcpu.offset.step) return own;
  const std::optional<ops::Expression>& operand = step(*vcpu.offset.step).value;
  if (pinned) return operand_moved(operand, *vcpu.offset.step, perturbation);
  // A written value may be absorbed, so its own noise is no guide to the offset's; where it comes from is.
  Perturbation without_noise;
  without_noise.host_tsc = perturbation.host_tsc;
  without_noise.realtime_ns = perturbation.realtime_ns;
  without_noise.depth = perturbation.depth;
  return own + operand_moved(operand, *vcpu.offset.step, without_noise);
}

Wide Observations::clock_moved(const VmState& vm, const Perturbation& perturbation) const {
  if (!vm.clock_step || (perturbation.host_tsc.empty() && perturbation.realtime_ns == 0)) return 0;
  Perturbation without_noise;
  without_noise.host_tsc = perturbation.host_tsc;
  without_noise.realtime_ns = perturbation.realtime_ns;
  without_noise.depth = perturbation.depth;
  const ops::Step& set = step(*vm.clock_step);
  const Wide clock = operand_moved(set.value, *vm.clock_step, without_noise);
  if ((set.op.flags & ops::clock_flag::kRealtime) == 0) return clock;
  return clock + perturbation.realtime_ns - operand_moved(set.realtime, *vm.clock_step, without_noise);
}

Wide Observations::operand_moved(const std::optional<ops::Expression>& expression, std::size_t index,
                                 const Perturbation& perturbation) const {
  if (!expression) return 0;
  const std::size_t entry = entry_of_step_[index];
  const auto evaluate = [&](bool perturbed) {
    const auto lookup = [&](std::string_view name, std::string_view field) -> std::optional<Wide> {
      const auto observation = observation_of(*this, std::string(name), std::string(field));
      if (!observation) return std::nullopt;
      return value(*observation) + (perturbed ? moved_by(*observation, perturbation) : 0);
    };
    return expression->evaluate(lookup, guest_khz(step(index).op, entry));
  };
  try {
    return evaluate(true) - evaluate(false);
  } catch (const ops::ExpressionError&) {
    return kUnknownMovement;
  }
}

Wide Observations::noise_of(const Observation& root, std::size_t entry_index) const {
  const Wide slack = slack_ns(entry_index);
  if (slack == 0) return 0;
  const auto cycles = [&](std::uint32_t khz) { return ceil_divide(slack * khz, 1'000'000) + 1; };
  const ops::Operation& op = entry(root.entry).op;
  const bool by_wall = vm_at(op, entry_index).clock_by_realtime;
  switch (quantity(root)) {
    case Quantity::host_tsc:
      return cycles(host_of(op).profile.host_khz);
    case Quantity::kvmclock_ns:
      return slack + (by_wall ? wall_slack_ns(entry_index) : 0);
    case Quantity::reference_time:
      return slack / 100 + 1;
    case Quantity::steal_ns:
      return kUnknownMovement;
    case Quantity::realtime_ns:
      return slack + wall_slack_ns(entry_index);
    case Quantity::wall_seconds:  // a second may tick in between; the ns within one may be any
      return root.field == Field::sec ? 1 + ceil_divide(slack + wall_slack_ns(entry_index), 1'000'000'000)
                                      : Wide{1'000'000'000};
    default:
      return cycles(guest_khz(op, root.entry));
  }
}

// ---- lateness ----

Wide Observations::slack_ns(std::size_t entry) const { return simulated() ? 0 : spread_ns(entry); }

Wide Observations::spread_ns(std::size_t last) const {
  Wide earliest = 0, latest = 0;
  // `due` is the same instant on the counter that `range` was read from, counted from scenario time 0.
  const auto include = [&](const ops::Range& range, std::uint64_t zero, Wide per_ms, std::int64_t at_ns) {
    const Wide lo = Wide{static_cast<std::int64_t>(range.lo - zero)} * 1'000'000;
    const Wide hi = Wide{static_cast<std::int64_t>(range.hi - zero)} * 1'000'000;
    earliest = std::min(earliest, floor_divide(lo, per_ms) - at_ns);
    latest = std::max(latest, ceil_divide(hi, per_ms) - at_ns);
  };
  for (std::size_t index = 0; index <= last && index < recording_.entries.size(); ++index) {
    const Entry& one = entry(index);
    if (one.op.probe || !one.supported) continue;
    const ops::HostHeader& header = host_of(one.op);
    if (header.profile.host_khz != 0) include(one.bracket.tsc, header.zero_tsc, header.profile.host_khz, one.op.at_ns);
    include(one.bracket.base_ns, header.zero_base_ns, 1'000'000, one.op.at_ns);
  }
  return latest - earliest;
}

Wide Observations::wall_slack_ns(std::size_t last) const {
  if (simulated()) return 0;
  std::optional<Wide> least, most;
  for (std::size_t index = 0; index <= last && index < recording_.entries.size(); ++index) {
    const Entry& one = entry(index);
    if (one.op.probe || !one.supported) continue;
    // The wall clock at scenario time 0, less what the scenario has it wrong by.
    const Wide zero =
        Wide{host_of(one.op).zero_base_ns} - program_.hosts[static_cast<std::size_t>(one.op.host)].realtime_error_ns;
    const Wide lo = Wide{one.bracket.realtime_ns.lo} - one.bracket.base_ns.hi + zero;
    const Wide hi = Wide{one.bracket.realtime_ns.hi} - one.bracket.base_ns.lo + zero;
    least = least ? std::min(*least, lo) : lo;
    most = most ? std::max(*most, hi) : hi;
  }
  return least ? *most - *least : Wide{0};
}

std::optional<Observation> observation_of(const Observations& observations, const std::string& name,
                                          const std::string& field) {
  const auto step = observations.step_of_capture(name);
  const auto entry = step ? observations.entry_of_step(*step) : std::nullopt;
  if (!entry) return std::nullopt;
  const ops::Operation& op = observations.step(*step).op;
  const auto wanted = capture_field({name, op.kind, op.msr, op.vcpu, {}}, field);
  if (!wanted || !observations.entry(*entry).outcome.find(*wanted)) return std::nullopt;
  return Observation{*entry, *wanted};
}

}  // namespace tscsim::scenarios

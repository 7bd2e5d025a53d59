// What stands after a word, and the steps that a line becomes.
#include "scenarios/timeline_lines.h"

#include <algorithm>
#include <limits>

namespace tscsim::scenarios {
namespace {

std::vector<std::string> msr_names() {
  std::vector<std::string> names;
  for (const std::uint32_t index :
       {ops::msr::kIa32Tsc, ops::msr::kIa32TscAdjust, ops::msr::kIa32TscDeadline, ops::msr::kKvmWallClock,
        ops::msr::kKvmSystemTime, ops::msr::kKvmWallClockNew, ops::msr::kKvmSystemTimeNew, ops::msr::kKvmStealTime,
        ops::msr::kHvTimeRefCount, ops::msr::kHvReferenceTsc, ops::msr::kHvTscFrequency,
        ops::msr::kHvTscEmulationControl})
    names.emplace_back(ops::msr_name(index));
  return names;
}

bool is_system_time(std::uint32_t msr) { return msr == ops::msr::kKvmSystemTime || msr == ops::msr::kKvmSystemTimeNew; }

bool counts_tsc(std::uint32_t msr) {
  return msr == ops::msr::kIa32Tsc || msr == ops::msr::kIa32TscAdjust || msr == ops::msr::kIa32TscDeadline;
}

}  // namespace

using Kind = YamlNode::Kind;

void TimelineParser::read_operand(const Line& line) {
  switch (line.word->operand) {
    case Operand::nothing:
      no_operand(line);
      break;
    case Operand::capture:
      reading(line);
      break;
    case Operand::msr_name:
      msr_read(line);
      break;
    case Operand::msr_value:
      msr_write(line);
      break;
    case Operand::clock:
      set_clock(line);
      break;
    case Operand::offset:
      value_step(line, ops::Unit::cycles, false);
      break;
    case Operand::khz:
      set_tsc_khz(line);
      break;
    case Operand::new_vcpu:
      create_vcpu(line);
      break;
    case Operand::state:
      switch_page(line);
      break;
    case Operand::duration:
      delay(line);
      break;
    case Operand::nested:
      enter_l2(line);
      break;
    case Operand::pcpu:
      move_vcpu(line);
      break;
    case Operand::clocksource:
      set_clocksource(line);
      break;
    case Operand::hotplug:
      hotplug(line);
      break;
    case Operand::tsc_jump:
      jump_host_tsc(line);
      break;
    case Operand::suspend:
      suspend_host(line);
      break;
    case Operand::sample:
      sample(line);
      break;
    case Operand::transfer:
      transfer(line);
      break;
    case Operand::tsc_state:
      give_back(line, {"state", "tsc", "nsec", OpKind::get_tsc_state, OpKind::get_tsc_state, "get_tsc_state"},
                {"tsc_adjust", "flags"});
      break;
    case Operand::clock_guest:
      give_back(line,
                {"page", "tsc_timestamp", "system_time", OpKind::get_clock_guest, OpKind::peek_pvclock,
                 "get_clock_guest or peek_pvclock"},
                {"mul", "shift"});
      break;
    case Operand::quirks:
      disable_quirks(line);
      break;
    case Operand::guest:
      guest_step(line);
      break;
    case Operand::lapic:
      set_lapic(line);
      break;
    case Operand::memory:
      load_memory(line);
      break;
    case Operand::procedure:
      break;  // use_procedure() has it
  }
  if (pending_capture_) out_.captures.push_back(std::move(*pending_capture_));
  pending_capture_.reset();
}

void TimelineParser::no_operand(const Line& line) {
  if (!line.operand->is(Kind::null))
    diagnostics().add(*line.operand,
                      std::string("'") + line.word->text + "' takes no operand, found " + found_text(*line.operand),
                      std::string("write '") + line.word->text + ":' with nothing after it");
  const bool creates = line.word->kind == OpKind::create_vm;
  plan_each(line, [&](ops::Step& step) { step.op.flags = creates ? vm_flags() : 0; });
  if (creates) forget_vm();
}

void TimelineParser::reading(const Line& line) {
  if (line.word->text == std::string_view("wall_clock")) return wall_clock(line);
  plan_each(line, [&](ops::Step& step) {
    if (step.op.kind == OpKind::get_tsc_khz && !step.capture.empty())
      khz_of_capture_[actual(step.capture, step.op.vcpu)] =
          step.op.vcpu == ops::kVm ? here().khz : known(step.op.vcpu).khz;
  });
}

// The host writes the MSR, KVM fills the structure, and the VMM looks at it.
void TimelineParser::wall_clock(const Line& line) {
  std::int64_t at_ns = line.at_ns;
  for (const std::int32_t vcpu : line.vcpus) {
    ops::Step& write = plan(line, OpKind::set_msr, vcpu, at_ns);
    write.op.msr = ops::msr::kKvmWallClockNew;
    write.op.value = page_of(ops::layout::kWallClockPages, vcpu);
    planned_.back().fails = line.fails;
    ops::Step& look = plan(line, OpKind::peek_wall_clock, vcpu, at_ns);
    look.capture = line.capture;
    localise(look);
    at_ns = vcpu == line.vcpus.back() ? at_ns : at_ns + line.gap_ns;
  }
}

std::optional<std::uint32_t> TimelineParser::msr_index(const YamlNode& node) {
  const auto name = reader().word(node, "MSR", msr_names());
  return name ? ops::msr_from(*name) : std::nullopt;
}

void TimelineParser::msr_read(const Line& line) {
  const auto msr = msr_index(*line.operand);
  if (!msr) return;
  plan_each(line, [&](ops::Step& step) {
    step.op.msr = *msr;
    if (is_system_time(*msr) && !step.capture.empty())
      kvmclock_of_capture_[actual(step.capture, step.op.vcpu)] = known(step.op.vcpu).kvmclock_on;
  });
}

// A VMM writes back what it read, which enables kvmclock again where it was enabled.
bool TimelineParser::enables_kvmclock(const ops::Step& write) const {
  if (!write.value) return (write.op.value & 1) != 0;
  const auto captured = kvmclock_of_capture_.find(actual(write.value->text(), write.op.vcpu));
  return captured != kvmclock_of_capture_.end() && captured->second;
}

void TimelineParser::msr_write(const Line& line) {
  const YamlNode& node = *line.operand;
  if (!node.is(Kind::mapping) || node.members.size() != 1) {
    diagnostics().add(
        node,
        "expected one MSR with its value, found " +
            (node.is(Kind::mapping) ? std::to_string(node.members.size()) + " of them" : found_text(node)),
        std::string("write '") + line.word->text + ": {IA32_TSC: 0}'");
    return;
  }
  const auto& [name, value] = node.members.front();
  const auto msr = msr_index(name);
  const auto expression = reader().expression(value, ops::Unit::cycles, msr && !counts_tsc(*msr), visible());
  if (!msr || !expression) return;
  plan_each(line, [&](ops::Step& step) {
    step.op.msr = *msr;
    set_value(step.op.value, step.value, *expression);
    if (is_system_time(*msr)) known(step.op.vcpu).kvmclock_on = enables_kvmclock(step);
  });
}

// A constant goes straight into the operation; anything else is evaluated when the step runs.
void TimelineParser::set_value(std::uint64_t& constant, std::optional<ops::Expression>& later,
                               const ops::Expression& expression) {
  if (const auto value = expression.as_constant())
    constant = static_cast<std::uint64_t>(*value);  // modulo 2^64; the reader checked the range
  else later = expression;
}

void TimelineParser::value_step(const Line& line, ops::Unit unit, bool plain) {
  const auto expression = reader().expression(*line.operand, unit, plain, visible());
  if (expression) plan_each(line, [&](ops::Step& step) { set_value(step.op.value, step.value, *expression); });
}

void TimelineParser::set_tsc_khz(const Line& line) {
  const YamlNode& node = *line.operand;
  const bool with_unit = node.is(Kind::scalar) && node.text.find("Hz") != std::string::npos;
  // Without a unit it is kHz, as the call's name says.
  const auto khz = with_unit ? reader().frequency_khz(node) : std::nullopt;
  const auto expression = with_unit ? std::nullopt : reader().expression(node, ops::Unit::cycles, true, visible());
  if (!khz && !expression) return;
  const auto wanted = [&](std::int32_t vcpu) { return khz ? *khz : khz_before_the_run(*expression, vcpu); };
  Line called = line;
  if (!only_where_rates_say_so(called, wanted)) return;
  plan_each(called, [&](ops::Step& step) {
    if (khz) step.op.value = *khz;
    else set_value(step.op.value, step.value, *expression);
    (step.op.vcpu == ops::kVm ? here().khz : known(step.op.vcpu).khz) = wanted(step.op.vcpu);
  });
}

// 0 when only the run will tell.
std::uint32_t TimelineParser::khz_before_the_run(const ops::Expression& expression, std::int32_t vcpu) const {
  const auto constant = expression.as_constant();
  if (constant && *constant >= 0 && *constant <= std::numeric_limits<std::int32_t>::max())
    return static_cast<std::uint32_t>(*constant);
  const auto captured = khz_of_capture_.find(actual(expression.text(), vcpu));
  return captured == khz_of_capture_.end() ? 0 : captured->second;
}

// VMMs look at the rates before they ask KVM for one: `only_if: settable` where the host scales or is within 250 ppm, as
// QEMU; `only_if: beyond_250_ppm` where it is not, as Firecracker. Decided for the hosts that the scenario describes.
// False when the line is at fault.
bool TimelineParser::only_where_rates_say_so(Line& line, const std::function<std::uint32_t(std::int32_t)>& wanted) {
  const YamlNode* node = line.fields->find("only_if");
  if (!node) return true;
  const auto word = reader().word(*node, "condition", {"settable", "beyond_250_ppm"});
  if (!word) return false;
  const ops::HostSpec& host = hosts_[static_cast<std::size_t>(host_)];
  std::erase_if(line.vcpus, [&](std::int32_t vcpu) {
    const std::int64_t apart = std::int64_t{wanted(vcpu)} - host.tsc_khz;
    const bool near = (apart < 0 ? -apart : apart) <= std::int64_t{host.tsc_khz} * 250 / 1'000'000;
    return *word == "settable" ? !host.tsc_scaling && !near : near;
  });
  return true;
}

void TimelineParser::set_clock(const Line& line) {
  const YamlNode& node = *line.operand;
  if (!node.is(Kind::mapping)) return value_step(line, ops::Unit::ns, false);
  const Fields fields(diagnostics(), node, "set_clock", {"clock", "realtime", "flags"});
  const YamlNode* clock_node = fields.find("clock");
  if (!clock_node) diagnostics().add(node, "set_clock has no 'clock'", "add 'clock: 0 ns' or a captured clock");
  const YamlNode* realtime_node = fields.find("realtime");
  const auto clock = clock_node ? reader().expression(*clock_node, ops::Unit::ns, false, visible()) : std::nullopt;
  const auto realtime =
      realtime_node ? reader().expression(*realtime_node, ops::Unit::ns, false, visible()) : std::nullopt;
  const auto flags = fields.find("flags") ? clock_flags(*fields.find("flags")) : std::optional(0U);
  if (flags && (*flags & ops::clock_flag::kRealtime) != 0 && !realtime_node)
    diagnostics().add(*fields.find("flags"), "the flag realtime needs 'realtime'", "add 'realtime: c.realtime'");
  if (!clock || !flags || (realtime_node && !realtime)) return;
  plan_each(line, [&](ops::Step& step) {
    set_value(step.op.value, step.value, *clock);
    if (realtime) set_value(step.op.realtime, step.realtime, *realtime);
    step.op.flags = *flags;
  });
}

std::optional<std::uint32_t> TimelineParser::clock_flags(const YamlNode& node) {
  if (node.is(Kind::scalar)) {
    const auto bits = reader().integer(node, 0, std::numeric_limits<std::uint32_t>::max());
    return bits ? std::optional(static_cast<std::uint32_t>(*bits)) : std::nullopt;
  }
  if (!node.is(Kind::sequence)) {
    diagnostics().add(node, "expected a list of flags, found " + found_text(node), "write 'flags: [realtime]'");
    return std::nullopt;
  }
  std::uint32_t flags = 0;
  for (const YamlNode& item : node.items) {
    const auto name = reader().word(item, "clock flag", {"tsc_stable", "realtime", "host_tsc"});
    if (!name) return std::nullopt;
    flags |= *name == "tsc_stable" ? ops::clock_flag::kTscStable
             : *name == "realtime" ? ops::clock_flag::kRealtime
                                   : ops::clock_flag::kHostTsc;
  }
  return flags;
}

// `set_tsc_state: s`, `{state: s, nsec: s.nsec + 1 s}`, or the fields without a captured one.
void TimelineParser::give_back(const Line& line, const Structure& is, const std::vector<std::string>& constants) {
  const YamlNode& node = *line.operand;
  if (!node.is(Kind::mapping)) {
    if (const auto saved = saved_structure(node, is)) plan_each(line, [&](ops::Step& step) { step.saved = *saved; });
    return;
  }
  std::vector<std::string> keys{is.whole, is.value, is.realtime};
  keys.insert(keys.end(), constants.begin(), constants.end());
  const Fields fields(diagnostics(), node, line.word->text, keys);
  const YamlNode* whole = fields.find(is.whole);
  const auto saved = whole ? saved_structure(*whole, is) : std::optional<std::string>("");
  const auto value = optional_expression(fields.find(is.value), ops::Unit::cycles);
  const auto realtime = optional_expression(fields.find(is.realtime), ops::Unit::ns);
  if (!whole && !(fields.find(is.value) && fields.find(is.realtime)))
    diagnostics().add(node,
                      std::string(line.word->text) + " has no '" + is.whole + "', or not all of '" + is.value +
                          "' and '" + is.realtime + "'",
                      "capture one with " + std::string(is.sources));
  for (const std::string& constant : constants)
    if (whole && fields.find(constant))
      diagnostics().add(*fields.key(constant), "'" + constant + "' comes with '" + is.whole + "'",
                        "write one of the two");
  ops::Operation fixed;
  read_constants(fields, fixed);
  if (!saved) return;
  plan_each(line, [&](ops::Step& step) {
    step.saved = *saved;
    step.op.flags = fixed.flags;
    step.op.tsc_adjust = fixed.tsc_adjust;
    step.op.mul = fixed.mul;
    step.op.shift = fixed.shift;
    // Over a captured field even a constant is written when the step runs.
    if (value && !saved->empty()) step.value = *value;
    else if (value) set_value(step.op.value, step.value, *value);
    if (realtime && !saved->empty()) step.realtime = *realtime;
    else if (realtime) set_value(step.op.realtime, step.realtime, *realtime);
  });
}

std::optional<ops::Expression> TimelineParser::optional_expression(const YamlNode* node, ops::Unit unit) {
  return node ? reader().expression(*node, unit, false, visible()) : std::nullopt;
}

std::optional<std::string> TimelineParser::saved_structure(const YamlNode& node, const Structure& is) {
  const auto name = reader().capture_name(node);
  if (!name) return std::nullopt;
  const Capture* capture = find_capture(visible(), *name);
  if (capture && (capture->kind == is.from || capture->kind == is.or_from)) return name;
  diagnostics().add(node,
                    capture ? "'" + *name + "' is not such a structure" : "nothing is captured as '" + *name + "'",
                    std::string("capture one with ") + is.sources);
  return std::nullopt;
}

void TimelineParser::read_constants(const Fields& fields, ops::Operation& op) {
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
  if (const YamlNode* node = fields.find("tsc_adjust"))
    op.tsc_adjust = static_cast<std::uint64_t>(reader().integer(*node, -kMax, kMax).value_or(0));
  if (const YamlNode* node = fields.find("flags"))
    op.flags =
        static_cast<std::uint32_t>(reader().integer(*node, 0, std::numeric_limits<std::uint32_t>::max()).value_or(0));
  if (const YamlNode* node = fields.find("mul"))
    op.mul =
        static_cast<std::uint32_t>(reader().integer(*node, 0, std::numeric_limits<std::uint32_t>::max()).value_or(0));
  if (const YamlNode* node = fields.find("shift"))
    op.shift = static_cast<std::int8_t>(reader().integer(*node, -128, 127).value_or(0));
}

void TimelineParser::disable_quirks(const Line& line) {
  if (reader().word(*line.operand, "quirk", {"tsc_host_access"}))
    plan_each(line, [&](ops::Step& step) { step.op.value = ops::quirk::kTscHostAccess; });
}

// The host writes the MSR that says where a page is, with the address that scenarios give it.
void TimelineParser::switch_page(const Line& line) {
  const auto on = reader().on_off(*line.operand);
  if (!on) return;
  const std::string_view word = line.word->text;
  plan_each(line, [&](ops::Step& step) {
    std::uint64_t address = ops::layout::kHypervPage;
    step.op.msr = ops::msr::kHvReferenceTsc;
    if (word == "steal_time") {
      address = page_of(ops::layout::kStealTimes, step.op.vcpu);
      step.op.msr = ops::msr::kKvmStealTime;
    } else if (word == "kvmclock") {
      address = page_of(ops::layout::kPvclockPages, step.op.vcpu);
      step.op.msr = ops::msr::kKvmSystemTimeNew;
      known(step.op.vcpu).kvmclock_on = *on;
    }
    step.op.value = *on ? address | 1 : 0;
  });
}

// set_lapic: {timer: tsc_deadline}
void TimelineParser::set_lapic(const Line& line) {
  const Fields fields(diagnostics(), *line.operand, "set_lapic", {"timer"});
  if (!fields.valid()) return;
  const YamlNode* timer = fields.find("timer");
  if (!timer) diagnostics().add(*line.operand, "set_lapic has no 'timer'", "write 'set_lapic: {timer: tsc_deadline}'");
  std::vector<std::string> names;
  for (std::uint64_t mode = 0; !ops::timer_mode_name(mode).empty(); ++mode)
    names.emplace_back(ops::timer_mode_name(mode));
  const auto name = timer ? reader().word(*timer, "timer mode", names) : std::nullopt;
  if (!name) return;
  const auto mode = std::find(names.begin(), names.end(), *name) - names.begin();
  plan_each(line, [&](ops::Step& step) { step.op.value = static_cast<std::uint64_t>(mode); });
}

void TimelineParser::delay(const Line& line) {
  const auto ns = reader().instant_ns(*line.operand);
  if (ns) plan_each(line, [&](ops::Step& step) { step.op.value = static_cast<std::uint64_t>(*ns); });
}

void TimelineParser::enter_l2(const Line& line) {
  const Fields fields(diagnostics(), *line.operand, "enter_l2", {"offset", "multiplier", "entry"});
  if (!fields.valid()) return;
  const auto read = [&](const char* key, bool plain) {
    const YamlNode* node = fields.find(key);
    const auto given = node ? reader().expression(*node, ops::Unit::cycles, plain, visible()) : std::nullopt;
    return given.value_or(ops::Expression::constant(0));
  };
  const ops::Expression offset = read("offset", false), multiplier = read("multiplier", true);
  const YamlNode* entry_node = fields.find("entry");
  const auto entry =
      entry_node ? reader().word(*entry_node, "entry", {"succeeds", "fails"}) : std::optional<std::string>("succeeds");
  if (!entry) return;
  plan_each(line, [&](ops::Step& step) {
    set_value(step.op.value, step.value, offset);
    set_value(step.op.realtime, step.realtime, multiplier);
    step.op.flags = *entry == "fails" ? ops::nested_flag::kFails : 0;
  });
}

}  // namespace tscsim::scenarios

// Steps of a Linux guest.
#include "scenarios/guest_words.h"
#include "scenarios/timeline_lines.h"

namespace tscsim::scenarios {

using Kind = YamlNode::Kind;

void TimelineParser::guest_step(const Line& line) {
  const YamlNode& node = *line.operand;
  switch (line.word->kind) {
    case OpKind::read_clock:
      if (const auto reading = parse_clock_reading(reader(), node))
        plan_each(line, [&](ops::Step& step) { step.op.flags = static_cast<std::uint32_t>(reading->clock); });
      break;
    case OpKind::share_pcpus:
      if (const auto sharing = parse_sharing(reader(), node))
        plan_each(line, [&](ops::Step& step) {
          step.op.value = static_cast<std::uint64_t>(sharing->slice_ns);
          step.op.flags = sharing->others;
        });
      break;
    case OpKind::step_realtime:
      if (const auto ns = reader().duration_ns(node))
        plan_each(line, [&](ops::Step& step) { step.op.value = static_cast<std::uint64_t>(*ns); });
      break;
    case OpKind::pause_vm:
      pause_vm(line);
      break;
    case OpKind::block_task:
      if (const auto on = reader().on_off(node)) plan_each(line, [&](ops::Step& step) { step.op.value = *on ? 1 : 0; });
      break;
    default:
      switch_vcpu(line);
      break;
  }
}

// `pause_vm:`, `pause_vm: {devices: stop}`: the VMM's emulated devices stand still, too.
void TimelineParser::pause_vm(const Line& line) {
  if (line.operand->is(Kind::null)) return plan_each(line, [](ops::Step&) {});
  const Fields fields(diagnostics(), *line.operand, "pause_vm", {"devices"});
  if (!fields.valid()) return;
  const YamlNode* node = fields.find("devices");
  const auto devices =
      node ? reader().word(*node, "state of the devices", {"run", "stop"}) : std::optional<std::string>("run");
  if (devices)
    plan_each(line, [&](ops::Step& step) { step.op.flags = *devices == "stop" ? ops::pause_flag::kDevicesStop : 0; });
}

// `online_vcpu: 1`, `online_vcpu: {vcpu: 1, moves_to: 2}`: its thread goes to another pCPU during the test of its TSC.
void TimelineParser::switch_vcpu(const Line& line) {
  const bool mapping = line.operand->is(Kind::mapping) && line.word->kind == OpKind::online_vcpu;
  YamlNode nothing;
  nothing.kind = Kind::mapping;
  const Fields fields(diagnostics(), mapping ? *line.operand : nothing, line.word->text, {"vcpu", "moves_to"});
  const YamlNode* which = mapping ? fields.find("vcpu") : line.operand;
  if (!which) {
    diagnostics().add(*line.operand, "online_vcpu has no 'vcpu'", "write 'online_vcpu: 1'");
    return;
  }
  std::vector<std::int32_t> vcpu;
  const YamlNode* moves_to = fields.find("moves_to");
  const auto pcpu = moves_to ? pcpu_of_host(*moves_to) : std::optional<std::int64_t>(ops::kAllPcpus);
  if (!read_one_vcpu(*which, vcpu) || !pcpu) return;
  plan_each(line, [&](ops::Step& step) {
    step.op.vcpu = vcpu.front();
    step.op.pcpu = static_cast<std::int32_t>(*pcpu);
  });
}

}  // namespace tscsim::scenarios

// Lines about hosts: where a line acts, VMs and vCPUs that come to be, a guest that moves, what happens to pCPUs.
#include "scenarios/timeline_lines.h"

#include <algorithm>
#include <limits>

#include "scenarios/units.h"

namespace tscsim::scenarios {

using Kind = YamlNode::Kind;

// In a procedure hosts have roles.
std::optional<std::int32_t> TimelineParser::host_from(const YamlNode& node) {
  if (scope_) {
    const std::vector<std::string> roles =
        scope_->destination ? std::vector<std::string>{"source", "destination"} : std::vector<std::string>{"source"};
    const auto role = reader().word(node, "host of a procedure", roles);
    if (!role) return std::nullopt;
    return *role == "source" ? scope_->source : *scope_->destination;
  }
  const auto name = reader().word(node, "host", out_.hosts);
  if (!name) return std::nullopt;
  return static_cast<std::int32_t>(std::find(out_.hosts.begin(), out_.hosts.end(), *name) - out_.hosts.begin());
}

// A step acts where the guest is, unless it says `on`.
bool TimelineParser::read_host(const Line& line) {
  host_ = out_.stays.back().host;
  const YamlNode* on = line.fields->find("on");
  if (!on) return true;
  if (line.word->operand == Operand::transfer) {
    diagnostics().add(*line.fields->key("on"), "'transfer' names its hosts itself", "remove 'on'");
    return false;
  }
  const auto host = host_from(*on);
  host_ = host.value_or(host_);
  return host.has_value();
}

// Where the guest has left, and in a procedure anywhere, a new VM takes the place of the old one.
bool TimelineParser::check_vm(const Line& line) {
  const OpKind kind = line.word->kind;
  if (ops::needs_linux_guest(kind) && kind != OpKind::share_pcpus && !out_.linux_guest) {
    diagnostics().add(*line.fields->key(line.word->text), std::string("'") + line.word->text + "' needs a Linux guest",
                      "add 'vm: {guest: {kernel: 6.12}}'");
    return false;
  }
  const bool none_needed =
      kind == OpKind::create_vm || kind == OpKind::set_clocksource || line.word->operand == Operand::transfer;
  if (kind == OpKind::create_vm && here().exists && !scope_ && out_.stays.back().host == host_) {
    diagnostics().add(*line.fields->key(line.word->text), "host " + name_of(host_) + " has its VM already",
                      "remove this step, or name another host with 'on'");
    return false;
  }
  if (none_needed || here().exists) return true;
  diagnostics().add(*line.node, "there is no VM on host " + name_of(host_) + " yet",
                    "bring the guest there with a step 'transfer', or write 'create_vm' first");
  return false;
}

// The VM is a new one.
void TimelineParser::forget_vm() {
  here() = HostVm{true, hosts_[static_cast<std::size_t>(host_)].tsc_khz, {}, here().awake_from_ns};
}

void TimelineParser::create_vcpu(const Line& line) {
  if (scope_ && line.operand->is(Kind::null)) return create_vcpus_of_procedure(line);
  const auto index = reader().integer(*line.operand, 0, ops::layout::kMaxVcpus - 1);
  if (!index) return;
  if (*index != vcpu_count()) {
    diagnostics().add(*line.operand,
                      "the next vCPU is " + std::to_string(vcpu_count()) + ", found " + found_text(*line.operand),
                      "vCPUs are created in order: write 'create_vcpu: " + std::to_string(vcpu_count()) + "'");
    return;
  }
  plan_each(line, [&](ops::Step& step) {
    step.op.vcpu = static_cast<std::int32_t>(*index);
    step.op.flags = vcpu_flags();
  });
  if (line.fails.empty()) add_vcpu();
}

std::optional<std::int64_t> TimelineParser::pcpu_of_host(const YamlNode& node) {
  const auto pcpu = reader().integer(node, 0, ops::layout::kMaxVcpus - 1);
  const auto pcpus = static_cast<std::int64_t>(hosts_[static_cast<std::size_t>(host_)].pcpus.size());
  if (!pcpu || *pcpu < pcpus) return pcpu;
  diagnostics().add(node, "the host has no pCPU " + std::to_string(*pcpu),
                    "it has " + std::to_string(pcpus) + "; write more with 'host: {pcpus: ...}'");
  return std::nullopt;
}

void TimelineParser::move_vcpu(const Line& line) {
  const auto pcpu = pcpu_of_host(*line.operand);
  if (pcpu) plan_each(line, [&](ops::Step& step) { step.op.value = static_cast<std::uint64_t>(*pcpu); });
}

// Linux does not take the boot CPU offline (since 6.5 never).
void TimelineParser::hotplug(const Line& line) {
  const auto pcpu = pcpu_of_host(*line.operand);
  if (!pcpu) return;
  if (*pcpu == 0) {
    diagnostics().add(*line.operand, "pCPU 0 stays online", "name another pCPU");
    return;
  }
  plan_each(line, [&](ops::Step& step) { step.op.value = static_cast<std::uint64_t>(*pcpu); });
}

void TimelineParser::jump_host_tsc(const Line& line) {
  const YamlNode& node = *line.operand;
  if (!node.is(Kind::mapping)) return value_step(line, ops::Unit::cycles, false);
  const Fields fields(diagnostics(), node, "jump_host_tsc", {"by", "pcpu"});
  const YamlNode* by_node = fields.find("by");
  if (!by_node) diagnostics().add(node, "jump_host_tsc has no 'by'", "add 'by: -1 s'");
  const auto by = by_node ? reader().expression(*by_node, ops::Unit::cycles, false, visible()) : std::nullopt;
  const YamlNode* pcpu_node = fields.find("pcpu");
  const auto pcpu = pcpu_node ? pcpu_of_host(*pcpu_node) : std::optional<std::int64_t>(ops::kAllPcpus);
  if (!by || !pcpu) return;
  plan_each(line, [&](ops::Step& step) {
    set_value(step.op.value, step.value, *by);
    step.op.pcpu = static_cast<std::int32_t>(*pcpu);
  });
}

void TimelineParser::suspend_host(const Line& line) {
  const Fields fields(diagnostics(), *line.operand, "suspend_host", {"for", "tsc"});
  if (!fields.valid()) return;
  std::int64_t for_ns = 0;
  if (!positive_duration("suspend_host", *line.operand, fields, "for", "10 s", for_ns)) return;
  const YamlNode* tsc_node = fields.find("tsc");
  const auto tsc =
      tsc_node ? reader().word(*tsc_node, "TSC", {"continues", "restarts"}) : std::optional<std::string>("continues");
  if (!tsc || !sleep_until(line, *fields.find("for"), for_ns)) return;
  plan_each(line, [&](ops::Step& step) {
    step.op.value = static_cast<std::uint64_t>(for_ns);
    step.op.flags = *tsc == "restarts" ? ops::suspend_flag::kTscRestarts : 0;
  });
}

// The host goes on when it wakes, from the end of the sleep before at the earliest. False when time ends before that.
bool TimelineParser::sleep_until(const Line& line, const YamlNode& node, std::int64_t for_ns) {
  const std::int64_t from = std::max(line.at_ns, here().awake_from_ns);
  const std::int64_t room = std::numeric_limits<std::int64_t>::max() - from;
  out_.pivots.push_back({line.at_ns - here().awake_from_ns, false});
  if (for_ns > room) {
    diagnostics().add(node, "the host would wake beyond 292 years, where time ends",
                      "let it sleep for " + grouped(room) + " ns at most");
    return false;
  }
  out_.pivots.push_back({room - for_ns, true});
  here().awake_from_ns = from + for_ns;
  return true;
}

void TimelineParser::set_clocksource(const Line& line) {
  const auto name = reader().word(*line.operand, "clocksource", {"tsc", "hpet", "acpi_pm"});
  if (name) plan_each(line, [&](ops::Step& step) { step.op.value = *name == "tsc" ? 1 : 0; });
}

// The guest stops on one host and goes on on the other: a VM with as many vCPUs is there, or is created, and gets
// the memory. All else is the VMM's to save and restore, and so are steps of their own.
void TimelineParser::transfer(const Line& line) {
  const Fields fields(diagnostics(), *line.operand, "transfer", {"from", "to"});
  if (!fields.valid()) return;
  for (const char* word : {"from", "to"})
    if (!fields.find(word))
      diagnostics().add(*line.operand, std::string("transfer has no '") + word + "'",
                        "write 'transfer: {from: a, to: b}'");
  const auto from = fields.find("from") ? host_from(*fields.find("from")) : std::nullopt;
  const auto to = fields.find("to") ? host_from(*fields.find("to")) : std::nullopt;
  if (!from || !to) return;
  if (*from == *to)
    diagnostics().add(*fields.find("to"), "the guest is on host " + name_of(*to) + " already", "name another host");
  else if (!vm_of(*from).exists)
    diagnostics().add(*fields.find("from"), "there is no VM on host " + name_of(*from),
                      "name the host where the guest is");
  else plan_transfer(line, *from, *to);
}

void TimelineParser::plan_transfer(const Line& line, std::int32_t from, std::int32_t to) {
  host_ = from;
  plan(line, OpKind::save_memory, ops::kVm, line.at_ns);
  host_ = to;
  if (!here().exists) {
    plan(line, OpKind::create_vm, ops::kVm, line.at_ns).op.flags = vm_flags();
    forget_vm();
  }
  for (std::int32_t vcpu = vcpu_count(); vcpu < vm_of(from).vcpus(); ++vcpu) {
    plan(line, OpKind::create_vcpu, vcpu, line.at_ns).op.flags = vcpu_flags();
    add_vcpu();
  }
  plan(line, OpKind::load_memory, ops::kVm, line.at_ns).op.value = static_cast<std::uint64_t>(from);
  out_.stays.push_back({line.at_ns, to});
}

// The second half of a transfer: from here on the guest is on this host.
void TimelineParser::load_memory(const Line& line) {
  const auto from = host_from(*line.operand);
  if (!from) return;
  plan_each(line, [&](ops::Step& step) { step.op.value = static_cast<std::uint64_t>(*from); });
  out_.stays.push_back({line.at_ns, host_});
}

}  // namespace tscsim::scenarios

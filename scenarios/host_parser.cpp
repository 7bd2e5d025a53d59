// A host states only what differs from the defaults of ops::HostSpec.
#include "scenarios/host_parser.h"

#include <algorithm>
#include <limits>

#include "ops/heuristic.h"
#include "ops/kernel_release.h"
#include "scenarios/guest_words.h"
#include "scenarios/kernel_groups.h"

namespace tscsim::scenarios {
namespace {

using Kind = YamlNode::Kind;

constexpr std::int64_t kMaxPcpus = 64;

void read_kernel(Reader& reader, const YamlNode& node, ops::HostSpec& host) {
  const auto kernel = reader.text(node, "a kernel version such as 6.12");
  if (!kernel) return;
  if (ops::kernel_release(*kernel)) host.kernel = *kernel;  // which proposals there are, the model knows
  else
    reader.diagnostics().add(node, "expected a kernel version, found " + found_text(node),
                             kernel_mend(*kernel, "kernel: 6.12"));
}

void read_pcpus(Reader& reader, const YamlNode& node, ops::HostSpec& host) {
  if (node.is(Kind::scalar)) {
    if (const auto count = reader.integer(node, 1, kMaxPcpus)) host.pcpus.assign(static_cast<std::size_t>(*count), {});
    return;
  }
  if (!node.is(Kind::sequence) || node.items.empty() || node.items.size() > kMaxPcpus) {
    reader.diagnostics().add(node, "expected a number of pCPUs or a list of 1 to 64, found " + found_text(node),
                             "write 'pcpus: 4' or 'pcpus: [{tsc_offset: 0}, {tsc_offset: -1000}]'");
    return;
  }
  host.pcpus.clear();
  for (const YamlNode& item : node.items) {
    const Fields fields(reader.diagnostics(), item, "a pCPU", {"tsc_offset"});
    ops::PcpuSpec pcpu;
    constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
    if (const YamlNode* offset = fields.find("tsc_offset"))
      pcpu.tsc_offset = reader.integer(*offset, -kMax, kMax).value_or(0);
    host.pcpus.push_back(pcpu);
  }
}

void read_tsc(Reader& reader, const Fields& fields, ops::HostSpec& host) {
  if (const YamlNode* node = fields.find("tsc"))
    if (const auto khz = reader.frequency_khz(*node)) {
      host.tsc_khz = *khz;
      host.tsc_khz_written = true;
    }
  if (const YamlNode* node = fields.find("tsc_error")) host.tsc_error_ppb = reader.ratio_ppb(*node).value_or(0);
  if (const YamlNode* node = fields.find("tsc_scaling")) host.tsc_scaling = reader.truth(*node).value_or(false);
  if (const YamlNode* node = fields.find("tsc_unstable")) host.tsc_unstable = reader.truth(*node).value_or(false);
  if (const YamlNode* node = fields.find("tsc_offsets"))
    host.honours_tsc_offset =
        reader.word(*node, "TSC offsets", {"honoured", "ignored"}).value_or("honoured") == "honoured";
  host.tsc_clocksource = !host.tsc_unstable;  // the kernel chooses another one then
  if (const YamlNode* node = fields.find("clocksource"))
    host.tsc_clocksource = reader.word(*node, "clocksource", {"tsc", "hpet", "acpi_pm"}).value_or("tsc") == "tsc";
}

void read_clocks(Reader& reader, const Fields& fields, ops::HostSpec& host) {
  if (const YamlNode* node = fields.find("uptime")) host.uptime_ns = reader.instant_ns(*node).value_or(host.uptime_ns);
  if (const YamlNode* node = fields.find("realtime_error")) {
    const std::int64_t error_ns = reader.duration_ns(*node).value_or(0);
    constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
    if (error_ns >= -host.realtime_ns && error_ns <= kMax - host.realtime_ns) host.realtime_error_ns = error_ns;
    else
      reader.diagnostics().add(*node, "CLOCK_REALTIME would be before 1970 or beyond 2262",
                               "write an error within -53 and 238 years");
  }
  if (const YamlNode* node = fields.find("realtime_drift"))
    host.realtime_drift_ppb = reader.ratio_ppb(*node).value_or(0);
}

// Parameters become the text that the command line takes. Whether the model has a heuristic of that name, it says itself.
std::string read_heuristic(Reader& reader, const YamlNode& node) {
  if (node.is(Kind::scalar)) return reader.text(node, "the name of a heuristic").value_or("");
  const Fields fields(reader.diagnostics(), node, "a heuristic", {});
  std::string text;
  ops::HeuristicParameters unused;
  for (const std::string& name : fields.keys()) {
    const YamlNode& value = *fields.find(name);
    const auto word = reader.text(value, "the value of a heuristic's parameter");
    if (!word) continue;
    const auto error = name == ops::kHeuristicBase ? std::nullopt : ops::set_parameter(unused, name, *word);
    if (error) reader.diagnostics().add(error->in_name ? *fields.key(name) : value, error->message, error->mend);
    text += (text.empty() ? "" : ",") + name + "=" + *word;
  }
  if (fields.valid() && fields.keys().empty())
    reader.diagnostics().add(node, "a heuristic without parameters", "write 'heuristic: {window: 500 ms}'");
  return text;
}

}  // namespace

ops::HostSpec parse_host(Reader& reader, const YamlNode& node) {
  ops::HostSpec host;
  const Fields fields(reader.diagnostics(), node, "host",
                      {"kernel", "vendor", "tsc", "tsc_error", "tsc_scaling", "tsc_unstable", "uptime",
                       "realtime_error", "realtime_drift", "clocksource", "tsc_offsets", "pcpus"});
  if (const YamlNode* kernel = fields.find("kernel")) read_kernel(reader, *kernel, host);
  if (const YamlNode* vendor = fields.find("vendor"))
    host.vendor = reader.word(*vendor, "vendor", {"intel", "amd"}).value_or("intel") == "amd" ? "svm" : "vmx";
  read_tsc(reader, fields, host);
  read_clocks(reader, fields, host);
  if (const YamlNode* pcpus = fields.find("pcpus")) read_pcpus(reader, *pcpus, host);
  return host;
}

std::vector<ops::HostSpec> parse_hosts(Reader& reader, const YamlNode& node) {
  const Fields fields(reader.diagnostics(), node, "hosts", {});
  if (fields.valid() && fields.keys().empty())
    reader.diagnostics().add(node, "expected hosts, found none", "write 'hosts: {a: {kernel: 6.12}}'");
  if (fields.keys().size() > ops::kMaxHosts)
    reader.diagnostics().add(*fields.key(fields.keys()[ops::kMaxHosts]),
                             "more than " + std::to_string(ops::kMaxHosts) + " hosts", "describe fewer");
  std::vector<ops::HostSpec> hosts;
  for (const std::string& name : fields.keys()) {
    hosts.push_back(parse_host(reader, *fields.find(name)));
    hosts.back().name = reader.host_name(*fields.key(name)).value_or(name);
  }
  if (hosts.empty()) hosts.emplace_back();
  return hosts;
}

VmSpec parse_vm(Reader& reader, const YamlNode& node) {
  VmSpec vm;
  const Fields fields(reader.diagnostics(), node, "vm",
                      {"vcpus", "tsc", "heuristic", "kvmclock", "hyperv", "irqchip", "guest"});
  if (const YamlNode* vcpus = fields.find("vcpus"))
    vm.vcpus = static_cast<std::int32_t>(reader.integer(*vcpus, 0, ops::layout::kMaxVcpus).value_or(1));
  if (const YamlNode* tsc = fields.find("tsc")) vm.tsc_khz = reader.frequency_khz(*tsc).value_or(0);
  if (const YamlNode* heuristic = fields.find("heuristic")) vm.heuristic = read_heuristic(reader, *heuristic);
  if (const YamlNode* kvmclock = fields.find("kvmclock")) vm.kvmclock = reader.on_off(*kvmclock).value_or(false);
  if (const YamlNode* hyperv = fields.find("hyperv")) vm.hyperv = reader.on_off(*hyperv).value_or(false);
  if (const YamlNode* irqchip = fields.find("irqchip")) vm.irqchip = reader.on_off(*irqchip).value_or(false);
  if (const YamlNode* guest = fields.find("guest")) {
    vm.guest = parse_guest(reader, *guest);
    if (vm.vcpus == 0)
      reader.diagnostics().add(*fields.key("guest"), "a guest without a vCPU", "write 'vcpus: 1' or more");
  }
  return vm;
}

}  // namespace tscsim::scenarios

// `sample`: readings by guests at regular instants.
#include "scenarios/timeline_lines.h"

#include <algorithm>
#include <limits>

#include "scenarios/guest_words.h"
#include "scenarios/units.h"

namespace tscsim::scenarios {

using Kind = YamlNode::Kind;

void TimelineParser::sample(const Line& line) {
  const auto spec = read_sample(line);
  if (!spec) return;
  const std::int64_t readings = 1 + (spec->for_ns - 1) / spec->every_ns;
  const auto most = static_cast<std::int64_t>(kMaxSteps);
  if (readings > most || readings * static_cast<std::int64_t>(2 * line.vcpus.size()) > 2 * most ||
      spec->for_ns > std::numeric_limits<std::int64_t>::max() - line.at_ns) {
    diagnostics().add(*line.operand, "this sample expands into more than " + grouped(kMaxSteps) + " operations",
                      "sample less often or for a shorter time");
    return;
  }
  for (std::int64_t i = 0; i < readings; ++i) sample_once(line, *spec, line.at_ns + i * spec->every_ns);
}

void TimelineParser::sample_once(const Line& line, const SampleSpec& spec, std::int64_t at_ns) {
  for (const std::int32_t vcpu : line.vcpus)
    if (spec.tsc) plan(line, OpKind::rdtsc, vcpu, at_ns);
  for (const std::int32_t vcpu : line.vcpus)
    if (spec.pvclock && known(vcpu).kvmclock_on) plan(line, OpKind::read_pvclock, vcpu, at_ns);
  for (const ops::GuestClock clock : spec.clocks)
    for (const std::int32_t vcpu : line.vcpus)
      plan(line, OpKind::read_clock, vcpu, at_ns).op.flags = static_cast<std::uint32_t>(clock);
}

std::optional<TimelineParser::SampleSpec> TimelineParser::read_sample(const Line& line) {
  const Fields fields(diagnostics(), *line.operand, "sample", {"every", "for", "read"});
  if (!fields.valid()) return std::nullopt;
  SampleSpec spec;
  const bool every = positive_duration("sample", *line.operand, fields, "every", "1 ms", spec.every_ns);
  const bool length = positive_duration("sample", *line.operand, fields, "for", "10 ms", spec.for_ns);
  const bool kinds = !fields.find("read") || sample_kinds(line, *fields.find("read"), spec);
  return every && length && kinds ? std::optional(spec) : std::nullopt;
}

bool TimelineParser::positive_duration(const std::string& owner, const YamlNode& node, const Fields& fields,
                                       const std::string& key, const std::string& example, std::int64_t& out) {
  const YamlNode* value = fields.find(key);
  if (!value) {
    diagnostics().add(node, owner + " has no '" + key + "'", "add '" + key + ": " + example + "'");
    return false;
  }
  const auto ns = reader().duration_ns(*value);
  if (!ns) return false;
  out = *ns;
  if (*ns > 0) return true;
  diagnostics().add(*value, found_text(*value) + " is not above 0", "write such as '" + example + "'");
  return false;
}

bool TimelineParser::sample_kinds(const Line& line, const YamlNode& node, SampleSpec& spec) {
  spec.tsc = spec.pvclock = false;
  if (!node.is(Kind::sequence) || node.items.empty()) {
    diagnostics().add(node, "expected a list of what to read, found " + found_text(node),
                      "write 'read: [rdtsc, pvclock]'");
    return false;
  }
  for (const YamlNode& item : node.items) {
    std::vector<std::string> words{"rdtsc", "pvclock"};
    if (vm_.guest)
      for (std::string& clock : guest_clock_names()) words.push_back(std::move(clock));
    const auto name = reader().word(item, "reading", words);
    if (!name) return false;
    if (const auto clock = ops::guest_clock_from(*name)) {
      spec.clocks.push_back(*clock);
      continue;
    }
    (*name == "rdtsc" ? spec.tsc : spec.pvclock) = true;
    const bool possible =
        *name == "rdtsc" || line.vcpus.empty() ||
        std::any_of(line.vcpus.begin(), line.vcpus.end(), [&](auto vcpu) { return known(vcpu).kvmclock_on; });
    if (possible) continue;
    diagnostics().add(item, "no vCPU of this sample has kvmclock on",
                      "switch it on with 'vm: {kvmclock: on}' or a step 'kvmclock: on'");
    return false;
  }
  return true;
}

}  // namespace tscsim::scenarios

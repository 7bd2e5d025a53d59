// The top level of a scenario file. Each part is parsed even when an earlier one has faults.
#include <algorithm>
#include <tuple>

#include "scenarios/diagnostics.h"
#include "scenarios/expect_parser.h"
#include "scenarios/host_parser.h"
#include "scenarios/kernel_groups.h"
#include "scenarios/overrides.h"
#include "scenarios/reader.h"
#include "scenarios/scenario.h"
#include "scenarios/timeline_parser.h"
#include "scenarios/yaml_tree.h"

namespace tscsim::scenarios {
namespace {

std::string stem_of(const std::string& file) {
  const std::size_t slash = file.rfind('/');
  std::string name = slash == std::string::npos ? file : file.substr(slash + 1);
  const std::size_t dot = name.rfind('.');
  if (dot != std::string::npos && dot > 0) name.resize(dot);
  return name;
}

std::string one_line(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

void read_name(Reader& reader, const YamlNode& root, const Fields& fields, const std::string& file, Meta& meta) {
  const YamlNode* node = fields.find("name");
  const bool has_stem = !file.empty() && file != "-";
  if (!node) {
    reader.diagnostics().add(root, "this scenario has no 'name'",
                             "add 'name: " + (has_stem ? stem_of(file) : std::string("what-it-shows")) + "'");
    return;
  }
  meta.name = reader.text(*node, "a name").value_or("");
  if (node->is(YamlNode::Kind::scalar) && has_stem && meta.name != stem_of(file))
    reader.diagnostics().add(*node, "the name " + found_text(*node) + " is not the file's, '" + stem_of(file) + "'",
                             "write 'name: " + stem_of(file) + "', or rename the file");
}

Meta read_meta(Reader& reader, const YamlNode& root, const Fields& fields, const std::string& file) {
  Meta meta;
  read_name(reader, root, fields, file, meta);
  const auto read = [&](const std::string& key) {
    const YamlNode* node = fields.find(key);
    return node ? one_line(reader.text(*node, "a text as " + key).value_or("")) : std::string{};
  };
  meta.title = read("title");
  meta.source = read("source");
  meta.story = read("story");
  meta.since = read("since");
  if (!meta.since.empty() && !major_minor(meta.since))
    reader.diagnostics().add(*fields.find("since"), "expected a kernel version, found '" + meta.since + "'",
                             kernel_mend(meta.since, "since: 5.16"));
  if (const YamlNode* only = fields.find("only"))
    meta.model_only = reader.word(*only, "a target", {"model"}).has_value();
  return meta;
}

// The first kernel is also `since:`; a host's own would contradict the list.
void read_kernels(Reader& reader, const Fields& fields, Meta& meta, std::vector<ops::HostSpec>& hosts) {
  const YamlNode* node = fields.find("kernels");
  if (!node) return;
  const auto clash = [&](const char* key, const std::string& mend) {
    if (const YamlNode* other = fields.key(key))
      reader.diagnostics().add_clash(*fields.key("kernels"), std::string("'kernels' beside '") + key + "'",
                                     std::string("'") + key + "' stands", reader.diagnostics().place(*other), mend);
  };
  clash("since", "remove 'since': the first of 'kernels' says it");
  clash("hosts", "'kernels' is for a scenario of one host; give each of several its own");
  if (fields.find("host") && !hosts.front().kernel.empty())
    reader.diagnostics().add_clash(*fields.key("kernels"), "'kernels' beside the host's own kernel", "'host' stands",
                                   reader.diagnostics().place(*fields.key("host")), "keep one of the two");
  meta.kernels = parse_kernels(reader, *node);
  if (meta.kernels.empty()) return;
  meta.since = meta.kernels.front();
  hosts.front().kernel = meta.kernels.back();
}

std::vector<ops::HostSpec> read_hosts(Reader& reader, const Fields& fields) {
  const YamlNode* host = fields.find("host");
  const YamlNode* hosts = fields.find("hosts");
  if (host && hosts)
    reader.diagnostics().add_clash(*fields.key("hosts"), "'hosts' beside 'host'", "'host' stands",
                                   reader.diagnostics().place(*fields.key("host")), "keep one of the two");
  if (host) return {parse_host(reader, *host)};
  if (hosts) return parse_hosts(reader, *hosts);
  return {ops::HostSpec{}};
}

SweepSpec read_sweep(Reader& reader, const YamlNode& node) {
  using Meant = SweepSpec::Meant;
  const Fields fields(reader.diagnostics(), node, "a sweep", {"meant", "error", "vary"});
  SweepSpec sweep;
  if (const YamlNode* meant = fields.find("meant"))
    sweep.meant = reader.word(*meant, "what is meant", {"together", "apart"}).value_or("together") == "apart"
                      ? Meant::apart
                      : Meant::together;
  if (const YamlNode* error = fields.find("error")) sweep.error = reader.text(*error, "an expression").value_or("");
  if (sweep.error.empty() != (sweep.meant != Meant::apart))
    reader.diagnostics().add(
        node, sweep.error.empty() ? "'apart' has no 'error'" : "'error' stands without 'meant: apart'",
        "write 'meant: apart' and what came of the value minus what was meant, as in 'error: got - wanted'");
  const YamlNode* vary = fields.find("vary");
  if (vary == nullptr || !vary->is(YamlNode::Kind::mapping)) {
    reader.diagnostics().add(vary != nullptr ? *vary : node, "a sweep without what varies",
                             "write 'vary: {downtime: \"uniform(100 ms, 2 s)\"}'");
    return sweep;
  }
  for (const YamlMember& one : vary->members)
    sweep.vary.emplace_back(one.key.text, reader.text(one.value, "a distribution").value_or(""));
  return sweep;
}

}  // namespace

Scenario parse_scenario(std::string_view text, const std::string& file, const ParseOptions& options) {
  YamlNode root = parse_yaml(text, file);
  ProcedureLibrary procedures(file, options);
  apply_overrides(root, options.overrides, procedures, file);
  Diagnostics diagnostics(file, text);
  Reader reader(diagnostics);
  if (root.is(YamlNode::Kind::null))
    throw ops::InputError(ops::Diagnostic{{file, 0, 0}, "the file holds no scenario", "", {}, 1});
  const Fields fields(diagnostics, root, "a scenario",
                      {"name", "title", "source", "story", "since", "kernels", "only", "host", "hosts", "vm",
                       "timeline", "expect", "sweep"});
  if (!fields.valid()) diagnostics.throw_if_any();

  Scenario scenario;
  scenario.meta = read_meta(reader, root, fields, file);
  ops::Program& program = scenario.program;
  program.hosts = read_hosts(reader, fields);
  read_kernels(reader, fields, scenario.meta, program.hosts);
  const YamlNode* vm_node = fields.find("vm");
  const VmSpec vm = vm_node ? parse_vm(reader, *vm_node) : VmSpec{};
  const ops::Place vm_place = diagnostics.place(vm_node ? *vm_node : root);
  Timeline timeline =
      parse_timeline(reader, fields.find("timeline"), program.hosts, vm, vm_place, scenario.meta.kernels, procedures);
  if (!fields.find("timeline"))
    diagnostics.add(root, "this scenario has no 'timeline'", "add 'timeline:' with a list of steps");

  scenario.expectations = std::move(timeline.refusals);
  scenario.tolerated = std::move(timeline.tolerated);
  scenario.procedures = std::move(timeline.procedures);
  scenario.pivots = std::move(timeline.pivots);
  if (const YamlNode* expect = fields.find("expect"))
    for (Expectation& expectation : parse_expect(reader, *expect, timeline, scenario.meta.kernels))
      scenario.expectations.push_back(std::move(expectation));
  if (const YamlNode* sweep = fields.find("sweep")) scenario.sweep = read_sweep(reader, *sweep);
  diagnostics.throw_if_any();

  std::stable_sort(scenario.expectations.begin(), scenario.expectations.end(), [](const auto& a, const auto& b) {
    return std::tie(a.place.line, a.place.column) < std::tie(b.place.line, b.place.column);
  });
  program.name = scenario.meta.name;
  program.hash = ops::content_hash(std::string(text) + procedures.texts());
  program.heuristic = vm.heuristic;
  program.setup = std::move(timeline.setup);
  program.timeline = std::move(timeline.steps);
  return scenario;
}

}  // namespace tscsim::scenarios

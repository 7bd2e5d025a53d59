#include "scenarios/kernel_groups.h"

#include <cstdlib>

namespace tscsim::scenarios {

std::pair<int, int> version_number(const std::string& release) {
  const std::size_t dot = release.find('.');
  if (dot == std::string::npos) return {0, 0};
  return {std::atoi(release.c_str()), std::atoi(release.c_str() + dot + 1)};
}

bool KernelRange::contains(const std::string& release) const {
  return (from.empty() || version_number(from) <= version_number(release)) &&
         (before.empty() || version_number(release) < version_number(before));
}

std::vector<Scenario> for_each_kernel(const Scenario& scenario) {
  if (scenario.meta.kernels.empty()) return {scenario};
  std::vector<Scenario> copies;
  for (const std::string& kernel : scenario.meta.kernels) {
    copies.push_back(scenario);
    copies.back().meta.kernel = kernel;
    for (ops::HostSpec& host : copies.back().program.hosts) host.kernel = kernel;
  }
  return copies;
}

std::string label(const Scenario& scenario) {
  return scenario.meta.kernel.empty() ? scenario.meta.name : scenario.meta.name + "@" + scenario.meta.kernel;
}

namespace {

bool is_major_minor(const YamlNode& node) { return node.is(YamlNode::Kind::scalar) && major_minor(node.text); }

}  // namespace

std::optional<ops::KernelRelease> major_minor(const std::string& word) {
  const std::optional<ops::KernelRelease> release = ops::kernel_release(word);
  return release && release->patch < 0 && release->proposal.empty() ? release : std::nullopt;
}

std::string kernel_mend(const std::string& word, const std::string& form) {
  const std::string nearest = ops::nearest_kernel_release(word);
  return nearest.empty() ? "write it as in '" + form + "'" : "did you mean '" + nearest + "'?";
}

std::vector<std::string> parse_kernels(Reader& reader, const YamlNode& node) {
  Diagnostics& diagnostics = reader.diagnostics();
  if (!node.is(YamlNode::Kind::sequence) || node.items.size() < 2) {
    diagnostics.add(node, "expected a list of two kernels or more, found " + found_text(node),
                    "write 'kernels: [6.7, 6.8]', or 'host: {kernel: 6.8}' for one");
    return {};
  }
  std::vector<std::string> kernels;
  bool good = true;
  for (const YamlNode& item : node.items) {
    if (!is_major_minor(item)) {
      diagnostics.add(item, "expected a kernel version, found " + found_text(item),
                      kernel_mend(item.text, "kernels: [6.7, 6.8]"));
      good = false;
    } else if (!kernels.empty() && version_number(item.text) <= version_number(kernels.back())) {
      diagnostics.add(item, "the kernel " + item.text + " is not after " + kernels.back(),
                      "write the kernels from the oldest to the newest, each once");
      good = false;
    } else {
      kernels.push_back(item.text);
    }
  }
  return good ? kernels : std::vector<std::string>{};
}

std::vector<KernelGroup> parse_kernel_groups(Reader& reader, const YamlNode& node, const std::string& what,
                                             const std::vector<std::string>& kernels, bool all_allowed) {
  if (kernels.empty()) {
    reader.diagnostics().add(node, what + " by kernel, and the scenario does not say on which kernels it runs",
                             "write what holds on all, or add 'kernels: [6.7, 6.8]' at the top level");
    return {};
  }
  std::vector<std::string> words = kernels;
  if (all_allowed) words.insert(words.begin(), "all");
  const Fields fields(reader.diagnostics(), node, what, words);
  std::vector<KernelGroup> groups;
  for (const std::string& kernel : words)
    if (const YamlNode* value = fields.find(kernel)) {
      const std::string from = kernel == "all" ? "" : kernel;
      if (!groups.empty()) groups.back().range.before = groups.back().range.from.empty() ? "" : from;
      groups.push_back({value, {from, ""}});
    }
  return groups;
}

}  // namespace tscsim::scenarios

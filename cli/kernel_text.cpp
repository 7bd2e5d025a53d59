#include "cli/kernel_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "ops/spec_citation.h"

namespace tscsim::cli {
namespace {

bool begins(model::KernelVersion version, const model::Change& change) {
  const model::KernelVersion first = *model::KernelVersion::parse(change.version);
  return first.major == version.major && first.minor == version.minor;
}

std::string in_force(model::Subject subject, model::KernelVersion version) {
  std::string text;
  for (const model::Change& change : model::changes())
    if (change.subject == subject && holds(change, version))
      text += fmt::format("    since {}: {} {}\n", title_of(change), change.sentence, source_text(change));
  return text.empty() ? "" : fmt::format("  {}\n{}", name_of(subject), text);
}

std::string changed_text(const std::string& name, model::KernelVersion version) {
  const model::KernelVersion newest = model::newest_known_kernel();
  if (version.at_least(newest.major, newest.minor + 1))
    return fmt::format("What Linux {} changed is not known here.\n", name);
  std::string text;
  for (const model::Change& change : model::changes())
    if (begins(version, change))
      text += fmt::format("  {}: {} {}\n", name_of(change.subject), change.sentence, source_text(change));
  if (text.empty()) return fmt::format("Linux {} changed nothing of KVM's timekeeping that is known here.\n", name);
  return fmt::format("Linux {} changed:\n{}", name, text);
}

}  // namespace

std::string source_text(const model::Change& change) {
  return fmt::format("({}{}{})", change.commits, change.commits.empty() ? "" : "; ",
                     ops::spec_citation(ops::kKvmSpec, change.section));
}

std::string kernel_text(const std::string& name, model::KernelVersion version) {
  std::string text;
  for (const model::KnownProposal& proposal : model::known_proposals())
    if (proposal.proposal == version.proposal)
      text += fmt::format("Never merged: {}.\n  {}\n", proposal.changed, proposal.source);
  text += changed_text(name.substr(0, name.find('+')), version) + "What holds in it:\n";
  for (std::size_t i = 0; i < static_cast<std::size_t>(model::Subject::count); ++i)
    text += in_force(static_cast<model::Subject>(i), version);
  const auto all = model::changes();
  const auto next = std::find_if(all.begin(), all.end(), [&](const model::Change& change) {
    const model::KernelVersion first = *model::KernelVersion::parse(change.version);
    return first.major != 2 && !version.at_least(first.major, first.minor);
  });
  if (next != all.end()) text += fmt::format("The next change is in {}.\n", title_of(*next));
  return text;
}

}  // namespace tscsim::cli

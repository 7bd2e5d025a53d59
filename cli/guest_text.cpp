#include "cli/guest_text.h"

#include <fmt/format.h>

#include "ops/spec_citation.h"

namespace tscsim::cli {
namespace {

using model::guest::GuestChange;
using model::guest::GuestSubject;

constexpr std::string_view kPrefix = "guest-";

}  // namespace

std::string source_text(const GuestChange& change) {
  return fmt::format("({}{}{})", change.commits, change.commits.empty() ? "" : "; ",
                     ops::spec_citation(ops::kGuestSpec, change.section));
}

std::string boundary_text(const GuestChange& change) {
  if (change.not_in.empty()) return std::string(change.version);
  if (change.not_in == change.version) return fmt::format("{} or before", change.version);
  return fmt::format("{}, or a release after {} (not known exactly)", change.version, change.not_in);
}

std::optional<model::KernelVersion> guest_kernel(std::string_view name) {
  if (!name.starts_with(kPrefix)) return std::nullopt;
  const auto version = model::KernelVersion::parse_modelled(name.substr(kPrefix.size()));
  return version && version->proposal == model::Proposal::none && model::guest::has_guest_era(*version) ? version
                                                                                                        : std::nullopt;
}

std::string guest_text(const std::string& name, model::KernelVersion version) {
  std::string text = fmt::format("What holds in a Linux guest {}:\n", name.substr(kPrefix.size()));
  for (std::size_t i = 0; i < static_cast<std::size_t>(GuestSubject::count); ++i) {
    std::string lines;
    for (const GuestChange& change : model::guest::guest_changes())
      if (change.subject == static_cast<GuestSubject>(i) && holds(change, version))
        lines += fmt::format("    since {}: {} {}\n", boundary_text(change), change.sentence, source_text(change));
    if (!lines.empty()) text += fmt::format("  {}\n{}", name_of(static_cast<GuestSubject>(i)), lines);
  }
  return text;
}

}  // namespace tscsim::cli

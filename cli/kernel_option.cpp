#include "cli/kernel_option.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/notices.h"
#include "cli/session.h"
#include "model/kvm/changes.h"

namespace tscsim::cli {
namespace {

// With its empty places: "6.1," has one at its end.
std::vector<std::string> places_of(const std::string& list) {
  std::vector<std::string> places(1);
  for (const char c : list) {
    if (c == ',') places.emplace_back();
    else places.back() += c;
  }
  return places;
}

bool is_newer(model::KernelVersion version) {
  const model::KernelVersion known = model::newest_known_kernel();
  return !(version.major == known.major && version.minor == known.minor) && version.at_least(known.major, known.minor);
}

std::string newest() { return std::string(title_of(model::changes().back())); }

}  // namespace

std::vector<std::string> kernels_of(const Arguments& arguments) {
  std::vector<std::string> kernels;
  if (!arguments.has("kernel")) return kernels;
  const std::string list = arguments.text("kernel");
  for (const std::string& kernel : places_of(list)) {
    if (kernel.empty())
      throw UsageError(
          fmt::format("--kernel '{}': expected a version in each place of the list, as in '5.10,6.1'", list));
    check_model(kernel, "");
    if (std::find(kernels.begin(), kernels.end(), kernel) == kernels.end()) kernels.push_back(kernel);
  }
  return kernels;
}

std::string one_kernel_of(const Arguments& arguments) {
  const std::vector<std::string> kernels = kernels_of(arguments);
  if (kernels.size() > 1)
    throw UsageError(fmt::format(
        "--kernel '{}': this command takes one version, not a list\n  next: call it once for each; run, check, "
        "verdict, lint, stats, export and evaluate take lists, and compare --kernels",
        arguments.text("kernel")));
  return kernels.empty() ? "" : kernels.front();
}

void notice_newer_kernel(std::string_view kernel) {
  const auto version = model::KernelVersion::parse(kernel);
  if (version && is_newer(*version))
    notice(fmt::format("Linux {} is newer than any that is known here; it is taken for {}", kernel, newest()));
}

void notice_newer_guest(int major, int minor) {
  if (is_newer({major, minor}))
    notice(fmt::format("a Linux guest {}.{} is newer than any that is known here; it is taken for the newest known",
                       major, minor));
}

void notice_newer_kernels(const ops::Program& program) {
  for (const ops::HostSpec& host : program.hosts) notice_newer_kernel(host.kernel);
  for (const auto* part : {&program.setup, &program.timeline})
    for (const ops::Step& step : *part)
      if (step.op.kind == ops::OpKind::boot_guest) notice_newer_guest(step.op.guest.major, step.op.guest.minor);
}

void notice_newer_kernels(const ops::Header& header) {
  for (int host = 0; host < header.hosts(); ++host) notice_newer_kernel(header.host(host).profile.kernel);
}

void notice_newer_kernels_in(const std::vector<std::string>& files, const Arguments& arguments) {
  for (const std::string& file : files) {
    try {
      notice_newer_kernels(scenarios::load_scenario(file, parse_options(arguments)).program);
    } catch (const ops::InputError&) {
      continue;
    }
  }
}

}  // namespace tscsim::cli

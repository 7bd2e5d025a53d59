// tscsim doctor: what this machine's KVM supports and honours.
#include <fmt/format.h>

#include <iostream>

#include "cli/commands.h"
#include "cli/text.h"
#include "kvm_backend/probe.h"

namespace tscsim::cli {
namespace {

int run(const Arguments& arguments) {
  kvm_backend::NativeOptions options;
  if (arguments.has("device")) options.device = arguments.text("device");
  const kvm_backend::DoctorReport report = kvm_backend::doctor(options);
  if (arguments.json()) {
    Json findings = Json::array();
    for (const auto& finding : report.findings)
      findings.push_back({{"name", finding.name}, {"value", finding.value}, {"note", finding.note}});
    const ops::TargetProfile& p = report.profile;
    print({{"command", "doctor"},
           {"summary",
            {{"target", p.target},
             {"kernel", p.kernel},
             {"vendor", p.vendor},
             {"host_khz", p.host_khz},
             {"tsc_scaling", p.tsc_scaling},
             {"tsc_clocksource", p.tsc_clocksource},
             {"offset_attribute", p.offset_attribute},
             {"honours_tsc_offset", p.honours_tsc_offset},
             {"clock_has_realtime", p.clock_has_realtime},
             {"guest_rdtscp", p.guest_rdtscp},
             {"pcpus", p.pcpus}}},
           {"findings", findings}});
    return kAllHeld;
  }
  for (const auto& finding : report.findings) {
    std::cout << fmt::format("{:<26} {}\n", finding.name, finding.value);
    if (!finding.note.empty()) std::cout << fmt::format("{:<26}   {}\n", "", finding.note);
  }
  std::cout << "\ntargets: native (this KVM)\n";
  return kAllHeld;
}

}  // namespace

Command doctor_command() {
  return {"doctor",
          "",
          "what this machine's KVM supports, and what it honours, found by experiment",
          "tscsim doctor --format json",
          [](OptionList& options) { options.text("device", "PATH", "instead of /dev/kvm"); },
          run};
}

}  // namespace tscsim::cli

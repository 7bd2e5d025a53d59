// The verdict in one screen: what the guest's clocks did, by which rule and operation, and the cure.
#pragma once

#include <optional>
#include <string>

#include "verdict/findings/finding.h"
#include "verdict/lint.h"

namespace tscsim::verdict {

struct ReportOptions {
  bool all = false;  // every disturbance in full, not the worst alone
};

std::string verdict_text(const Course& course, const ReportOptions& options = {});
// The worst disturbance and lint's findings by name, in one line without an end.
std::string verdict_line(const Course& course);
// An object.
std::string verdict_json(const Course& course);

// Back to the operation that decided: of the state at the end.
std::string why_master_clock_off(const Course& course);
std::string why_offsets_differ(const Course& course);

}  // namespace tscsim::verdict

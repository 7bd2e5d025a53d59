// The cross-check's verdicts in words.
#pragma once

#include <string>

#include "crosscheck/checker.h"
#include "model/kvm/machine.h"

namespace tscsim::crosscheck {

// Why the model cannot have produced the observed value: several lines without a final newline.
std::string explain(const ops::Entry& entry, const Observation& observation,
                    const model::Machine<witness::Witness>& machine);

// The same for what is not a number: `kvm` and `derived` are the two sides of `what`.
std::string explain(const ops::Entry& entry, const std::string& what, const std::string& kvm,
                    const std::string& derived, const model::Machine<witness::Witness>& machine);

// "vcpu 1 set_msr IA32_TSC 0 at 100 us"
std::string operation_text(const ops::Operation& op);

}  // namespace tscsim::crosscheck

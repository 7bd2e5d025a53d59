// What a kernel's timekeeping is, in words: composed from the table of changes.
#pragma once

#include <string>

#include "model/kvm/changes.h"

namespace tscsim::cli {

// "(bf328e22e472; docs/spec/kvm-timekeeping.md 3.5)"
std::string source_text(const model::Change& change);

// What `name`, which is of that version, changed, and what holds in it.
std::string kernel_text(const std::string& name, model::KernelVersion version);

}  // namespace tscsim::cli

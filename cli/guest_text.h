// What a guest's kernel does with its clocks, in words: composed from the table of changes.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "model/guest/era.h"

namespace tscsim::cli {

// "(644649553508; docs/spec/linux-guest.md 3.4)"
std::string source_text(const model::guest::GuestChange& change);
// From which release on: "5.1", "3.6 or before", "5.4, or a release after 4.19 (not known exactly)".
std::string boundary_text(const model::guest::GuestChange& change);

// "guest-6.8" names the guest's kernel 6.8; nothing for other words and for kernels without an era.
std::optional<model::KernelVersion> guest_kernel(std::string_view name);

// What that kernel changed, and what holds in it.
std::string guest_text(const std::string& name, model::KernelVersion version);

}  // namespace tscsim::cli

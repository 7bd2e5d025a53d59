// Where the specification says so: the words of a citation, the same in all output. The pages are docs/spec/.
#pragma once

#include <string>
#include <string_view>

namespace tscsim::ops {

inline constexpr std::string_view kKvmSpec = "docs/spec/kvm-timekeeping.md";
inline constexpr std::string_view kGuestSpec = "docs/spec/linux-guest.md";
inline constexpr std::string_view kVmmSpec = "docs/spec/vmm-procedures.md";

// "docs/spec/kvm-timekeeping.md 3.3 item 5", for `place` "3.3 item 5" of kKvmSpec. A place that names its page itself,
// as few rows of a table do whose other rows are all of one page, is left as it is.
std::string spec_citation(std::string_view page, std::string_view place);

}  // namespace tscsim::ops

// Names of the errors with which KVM refuses a call.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tscsim::scenarios {

std::optional<int> errno_from(std::string_view name);
std::string errno_name(int error);  // "EINVAL"; "errno 200" if it has no name here
std::vector<std::string> errno_names();

}  // namespace tscsim::scenarios

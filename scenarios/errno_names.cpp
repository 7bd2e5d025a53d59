// The errors that KVM's timekeeping calls document or return; numbers are Linux's, as a recording holds them.
#include "scenarios/errno_names.h"

namespace tscsim::scenarios {
namespace {

// Linux include/uapi/asm-generic/errno-base.h and errno.h; the same numbers wherever a recording is read.
constexpr struct {
  std::string_view name;
  int number;
} kErrors[] = {
    {"EPERM", 1},   {"ENOENT", 2},  {"EINTR", 4},   {"EIO", 5},     {"ENXIO", 6},   {"E2BIG", 7},    {"EBADF", 9},
    {"EAGAIN", 11}, {"ENOMEM", 12}, {"EACCES", 13}, {"EFAULT", 14}, {"EBUSY", 16},  {"EEXIST", 17},  {"ENODEV", 19},
    {"EINVAL", 22}, {"EMFILE", 24}, {"ENOTTY", 25}, {"ERANGE", 34}, {"ENOSYS", 38}, {"ENODATA", 61}, {"EOPNOTSUPP", 95},
};

}  // namespace

std::optional<int> errno_from(std::string_view name) {
  for (const auto& error : kErrors)
    if (error.name == name) return error.number;
  return std::nullopt;
}

std::string errno_name(int error) {
  for (const auto& known : kErrors)
    if (known.number == error) return std::string(known.name);
  return "errno " + std::to_string(error);
}

std::vector<std::string> errno_names() {
  std::vector<std::string> names;
  for (const auto& error : kErrors) names.emplace_back(error.name);
  return names;
}

}  // namespace tscsim::scenarios

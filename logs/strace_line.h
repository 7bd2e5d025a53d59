// One line of strace's output: who, when, and an ioctl, whole or in two halves.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tscsim::logs {

struct StraceCall {
  int fd = -1;
  std::string_view fd_name;   // of -y: "anon_inode:kvm-vcpu:0"
  std::string_view name;      // "KVM_SET_MSRS"
  std::string_view argument;  // as printed
};

struct StraceResult {
  std::optional<std::int64_t> value;    // none: "?", the thread ended in the call
  std::string_view fd_name;             // of -y, when it returned a descriptor
  std::string_view error;               // "EINVAL"
  std::optional<std::int64_t> took_ns;  // of -T
};

struct StraceLine {
  int pid = -1;                        // -1: the log has one thread
  std::optional<std::int64_t> at_ns;   // of -t, -tt (since midnight) or -ttt (since 1970)
  bool of_day = false;                 // since midnight
  std::optional<StraceCall> call;      // none: the end of a call that began before ("resumed")
  std::optional<StraceResult> result;  // none: "<unfinished ...>"
};

// Nothing for lines about something else than an ioctl.
std::optional<StraceLine> split_strace_line(std::string_view line);

}  // namespace tscsim::logs

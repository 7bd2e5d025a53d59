// What the two sides of a lab boot say to each other: tscsim here, tscsim-init inside the machine.
//
// Jobs go in as lines: one JobsHeader, then one program (ops/program_json.h) each. Results come out as lines,
// in the order of the jobs: {"type":"job","index":N}, then either a recording's own lines (header, entries,
// end) or
// {"type":"failed",...}; {"type":"doctor",...} for the doctor's findings; {"type":"log",...} for anything
// else worth showing; at the very end {"type":"done"}.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ops/program.h"

namespace tscsim::kvm_backend::lab {

// Ports of the lab machine.
inline constexpr std::uint16_t kResultPort = 0xe9;      // QEMU isa-debugcon, Bochs port_e9_hack
inline constexpr std::uint16_t kExitPort = 0xf4;        // QEMU isa-debug-exit: exit status (value << 1) | 1
inline constexpr std::uint16_t kShutdownPort = 0x8900;  // Bochs: the bytes "Shutdown" end it

// QEMU itself ends with 1 on an error of its own, so the guest's statuses keep clear of it.
inline constexpr std::uint8_t kExitDone = 0x10;
inline constexpr std::uint8_t kExitFailed = 0x11;
constexpr int qemu_status(std::uint8_t value) {
  return (value << 1) | 1;
}

inline constexpr std::string_view kJobsFwCfgName = "opt/tscsim/jobs";  // QEMU
inline constexpr std::string_view kJobsFile = "/jobs";                 // elsewhere, in the initramfs
inline constexpr std::string_view kModulesFolder = "/modules";
inline constexpr std::string_view kModuleOrderFile = "/modules/order";  // file names, one a line

struct Jobs {
  std::string target;  // TargetProfile::target
  std::uint64_t seed = 0;
  bool trace = false;   // keep KVM's trace events
  bool doctor = false;  // report what this KVM supports and honours, first
  std::vector<ops::Program> programs;
};

std::string to_text(const Jobs& jobs);
Jobs jobs_from_text(const std::string& text);  // throws ops::InputError

}  // namespace tscsim::kvm_backend::lab

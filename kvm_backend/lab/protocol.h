// What the two sides of a lab boot say to each other: tscsim here, tscsim-init inside the machine.
//
// Jobs go in as lines: a header, then for each job a line of its own, its program (ops/program_json.h) and the recording
// of the hosts before it, if any. Results come out as lines, in the order of the jobs: {"type":"job","index":N}, then
// either a recording's own lines (header, entries, end) and {"type":"memory",...} for each host that put its guest's
// memory aside, or {"type":"failed",...}; {"type":"doctor",...} for the doctor's findings; the lines of a recording of
// Linux itself (ops/linux_recording.h); {"type":"log",...} for anything else worth showing; at the very end {"type":"done"}.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kvm_backend/guest_code/guest_memory.h"
#include "ops/linux_recording.h"
#include "ops/program.h"

namespace tscsim::kvm_backend::lab {

// Ports of the lab machine.
inline constexpr std::uint16_t kResultPort = 0xe9;      // QEMU isa-debugcon, Bochs port_e9_hack
inline constexpr std::uint16_t kExitPort = 0xf4;        // QEMU isa-debug-exit: exit status (value << 1) | 1
inline constexpr std::uint16_t kShutdownPort = 0x8900;  // Bochs: the bytes "Shutdown" end it

// QEMU itself ends with 1 on an error of its own, so the guest's statuses keep clear of it.
inline constexpr std::uint8_t kExitDone = 0x10;
inline constexpr std::uint8_t kExitFailed = 0x11;
constexpr int qemu_status(std::uint8_t value) { return (value << 1) | 1; }

inline constexpr std::string_view kJobsFwCfgName = "opt/tscsim/jobs";  // QEMU
inline constexpr std::string_view kJobsFile = "/jobs";                 // elsewhere, in the initramfs
inline constexpr std::string_view kModulesFolder = "/modules";
inline constexpr std::string_view kModuleOrderFile = "/modules/order";  // file names, one a line

// The part of a program that one host runs. What the hosts before it left is their recording and the guest's memory.
struct Job {
  ops::Program program;
  int host = 0;
  std::optional<ops::Recording> earlier;
  std::map<int, MemoryImage> saved;
};

struct Jobs {
  std::string target;  // TargetProfile::target
  std::uint64_t seed = 0;
  bool trace = false;                              // keep KVM's trace events
  std::string command;                             // for a shell, instead of programs
  bool doctor = false;                             // report what this KVM supports and honours, first
  std::optional<ops::LinuxExperiment> experiment;  // instead of programs, on the machine's own kernel
  std::vector<Job> jobs;
};

std::string to_text(const Jobs& jobs);
Jobs jobs_from_text(const std::string& text);  // throws ops::InputError

// [["0x200000","00ff.."], ...]: address and bytes of each line.
nlohmann::ordered_json memory_json(const MemoryImage& image);
MemoryImage read_memory(const nlohmann::ordered_json& json);  // throws std::exception

}  // namespace tscsim::kvm_backend::lab

// Runs programs on a lab target: stock kernels with their own KVM, booted under emulation. Anything that is
// missing is fetched first. One boot serves many programs.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "kvm_backend/lab/heard.h"
#include "kvm_backend/lab/machine.h"
#include "kvm_backend/lab/targets.h"
#include "ops/program.h"

namespace tscsim::kvm_backend::lab {

struct LabOptions {
  MachineSpec machine;         // its limit is for the boot; kJobLimit comes on top for each program
  std::filesystem::path init;  // tscsim-init; empty: beside this program
  std::uint64_t seed = 1;
  bool trace = true;  // keep KVM's trace events in the recordings
  Notice notice;      // progress, a line each; may be empty
};

// A machine that programs' hosts run on.
struct LabPlace {
  LabTarget target;
  LabOptions options;
};

// The defaults for a target: a TSC frequency that its emulator keeps, and a time limit that fits its speed.
LabOptions default_lab_options(const LabTarget& target, Mode mode = Mode::exact);

// The machine that a scenario asks for: `usual`, but for what its author wrote of the host and this emulator can give.
MachineSpec machine_for(MachineSpec usual, Emulator emulator, const ops::HostSpec& host);

// One result for each program, in their order. Host i of a program runs on place i; a single place serves all hosts, one
// machine after the other. The state of the guest passes from each machine to the next. What a scenario writes of its
// host (`tsc:`, `clocksource:`, `tsc_unstable:`, `pcpus:`) the machine is given, so programs share a boot as far as they agree on that. A machine that
// dies takes one program with it; the rest run in a new one. Where one does not come up, its programs have failed
// and the other machines go on. An interrupt ends all machines; what they had finished is returned, the other programs
// are marked as interrupted. Throws ops::TargetError when the target cannot be had at all (no machine came up, for one),
// ops::Interrupted before any machine was booted.
std::vector<LabResult> run_in_lab(const std::vector<LabPlace>& places, const std::vector<ops::Program>& programs);

// Runs a shell command as root in the machine, with busybox's programs and those of this machine that `bring` names
// (files_to_bring()). Throws likewise.
CommandEnd command_in_lab(const LabTarget& target, const std::string& command, const LabOptions& options,
                          const std::vector<std::string>& bring = {});

// Boots the kernel for its own sake and does to its TSC what the experiment says. Throws likewise.
ops::LinuxRecording observe_in_lab(const LabTarget& target, const ops::LinuxExperiment& experiment,
                                   const LabOptions& options);

// What `tscsim doctor` says inside. Throws likewise.
std::vector<Finding> doctor_in_lab(const LabTarget& target, const LabOptions& options);

}  // namespace tscsim::kvm_backend::lab

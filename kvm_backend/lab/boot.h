// What both emulators are given for one boot, and what comes back. For the sources of the lab only.
#pragma once

#include <filesystem>
#include <string>

#include "kvm_backend/lab/machine.h"
#include "kvm_backend/lab/process.h"

namespace tscsim::kvm_backend::lab {

struct Boot {
  const LabTarget& target;
  const KernelFiles& kernel;
  const EmulatorFiles& emulator;
  const std::filesystem::path& init;
  const std::string& jobs;
  const MachineSpec& spec;
  const std::filesystem::path& scratch;

  std::filesystem::path initrd() const { return scratch / "initrd"; }
  std::filesystem::path console() const { return scratch / "console"; }
  std::filesystem::path emulator_log() const { return scratch / "emulator"; }
};

struct Ended {
  ProcessEnd process;
  bool as_it_should = false;  // the guest itself ended the machine, and said that all is well
  bool interrupted = false;   // and was killed; `results` holds what it had said by then
  std::string results;
};

std::string kernel_command_line(const MachineSpec& spec);

// The console says that the kernel will not get any further.
bool is_hopeless(const Boot& boot);

}  // namespace tscsim::kvm_backend::lab

// What one boot of a lab machine said through its result port, sorted out (protocol.h tells the lines).
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "kvm_backend/guest_code/guest_memory.h"
#include "kvm_backend/probe.h"
#include "ops/error.h"
#include "ops/recording.h"

namespace tscsim::kvm_backend::lab {

// What became of one program: a recording, or input that turned out to be wrong when it ran, or a failure.
struct LabResult {
  std::optional<ops::Recording> recording;
  std::optional<ops::Diagnostic> wrong_input;
  std::string failure;               // of the target, when there is neither of the two
  bool begun = true;                 // false: the machine did not come up, so the failure is not the program's
  bool interrupted = false;          // it did not run to its end, because the run was interrupted
  std::map<int, MemoryImage> saved;  // the guest's memory, by the host that put it aside
};

// A shell command's output, when the machine has ended, and its exit status.
struct CommandEnd {
  std::string output;
  int status = 0;
};

struct Heard {
  std::vector<LabResult> results;  // of the programs that were begun
  std::vector<Finding> findings;
  std::optional<CommandEnd> command;
  std::string observed;  // of the machine's own kernel
  std::string emulator;  // as it calls itself
  std::string log;
  bool done = false;
};

Heard hear(const std::string& results);

}  // namespace tscsim::kvm_backend::lab

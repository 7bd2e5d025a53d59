// Records the time-related KVM calls of a command that is not ours, in one of two ways: a library preloaded into it, which
// sees everything from inside and costs least, or ptrace, which also sees static programs and ones that run already.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "tracer/assemble.h"

namespace tscsim::tracer {

enum class Way : std::uint8_t { shim, ptrace };

struct Order {
  std::vector<std::string> command;  // empty: attach to `pid`
  pid_t pid = 0;
  bool output_to_stderr = false;                   // the command's standard output; ours belongs to somebody else
  std::filesystem::path shim;                      // libtscsim-trace.so
  std::function<void(const std::string&)> notice;  // one line each; may be empty
  const std::atomic<bool>* interrupted = nullptr;  // then the command is asked to end, and what was seen is kept
};

// How a command ended: exited with `status`, or was killed by `signal`.
struct CommandEnd {
  bool known = false;  // false: it runs on (attached, or it would not end when asked)
  int status = 0;
  int signal = 0;
};

struct Witnessed {
  Seen seen;
  CommandEnd end;
  std::string cut;  // why it is not the whole; empty: it is
};

// Throws ops::InputError when the command cannot be started, ops::TargetError when this machine does not allow it.
Witnessed record_by_shim(const Order& order);
Witnessed record_by_ptrace(const Order& order);

// Where the shell would find the program; empty when nowhere.
std::filesystem::path find_program(const std::string& name);

// Whether anything can be preloaded into it: not into a static program, nor into one that runs with other rights than
// ours. Scripts count as their interpreter.
bool can_preload(const std::filesystem::path& program);

}  // namespace tscsim::tracer

// Runs another program and never waits for it in vain: a time limit, an interrupt, and no child that outlives
// us.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace tscsim::kvm_backend::lab {

struct ProcessSpec {
  std::vector<std::string> argv;         // argv[0] is looked up in PATH
  std::vector<std::string> environment;  // "NAME=value", added to ours
  std::string directory;                 // empty: ours
  std::string input_file;                // empty: /dev/null
  std::string output_file;               // empty: /dev/null
  std::string error_file;                // empty: our standard error; may be output_file
  bool without_network = false;          // where the system lets us
  std::chrono::milliseconds limit{600'000};
  std::chrono::milliseconds cpu_limit = std::chrono::milliseconds::max();  // of the process's own CPU time
  const std::atomic<bool>* interrupted = nullptr;                          // may be null
  std::function<bool()> hopeless;  // asked several times a second while it runs; true ends it; may be empty
};

struct ProcessEnd {
  int status = 0;          // exit status; 128 + N after signal N; 127 when it could not be started
  bool timed_out = false;  // killed at a limit
  std::chrono::milliseconds taken{0}, cpu_taken{0};  // the second is known when it was killed
};

// Throws ops::Interrupted (the process is dead by then), ops::TargetError when no process can be made.
ProcessEnd run_process(const ProcessSpec& spec);

// The path of `program` in PATH; empty when there is none.
std::string find_program(const std::string& program);

}  // namespace tscsim::kvm_backend::lab

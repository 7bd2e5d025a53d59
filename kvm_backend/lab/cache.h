// The user's cache of kernels and emulators: fetched once, complete or absent, shared by all targets that
// need them.
#pragma once

#include <atomic>
#include <filesystem>
#include <string>
#include <vector>

#include "kvm_backend/lab/apt.h"
#include "kvm_backend/lab/targets.h"

namespace tscsim::kvm_backend::lab {

struct KernelFiles {
  std::filesystem::path vmlinux;
  std::filesystem::path modules;          // folder
  std::vector<std::string> module_order;  // file names
  std::string package;                    // where it came from
};

// A program that was unpacked, not installed: it runs with its own loader and libraries. `command` is what
// comes before its own arguments.
struct EmulatorFiles {
  std::vector<std::string> command;
  std::vector<std::string> environment;  // "NAME=value"
  std::filesystem::path root;            // of the unpacked tree; empty: the system's own program
};

class Cache {
 public:
  // Default folder: $TSCSIM_LAB_CACHE, else $XDG_CACHE_HOME/tscsim/lab, else ~/.cache/tscsim/lab.
  explicit Cache(Notice notice = {}, const std::atomic<bool>* interrupted = nullptr);

  const std::filesystem::path& folder() const { return folder_; }
  bool has_kernel(const LabTarget& target) const;
  bool has_emulator(Emulator emulator) const;

  // Fetch what is missing. Throw ops::TargetError with the reason when it cannot be had.
  KernelFiles kernel(const LabTarget& target);
  EmulatorFiles emulator(Emulator emulator);
  std::filesystem::path busybox();  // the program, statically linked

 private:
  class Lock;
  std::filesystem::path kernel_folder(const LabTarget& target) const;
  std::filesystem::path emulator_folder(Emulator emulator) const;
  void fetch_kernel(const LabTarget& target);
  void fetch_emulator(Emulator emulator);

  std::filesystem::path folder_;
  Notice notice_;
  const std::atomic<bool>* interrupted_;
};

}  // namespace tscsim::kvm_backend::lab

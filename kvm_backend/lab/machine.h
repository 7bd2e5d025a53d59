// One emulated machine, from power-on to power-off.
#pragma once

#include <atomic>
#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "kvm_backend/lab/bring.h"
#include "kvm_backend/lab/cache.h"
#include "kvm_backend/lab/targets.h"
#include "ops/linux_recording.h"

namespace tscsim::kvm_backend::lab {

enum class Mode {
  exact,  // time counts instructions: two boots give the same bytes
  noisy,  // time is this machine's, as on a real host
};

struct MachineSpec {
  Mode mode = Mode::exact;
  int cpus = 1;                             // QEMU 7.2 hangs with two of them in exact mode
  std::uint32_t tsc_khz = 0;                // as the kernel sees it; 0: what it measures
  std::int64_t realtime_s = 1'704'067'200;  // Unix time at power-on, in exact mode
  std::string clocksource = "tsc";
  bool tsc_unstable = false;  // the kernel is told so; it then chooses another clocksource
  std::optional<ops::LinuxMachine>
      observed;  // the machine's own kernel is what is looked at; it is told nothing of its clocks
  std::uint32_t memory_mib = 256;
  std::filesystem::path busybox;  // put there as /bin/busybox; empty: not
  std::vector<BroughtFile> files;
  // Of the emulator's CPU time, so that a busy host ends nothing; it may take kPatience times as long.
  std::chrono::milliseconds limit{120'000};
  const std::atomic<bool>* interrupted = nullptr;
  friend bool operator==(const MachineSpec&, const MachineSpec&) = default;
};

inline constexpr int kPatience = 10;

struct MachineEnd {
  std::string results;       // all that came through the result port
  std::string trouble;       // how it ended, when not as it should, with the console's tail; else empty
  bool interrupted = false;  // it was killed; what had come through the port by then is there
  std::chrono::milliseconds taken{0};
};

// `jobs`: protocol.h. `scratch` is a folder of this boot's own. Throws ops::TargetError when the machine
// cannot even be started.
MachineEnd boot_machine(const LabTarget& target, const KernelFiles& kernel, const EmulatorFiles& emulator,
                        const std::filesystem::path& init, const std::string& jobs, const MachineSpec& spec,
                        const std::filesystem::path& scratch);

}  // namespace tscsim::kvm_backend::lab

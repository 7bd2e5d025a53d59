#include "kvm_backend/lab/lab.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <semaphore>
#include <sstream>
#include <thread>

#include "base/interrupt.h"
#include "base/resources.h"
#include "kvm_backend/lab/cache.h"
#include "kvm_backend/lab/files.h"
#include "kvm_backend/lab/protocol.h"
#include "kvm_backend/lab/shared_machines.h"
#include "ops/executor.h"

namespace tscsim::kvm_backend::lab {
namespace {

namespace fs = std::filesystem;

// As the kernel is told, and keeps: a value within 1 % of what it measures against the timers (1 GHz under
// QEMU, 50 MHz under Bochs) would be "refined". Bochs passes idle time in steps of a few cycles, so that
// fewer make waiting shorter.
constexpr std::uint32_t kQemuTscKhz = 2'000'000, kBochsTscKhz = 1'000'000;
// A program of this machine, such as another VMM, is unpacked into memory and takes its time under emulation.
constexpr std::uint32_t kMemoryForPrograms_mib = 1024;
constexpr int kPatienceForPrograms = 5;
constexpr std::chrono::milliseconds kQemuLimit{60'000}, kBochsLimit{240'000}, kJobLimit{20'000};

fs::path init_path(const LabOptions& options) {
  return options.init.empty() ? base::companion("tscsim-init") : options.init;
}

// No more machines at once than there are CPUs for them.
class MachineSlot {
 public:
  MachineSlot() { slots().acquire(); }
  ~MachineSlot() { slots().release(); }
  MachineSlot(const MachineSlot&) = delete;
  MachineSlot& operator=(const MachineSlot&) = delete;

 private:
  static std::counting_semaphore<>& slots() {
    static std::counting_semaphore<> slots(std::max(1u, std::thread::hardware_concurrency()));
    return slots;
  }
};

// What a machine had done when it was interrupted is kept.
Heard heard_in_time(const std::string& results) {
  const base::Grace grace(std::chrono::milliseconds{700});
  return hear(results);
}

std::string purpose_of(const Jobs& jobs) {
  if (jobs.jobs.empty()) return "";
  return fmt::format(" for {} program{}", jobs.jobs.size(), jobs.jobs.size() == 1 ? "" : "s");
}

class Lab {
 public:
  Lab(const LabTarget& target, const LabOptions& options)
      : target_(target), options_(options), cache_(options.notice, options.machine.interrupted) {
    init_ = init_path(options);
    emulator_ = cache_.emulator(target.emulator);
    kernel_ = cache_.kernel(target);
  }

  fs::path busybox() const { return Cache(options_.notice, options_.machine.interrupted).busybox(); }

  Booted boot(const Jobs& jobs, MachineSpec spec) const {
    const MachineSlot slot;
    if (spec.interrupted != nullptr && *spec.interrupted) return {{}, "", true};
    const ScratchFolder scratch;
    spec.limit += kJobLimit * static_cast<int>(jobs.jobs.size());
    if (options_.notice)
      options_.notice(fmt::format("lab:{}: booting {}{}", target_.name, kernel_.package, purpose_of(jobs)));
    const MachineEnd end = boot_machine(target_, kernel_, emulator_, init_, to_text(jobs), spec, scratch.path());
    Heard heard = heard_in_time(end.results);
    if (options_.notice)
      options_.notice(
          fmt::format("lab:{}: ran for {}.{} s", target_.name, end.taken.count() / 1000, end.taken.count() / 100 % 10));
    if (options_.notice && !heard.log.empty())
      options_.notice(fmt::format("lab:{}: in the machine:\n{}", target_.name, heard.log));
    if (end.interrupted) return {std::move(heard), "", true};
    std::string trouble = end.trouble;
    if (trouble.empty() && (!heard.done || heard.results.size() != jobs.jobs.size()))
      trouble = "the machine ended before its jobs did\n";
    if (!trouble.empty()) trouble = fmt::format("lab:{}: {}{}", target_.name, trouble, heard.log);
    return {std::move(heard), trouble, false};
  }

  // For jobs that are worth nothing when they are not done. Throws ops::Interrupted.
  Booted boot_to_end(const Jobs& jobs, MachineSpec spec) const {
    Booted booted = boot(jobs, std::move(spec));
    if (booted.interrupted) throw ops::Interrupted();
    return booted;
  }

  const std::string& package() const { return kernel_.package; }

  Jobs jobs() const { return jobs_for({target_, options_}); }

 private:
  const LabTarget& target_;
  const LabOptions& options_;
  Cache cache_;
  fs::path init_;
  EmulatorFiles emulator_;
  KernelFiles kernel_;
};

}  // namespace

LabOptions default_lab_options(const LabTarget& target, Mode mode) {
  LabOptions options;
  const bool qemu = target.emulator == Emulator::qemu;
  options.machine.mode = mode;
  // Without instruction counting the TSC is this machine's, whatever the kernel is told.
  if (mode == Mode::exact) options.machine.tsc_khz = qemu ? kQemuTscKhz : kBochsTscKhz;
  options.machine.limit = qemu ? kQemuLimit : kBochsLimit;
  return options;
}

std::vector<LabResult> run_in_lab(const std::vector<LabPlace>& places, const std::vector<ops::Program>& programs) {
  return run_on_shared_machines(places, programs, [](const LabPlace& place) {
    return [lab = std::make_shared<Lab>(place.target, place.options)](const Jobs& jobs, const MachineSpec& spec) {
      return lab->boot(jobs, spec);
    };
  });
}

CommandEnd command_in_lab(const LabTarget& target, const std::string& command, const LabOptions& options,
                          const std::vector<std::string>& bring) {
  const Lab lab(target, options);
  Jobs jobs = lab.jobs();
  jobs.command = command;
  MachineSpec spec = options.machine;
  spec.busybox = lab.busybox();
  spec.files = files_to_bring(bring);
  if (!spec.files.empty()) {
    spec.memory_mib = kMemoryForPrograms_mib;
    spec.limit *= kPatienceForPrograms;
  }
  auto [heard, trouble, interrupted] = lab.boot_to_end(jobs, spec);
  if (!heard.command) throw ops::TargetError(trouble);
  return *heard.command;
}

ops::LinuxRecording observe_in_lab(const LabTarget& target, const ops::LinuxExperiment& experiment,
                                   const LabOptions& options) {
  if (target.emulator != Emulator::bochs)
    throw ops::TargetError(
        fmt::format("lab:{}: QEMU ignores a write of IA32_TSC\n  mend: name lab:intel-{}", target.name, target.kernel));
  const Lab lab(target, options);
  Jobs jobs = lab.jobs();
  jobs.experiment = experiment;
  MachineSpec spec = options.machine;
  spec.observed = experiment.machine;
  spec.cpus = experiment.machine.cpus;
  spec.limit *= spec.cpus;
  auto [heard, trouble, interrupted] = lab.boot_to_end(jobs, spec);
  if (!trouble.empty()) throw ops::TargetError(trouble);
  std::istringstream lines(heard.observed);
  ops::LinuxRecording recording = ops::read_linux_recording(lines, "lab:" + target.name);
  recording.header.emulator = heard.emulator;
  recording.header.package = lab.package();
  return recording;
}

std::vector<Finding> doctor_in_lab(const LabTarget& target, const LabOptions& options) {
  Lab lab(target, options);
  Jobs jobs = lab.jobs();
  jobs.doctor = true;
  auto [heard, trouble, interrupted] = lab.boot_to_end(jobs, options.machine);
  if (!trouble.empty()) throw ops::TargetError(trouble);
  return heard.findings;
}

}  // namespace tscsim::kvm_backend::lab

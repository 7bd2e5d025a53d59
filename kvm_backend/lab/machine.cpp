#include "kvm_backend/lab/machine.h"

#include <fmt/format.h>

#include <set>

#include "kvm_backend/lab/bochs.h"
#include "kvm_backend/lab/cpio.h"
#include "kvm_backend/lab/files.h"
#include "kvm_backend/lab/qemu.h"

namespace tscsim::kvm_backend::lab {
namespace {

constexpr std::size_t kTailLines = 25;

// With all folders above it, each once.
void add_folder(CpioWriter& archive, std::set<std::filesystem::path>& made, const std::filesystem::path& folder) {
  if (folder.empty() || !made.insert(folder).second) return;
  add_folder(archive, made, folder.parent_path());
  archive.add_directory(folder.string());
}

std::string initramfs(const Boot& boot) {
  CpioWriter archive;
  std::set<std::filesystem::path> folders;
  for (const char* folder : {"dev", "proc", "sys", "modules", "tmp"}) add_folder(archive, folders, folder);
  archive.add_file("init", read_file(boot.init), true);
  std::string order;
  for (const std::string& module : boot.kernel.module_order) {
    if (boot.spec.observed && module != "msr.ko") continue;
    archive.add_file("modules/" + module, read_file(boot.kernel.modules / module));
    order += module + "\n";
  }
  archive.add_file("modules/order", order);
  if (!boot.spec.busybox.empty()) {
    add_folder(archive, folders, "bin");
    archive.add_file("bin/busybox", read_file(boot.spec.busybox), true);
  }
  for (const BroughtFile& file : boot.spec.files) {
    const std::filesystem::path path = file.path.relative_path();
    add_folder(archive, folders, path.parent_path());
    archive.add_file(path.string(), read_file(file.source), true);
  }
  if (boot.target.emulator == Emulator::bochs) archive.add_file("jobs", boot.jobs);
  return archive.finish();
}

}  // namespace

std::string kernel_command_line(const MachineSpec& spec) {
  std::string line =
      "quiet nokaslr mitigations=off panic=-1 console=ttyS0 apparmor=0 audit=0 cryptomgr.notests "
      "no_timer_check "
      "i8042.nokbd i8042.noaux";
  // A line on the serial console takes milliseconds of the machine's time, in the middle of what is looked at.
  if (spec.observed) return fmt::format("{} loglevel=1 {}", line, spec.observed->options);
  line += spec.tsc_unstable ? " tsc=unstable" : " tsc=reliable";
  line += fmt::format(" clocksource={}", spec.clocksource);
  if (spec.tsc_khz != 0) line += fmt::format(" tsc_early_khz={}", spec.tsc_khz);
  return line;
}

bool is_hopeless(const Boot& boot) {
  const std::string console = tail_of(boot.console(), 40);
  const auto says = [&](const char* words) { return console.find(words) != std::string::npos; };
  if (boot.spec.observed) return says("Kernel panic");
  return says("Kernel panic") || says("BUG: soft lockup") || says("rcu_preempt detected stalls");
}

MachineEnd boot_machine(const LabTarget& target, const KernelFiles& kernel, const EmulatorFiles& emulator,
                        const std::filesystem::path& init, const std::string& jobs, const MachineSpec& spec,
                        const std::filesystem::path& scratch) {
  const Boot boot{target, kernel, emulator, init, jobs, spec, scratch};
  write_file(boot.initrd(), initramfs(boot));
  const Ended ended = target.emulator == Emulator::qemu ? boot_qemu(boot) : boot_bochs(boot);
  MachineEnd end{ended.results, "", ended.interrupted, ended.process.taken};
  if (ended.as_it_should || ended.interrupted) return end;
  if (ended.process.timed_out)
    end.trouble = fmt::format(
        "the machine did not end within {} s of CPU time and was stopped ({} s used, {} s on the clock)",
        spec.limit.count() / 1000, ended.process.cpu_taken.count() / 1000, ended.process.taken.count() / 1000);
  else if (is_hopeless(boot)) end.trouble = "the machine's kernel died or hung";
  else end.trouble = fmt::format("the machine ended with status {}", ended.process.status);
  const std::string said = tail_of(boot.emulator_log(), kTailLines), console = tail_of(boot.console(), kTailLines);
  if (!said.empty()) end.trouble += "\n  the emulator said:\n" + said;
  end.trouble += console.empty() ? "\n  its console is empty\n" : "\n  the end of its console:\n" + console;
  return end;
}

}  // namespace tscsim::kvm_backend::lab

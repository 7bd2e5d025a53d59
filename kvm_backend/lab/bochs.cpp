#include "kvm_backend/lab/bochs.h"

#include <fmt/format.h>

#include "kvm_backend/lab/bochs_boot.h"
#include "kvm_backend/lab/files.h"
#include "kvm_backend/lab/protocol.h"
#include "ops/executor.h"

namespace tscsim::kvm_backend::lab {
namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t kMemoryMib = 512;
constexpr std::uint32_t kInstructionsPerSecond = 50'000'000;  // of the machine's own time, not of ours

// skylake_x is the newest model with VMX and TSC scaling that boots every kernel of the
// table. RDRAND is not repeatable. With IA32_TSC_ADJUST of its own, the host's kernel would undo what happens to its
// TSC (tsc_verify_tsc_adjust()); the guests' is KVM's and stays.
//
// A kernel that is looked at gets a haswell, which states no rate of its TSC: skylake_x states 3.5 GHz and ticks at another.
// Without the deadline mode its timer goes on whatever happens to the TSC.
std::string processor(const MachineSpec& spec) {
  if (!spec.observed)
    return fmt::format("model=corei7_skylake_x, count={}, exclude_features=\"rdrand, rdseed, tsc_adjust\"", spec.cpus);
  const ops::LinuxMachine& machine = *spec.observed;
  return fmt::format("model=corei7_haswell_4770, count={}:{}:1, exclude_features=\"rdrand, tsc_deadline{}\"",
                     machine.packages ? machine.cpus : 1, machine.packages ? 1 : machine.cpus,
                     machine.tsc_adjust ? "" : ", tsc_adjust");
}

// The Debian build needs some display: this one waits for no viewer.
std::string configuration(const Boot& boot) {
  const fs::path share = boot.emulator.root / "usr/share/bochs";
  std::string text =
      "config_interface: textconfig\n"
      "plugin_ctrl: unmapped=1, speaker=0, parallel=0, gameport=0\n"
      "display_library: rfb, options=\"timeout=0\"\n"
      "boot: disk\n"
      "port_e9_hack: enabled=1\n"
      "panic: action=fatal\nerror: action=ignore\ninfo: action=ignore\ndebug: action=ignore\n";
  text += fmt::format("cpu: {}, ips={}, reset_on_triple_fault=0, ignore_bad_msrs=1\n", processor(boot.spec),
                      kInstructionsPerSecond);
  text += fmt::format("memory: guest={0}, host={0}\n", kMemoryMib);
  text += fmt::format("romimage: file=\"{}\", options=fastboot\n", (share / "BIOS-bochs-latest").string());
  text += fmt::format("vgaromimage: file=\"{}\"\n", (share / "VGABIOS-lgpl-latest").string());
  text +=
      fmt::format("ata0-master: type=disk, mode=flat, path=\"{}\", cylinders=0\n", (boot.scratch / "disk").string());
  text += fmt::format("clock: sync={}, time0={}\n", boot.spec.mode == Mode::exact ? "none" : "realtime",
                      boot.spec.mode == Mode::exact ? std::to_string(boot.spec.realtime_s) : "utc");
  text += fmt::format("com1: enabled=1, mode=file, dev=\"{}\"\n", boot.console().string());
  text += fmt::format("log: \"{}\"\n", boot.emulator_log().string());
  return text;
}

}  // namespace

Ended boot_bochs(const Boot& boot) {
  // A panic must not reboot, for the disk would boot again; it is seen on the console.
  const bool hpet = boot.spec.observed && boot.spec.observed->hpet;
  const std::string command_line =
      kernel_command_line(boot.spec) + " panic=0 nox2apic edd=off" + (hpet ? "" : " hpet=disable");
  write_file(boot.scratch / "disk",
             boot_disk(flatten(read_file(boot.kernel.vmlinux)), read_file(boot.initrd()), command_line));
  write_file(boot.scratch / "bochsrc", configuration(boot));
  ProcessSpec process;
  process.argv = boot.emulator.command;
  for (const fs::path& word : {fs::path("-q"), fs::path("-f"), boot.scratch / "bochsrc"}) process.argv.push_back(word);
  process.environment = boot.emulator.environment;
  process.output_file = boot.scratch / "results";
  process.error_file = boot.scratch / "stderr";
  process.cpu_limit = boot.spec.limit;
  process.limit = kPatience * boot.spec.limit;
  process.interrupted = boot.spec.interrupted;
  process.hopeless = [&] { return is_hopeless(boot); };
  process.without_network = true;
  Ended ended;
  try {
    ended.process = run_process(process);
  } catch (const ops::Interrupted&) {
    ended.interrupted = true;
  }
  ended.results = read_file(process.output_file);
  // It ends with status 1 on a "Shutdown", too, so the last line has to say it.
  ended.as_it_should = ended.results.find("{\"type\":\"done\"}") != std::string::npos;
  return ended;
}

}  // namespace tscsim::kvm_backend::lab

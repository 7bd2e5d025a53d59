#include "kvm_backend/lab/qemu.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "kvm_backend/lab/files.h"
#include "kvm_backend/lab/protocol.h"
#include "ops/executor.h"

namespace tscsim::kvm_backend::lab {
namespace {

// In exact mode one instruction takes 2^3 virtual ns: a good middle between narrow brackets and speed.
constexpr int kIcountShift = 3;

std::string in_quotes_free(const std::filesystem::path& path) {
  // A comma ends an option's value in QEMU; doubled, it stands for itself.
  std::string text;
  for (const char c : path.string()) text += c == ',' ? std::string(",,") : std::string(1, c);
  return text;
}

// Time counts instructions. When the guest's CPU is halted, QEMU's main loop moves time on to the next timer. It may be
// awake at any moment, and it takes the CPU for halted as soon as HLT has run, when the CPU's thread has not yet added
// what it ran since its last input or output: the timer then fires that much too late (QEMU 7.2 and 10.0, softmmu or
// accel/tcg, icount_start_warp_timer() against rr_cpu_thread_fn(); docs/lab.md). While QEMU records, one lock keeps the
// main loop out from the guest's first instruction until all are counted. The record itself is of no use to us.
void add_exact_time(const MachineSpec& spec, std::vector<std::string>& argv) {
  for (const std::string& word :
       {std::string("-icount"), fmt::format("shift={},sleep=off,rr=record,rrfile=/dev/null", kIcountShift),
        std::string("-seed"), std::string("1"), std::string("-rtc"),
        fmt::format("base={:%Y-%m-%dT%H:%M:%S},clock=vm", fmt::gmtime(static_cast<std::time_t>(spec.realtime_s)))})
    argv.push_back(word);
}

std::vector<std::string> command_of(const Boot& boot, const std::filesystem::path& jobs,
                                    const std::filesystem::path& results) {
  const MachineSpec& spec = boot.spec;
  std::vector<std::string> argv = boot.emulator.command;
  const auto add = [&](std::initializer_list<std::string> words) { argv.insert(argv.end(), words); };
  if (!boot.emulator.root.empty())
    for (const char* share : {"usr/share/qemu", "usr/share/seabios"}) add({"-L", boot.emulator.root / share});
  add({"-nodefaults", "-no-user-config", "-display", "none", "-monitor", "none", "-no-reboot", "-M", "pc"});
  // One thread: QEMU 7.2 loses kernel 7.2 with several. The features are hidden (TCG has no invariant TSC to
  // promise, only one that is) unless forced; without them KVM would treat the host's TSC as unstable. RDRAND
  // is not repeatable.
  add({"-accel", "tcg,thread=single", "-cpu", "max,-rdrand,-rdseed,+invtsc,x-force-features=on"});
  add({"-smp", std::to_string(spec.cpus), "-m", std::to_string(spec.memory_mib)});
  add({"-kernel", boot.kernel.vmlinux, "-initrd", boot.initrd(), "-append", kernel_command_line(spec)});
  add({"-serial", "file:" + in_quotes_free(boot.console())});
  add({"-chardev", fmt::format("file,id=results,path={}", in_quotes_free(results)), "-device",
       fmt::format("isa-debugcon,chardev=results,iobase={:#x}", kResultPort)});
  add({"-device", fmt::format("isa-debug-exit,iobase={:#x},iosize=4", kExitPort)});
  add({"-fw_cfg", fmt::format("name={},file={}", kJobsFwCfgName, in_quotes_free(jobs))});
  if (spec.mode == Mode::exact) add_exact_time(spec, argv);
  return argv;
}

}  // namespace

Ended boot_qemu(const Boot& boot) {
  const std::filesystem::path jobs = boot.scratch / "jobs", results = boot.scratch / "results";
  write_file(jobs, boot.jobs);
  write_file(results, "");
  ProcessSpec process;
  process.argv = command_of(boot, jobs, results);
  process.environment = boot.emulator.environment;
  process.output_file = process.error_file = boot.emulator_log();
  process.cpu_limit = boot.spec.limit;
  process.limit = kPatience * boot.spec.limit;
  process.interrupted = boot.spec.interrupted;
  process.hopeless = [&] { return is_hopeless(boot); };
  Ended ended;
  try {
    ended.process = run_process(process);
  } catch (const ops::Interrupted&) {
    ended.interrupted = true;
  }
  ended.results = read_file(results);
  ended.as_it_should = ended.process.status == qemu_status(kExitDone);
  return ended;
}

}  // namespace tscsim::kvm_backend::lab

#include "kvm_backend/lab/lab.h"

#include <fmt/format.h>

#include <algorithm>
#include <future>
#include <nlohmann/json.hpp>
#include <semaphore>
#include <span>
#include <sstream>
#include <thread>

#include "kvm_backend/lab/cache.h"
#include "kvm_backend/lab/files.h"
#include "kvm_backend/lab/protocol.h"

namespace tscsim::kvm_backend::lab {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

// As the kernel is told, and keeps: a value within 1 % of what it measures against the timers (1 GHz under
// QEMU, 50 MHz under Bochs) would be "refined". Bochs passes idle time in steps of a few cycles, so that
// fewer make waiting shorter.
constexpr std::uint32_t kQemuTscKhz = 2'000'000, kBochsTscKhz = 1'000'000;
// Outside of this a kernel does not boot on such a TSC, or takes for ever.
constexpr std::uint32_t kLowestTscKhz = 500'000, kHighestTscKhz = 5'000'000;
// What an exact machine returns depends on what it ran before, so parts must not depend on how many CPUs there are.
constexpr std::size_t kProgramsOfOneBoot = 50;
constexpr int kMostCpus = 4;
// A program of this machine, such as another VMM, is unpacked into memory and takes its time under emulation.
constexpr std::uint32_t kMemoryForPrograms_mib = 1024;
constexpr int kPatienceForPrograms = 5;
constexpr std::chrono::milliseconds kQemuLimit{60'000}, kBochsLimit{240'000}, kJobLimit{20'000};

fs::path init_path(const LabOptions& options) {
  const fs::path beside = fs::read_symlink("/proc/self/exe").parent_path() / "tscsim-init";
  const fs::path path = options.init.empty() ? beside : options.init;
  if (!fs::exists(path))
    throw ops::TargetError(fmt::format("{} is missing: the lab's /init, built with tscsim", path.string()));
  return path;
}

// What one boot said, sorted out.
struct Heard {
  std::vector<LabResult> results;  // of the programs that were begun
  std::vector<Finding> findings;
  std::optional<CommandEnd> command;
  std::string observed;  // of the machine's own kernel
  std::string emulator;  // as it calls itself
  std::string log;
  bool done = false;
};

ops::Diagnostic diagnostic_from(const Json& line) {
  ops::Diagnostic diagnostic;
  diagnostic.message = line.at("message").get<std::string>();
  diagnostic.mend = line.at("mend").get<std::string>();
  diagnostic.place = {line.at("file").get<std::string>(), line.at("line").get<int>(),
                      line.at("column").get<int>()};
  return diagnostic;
}

class Listener {
 public:
  Heard hear(const std::string& results) {
    std::istringstream lines(results);
    for (std::string line; std::getline(lines, line);)
      if (line.rfind("{\"type\":", 0) == 0) take(line);
      else hear_emulator(line);
    return std::move(heard_);
  }

 private:
  // Bochs says more than the results on its standard output: first of all a banner.
  void hear_emulator(const std::string& line) {
    const std::size_t at = line.find("Bochs x86 Emulator");
    if (at != std::string::npos && heard_.emulator.empty()) heard_.emulator = line.substr(at);
  }

  void take(const std::string& line) {
    const Json json = Json::parse(line, nullptr, false);
    if (json.is_discarded()) return;  // cut by the machine's death
    const std::string type = json.at("type").get<std::string>();
    if (type == "job") heard_.results.emplace_back(), recording_.clear();
    if (type == "header" || type == "entry" || type == "end") recording_ += line + "\n";
    if (type == "end" && !heard_.results.empty()) take_recording();
    if (type == "memory" && !heard_.results.empty())
      heard_.results.back().saved[json.at("host").get<int>()] = read_memory(json.at("lines"));
    if (type == "failed" && !heard_.results.empty()) take_failure(json);
    if (type == "linux" || type == "step" || type == "sample" || type == "look" || type == "linux-end") heard_.observed += line + "\n";
    if (type == "doctor")
      for (const Json& f : json.at("findings"))
        heard_.findings.push_back({f.at("name"), f.at("value"), f.at("note")});
    if (type == "command") heard_.command = {json.at("output").get<std::string>(), json.at("status").get<int>()};
    if (type == "log") heard_.log += "  " + json.at("text").get<std::string>() + "\n";
    if (type == "done") heard_.done = true;
  }

  void take_recording() {
    std::istringstream in(recording_);
    heard_.results.back().recording = ops::read_json_lines(in, "lab");
  }

  void take_failure(const Json& json) {
    if (json.at("kind") == "input")
      heard_.results.back().wrong_input = diagnostic_from(json);
    else
      heard_.results.back().failure = json.at("message").get<std::string>();
  }

  Heard heard_;
  std::string recording_;
};

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

// With TSCs apart the kernel comes to take them for unstable, and another program would find another host.
bool spoils_host(const ops::Program& program) {
  return std::any_of(program.timeline.begin(), program.timeline.end(), [](const ops::Step& step) {
    return step.op.kind == ops::OpKind::jump_host_tsc && step.op.pcpu != ops::kAllPcpus;
  });
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

  // The second is the report when the machine did not end as it should.
  std::pair<Heard, std::string> boot(const Jobs& jobs, MachineSpec spec) const {
    const MachineSlot slot;
    const ScratchFolder scratch;
    spec.limit += kJobLimit * static_cast<int>(jobs.jobs.size());
    if (options_.notice)
      options_.notice(fmt::format("lab:{}: booting {}{}", target_.name, kernel_.package, purpose_of(jobs)));
    const MachineEnd end =
        boot_machine(target_, kernel_, emulator_, init_, to_text(jobs), spec, scratch.path());
    Heard heard = Listener().hear(end.results);
    if (options_.notice)
      options_.notice(fmt::format("lab:{}: ran for {}.{} s", target_.name, end.taken.count() / 1000,
                                  end.taken.count() / 100 % 10));
    if (options_.notice && !heard.log.empty()) options_.notice(fmt::format("lab:{}: in the machine:\n{}", target_.name, heard.log));
    std::string trouble = end.trouble;
    if (trouble.empty() && !heard.done) trouble = "the machine ended before its jobs did\n";
    if (!trouble.empty()) trouble = fmt::format("lab:{}: {}{}", target_.name, trouble, heard.log);
    return {std::move(heard), trouble};
  }

  const std::string& package() const { return kernel_.package; }

  Jobs jobs() const {
    Jobs jobs;
    jobs.target = "lab:" + target_.name;
    jobs.seed = options_.seed;
    jobs.trace = options_.trace;
    return jobs;
  }

 private:
  const LabTarget& target_;
  const LabOptions& options_;
  Cache cache_;
  fs::path init_;
  EmulatorFiles emulator_;
  KernelFiles kernel_;
};

// All hosts of all programs: first every program's host 0, then every host 1, and so on.
class LabRun {
 public:
  LabRun(const std::vector<LabPlace>& places, const std::vector<ops::Program>& programs)
      : places_(places), programs_(programs), results_(programs.size()) {}

  std::vector<LabResult> run() {
    std::size_t hosts = 0;
    for (std::size_t i = 0; i < programs_.size(); ++i) {
      refuse_impossible(i);
      hosts = std::max(hosts, programs_[i].hosts.size());
    }
    for (std::size_t host = 0; host < hosts; ++host) run_hosts(static_cast<int>(host));
    return std::move(results_);
  }

 private:
  void refuse_impossible(std::size_t i) {
    results_[i].wrong_input = ops::obstacle_to_turns(programs_[i]);
    const std::size_t hosts = programs_[i].hosts.size();
    if (places_.size() == 1 || hosts <= places_.size()) return;
    results_[i].wrong_input.emplace();
    results_[i].wrong_input->message = fmt::format("the scenario has {} hosts, the target names {}", hosts, places_.size());
  }

  const LabPlace& place_of(int host) const { return places_[places_.size() == 1 ? 0 : static_cast<std::size_t>(host)]; }

  // Programs that it serves, by number. `spoilt`: by its only one.
  struct Machine {
    MachineSpec spec;
    std::vector<std::size_t> programs;
    bool spoilt = false;
  };

  bool goes_on(std::size_t i, int host) const {
    const LabResult& result = results_[i];
    return static_cast<std::size_t>(host) < programs_[i].hosts.size() && !result.wrong_input && result.failure.empty();
  }

  // Programs that ask for the same machine share it; many are run by several, side by side.
  void run_hosts(int host) {
    std::vector<Machine> machines;
    for (std::size_t i = 0; i < programs_.size(); ++i) {
      if (!goes_on(i, host)) continue;
      const LabPlace& place = place_of(host);
      const MachineSpec spec = machine_for(place.options.machine, place.target.emulator,
                                           programs_[i].hosts[static_cast<std::size_t>(host)]);
      const bool alone = spoils_host(programs_[i]);
      const auto fitting = std::find_if(machines.begin(), machines.end(), [&](const Machine& machine) {
        return !alone && !machine.spoilt && machine.spec == spec;
      });
      if (fitting == machines.end()) machines.push_back({spec, {i}, alone});
      else fitting->programs.push_back(i);
    }
    if (machines.empty()) return;
    const Lab lab(place_of(host).target, place_of(host).options);
    std::vector<std::future<void>> under_way;
    for (const Machine& machine : machines) {
      for (std::span<const std::size_t> rest = machine.programs; !rest.empty();) {
        const auto part = rest.first(std::min(kProgramsOfOneBoot, rest.size()));
        under_way.push_back(std::async(std::launch::async, [this, &lab, &spec = machine.spec, part, host] {
          run_machine(lab, spec, part, host);
        }));
        rest = rest.subspan(part.size());
      }
    }
    for (std::future<void>& part : under_way) part.get();
  }

  // A machine that dies takes one program with it; the rest run in a new one.
  void run_machine(const Lab& lab, const MachineSpec& spec, std::span<const std::size_t> programs, int host) {
    std::size_t done = 0;
    while (done < programs.size()) {
      Jobs jobs = lab.jobs();
      for (std::size_t at = done; at < programs.size(); ++at) jobs.jobs.push_back(job_of(programs[at], host));
      auto [heard, trouble] = lab.boot(jobs, spec);
      if (!trouble.empty() && heard.results.empty()) throw ops::TargetError(trouble);
      for (LabResult& result : heard.results) {
        if (!result.recording && !result.wrong_input && result.failure.empty()) result.failure = trouble;
        result.saved.merge(results_[programs[done]].saved);
        results_[programs[done++]] = std::move(result);
      }
    }
  }

  Job job_of(std::size_t i, int host) const {
    return {programs_[i], host, host == 0 ? std::nullopt : results_[i].recording, results_[i].saved};
  }

  const std::vector<LabPlace>& places_;
  const std::vector<ops::Program>& programs_;
  std::vector<LabResult> results_;
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

MachineSpec machine_for(MachineSpec usual, Emulator emulator, const ops::HostSpec& host) {
  MachineSpec spec = std::move(usual);
  const bool exact = spec.mode == Mode::exact;
  const bool possible = exact && host.tsc_khz >= kLowestTscKhz && host.tsc_khz <= kHighestTscKhz;
  if (host.tsc_khz_written && possible) spec.tsc_khz = host.tsc_khz;
  // QEMU 7.2 hangs at the second CPU when it counts instructions.
  if (!exact || emulator == Emulator::bochs) {
    spec.cpus = std::clamp(static_cast<int>(host.pcpus.size()), 1, kMostCpus);
    spec.limit *= spec.cpus;
  }
  spec.tsc_unstable = host.tsc_unstable;
  if (host.tsc_clocksource) return spec;
  spec.clocksource = "acpi_pm";
  // This clock does not follow the TSC, so the kernel must not be told another rate than the true one.
  if (!host.tsc_khz_written) spec.tsc_khz = 0;
  return spec;
}

std::vector<LabResult> run_in_lab(const std::vector<LabPlace>& places, const std::vector<ops::Program>& programs) {
  return LabRun(places, programs).run();
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
  auto [heard, trouble] = lab.boot(jobs, spec);
  if (!heard.command) throw ops::TargetError(trouble);
  return *heard.command;
}

ops::LinuxRecording observe_in_lab(const LabTarget& target, const ops::LinuxExperiment& experiment, const LabOptions& options) {
  if (target.emulator != Emulator::bochs)
    throw ops::TargetError(fmt::format("lab:{}: QEMU ignores a write of IA32_TSC\n  mend: name lab:intel-{}", target.name, target.kernel));
  const Lab lab(target, options);
  Jobs jobs = lab.jobs();
  jobs.experiment = experiment;
  MachineSpec spec = options.machine;
  spec.observed = experiment.machine;
  spec.cpus = experiment.machine.cpus;
  spec.limit *= spec.cpus;
  auto [heard, trouble] = lab.boot(jobs, spec);
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
  auto [heard, trouble] = lab.boot(jobs, options.machine);
  if (!trouble.empty()) throw ops::TargetError(trouble);
  return heard.findings;
}

}  // namespace tscsim::kvm_backend::lab

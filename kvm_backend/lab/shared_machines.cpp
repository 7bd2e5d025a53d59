#include "kvm_backend/lab/shared_machines.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <span>

#include "ops/executor.h"

namespace tscsim::kvm_backend::lab {
namespace {

// What an exact machine returns depends on what it ran before, so parts must not depend on how many CPUs there are.
constexpr std::size_t kProgramsOfOneBoot = 50;
// Outside of this a kernel does not boot on such a TSC, or takes for ever.
constexpr std::uint32_t kLowestTscKhz = 500'000, kHighestTscKhz = 5'000'000;
constexpr int kMostCpus = 4;

// With TSCs apart the kernel comes to take them for unstable, and another program would find another host.
bool spoils_host(const ops::Program& program) {
  return std::any_of(program.timeline.begin(), program.timeline.end(), [](const ops::Step& step) {
    return step.op.kind == ops::OpKind::jump_host_tsc && step.op.pcpu != ops::kAllPcpus;
  });
}

// All hosts of all programs: first every program's host 0, then every host 1, and so on.
class SharedMachines {
 public:
  SharedMachines(const std::vector<LabPlace>& places, const std::vector<ops::Program>& programs, const Prepare& prepare)
      : places_(places),
        programs_(programs),
        prepare_(prepare),
        results_(programs.size()),
        finished_(programs.size()) {}

  std::vector<LabResult> run() {
    std::size_t hosts = 0;
    for (std::size_t i = 0; i < programs_.size(); ++i) {
      refuse_impossible(i);
      hosts = std::max(hosts, programs_[i].hosts.size());
    }
    for (std::size_t host = 0; host < hosts && !interrupted_; ++host) {
      try {
        run_hosts(static_cast<int>(host));
      } catch (const ops::Interrupted&) {
        if (host == 0) throw;
        interrupted_ = true;
      }
    }
    if (interrupted_) give_up_unfinished();
    return std::move(results_);
  }

 private:
  void refuse_impossible(std::size_t i) {
    results_[i].wrong_input = ops::obstacle_to_turns(programs_[i]);
    const std::size_t hosts = programs_[i].hosts.size();
    if (places_.size() == 1 || hosts <= places_.size()) return;
    results_[i].wrong_input.emplace();
    results_[i].wrong_input->message =
        fmt::format("the scenario has {} hosts, the target names {}", hosts, places_.size());
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

  // A recording of some of a program's hosts is none.
  void give_up_unfinished() {
    for (std::size_t i = 0; i < programs_.size(); ++i) {
      const bool finished = results_[i].recording && finished_[i] == programs_[i].hosts.size();
      if (finished || results_[i].wrong_input || !results_[i].failure.empty()) continue;
      results_[i] = {};
      results_[i].interrupted = true;
    }
  }

  // Programs that ask for the same machine share it; many are run by several, side by side.
  void run_hosts(int host) {
    std::vector<Machine> machines;
    for (std::size_t i = 0; i < programs_.size(); ++i) {
      if (!goes_on(i, host)) continue;
      const LabPlace& place = place_of(host);
      const MachineSpec spec =
          machine_for(place.options.machine, place.target.emulator, programs_[i].hosts[static_cast<std::size_t>(host)]);
      const bool alone = spoils_host(programs_[i]);
      const auto fitting = std::find_if(machines.begin(), machines.end(), [&](const Machine& machine) {
        return !alone && !machine.spoilt && machine.spec == spec;
      });
      if (fitting == machines.end()) machines.push_back({spec, {i}, alone});
      else fitting->programs.push_back(i);
    }
    if (machines.empty()) return;
    const Boot boot = prepare_(place_of(host));
    std::vector<std::future<void>> under_way;
    for (const Machine& machine : machines) {
      for (std::span<const std::size_t> rest = machine.programs; !rest.empty();) {
        const auto part = rest.first(std::min(kProgramsOfOneBoot, rest.size()));
        under_way.push_back(std::async(std::launch::async, [this, &boot, &spec = machine.spec, part, host] {
          run_machine(boot, spec, part, host);
        }));
        rest = rest.subspan(part.size());
      }
    }
    for (std::future<void>& part : under_way) part.get();
    if (interrupted_) return;
    const bool came_up = std::any_of(machines.begin(), machines.end(), [this](const Machine& machine) {
      return std::any_of(machine.programs.begin(), machine.programs.end(),
                         [this](std::size_t i) { return results_[i].begun; });
    });
    if (!came_up) throw ops::TargetError(results_[machines.front().programs.front()].failure);
  }

  // A machine that dies takes one program with it; the rest run in a new one. Should it not come up, all that it was to run
  // has failed.
  void run_machine(const Boot& boot, const MachineSpec& spec, std::span<const std::size_t> programs, int host) {
    std::size_t done = 0;
    while (done < programs.size()) {
      Jobs jobs = jobs_for(place_of(host));
      for (std::size_t at = done; at < programs.size(); ++at) jobs.jobs.push_back(job_of(programs[at], host));
      auto [heard, trouble, interrupted] = boot(jobs, spec);
      if (interrupted) interrupted_ = true;
      if (heard.results.empty()) return interrupted ? void() : give_up(programs.subspan(done), trouble);
      if (heard.results.size() > programs.size() - done)
        throw ops::TargetError("the lab machine told results of programs that it was not given");
      for (LabResult& result : heard.results) {
        const bool ended = result.recording || result.wrong_input || !result.failure.empty();
        if (!ended && interrupted) return;
        if (!ended) result.failure = trouble.empty() ? "the lab machine told no result of this program" : trouble;
        if (result.recording) ++finished_[programs[done]];
        result.saved.merge(results_[programs[done]].saved);
        results_[programs[done++]] = std::move(result);
      }
      if (interrupted) return;
    }
  }

  void give_up(std::span<const std::size_t> programs, const std::string& trouble) {
    for (const std::size_t i : programs) {
      results_[i].failure = trouble;
      results_[i].begun = false;
    }
  }

  Job job_of(std::size_t i, int host) const {
    return {programs_[i], host, host == 0 ? std::nullopt : results_[i].recording, results_[i].saved};
  }

  const std::vector<LabPlace>& places_;
  const std::vector<ops::Program>& programs_;
  const Prepare& prepare_;
  std::vector<LabResult> results_;
  std::vector<std::size_t> finished_;  // on how many of its hosts each program has run to its end
  std::atomic<bool> interrupted_{false};
};

}  // namespace

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

Jobs jobs_for(const LabPlace& place) {
  Jobs jobs;
  jobs.target = "lab:" + place.target.name;
  jobs.seed = place.options.seed;
  jobs.trace = place.options.trace;
  return jobs;
}

std::vector<LabResult> run_on_shared_machines(const std::vector<LabPlace>& places,
                                              const std::vector<ops::Program>& programs, const Prepare& prepare) {
  return SharedMachines(places, programs, prepare).run();
}

}  // namespace tscsim::kvm_backend::lab

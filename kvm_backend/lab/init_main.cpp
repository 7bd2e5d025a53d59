// tscsim-init: the only program of a lab machine. It runs the jobs on the machine's KVM, hands back the
// recordings and ends the machine.
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>

#include "kvm_backend/lab/inside.h"
#include "kvm_backend/lab/linux_observer.h"
#include "kvm_backend/lab/protocol.h"
#include "kvm_backend/native_hosts.h"
#include "kvm_backend/probe.h"
#include "kvm_backend/trace_reader.h"
#include "ops/error.h"

namespace {

using namespace tscsim;
using namespace tscsim::kvm_backend;
using Json = nlohmann::ordered_json;

void say(const Json& line) { lab::write_result(line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n"); }

void say_failed(const char* kind, const std::string& message, const ops::Diagnostic& place = {}) {
  say({{"type", "failed"},
       {"kind", kind},
       {"message", message},
       {"mend", place.mend},
       {"file", place.place.file},
       {"line", place.place.line},
       {"column", place.place.column}});
}

NativeOptions native_options(const lab::Jobs& jobs) {
  NativeOptions options;
  options.target = jobs.target;
  options.may_change_host = true;
  options.may_suspend_host = lab::wakes_from_s3();
  // Emulated time passes faster or slower than ours; the boot's own time limit stands behind this one.
  options.timeout = std::chrono::milliseconds(60'000);
  return options;
}

void run_doctor(const NativeOptions& options) {
  Json findings = Json::array();
  for (const Finding& finding : doctor(options).findings)
    findings.push_back({{"name", finding.name}, {"value", finding.value}, {"note", finding.note}});
  say({{"type", "doctor"}, {"findings", findings}});
}

void run_job(const lab::Job& job, std::uint64_t seed, NativeOptions options) {
  try {
    const ops::Recording earlier = job.earlier.value_or(ops::Recording{});
    options.realtime_at_start = realtime_at_start(job.program, job.host, earlier);
    NativeHosts executor(options, {job.host}, job.saved);
    std::ostringstream lines;
    ops::write_json_lines(ops::run_on_host(job.program, job.host, executor, seed, earlier), lines);
    lab::write_result(lines.str());
    for (const auto& [host, image] : executor.saved())
      say({{"type", "memory"}, {"host", host}, {"lines", lab::memory_json(image)}});
  } catch (const ops::InputError& error) {
    say_failed("input", error.diagnostics().front().message, error.diagnostics().front());
  } catch (const std::exception& error) {
    say_failed("target", error.what());
  }
}

// A kernel without tracefs runs the jobs all the same; their recordings then say that they were not traced.
std::unique_ptr<TraceReader> open_trace() {
  try {
    return std::make_unique<TraceReader>();
  } catch (const std::exception& error) {
    say({{"type", "log"}, {"text", error.what()}});
    return nullptr;
  }
}

void run_command(const std::string& command) {
  ::setenv("PATH", "/bin:/usr/bin", 1);
  if (::symlink("/bin/busybox", "/bin/sh") != 0) throw std::runtime_error("/bin/sh cannot be made");
  FILE* const shell = ::popen(("/bin/busybox --install -s /bin\n{ " + command + "\n} 2>&1").c_str(), "r");
  if (shell == nullptr) throw std::runtime_error("the shell cannot be started");
  std::string output;
  std::array<char, 4096> part{};
  for (std::size_t n = 0; (n = ::fread(part.data(), 1, part.size(), shell)) > 0;) output.append(part.data(), n);
  const int status = ::pclose(shell);
  say({{"type", "command"},
       {"output", output},
       {"status", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status)}});
}

void run_jobs(const lab::Jobs& jobs) {
  if (!jobs.command.empty()) return run_command(jobs.command);
  NativeOptions options = native_options(jobs);
  if (jobs.doctor) run_doctor(options);
  if (jobs.jobs.empty()) return;
  options.profile = probe_target(options);
  const std::unique_ptr<TraceReader> trace = jobs.trace ? open_trace() : nullptr;
  options.trace = trace.get();
  for (std::size_t i = 0; i < jobs.jobs.size(); ++i) {
    say({{"type", "job"}, {"index", i}});
    lab::flush_results();
    run_job(jobs.jobs[i], jobs.seed, options);
  }
}

// A host of VMs, with a clocksource that was chosen for it.
void serve(const lab::Jobs& jobs) {
  if (!lab::wait_for_clocksource()) say({{"type", "log"}, {"text", "the clocksource asked for is not in use"}});
  lab::load_modules();
  run_jobs(jobs);
}

// msr.ko is all that is there; without the parameter it logs each write, at length.
void observe(const ops::LinuxExperiment& experiment, const std::string& target) {
  lab::load_modules("allow_writes=on");
  lab::observe_linux(experiment, target);
}

}  // namespace

int main() {
  try {
    lab::open_ports();
    lab::mount_file_systems();
    const lab::Jobs jobs = lab::jobs_from_text(lab::read_jobs());
    if (jobs.experiment) observe(*jobs.experiment, jobs.target);
    else serve(jobs);
    say({{"type", "done"}});
    lab::power_off(lab::kExitDone);
  } catch (const std::exception& error) {
    say({{"type", "log"}, {"text", std::string("the lab machine: ") + error.what()}});
    lab::power_off(lab::kExitFailed);
  }
}

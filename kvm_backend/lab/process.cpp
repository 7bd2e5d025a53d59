#include "kvm_backend/lab/process.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <sstream>
#include <thread>

#include "base/interrupt.h"
#include "ops/error.h"
#include "ops/executor.h"

namespace tscsim::kvm_backend::lab {
namespace {

using Clock = std::chrono::steady_clock;

std::vector<char*> pointers(const std::vector<std::string>& words) {
  std::vector<char*> result;
  for (const std::string& word : words) result.push_back(const_cast<char*>(word.c_str()));
  result.push_back(nullptr);
  return result;
}

std::vector<std::string> environment_of(const ProcessSpec& spec) {
  std::vector<std::string> all;
  for (char** variable = ::environ; *variable != nullptr; ++variable) {
    const std::string text = *variable;
    bool replaced = false;
    for (const std::string& added : spec.environment)
      replaced = replaced || text.rfind(added.substr(0, added.find('=') + 1), 0) == 0;
    if (!replaced) all.push_back(text);
  }
  all.insert(all.end(), spec.environment.begin(), spec.environment.end());
  return all;
}

void redirect(int to, const char* path, int flags) {
  const int fd = ::open(path, flags, 0644);
  if (fd < 0 || ::dup2(fd, to) < 0) ::_exit(127);
}

// Between fork() and exec() of a process that has threads: system calls only, nothing that allocates.
[[noreturn]] void become(const ProcessSpec& spec, const char* program, char* const* argv, char* const* environment) {
  ::setpgid(0, 0);                     // so that a Ctrl-C reaches us alone, and a kill reaches its children too
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // should we be killed
  if (spec.without_network && ::unshare(CLONE_NEWNET) != 0) ::unshare(CLONE_NEWUSER | CLONE_NEWNET);
  const char* null = "/dev/null";
  redirect(0, spec.input_file.empty() ? null : spec.input_file.c_str(), O_RDONLY);
  redirect(1, spec.output_file.empty() ? null : spec.output_file.c_str(), O_WRONLY | O_CREAT | O_TRUNC);
  if (!spec.error_file.empty() && spec.error_file == spec.output_file) {
    ::dup2(1, 2);
  } else if (!spec.error_file.empty()) {
    redirect(2, spec.error_file.c_str(), O_WRONLY | O_CREAT | O_TRUNC);
  }
  if (!spec.directory.empty() && ::chdir(spec.directory.c_str()) != 0) ::_exit(127);
  ::execve(program, argv, environment);
  ::_exit(127);
}

void end_group(pid_t pid) {
  ::kill(-pid, SIGKILL);
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
}

int status_of(int wait_status) {
  return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
}

std::chrono::milliseconds cpu_time_of(pid_t pid) {
  clockid_t clock{};
  timespec time{};
  if (::clock_getcpuclockid(pid, &clock) != 0 || ::clock_gettime(clock, &time) != 0)
    return std::chrono::milliseconds(0);
  return std::chrono::milliseconds(time.tv_sec * 1000 + time.tv_nsec / 1'000'000);
}

ProcessEnd wait_for(pid_t pid, const ProcessSpec& spec) {
  const auto start = Clock::now();
  const auto taken = [&] { return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start); };
  for (auto nap = std::chrono::milliseconds(1);; nap = std::min(nap * 2, std::chrono::milliseconds(50))) {
    int wait_status = 0;
    if (::waitpid(pid, &wait_status, WNOHANG) == pid) return {status_of(wait_status), false, taken(), {}};
    if (spec.interrupted != nullptr && *spec.interrupted) {
      base::interrupted();  // heard
      end_group(pid);
      throw ops::Interrupted();
    }
    const auto cpu_taken = cpu_time_of(pid);
    const bool timed_out = taken() > spec.limit || cpu_taken > spec.cpu_limit;
    if (timed_out || (spec.hopeless && spec.hopeless())) {
      end_group(pid);
      return {128 + SIGKILL, timed_out, taken(), cpu_taken};
    }
    std::this_thread::sleep_for(nap);
  }
}

}  // namespace

std::string find_program(const std::string& program) {
  if (program.find('/') != std::string::npos) return ::access(program.c_str(), X_OK) == 0 ? program : "";
  const char* path = std::getenv("PATH");
  std::istringstream folders(path != nullptr ? path : "/usr/bin:/bin");
  for (std::string folder; std::getline(folders, folder, ':');) {
    const std::string candidate = folder + "/" + program;
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return "";
}

ProcessEnd run_process(const ProcessSpec& spec) {
  const std::string program = find_program(spec.argv.front());
  if (program.empty()) return {127, false, {}};
  const std::vector<std::string> environment = environment_of(spec);
  const std::vector<char*> argv_pointers = pointers(spec.argv), environment_pointers = pointers(environment);
  const pid_t pid = ::fork();
  if (pid < 0) throw ops::TargetError(spec.argv.front() + " cannot be started: " + std::strerror(errno));
  if (pid == 0) become(spec, program.c_str(), argv_pointers.data(), environment_pointers.data());
  return wait_for(pid, spec);
}

}  // namespace tscsim::kvm_backend::lab

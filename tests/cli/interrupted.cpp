// interrupted SIGNAL CPU_MS COMMAND ARG...: starts the command, sends it the signal (INT, TERM, or TWICE: INT and then TERM)
// once it handles it and has used so much CPU time or, where it waits for something, has been there for five times as long, not
// counting what it has waited for a CPU; and demands that it ends with status 130 within a second.
//
// The second is the process's own: what its main thread has waited for a CPU meanwhile (/proc/PID/schedstat) is not counted.
// Where other threads did the work that cannot be told; then the bound grows by the machine's load for each CPU.
// Standard output goes to out.txt, standard error to err.txt. Exit status: 0 it did; 1 it did not; 3 it ended before the signal.
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <string>
#include <thread>

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr double kBound_ms = 1000;

double since_ms(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

// Of all its threads so far.
double cpu_ms(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(in, text);
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return 0;
  const char* at = text.c_str() + name_end + 1;
  for (int field = 0; field < 11 && *at != '\0'; ++field) at = std::strchr(at + 1, ' ') ? std::strchr(at + 1, ' ') : "";
  char* next = nullptr;
  const double user = std::strtod(at, &next), system = std::strtod(next, nullptr);
  return (user + system) * 1000 / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

double waited_for_cpu_ms(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/schedstat");
  double ran = 0, waited = 0;
  in >> ran >> waited;
  return waited / 1e6;
}

// Whether its main() has installed the handler.
bool handles(pid_t pid, int signal) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(in, line);)
    if (line.rfind("SigCgt:", 0) == 0) return ((std::strtoull(line.c_str() + 7, nullptr, 16) >> (signal - 1)) & 1) != 0;
  return false;
}

double load_for_each_cpu() {
  std::ifstream in("/proc/loadavg");
  double load = 0;
  in >> load;
  return std::max(1.0, load / static_cast<double>(std::max(1U, std::thread::hardware_concurrency())));
}

void redirect(const char* file, int fd) {
  const int to = ::open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  ::dup2(to, fd);
}

bool ended(pid_t pid) {
  siginfo_t info{};
  return ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  const std::string signal = argv[1];
  const double wanted_ms = std::atof(argv[2]);
  const auto begin = Clock::now();
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::setpgid(0, 0);
    redirect("out.txt", STDOUT_FILENO);
    redirect("err.txt", STDERR_FILENO);
    ::execv(argv[3], argv + 3);
    ::_exit(127);
  }
  const auto due = [&] {
    return handles(pid, SIGTERM) &&
           (cpu_ms(pid) >= wanted_ms || since_ms(begin) - waited_for_cpu_ms(pid) >= 5 * wanted_ms);
  };
  while (!due()) {
    if (ended(pid)) return std::cout << "it ended before the signal came\n", 3;
    std::this_thread::sleep_for(milliseconds(5));
  }
  const double cpu_before = cpu_ms(pid), waited_before = waited_for_cpu_ms(pid);
  const auto asked = Clock::now();
  ::kill(pid, signal == "TERM" ? SIGTERM : SIGINT);
  if (signal == "TWICE") ::kill(pid, SIGTERM);
  const double bound_ms = kBound_ms * load_for_each_cpu();
  while (!ended(pid) && since_ms(asked) < 2 * bound_ms) std::this_thread::sleep_for(milliseconds(2));
  const double wall = since_ms(asked), own = wall - (waited_for_cpu_ms(pid) - waited_before);
  if (!ended(pid)) ::kill(-pid, SIGKILL);
  int status = 0;
  rusage usage{};
  ::wait4(pid, &status, 0, &usage);
  const auto ms = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) * 1000 + static_cast<double>(time.tv_usec) / 1000;
  };
  const double cpu = ms(usage.ru_utime) + ms(usage.ru_stime) - cpu_before;
  const bool in_time = own <= kBound_ms || (wall <= bound_ms && cpu <= kBound_ms);
  const bool right = WIFEXITED(status) && WEXITSTATUS(status) == 130;
  std::cout << (right && in_time ? "ended" : "WRONG: ended") << " after " << wall << " ms, " << own
            << " ms of its own, " << cpu << " ms of CPU; ";
  if (WIFEXITED(status)) std::cout << "exit status " << WEXITSTATUS(status) << "\n";
  else std::cout << "signal " << WTERMSIG(status) << "\n";
  return right && in_time ? 0 : 1;
}

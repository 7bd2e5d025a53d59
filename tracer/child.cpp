#include "tracer/child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "ops/error.h"

namespace tscsim::tracer {
namespace {

[[noreturn]] void become(const Order& order, const std::function<void()>& prepare, int go, int error_pipe) {
  char byte = 0;
  while (::read(go, &byte, 1) < 0 && errno == EINTR) {
  }
  std::vector<char*> words;
  for (const std::string& word : order.command) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  if (order.output_to_stderr) ::dup2(STDERR_FILENO, STDOUT_FILENO);
  prepare();
  ::execvp(words.front(), words.data());
  const int error = errno;
  [[maybe_unused]] const ssize_t told = ::write(error_pipe, &error, sizeof error);
  ::_exit(127);
}

}  // namespace

Child::Child(const Order& order, const std::function<void()>& prepare) : order_(order) {
  std::array<int, 2> go{}, error{};
  if (::pipe2(go.data(), O_CLOEXEC) != 0 || ::pipe2(error.data(), O_CLOEXEC) != 0)
    throw ops::TargetError(fmt::format("no pipe to the command: {}", std::strerror(errno)));
  // What the command leaves behind (a daemon) is still ours to wait for.
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  pid_ = ::fork();
  if (pid_ < 0) throw ops::TargetError(fmt::format("the command cannot be started: {}", std::strerror(errno)));
  if (pid_ == 0) {
    ::close(go[1]);
    become(order, prepare, go[0], error[1]);
  }
  ::close(go[0]);
  ::close(error[1]);
  go_pipe_ = go[1];
  error_pipe_ = error[0];
}

Child::~Child() {
  ::close(go_pipe_);
  ::close(error_pipe_);
}

void Child::go() { [[maybe_unused]] const ssize_t written = ::write(go_pipe_, "g", 1); }

void Child::check_started() {
  int error = 0;
  ssize_t length = 0;
  do length = ::read(error_pipe_, &error, sizeof error);
  while (length < 0 && errno == EINTR);
  if (length != static_cast<ssize_t>(sizeof error)) return;
  throw ops::InputError(
      ops::Diagnostic{{},
                      fmt::format("'{}' cannot be started: {}", order_.command.front(), std::strerror(error)),
                      "give the path of a program, or the name of one that is in PATH",
                      "",
                      1});
}

CommandEnd command_end(int wait_status) {
  if (WIFSIGNALED(wait_status)) return {true, 0, WTERMSIG(wait_status)};
  return {true, WEXITSTATUS(wait_status), 0};
}

std::string cut_by(const CommandEnd& end) {
  if (end.signal == 0) return "";
  return fmt::format("the command was killed by signal {} ({})", end.signal, ::strsignal(end.signal));
}

}  // namespace tscsim::tracer

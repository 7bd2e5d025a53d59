// What both ways of recording share: starting the command, and what becomes of it.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "tracer/recorder.h"

namespace tscsim::tracer {

// Starts the command, which begins when `go` is called. `prepare` runs in the child before it becomes the command.
// Throws ops::InputError when it cannot become that.
class Child {
 public:
  Child(const Order& order, const std::function<void()>& prepare);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t pid() const { return pid_; }
  void go();
  // After go(), once it has either become the command or failed to: throws ops::InputError if it failed.
  void check_started();

 private:
  const Order& order_;
  pid_t pid_ = -1;
  int go_pipe_ = -1;
  int error_pipe_ = -1;
};

CommandEnd command_end(int wait_status);

// "it was killed by signal 9 (Killed)"; empty when it ended as programs should.
std::string cut_by(const CommandEnd& end);

}  // namespace tscsim::tracer

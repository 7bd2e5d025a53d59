#include "cli/interrupt.h"

#include <sys/time.h>
#include <unistd.h>

#include <csignal>
#include <iostream>
#include <string_view>

#include "cli/arguments.h"

namespace tscsim::cli {
namespace {

constexpr itimerval kPatience = {.it_interval = {}, .it_value = {.tv_sec = 0, .tv_usec = 900'000}};

// In a signal handler nothing else may be done.
void end_at_once(std::string_view why) {
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, why.data(), why.size());
  ::_exit(kInterrupted);
}

void on_request(int) {
  if (base::interrupt::requested.exchange(true)) end_at_once("tscsim: interrupted twice\n");
  ::setitimer(ITIMER_REAL, &kPatience, nullptr);
}

void on_alarm(int) {
  if (!base::interrupt::heard.load()) end_at_once("tscsim: interrupted, and ended where it was\n");
}

void handle(int signal, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  sigaction(signal, &action, nullptr);
}

}  // namespace

void handle_interrupts() {
  handle(SIGALRM, on_alarm);
  handle(SIGINT, on_request);
  handle(SIGTERM, on_request);
}

const std::atomic<bool>& interrupt_flag() { return base::interrupt::requested; }

void throw_if_interrupted() {
  if (base::interrupted()) throw ops::Interrupted();
}

int interrupted_status() {
  std::cerr << "tscsim: interrupted\n";
  return kInterrupted;
}

}  // namespace tscsim::cli

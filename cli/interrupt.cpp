#include "cli/interrupt.h"

#include <csignal>

#include "ops/executor.h"

namespace tscsim::cli {
namespace {

std::atomic<bool> interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free);  // it is written by a signal handler

}  // namespace

void handle_interrupts() {
  struct sigaction action {};
  action.sa_handler = [](int) { interrupted.store(true); };
  action.sa_flags = static_cast<int>(SA_RESETHAND);  // a second signal ends the program at once
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

const std::atomic<bool>& interrupt_flag() { return interrupted; }

void throw_if_interrupted() {
  if (interrupted.load()) throw ops::Interrupted();
}

}  // namespace tscsim::cli

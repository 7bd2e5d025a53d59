// SIGINT and SIGTERM ask a run to stop: what runs notices at its next operation, so that nothing is half-written. What has
// not noticed after 0.9 s (it reads from a pipe that gives nothing, say) is ended as it stands, so that everything ends within a
// second; the second signal does that at once.
#pragma once

#include <atomic>

#include "base/interrupt.h"
#include "ops/executor.h"

namespace tscsim::cli {

void handle_interrupts();
const std::atomic<bool>& interrupt_flag();
void throw_if_interrupted();  // ops::Interrupted

// False when an interrupt ended `work`: then what it has finished is told, and the status is kInterrupted.
template <class Work>
bool done_before_interrupt(Work work) {
  try {
    work();
    return true;
  } catch (const ops::Interrupted&) {
  } catch (const base::Interrupted&) {
  }
  return false;
}

int interrupted_status();  // says so on standard error; kInterrupted

}  // namespace tscsim::cli

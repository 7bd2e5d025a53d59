// SIGINT and SIGTERM ask a run to stop: what runs notices at its next operation, so that nothing is half-written.
#pragma once

#include <atomic>

namespace tscsim::cli {

void handle_interrupts();
const std::atomic<bool>& interrupt_flag();
void throw_if_interrupted();  // ops::Interrupted

}  // namespace tscsim::cli

// A user who interrupts the program is heard wherever a loop's length hangs on what came in: such a loop calls
// throw_if_interrupted() in each round. The program's signal handler asks; a program that installs none is never interrupted.
#pragma once

#include <atomic>

namespace tscsim::base {

// Thrown where the interrupt is heard. It is no std::exception, so that no handler of errors takes it for one.
struct Interrupted {};

namespace interrupt {
inline std::atomic<bool> requested{false};  // set by the handler
inline std::atomic<bool> heard{false};      // somebody has seen it, and the program is on its way out
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler writes it");
}  // namespace interrupt

inline bool interrupted() {
  if (!interrupt::requested.load(std::memory_order_relaxed)) return false;
  interrupt::heard.store(true);
  return true;
}

inline void throw_if_interrupted() {
  if (interrupted()) throw Interrupted();
}

}  // namespace tscsim::base

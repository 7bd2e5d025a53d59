// A user who interrupts the program is heard wherever a loop's length hangs on what came in: such a loop calls
// throw_if_interrupted() in each round. The program's signal handler asks; a program that installs none is never interrupted.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace tscsim::base {

// Thrown where the interrupt is heard. It is no std::exception, so that no handler of errors takes it for one.
struct Interrupted {};

namespace interrupt {
inline std::atomic<bool> requested{false};  // set by the handler
inline std::atomic<bool> heard{false};      // somebody has seen it, and the program is on its way out
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler writes it");
}  // namespace interrupt

namespace interrupt {
using Clock = std::chrono::steady_clock;
inline std::atomic<std::int64_t> heard_at_ns{0};  // the first time
inline thread_local std::int64_t grace_ns = 0;

inline std::int64_t since_heard_ns() {
  const std::int64_t now = std::chrono::nanoseconds(Clock::now().time_since_epoch()).count();
  std::int64_t none = 0;
  heard_at_ns.compare_exchange_strong(none, now);
  return now - heard_at_ns.load();
}
}  // namespace interrupt

inline bool interrupted() {
  if (!interrupt::requested.load(std::memory_order_relaxed)) return false;
  interrupt::heard.store(true);
  return interrupt::since_heard_ns() >= interrupt::grace_ns;
}

// While there is one, what its thread does goes on for so long after an interrupt was heard: what is finished is taken in and told.
class Grace {
 public:
  explicit Grace(std::chrono::milliseconds time) { interrupt::grace_ns = std::chrono::nanoseconds(time).count(); }
  ~Grace() { interrupt::grace_ns = before_; }
  Grace(const Grace&) = delete;
  Grace& operator=(const Grace&) = delete;

 private:
  std::int64_t before_ = interrupt::grace_ns;
};

inline void throw_if_interrupted() {
  if (interrupted()) throw Interrupted();
}

namespace interrupt {
inline thread_local bool stops_writing = false;
}

// While there is one, an interrupt ends what its thread writes: the result is not wanted any more. Elsewhere writing goes
// on, because it keeps what was finished before an interrupt.
class WritingStops {
 public:
  WritingStops() { interrupt::stops_writing = true; }
  ~WritingStops() { interrupt::stops_writing = false; }
  WritingStops(const WritingStops&) = delete;
  WritingStops& operator=(const WritingStops&) = delete;
};

inline void throw_if_writing_stops() {
  if (interrupt::stops_writing) throw_if_interrupted();
}

}  // namespace tscsim::base

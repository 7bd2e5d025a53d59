// The clock readings of a recording of Linux, under the model's timekeeper. For the sources of crosscheck/ only.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "crosscheck/linux_check.h"
#include "model/guest/era.h"
#include "model/guest/timekeeper.h"

namespace tscsim::crosscheck {

using Wide = __int128;

struct WideRange {
  Wide lo = 0, hi = 0;
};

// x / y, down and up; y > 0.
Wide floor_of(Wide x, Wide y);
Wide ceil_of(Wide x, Wide y);

// The power management timer's rate; the lab's emulators give it in whole microseconds.
inline constexpr std::uint64_t kPmTimerHz = 3'579'545;
WideRange elapsed_ns(ops::Range earlier_pm, ops::Range later_pm);

// By how much a step moved the TSC, in cycles: what was written, less what it stood at, which is known to some cycles only.
WideRange moved_cycles(const ops::LinuxDone& done, std::uint32_t khz);

class LinuxClocks {
 public:
  LinuxClocks(const ops::LinuxRecording& recording, const model::guest::GuestEra& era, LinuxResult& result);

  void take(std::size_t event, const ops::LinuxDone& done);
  void take(std::size_t event, const ops::LinuxSample& sample);

 private:
  enum Clock : std::uint8_t { monotonic, realtime, boottime, raw, kClocks };
  static constexpr std::size_t kCoarse = 4;  // in kLinuxClocks
  static Clock clock_of(std::size_t index) { return static_cast<Clock>(index < kCoarse ? index : index - kCoarse - 1); }

  // Where a clock stood when the counter stood at 0, in shifted nanoseconds.
  using Origin = std::optional<WideRange>;

  // What the model gives for a reading.
  struct Predicted {
    WideRange ns;
    bool on_the_line = false;  // neither clamped nor wrapped: the reading narrows the origin
  };

  Predicted predict(std::size_t index, const ops::LinuxReading& reading, std::uint64_t base_ns) const;
  std::int64_t read(std::size_t index, Wide origin, std::uint64_t tsc, std::uint64_t cycle_last) const;
  void check_on_tsc(std::size_t event, const ops::LinuxSample& sample);
  void check_reading(std::size_t event, std::size_t index, const ops::LinuxReading& reading);
  void check_base(std::size_t event, std::uint64_t base_ns);
  void check_elsewhere(std::size_t event, const ops::LinuxSample& sample);
  void set_time(const ops::LinuxDone& done);
  bool narrow(Origin& origin, WideRange counter, std::uint64_t ns, const model::guest::Clocksource& clock) const;
  WideRange line_ns(const WideRange& origin, WideRange counter, const model::guest::Clocksource& clock) const;
  WideRange counter_of(const ops::LinuxSample& sample) const;
  std::uint64_t next_base(std::size_t event) const;
  void tell(std::size_t event, std::size_t index, Verdict verdict, const std::string& text = "");

  const ops::LinuxRecording& recording_;
  const model::guest::GuestEra& era_;
  LinuxResult& result_;
  model::guest::Clocksource tsc_, other_;
  std::uint64_t interval_ = 0;  // cycles of a tick
  std::array<Origin, kClocks> origins_;
  std::vector<std::uint64_t> bases_;  // that may have been in use: CLOCK_MONOTONIC at a tick
  std::optional<std::uint64_t> last_base_;
  std::optional<ops::LinuxDone> last_jump_;
  std::optional<ops::LinuxSample> last_on_tsc_;
  std::string elsewhere_;  // the clocksource after the TSC
};

}  // namespace tscsim::crosscheck

// Could the Linux that was recorded in the lab have been the model's guest?
//
// Two questions are put to a recording. The first: is every clock reading the one that the model's timekeeper gives for the
// counter values that were measured around it? Where the clock started is not known; it is an interval that each reading
// narrows, and nothing else is left open. The second: did the kernel do what the model says it does (which clocksource is in
// use in the end, what it logged), and are the numbers in its log the ones that the model computes?
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "crosscheck/checker.h"
#include "ops/linux_recording.h"

namespace tscsim::crosscheck {

struct LinuxObservation {
  std::size_t event = 0;  // index in the recording
  std::string what;       // "vdso monotonic", "clocksource", "watchdog"
  Verdict verdict{};
  std::string text;  // both sides, for a mismatch and for what is undecided
};

struct LinuxResult {
  std::vector<LinuxObservation> observations;
  std::size_t count(Verdict verdict) const;
};

// Throws ops::InputError when the recording's kernel is not known to the model.
LinuxResult check_linux(const ops::LinuxRecording& recording);

}  // namespace tscsim::crosscheck

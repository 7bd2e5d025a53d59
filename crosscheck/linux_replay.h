// What the model's guest does on the machine of a recording: its TSC goes and is moved as the real one was, and the guest's
// kernel finds out for itself. For the sources of crosscheck/ only.
#pragma once

#include <cstdint>
#include <set>

#include "model/guest/era.h"
#include "ops/guest.h"
#include "ops/linux_recording.h"

namespace tscsim::crosscheck {

struct LinuxReplay {
  bool tsc_in_use = false;  // at the end
  std::set<ops::GuestEventKind> events;
  std::int64_t moved_ns = 0;  // CLOCK_MONOTONIC, from the first sample to the last
};

LinuxReplay replay_linux(const ops::LinuxRecording& recording, const model::guest::GuestEra& era);

}  // namespace tscsim::crosscheck

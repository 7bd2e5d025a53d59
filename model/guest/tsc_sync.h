// The test that two vCPUs make of their TSCs when one of them comes up. They read in turn under a lock; the one that reads
// less than the other just did has seen a warp. Spec: docs/spec/linux-guest.md 2.2 to 2.5 (2.5 is a model, not the
// source).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/guest/era.h"

namespace tscsim::model::guest {

// A stretch of one run during which nothing changes.
struct SyncStretch {
  std::int64_t skew = 0;  // target minus source, cycles
  std::uint64_t gap = 0;  // the smallest hand-over between two locked reads on different CPUs, cycles
};

inline constexpr std::uint64_t kUsualGap_cycles = 200;  // the kernel's own comment

struct SyncRun {
  std::uint64_t max_warp = 0;
  bool target_saw = false, source_saw = false;
  bool random() const { return target_saw && source_saw; }  // both: the sign changed
};
// The loop of both CPUs. A descheduled vCPU makes a gap larger and never makes a warp: it reads inside the lock.
// Kernel: Linux v6.12 arch/x86/kernel/tsc_sync.c check_tsc_warp().
SyncRun warp_loop(std::span<const SyncStretch> stretches);

struct SyncTestResult {
  bool passed = false;
  int runs = 0;
  std::int64_t adjust = 0;  // what was added to the target's TSC_ADJUST
  std::int64_t final_skew = 0;
  std::vector<std::uint64_t> warps;  // that were measured, run by run
};
// `first` is the first run; `later` holds during any other one.
// Kernel: Linux v6.12 arch/x86/kernel/tsc_sync.c check_tsc_sync_source(), check_tsc_sync_target().
SyncTestResult sync_test(SyncTest rule, bool has_tsc_adjust, std::span<const SyncStretch> first, SyncStretch later);

}  // namespace tscsim::model::guest

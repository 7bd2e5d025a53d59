#include "model/guest/tsc_sync.h"

#include <algorithm>

#include "model/mutation.h"

namespace tscsim::model::guest {

SyncRun warp_loop(std::span<const SyncStretch> stretches) {
  SyncRun run;
  for (const SyncStretch& stretch : stretches) {
    const std::uint64_t apart =
        stretch.skew < 0 ? 0 - static_cast<std::uint64_t>(stretch.skew) : static_cast<std::uint64_t>(stretch.skew);
    if (apart <= TSCSIM_MUTATE(guest_gap_ignored, stretch.gap, 0)) continue;
    // The one that lags reads less.
    (stretch.skew < 0 ? run.target_saw : run.source_saw) = true;
    run.max_warp = std::max(run.max_warp, apart - TSCSIM_MUTATE(guest_gap_ignored, stretch.gap, 0));
  }
  return run;
}

SyncTestResult sync_test(SyncTest rule, bool has_tsc_adjust, std::span<const SyncStretch> first, SyncStretch later) {
  SyncTestResult out;
  const int allowed = rule == SyncTest::with_adjust && has_tsc_adjust ? 3 : 1;
  out.final_skew = first.back().skew;
  while (out.runs < allowed) {
    const SyncStretch again{later.skew + out.adjust, later.gap};
    const SyncRun run = warp_loop(out.runs == 0 ? first : std::span(&again, 1));
    ++out.runs;
    if (run.max_warp == 0) {
      out.passed = true;
      return out;
    }
    out.warps.push_back(run.max_warp);
    if (out.runs == allowed || (run.random() && TSCSIM_MUTATE(guest_random_warps_corrected, true, false))) return out;
    const auto warp = static_cast<std::int64_t>(run.max_warp);
    out.adjust += run.target_saw ? warp : -warp;
    out.final_skew = later.skew + out.adjust;
  }
  return out;
}

}  // namespace tscsim::model::guest

#include "model/guest/detectors.h"

#include "model/mutation.h"

namespace tscsim::model::guest {

LockupReport soft_lockup(std::uint64_t touched_ns, std::uint64_t now_ns, int threshold) {
  const auto since = static_cast<std::int64_t>(lockup_units(now_ns) - lockup_units(touched_ns));
  if (since <= TSCSIM_MUTATE(guest_lockup_after_once, 2, 1) * threshold) return {};
  return {true, static_cast<std::uint64_t>(since)};
}

}  // namespace tscsim::model::guest

// KVM_SET_TSC_STATE as proposed in December 2020 and never merged: the TSC a vCPU is to have now, given what it had
// at a wall clock time. Spec: kvm-timekeeping.md section 9.1 (RFC v2, Maxim Levitsky, 3 December 2020).
#pragma once

#include <cstdint>

#include "model/kvm/arithmetic.h"

namespace tscsim::model {

struct PreciseTscState {
  static constexpr std::uint32_t kTimestampValid = 1;
  static constexpr std::uint32_t kTscAdjustValid = 2;
  std::uint32_t flags = 0;
  std::uint64_t nsec = 0;  // CLOCK_REALTIME of the source at the reading
  std::uint64_t tsc = 0;   // the vCPU's TSC there
};

// `wall_ns` is the destination's CLOCK_REALTIME; the difference is signed. guest_khz > 0.
constexpr std::uint64_t precise_tsc_target(const PreciseTscState& state, std::uint64_t wall_ns, TimeScale to_cycles) {
  if ((state.flags & PreciseTscState::kTimestampValid) == 0) return state.tsc;
  const auto elapsed_ns = static_cast<std::int64_t>(wall_ns - state.nsec);
  if (elapsed_ns < 0) return state.tsc - scale_delta(0 - static_cast<std::uint64_t>(elapsed_ns), to_cycles);
  return state.tsc + scale_delta(static_cast<std::uint64_t>(elapsed_ns), to_cycles);
}
inline std::uint64_t precise_tsc_now(const PreciseTscState& state, std::uint64_t wall_ns, std::uint32_t guest_khz) {
  return precise_tsc_target(state, wall_ns, ns_to_cycles(guest_khz));
}

}  // namespace tscsim::model

// Deliberate errors, for the proof that the tests notice them.
//
// TSCSIM_MUTATE(name, right, wrong) is `right` in every build but that of tests/mutation, which compiles the model
// once more with TSCSIM_MUTANTS and selects one mutant at run time. Nothing of it is in the product.
#pragma once

#ifdef TSCSIM_MUTANTS

#include <array>
#include <string_view>

namespace tscsim::model {

enum class Mutant {
  none,
  window_two_seconds,
  window_inclusive,
  window_ignored,
  zero_not_special,
  rate_not_compared,
  generation_not_advanced,
  matched_counted_twice,
  matched_not_reset,
  user_set_not_recorded,
  absorbed_value_kept,
  guest_write_leaves_adjust,
  host_adjust_moves_offset,
  guest_adjust_adds,
  shift_off_by_one,
  ratio_rounds_up,
  master_clock_ignores_match,
  stable_flag_not_cleared,
  page_version_plus_one,
  guest_stopped_sticks,
  set_clock_ignores_realtime,
  set_clock_goes_backwards,
  set_clock_keeps_old_pair,
  get_clock_without_offset,
  offset_attribute_never_matches,
  creation_does_not_join,
  wall_clock_adds_kvmclock,
  count,
};

inline constexpr std::array<std::string_view, static_cast<std::size_t>(Mutant::count)> kMutantNames = {
    "none",
    "window_two_seconds",
    "window_inclusive",
    "window_ignored",
    "zero_not_special",
    "rate_not_compared",
    "generation_not_advanced",
    "matched_counted_twice",
    "matched_not_reset",
    "user_set_not_recorded",
    "absorbed_value_kept",
    "guest_write_leaves_adjust",
    "host_adjust_moves_offset",
    "guest_adjust_adds",
    "shift_off_by_one",
    "ratio_rounds_up",
    "master_clock_ignores_match",
    "stable_flag_not_cleared",
    "page_version_plus_one",
    "guest_stopped_sticks",
    "set_clock_ignores_realtime",
    "set_clock_goes_backwards",
    "set_clock_keeps_old_pair",
    "get_clock_without_offset",
    "offset_attribute_never_matches",
    "creation_does_not_join",
    "wall_clock_adds_kvmclock",
};

inline Mutant active_mutant = Mutant::none;

}  // namespace tscsim::model

#define TSCSIM_MUTATE(name, right, wrong) \
  (::tscsim::model::active_mutant == ::tscsim::model::Mutant::name ? (wrong) : (right))

#else

#define TSCSIM_MUTATE(name, right, wrong) (right)

#endif

// The branches that the machine takes, by name: what a user is told when a value surprises.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace tscsim::model {

enum class Rule : std::uint8_t {
  starts_generation,
  starts_generation_rate,
  joins_zero,
  joins_window,
  joins_unstable,
  joins_same_offset,
  guest_write_moves_offset,
  adjust_by_host,
  adjust_by_guest,
  offset_not_honoured,
  requests_master_clock,
  master_clock_on,
  master_clock_off_unmatched,
  master_clock_off_clocksource,
  master_clock_off_veto,
  page_from_master_pair,
  page_from_readings,
  clock_from_master_pair,
  clock_from_base,
  clock_advanced_by_realtime,
  khz_in_tolerance,
  khz_scaled,
  khz_catchup,
  khz_refused,
  guest_stopped_set,
  deadline_ignored,
  backwards_tsc_on_load,
  offset_recomputed_on_load,
  backwards_tsc_on_enable,
  offset_adjusted_on_load,
  precise_state,
  clock_on_guests_line,
  hyperv_page_filled,
  hyperv_page_kept,
  hyperv_page_unusable,
  reference_time_from_page,
  reference_time_from_clock,
  steal_time_recorded,
  l2_entered,
  l2_entry_failed,
  refused,
  count,
};

struct RuleInfo {
  std::string_view name;
  std::string_view sentence;
  std::string_view spec;  // place in docs/spec/kvm-timekeeping.md, or with a page of its own (ops/spec_citation.h)
};
const RuleInfo& info(Rule rule);

}  // namespace tscsim::model

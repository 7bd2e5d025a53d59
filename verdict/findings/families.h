// The conditions, by family; see finding.h.
#pragma once

#include "verdict/findings/finding.h"

namespace tscsim::verdict::findings {

// creation.cpp
void interleaved_create(const Case& c, Sink& sink);
void no_common_generation(const Case& c, Sink& sink);
void khz_after_create(const Case& c, Sink& sink);
// rates.cpp
void khz_silent_250ppm(const Case& c, Sink& sink);
void khz_missing(const Case& c, Sink& sink);
// writes.cpp
void written_value_discarded(const Case& c, Sink& sink);
void zero_is_not_reset(const Case& c, Sink& sink);
void reset_absorbed(const Case& c, Sink& sink);
void write_pass_too_long(const Case& c, Sink& sink);
void tsc_before_long_step(const Case& c, Sink& sink);
void ignored_write(const Case& c, Sink& sink);
// clock.cpp
void clock_tsc_split(const Case& c, Sink& sink);
void clock_after_run(const Case& c, Sink& sink);
void clock_missing(const Case& c, Sink& sink);
void clock_stale(const Case& c, Sink& sink);
void clock_flags_passthrough(const Case& c, Sink& sink);
void realtime_without_tsc(const Case& c, Sink& sink);
void realtime_unsynchronised(const Case& c, Sink& sink);
// timers.cpp
void deadline_before_tsc(const Case& c, Sink& sink);
void deadline_before_lapic(const Case& c, Sink& sink);
void deadline_zero(const Case& c, Sink& sink);
void overdue_timers(const Case& c, Sink& sink);
// guest.cpp
void ctrl_lost(const Case& c, Sink& sink);
void ctrl_missing(const Case& c, Sink& sink);
void page_newer_than_tsc(const Case& c, Sink& sink);
void master_clock_off(const Case& c, Sink& sink);
void vmclock_not_bumped(const Case& c, Sink& sink);

// --- shared by the families

bool restores(const Disturbance& d);  // into a new VM
// The clocks go back to where they were saved, and whether the guest's memory does, too, is inferred from their values.
inline bool memory_in_doubt(const Disturbance& d) { return d.saved && !d.loads_memory; }
inline constexpr std::string_view kMemoryInDoubt =
    "a recording does not show whether the guest's memory went back to the snapshot with its clocks";
// The disturbance's succeeded operations, in order.
std::vector<std::size_t> done(const Case& c, const Disturbance& d);
// Those of its decisions that a VMM made by writing a value, in order.
std::vector<const Decision*> values_written(const Case& c, const Disturbance& d);
bool is_in(const Disturbance& d, std::size_t moment);
inline bool is_kind(const Case& c, std::size_t moment, ops::OpKind kind) { return c.course.op(moment).kind == kind; }
inline bool writes(const ops::Operation& op, std::uint32_t msr) {
  return op.kind == ops::OpKind::set_msr && op.msr == msr;
}

}  // namespace tscsim::verdict::findings

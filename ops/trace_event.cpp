#include "ops/trace_event.h"

#include <algorithm>

namespace tscsim::ops {
namespace {

constexpr std::array<std::string_view, kTraceKinds> kNames = {"kvm_write_tsc_offset", "kvm_track_tsc",
                                                              "kvm_update_master_clock", "kvm_pvclock_update"};
constexpr std::array<std::string_view, 2> kOffsetValues = {"previous_tsc_offset", "next_tsc_offset"};
constexpr std::array<std::string_view, 4> kTrackValues = {"nr_vcpus_matched_tsc", "online_vcpus", "use_master_clock",
                                                          "host_clock"};
constexpr std::array<std::string_view, 3> kMasterValues = {"use_master_clock", "host_clock", "offset_matched"};
constexpr std::array<std::string_view, 6> kPageValues = {"version",           "tsc_timestamp", "system_time",
                                                         "tsc_to_system_mul", "tsc_shift",     "flags"};

}  // namespace

std::string_view name_of(TraceKind kind) { return kNames[static_cast<std::size_t>(kind)]; }

std::optional<TraceKind> trace_kind_from(std::string_view name) {
  const auto found = std::find(kNames.begin(), kNames.end(), name);
  if (found == kNames.end()) return std::nullopt;
  return static_cast<TraceKind>(found - kNames.begin());
}

std::span<const std::string_view> trace_values(TraceKind kind) {
  switch (kind) {
    case TraceKind::write_tsc_offset:
      return kOffsetValues;
    case TraceKind::track_tsc:
      return kTrackValues;
    case TraceKind::update_master_clock:
      return kMasterValues;
    case TraceKind::pvclock_update:
      break;
  }
  return kPageValues;
}

bool tells_vcpu(TraceKind kind) { return kind != TraceKind::update_master_clock; }

}  // namespace tscsim::ops

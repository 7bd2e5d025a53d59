// What KVM says through its tracepoints while it executes an operation: each of them prints values that no ioctl
// returns, and when. Names are the tracepoints' own, from their format files (events/kvm/*/format in tracefs).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace tscsim::ops {

enum class TraceKind : std::uint8_t {
  write_tsc_offset,     // kvm_write_tsc_offset: the offset that the processor applies
  track_tsc,            // kvm_track_tsc: vCPUs counted as matched after a synchronised write
  update_master_clock,  // kvm_update_master_clock: the pair was renewed, and whether it is in use
  pvclock_update,       // kvm_pvclock_update: what was put into a vCPU's kvmclock page
};
inline constexpr std::size_t kTraceKinds = 4;
inline constexpr std::size_t kMaxTraceValues = 6;

// "kvm_write_tsc_offset"
std::string_view name_of(TraceKind kind);
std::optional<TraceKind> trace_kind_from(std::string_view name);

// The names of an event's values besides its vCPU, in the order in which BasicTraceEvent holds them.
std::span<const std::string_view> trace_values(TraceKind kind);

// Whether the event says which vCPU it is about (as its vcpu_id).
bool tells_vcpu(TraceKind kind);

// Num as in BasicOutcome.
template <class Num>
struct BasicTraceEvent {
  TraceKind kind{};
  std::int32_t vcpu = -1;  // kVm when the event does not say
  std::uint64_t tsc = 0;   // host TSC when it was printed; 0 in the model, which has no clock
  std::array<Num, kMaxTraceValues> values{};
  friend bool operator==(const BasicTraceEvent&, const BasicTraceEvent&) = default;
};
using TraceEvent = BasicTraceEvent<std::uint64_t>;

}  // namespace tscsim::ops

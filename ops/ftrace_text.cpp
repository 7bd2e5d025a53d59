#include "ops/ftrace_text.h"

#include <fmt/format.h>

namespace tscsim::ops {
namespace {

// enum vdso_clock_mode, as far as the format names it. Kernel: Linux v6.12 arch/x86/kvm/trace.h host_clocks.
std::string host_clock(std::uint64_t mode) {
  if (mode == 0) return "none";
  return mode == 1 ? "tsc" : fmt::format("{:#x}", mode);
}

constexpr std::string_view kHead =
    "# tracer: nop\n"
    "#\n"
    "#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION\n"
    "#              | |         |   |||||     |         |\n";

}  // namespace

std::string ftrace_text(const TraceEvent& event) {
  const auto& v = event.values;
  switch (event.kind) {
    case TraceKind::write_tsc_offset:
      return fmt::format("vcpu={} prev={} next={}", event.vcpu, v[0], v[1]);
    case TraceKind::track_tsc:  // the state before the request is served
      return fmt::format("vcpu_id {} masterclock {} offsetmatched {} nr_online {} hostclock {}", event.vcpu, v[2], v[0],
                         v[1], host_clock(v[3]));
    case TraceKind::update_master_clock:
      return fmt::format("masterclock {} hostclock {} offsetmatched {}", v[0], host_clock(v[1]), v[2]);
    case TraceKind::pvclock_update:
      break;
  }
  return fmt::format(
      "vcpu_id {}, pvclock {{ version {}, tsc_timestamp {:#x}, system_time {:#x}, tsc_to_system_mul {:#x}, tsc_shift {}, "
      "flags {:#x} }}",
      event.vcpu, v[0], v[1], v[2], v[3], static_cast<std::int64_t>(v[4]), v[5]);
}

std::string ftrace_of(const Recording& recording, int host) {
  std::string text(kHead);
  for (const Entry& entry : recording.entries) {
    if (entry.op.host != host) continue;
    for (const TraceEvent& event : entry.traced)
      text += fmt::format("{:>16}-{:<7} [{:03}] ..... {:>12}: {}: {}\n", "vmm", 1, entry.pcpu, event.tsc,
                          name_of(event.kind), ftrace_text(event));
  }
  return text;
}

}  // namespace tscsim::ops

#include "ops/operation_text.h"

#include <fmt/format.h>

namespace tscsim::ops {
namespace {

bool names_msr(OpKind kind) {
  return kind == OpKind::set_msr || kind == OpKind::get_msr || kind == OpKind::wrmsr || kind == OpKind::rdmsr;
}

bool has_value(OpKind kind) {
  switch (kind) {
    case OpKind::set_msr:
    case OpKind::wrmsr:
    case OpKind::set_tsc_khz:
    case OpKind::set_tsc_offset:
    case OpKind::set_clock:
    case OpKind::move_vcpu:
    case OpKind::jump_host_tsc:
    case OpKind::offline_pcpu:
    case OpKind::online_pcpu:
    case OpKind::disable_quirks:
    case OpKind::set_tsc_state:
    case OpKind::set_clock_guest:
      return true;
    default:
      return false;
  }
}

std::string value_text(const Operation& op) {
  if (op.kind == OpKind::set_tsc_offset || op.kind == OpKind::jump_host_tsc)
    return fmt::format(" {}", static_cast<std::int64_t>(op.value));
  const bool counts = op.msr == msr::kIa32Tsc || op.msr == msr::kIa32TscAdjust || op.msr == msr::kIa32TscDeadline;
  const bool address = !counts && op.msr != 0;
  return address ? fmt::format(" {:#x}", op.value) : fmt::format(" {}", op.value);
}

}  // namespace

std::string action_text(const Operation& op) {
  std::string text;
  if (op.vcpu != kVm) text += fmt::format("vcpu {} ", op.vcpu);
  text += name_of(op.kind);
  if (names_msr(op.kind)) text += fmt::format(" {}", msr_name(op.msr));
  if (has_value(op.kind)) text += value_text(op);
  if (op.kind == OpKind::set_clock && op.flags != 0) text += fmt::format(" flags {:#x}", op.flags);
  if (op.kind == OpKind::set_clock && (op.flags & clock_flag::kRealtime) != 0)
    text += fmt::format(" realtime {}", op.realtime);
  if (op.kind == OpKind::set_tsc_state)
    text += fmt::format(" at {} ns, TSC_ADJUST {}, flags {:#x}", op.realtime, op.tsc_adjust, op.flags);
  if (op.kind == OpKind::set_clock_guest)
    text += fmt::format(" system_time {} mul {} shift {}", op.realtime, op.mul, static_cast<int>(op.shift));
  if (op.kind == OpKind::jump_host_tsc && op.pcpu != kAllPcpus) text += fmt::format(" on pCPU {}", op.pcpu);
  if (op.kind == OpKind::suspend_host) {
    const bool restarts = (op.flags & suspend_flag::kTscRestarts) != 0;
    text += fmt::format(" for {} ns, the TSC {}", op.value, restarts ? "restarts" : "continues");
  }
  if (op.kind == OpKind::pause_vm && (op.flags & pause_flag::kDevicesStop) != 0) text += " and its devices";
  if (by_main_thread(op)) text += " by the VMM's main thread";
  if (op.kind == OpKind::set_lapic) text += fmt::format(" timer {}", timer_mode_name(op.value));
  if (op.kind == OpKind::read_clock) text += fmt::format(" {}", name_of(static_cast<GuestClock>(op.flags)));
  if (op.kind == OpKind::boot_guest) text += fmt::format(" Linux {}.{}", op.guest.major, op.guest.minor);
  if (op.kind == OpKind::step_realtime) text += fmt::format(" by {} ns", static_cast<std::int64_t>(op.value));
  if (op.kind == OpKind::share_pcpus)
    text += op.value == 0 ? " off" : fmt::format(": slices of {} ns, {} other threads", op.value, op.flags);
  if (op.kind == OpKind::block_task) text += op.value != 0 ? " on" : " off";
  if (op.kind == OpKind::set_clocksource) text += op.value != 0 ? " tsc" : " other than tsc";
  return text;
}

}  // namespace tscsim::ops

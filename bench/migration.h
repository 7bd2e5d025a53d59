// The migration that is measured: a guest of 4 vCPUs from boot on one host to its first readings on the other.
#pragma once

#include <string>

#include "model/world/compiled.h"
#include "ops/program.h"
#include "scenarios/scenario.h"

namespace tscsim::bench {

// By the documented procedure: offsets of the TSC, computed from two KVM_GET_CLOCK.
inline constexpr const char* kByOffsets = R"(
name: by-offsets
title: The documented procedure, 4 vCPUs
source: docs/scenarios.md
hosts:
  a: {kernel: 6.12, tsc: 2 GHz}
  b: {kernel: 6.12, tsc: 2 GHz, uptime: 90 min}
vm: {vcpus: 4, kvmclock: on}
timeline:
  - {at: 0 s,     vcpu: all, set_msr: {IA32_TSC: 0}}
  - {at: 100 ms,  vcpu: all, run: }
  - {at: 1 s,     vcpu: all, rdtsc: }
  - {at: 1 s,     vcpu: 0, read_pvclock: before}
  - {at: 2 s,     get_clock: src}
  - {at: 2 s,     vcpu: 0, get_tsc_offset: offset}
  - {at: 2 s,     vcpu: 0, get_tsc_khz: khz}
  - {at: 2100 ms, transfer: {from: a, to: b}}
  - {at: 2200 ms, vcpu: all, set_tsc_khz: khz}
  - {at: 2200 ms, set_clock: {clock: src.clock, realtime: src.realtime, flags: [realtime]}}
  - {at: 2200 ms, get_clock: dst}
  - {at: 2200 ms, vcpu: all, gap: 1 ms, set_tsc_offset: offset + cycles(dst.clock - src.clock) + src.host_tsc - dst.host_tsc}
  - {at: 2210 ms, vcpu: all, kvmclock: on}
  - {at: 2300 ms, vcpu: all, run: }
  - {at: 2400 ms, vcpu: all, rdtsc: }
  - {at: 2400 ms, vcpu: 0, read_pvclock: after}
)";

// By value: the TSC is written on the destination as it was read on the source.
inline constexpr const char* kByValue = R"(
name: by-value
title: A migration by value, 4 vCPUs
source: docs/scenarios.md
hosts:
  a: {kernel: 6.12, tsc: 2 GHz}
  b: {kernel: 6.12, tsc: 2 GHz, uptime: 90 min}
vm: {vcpus: 4, kvmclock: on}
timeline:
  - {at: 0 s,     vcpu: all, set_msr: {IA32_TSC: 0}}
  - {at: 100 ms,  vcpu: all, run: }
  - {at: 1 s,     vcpu: all, rdtsc: }
  - {at: 1 s,     vcpu: 0, read_pvclock: before}
  - {at: 2 s,     get_clock: clock}
  - {at: 2 s,     vcpu: 0, get_msr: IA32_TSC, as: tsc}
  - {at: 2100 ms, transfer: {from: a, to: b}}
  - {at: 2200 ms, vcpu: all, gap: 1 ms, set_msr: {IA32_TSC: tsc}}
  - {at: 2210 ms, set_clock: clock}
  - {at: 2210 ms, vcpu: all, kvmclock: on}
  - {at: 2210 ms, vcpu: all, kvmclock_ctrl: }
  - {at: 2300 ms, vcpu: all, run: }
  - {at: 2400 ms, vcpu: all, rdtsc: }
  - {at: 2400 ms, vcpu: 0, read_pvclock: after}
)";

// What varies from run to run: when the destination begins, and how wrong its wall clock is.
inline model::Compiled compiled_migration(const char* text) {
  const ops::Program program = scenarios::parse_scenario(text, "").program;
  model::RunRequest request;
  std::size_t first = program.setup.size();
  while (program.timeline[first - program.setup.size()].op.at_ns < 2'200'000'000) ++first;
  request.slots = {{model::SlotKind::shift, first}, {model::SlotKind::realtime_error_ns, 1}};
  request.captures = {"after", "after.tsc"};
  return model::compile(program, request);
}

}  // namespace tscsim::bench

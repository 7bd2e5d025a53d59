// One line of a trace, taken apart: who, where, when, which event, and the event's text. ftrace's `trace` and
// `trace_pipe`, `trace-cmd report` and `perf script` are all "task [cpu] flags time: event: text"; they differ in how the
// task is written and in what may be missing.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace tscsim::logs {

struct TraceStamp {
  std::uint64_t value = 0;
  bool cycles = false;  // a counter's value (x86-tsc); otherwise ns
};

struct TraceLine {
  std::string_view comm;
  int pid = -1;   // of the thread
  int tgid = -1;  // of its process; -1: the line does not say
  int cpu = 0;
  TraceStamp stamp;
  std::string_view event;  // without perf's "kvm:"
  std::string_view text;   // a part of the line
};

std::optional<TraceLine> split_trace_line(std::string_view line);

// "CPU:1 [LOST 296 EVENTS]", "CPU:1 [296 EVENTS DROPPED]", perf's "PERF_RECORD_LOST lost 296".
struct LossLine {
  int cpu = -1;              // -1: the line does not say
  std::uint64_t events = 0;  // 0: the line does not say
};
std::optional<LossLine> read_loss(std::string_view line);

}  // namespace tscsim::logs

// A whole trace: KVM's clock events in order, and how much of it was something else, lost, or not understood.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "logs/log_text.h"
#include "ops/trace_event.h"

namespace tscsim::logs {

struct Task {
  std::string comm;
  int pid = -1;
  int tgid = -1;  // -1: the log does not say
};

struct SeenEvent {
  ops::TraceEvent event;  // its tsc is 0 unless the stamps are cycles
  Task task;
  int pcpu = 0;
  std::uint64_t stamp = 0;  // ns, or cycles
  int line = 0;
};

// Events that the recorder lost, between events[before - 1] and events[before].
struct Loss {
  std::size_t before = 0;
  std::uint64_t events = 0;  // 0: nobody counted them
  int pcpu = -1;
  int line = 0;
};

struct TraceLog {
  std::string name;
  std::vector<SeenEvent> events;
  std::vector<Loss> losses;
  bool cycles = false;                               // the stamps are a counter's values
  std::map<std::string, std::uint64_t> passed_over;  // other events, by name
  Problems problems;
  std::string kernel;  // of the host, where the log's head says it
  std::string hash;    // of the lines that hold the events
  int pcpus = 0;
};

// Throws ops::InputError when the log holds no clock event at all: it names what there was instead.
TraceLog read_trace_log(std::istream& in, const std::string& name);

}  // namespace tscsim::logs

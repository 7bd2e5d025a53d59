// The words of the timeline: what each operates on, what stands after it, which operation it becomes.
#pragma once

#include <string>
#include <vector>

#include "ops/operation.h"

namespace tscsim::scenarios {

enum class Target : std::uint8_t { vcpu, vm, either };

// What stands after the colon.
enum class Operand : std::uint8_t {
  nothing,
  capture,
  msr_name,
  msr_value,
  clock,
  offset,
  khz,
  new_vcpu,
  state,
  duration,
  nested,
  pcpu,
  clocksource,
  hotplug,
  tsc_jump,
  suspend,
  sample,
  transfer,
  tsc_state,
  clock_guest,
  quirks,
  lapic,
  memory,
  guest,  // a Linux guest's words, guest_words.h
  procedure,
};

struct Word {
  const char* text;
  ops::OpKind kind;  // of the step, or of its first operation
  Target target;
  Operand operand;
};

const Word* find_word(const std::string& text);
// In the order of the table: the operations, and what uses a procedure.
std::vector<std::string> words();
std::vector<std::string> procedure_words();

}  // namespace tscsim::scenarios

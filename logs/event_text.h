// The text of KVM's clock tracepoints, read back: what the kernel prints itself, and what trace-cmd and perf print of the
// raw record. They differ in two ways from the kernel: the names of the host's clocksource modes are numbers there
// ("hostclock 0x1"), because the event's format names enumerators that it does not define, and a signed byte is printed
// unsigned (tsc_shift 255 is -1). `trace-cmd report -R` prints the record's fields by name.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "ops/trace_event.h"

namespace tscsim::logs {

struct TextFault {
  std::size_t at = 0;  // in the text
  std::string expected;
};

// Fills in vcpu and values; nothing is returned when all was read.
std::optional<TextFault> read_event_text(ops::TraceKind kind, std::string_view text, ops::TraceEvent& event);

}  // namespace tscsim::logs

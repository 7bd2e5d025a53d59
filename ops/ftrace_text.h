// Trace events as the kernel's trace buffer prints them, line by line, for readers and tools that know that format.
#pragma once

#include <string>

#include "ops/recording.h"
#include "ops/trace_event.h"

namespace tscsim::ops {

// "vcpu=0 prev=0 next=18446744058269604730": what follows the event's name.
// Kernel: Linux v6.12 arch/x86/kvm/trace.h, the events' TP_printk.
std::string ftrace_text(const TraceEvent& event);

// The trace of one host of the recording, as /sys/kernel/tracing/trace shows it with trace_clock=x86-tsc. What the
// recording does not know stands as in a trace of a task "vmm" with process id 1 and no flags.
std::string ftrace_of(const Recording& recording, int host);

}  // namespace tscsim::ops

// Which VM an event is about. KVM's tracepoints do not say: they name a vCPU by its number, which each VM has anew, and
// the thread that called. So the threads are put together:
//   - threads of one process (tgid) belong together, where the log has it;
//   - so do threads that show the same TSC offset, or the same page of a common master clock: 64 bits that a host's TSC
//     went into do not agree by chance;
//   - a thread that creates a VM and no vCPU goes with the next vCPU 0 that is created elsewhere;
//   - a thread that shows none of this goes to the VM whose thread has the nearest number and that lacks its vCPUs.
// A VM begins where vCPU 0 is created as its first (kvm_write_tsc_offset from 0, then kvm_track_tsc with nr_online 1), so
// that one thread may have several VMs, one after the other. What was assumed is told.
#pragma once

#include <string>
#include <vector>

#include "logs/trace_log.h"

namespace tscsim::logs {

struct SplitVm {
  std::vector<std::size_t> events;  // indices into TraceLog::events, in order
  std::vector<Task> tasks;          // the threads, each once, in order of appearance
  bool created_here = false;        // the log shows its creation
};

struct Split {
  std::vector<SplitVm> vms;  // in order of their first event
  std::vector<std::string> assumptions;
};

Split split_by_vm(const TraceLog& log);

}  // namespace tscsim::logs

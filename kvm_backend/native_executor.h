// Executes operations on a real KVM, at their due times, each between two readings of the host's clocks.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "kvm_backend/guest_code/guest_memory.h"
#include "kvm_backend/trace_reader.h"
#include "ops/executor.h"

namespace tscsim::kvm_backend {

struct NativeOptions {
  std::string device = "/dev/kvm";
  std::string target = "native";  // TargetProfile::target
  // Whether operations may change the host itself (its clocksource): in a lab machine of our own, never on a
  // user's. What was changed is put back when the executor goes.
  bool may_change_host = false;
  // Whether the machine wakes from S3 by itself, as Bochs does.
  bool may_suspend_host = false;
  // With may_change_host: what CLOCK_REALTIME is set to at the instant of start_clock(), in ns.
  std::optional<std::uint64_t> realtime_at_start;
  // How long one operation may take before the vCPU is taken out of KVM_RUN and the target declared broken.
  std::chrono::milliseconds timeout{5000};
  // Set by the program's SIGINT handler; execute() then throws ops::Interrupted. May be null; must outlive
  // the executor.
  const std::atomic<bool>* interrupted = nullptr;
  // Where KVM's trace events come from; may be null: none are kept. Must outlive the executor. Nobody else's KVM may
  // run on these CPUs meanwhile: kvm_update_master_clock does not say which VM it is about.
  TraceReader* trace = nullptr;
  // What probe_target() found earlier. Without it open_native() probes first.
  std::optional<ops::TargetProfile> profile;
};

// One VM. Operations are executed whatever host they name; NativeHosts chooses.
class NativeVm : public ops::Executor {
 public:
  // save_memory fills `image`, load_memory takes it from there.
  virtual ops::Entry carry_memory(const ops::Operation& op, MemoryImage& image) = 0;
};

// Throws ops::TargetError when there is no usable KVM.
//
// pCPU numbers (Entry::pcpu, the operand of move_vcpu) count the CPUs that this process may use, from 0. vCPU
// i starts on pCPU i modulo their number; operations on the VM run on pCPU 0.
//
// Entry::note of an operation that KVM refused is the text of the refusal: the call, its arguments, the
// errno. Not supported here, and therefore not executed at all: TSC offsets without KVM_VCPU_TSC_OFFSET
// (before 5.16), RDTSCP where probing showed that the guest cannot execute it, set_clocksource without
// may_change_host, a vCPU or pCPU that does not exist. Not supported and noticed only afterwards: KVM_RUN
// ended in an exit that says that KVM cannot go on; the note names it and the vCPU is put back to a state in
// which later operations work.
std::unique_ptr<NativeVm> open_native(const NativeOptions& options);

}  // namespace tscsim::kvm_backend

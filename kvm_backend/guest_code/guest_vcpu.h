// A vCPU with the guest on it: hands the guest one command, enters it once and says how it came back.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "kvm_backend/guest_code/guest_memory.h"
#include "kvm_backend/host_clocks.h"
#include "kvm_backend/ioctl/system.h"
#include "kvm_backend/ioctl/vcpu.h"

namespace tscsim::kvm_backend {

struct GuestCall {
  GuestCommand command = GuestCommand::nop;
  std::uint32_t msr = 0;
  std::uint64_t operand = 0;
};

enum class GuestEnd : std::uint8_t {
  done,     // `page` holds the results
  fault,    // the guest took an exception or gave up: page.fault says which
  stuck,    // KVM_RUN ended in another way; the vCPU was put back to the start of its loop
  refused,  // KVM_RUN itself failed: `error`
  kicked,   // kick() took it out of the guest; the vCPU was put back likewise
};

struct GuestResult {
  GuestEnd end = GuestEnd::done;
  int error = 0;
  GuestPage page;
  std::string note;  // the exit reason, the exception
};

class GuestVcpu {
 public:
  // A new vCPU, not yet booted. `memory` must outlive it.
  GuestVcpu(Vcpu vcpu, int index, GuestMemory& memory);

  struct Platform {
    bool hyperv = false;       // CPUID says Hyper-V, too
    bool local_apics = false;  // in KVM; CPUID says that their timers have the TSC-deadline mode
  };
  // CPUID, segments, registers: the guest stands at the start of its loop. Throws KvmError.
  void boot(const System& system, const Platform& platform);
  void boot(const System& system) { boot(system, {}); }

  // Enters the guest with one command. Only KVM_RUN lies inside `bracket`.
  GuestResult call(const GuestCall& call, const HostClocks& clocks, ops::Bracket& bracket);

  // Makes the KVM_RUN that goes on now return; from another thread, which also has to interrupt this one with
  // a signal. Without effect when no call() is going on.
  void kick();

  const Vcpu& vcpu() const { return vcpu_; }

 private:
  void write_command(const GuestCall& call);
  CallResult enter();
  GuestResult read_result();
  void restart();

  Vcpu vcpu_;
  int index_ = 0;
  GuestMemory* memory_ = nullptr;
  kvm_sregs boot_sregs_{};
  std::atomic<bool> kicked_{false};
};

// "KVM_EXIT_INTERNAL_ERROR (suberror 1: emulation failed)", for notes.
std::string exit_text(const kvm_run& run);

}  // namespace tscsim::kvm_backend

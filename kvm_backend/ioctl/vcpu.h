// One virtual CPU: the ioctls on its file descriptor and its kvm_run area.
#pragma once

#include <cstdint>
#include <vector>

#include "kvm_backend/ioctl/abi.h"
#include "kvm_backend/ioctl/fd.h"

namespace tscsim::kvm_backend {

class Vcpu {
 public:
  // `index` is for error texts. Throws KvmError when the kvm_run area cannot be mapped.
  Vcpu(Fd fd, int index, std::size_t mmap_bytes);

  // Set-up; throw KvmError.
  void set_cpuid(const std::vector<kvm_cpuid_entry2>& entries);
  kvm_sregs get_sregs();
  void set_sregs(const kvm_sregs& sregs);
  void set_regs(const kvm_regs& regs);
  void make_runnable();  // KVM_SET_MP_STATE; with local APICs a vCPU other than the first waits for a start-up IPI
  void clear_events();   // KVM_SET_VCPU_EVENTS: nothing pending

  // KVM_SET_MSRS and KVM_GET_MSRS with one entry return how many were done: 1, or 0 when KVM refused this one
  // without saying why. A refusal is reported as EINVAL, what KVM returns where it does say.
  CallResult set_msr(std::uint32_t msr, std::uint64_t value) const;
  CallResult get_msr(std::uint32_t msr, std::uint64_t& value) const;

  CallResult has_tsc_offset() const;
  CallResult set_tsc_offset(std::uint64_t offset) const;
  CallResult get_tsc_offset(std::uint64_t& offset) const;
  CallResult set_tsc_khz(std::uint64_t khz) const { return fd_.call(KVM_SET_TSC_KHZ, khz); }
  CallResult get_tsc_khz() const { return fd_.call(KVM_GET_TSC_KHZ); }
  CallResult kvmclock_ctrl() const { return fd_.call(KVM_KVMCLOCK_CTRL); }

  // KVM_GET_LAPIC and KVM_SET_LAPIC: the registers as they are, but the timer masked and in this mode.
  CallResult set_timer_mode(std::uint64_t mode) const;

  // KVM_RUN once. EINTR: a signal came or exit_at_once() was asked for.
  CallResult run() const { return fd_.call_once(KVM_RUN); }

  // The next KVM_RUN, or the one that a signal just now interrupts, returns EINTR before the guest runs on.
  // May be called from another thread. Kernel: Documentation/virt/kvm/api.rst, kvm_run.immediate_exit.
  void exit_at_once(bool yes) const;

  const kvm_run& run_area() const { return *reinterpret_cast<const kvm_run*>(run_area_.data()); }

 private:
  template <class Argument>
  void set_up(const char* call, unsigned long request, Argument* argument) const;

  Fd fd_;
  int index_ = 0;
  Mapping run_area_;
};

}  // namespace tscsim::kvm_backend

#include "kvm_backend/ioctl/vcpu.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>

#include "kvm_backend/ioctl/kvm_error.h"

namespace tscsim::kvm_backend {

namespace {

struct OneMsr {
  abi::MsrsHead head;
  kvm_msr_entry entry{};
};

OneMsr one_msr(std::uint32_t index, std::uint64_t value) {
  OneMsr message;
  message.head.nmsrs = 1;
  message.entry.index = index;
  message.entry.data = value;
  return message;
}

CallResult one_done(CallResult result) {
  if (result.ok() && result.value != 1) return {0, EINVAL};
  return result;
}

kvm_device_attr tsc_offset_attribute(std::uint64_t* value) {
  kvm_device_attr attribute{};
  attribute.group = abi::kVcpuTscCtrl;
  attribute.attr = abi::kVcpuTscOffset;
  attribute.addr = reinterpret_cast<std::uint64_t>(value);
  return attribute;
}

}  // namespace

Vcpu::Vcpu(Fd fd, int index, std::size_t mmap_bytes)
    : fd_(std::move(fd)), index_(index), run_area_(map_shared(&fd_, mmap_bytes, "kvm_run area")) {}

template <class Argument>
void Vcpu::set_up(const char* call, unsigned long request, Argument* argument) const {
  const CallResult result = fd_.call(request, static_cast<void*>(argument));
  if (!result.ok()) throw KvmError({call, fmt::format("vcpu {}", index_), result.error, "", ""});
}

void Vcpu::set_cpuid(const std::vector<kvm_cpuid_entry2>& entries) {
  std::vector<std::byte> raw(sizeof(abi::CpuidHead) + entries.size() * sizeof(kvm_cpuid_entry2));
  abi::CpuidHead head;
  head.nent = static_cast<std::uint32_t>(entries.size());
  std::memcpy(raw.data(), &head, sizeof head);
  std::memcpy(raw.data() + sizeof head, entries.data(), entries.size() * sizeof(kvm_cpuid_entry2));
  set_up("KVM_SET_CPUID2", abi::kSetCpuid2, raw.data());
}

kvm_sregs Vcpu::get_sregs() {
  kvm_sregs sregs{};
  set_up("KVM_GET_SREGS", KVM_GET_SREGS, &sregs);
  return sregs;
}

void Vcpu::set_sregs(const kvm_sregs& sregs) {
  kvm_sregs copy = sregs;
  set_up("KVM_SET_SREGS", KVM_SET_SREGS, &copy);
}

void Vcpu::set_regs(const kvm_regs& regs) {
  kvm_regs copy = regs;
  set_up("KVM_SET_REGS", KVM_SET_REGS, &copy);
}

void Vcpu::clear_events() {
  kvm_vcpu_events events{};
  set_up("KVM_SET_VCPU_EVENTS", KVM_SET_VCPU_EVENTS, &events);
}

void Vcpu::make_runnable() {
  kvm_mp_state state{KVM_MP_STATE_RUNNABLE};
  set_up("KVM_SET_MP_STATE", KVM_SET_MP_STATE, &state);
}

CallResult Vcpu::set_timer_mode(std::uint64_t mode) const {
  kvm_lapic_state registers{};
  const CallResult got = fd_.call(KVM_GET_LAPIC, &registers);
  if (!got.ok()) return got;
  const std::uint32_t timer = abi::kLvtMasked | static_cast<std::uint32_t>(mode) << abi::kLvtTimerModeShift;
  std::memcpy(registers.regs + abi::kLvtTimer, &timer, sizeof timer);
  return fd_.call(KVM_SET_LAPIC, &registers);
}

CallResult Vcpu::set_msr(std::uint32_t msr, std::uint64_t value) const {
  OneMsr message = one_msr(msr, value);
  return one_done(fd_.call(abi::kSetMsrs, &message));
}

CallResult Vcpu::get_msr(std::uint32_t msr, std::uint64_t& value) const {
  OneMsr message = one_msr(msr, 0);
  const CallResult result = one_done(fd_.call(abi::kGetMsrs, &message));
  value = message.entry.data;
  return result;
}

CallResult Vcpu::has_tsc_offset() const {
  kvm_device_attr attribute = tsc_offset_attribute(nullptr);
  return fd_.call(KVM_HAS_DEVICE_ATTR, &attribute);
}

CallResult Vcpu::set_tsc_offset(std::uint64_t offset) const {
  kvm_device_attr attribute = tsc_offset_attribute(&offset);
  return fd_.call(KVM_SET_DEVICE_ATTR, &attribute);
}

CallResult Vcpu::get_tsc_offset(std::uint64_t& offset) const {
  kvm_device_attr attribute = tsc_offset_attribute(&offset);
  return fd_.call(KVM_GET_DEVICE_ATTR, &attribute);
}

void Vcpu::exit_at_once(bool yes) const {
  auto* area = reinterpret_cast<kvm_run*>(run_area_.data());
  __atomic_store_n(&area->immediate_exit, static_cast<std::uint8_t>(yes ? 1 : 0), __ATOMIC_SEQ_CST);
}

}  // namespace tscsim::kvm_backend

#include "kvm_backend/ioctl/vm.h"

#include <fmt/format.h>

#include "kvm_backend/ioctl/kvm_error.h"

namespace tscsim::kvm_backend {

void Vm::set_tss_address(std::uint64_t guest_address) {
  const CallResult result = fd_.call(KVM_SET_TSS_ADDR, guest_address);
  if (!result.ok()) throw KvmError({"KVM_SET_TSS_ADDR", fmt::format("{:#x}", guest_address), result.error, "", ""});
}

void Vm::set_memory(std::uint64_t guest_address, const Mapping& memory) {
  kvm_userspace_memory_region region{};
  region.guest_phys_addr = guest_address;
  region.memory_size = memory.size();
  region.userspace_addr = reinterpret_cast<std::uint64_t>(memory.data());
  const CallResult result = fd_.call(KVM_SET_USER_MEMORY_REGION, &region);
  if (!result.ok())
    throw KvmError({"KVM_SET_USER_MEMORY_REGION",
                    fmt::format("{} bytes at {:#x}", grouped(memory.size()), guest_address), result.error, "", ""});
}

void Vm::create_local_apics() const {
  kvm_enable_cap cap{};
  cap.cap = abi::kCapSplitIrqchip;
  cap.args[0] = abi::kIoapicPins;
  const CallResult result = fd_.call(KVM_ENABLE_CAP, &cap);
  if (!result.ok()) throw KvmError({"KVM_ENABLE_CAP", "KVM_CAP_SPLIT_IRQCHIP", result.error, "", ""});
}

}  // namespace tscsim::kvm_backend

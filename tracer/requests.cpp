#include "tracer/requests.h"

namespace tscsim::tracer {
namespace {

// Direction and low byte, as request_key() makes them, of x86's calls in include/uapi/linux/kvm.h (6.12). Their sizes have
// changed over time, their names have not.
constexpr struct {
  std::uint16_t key;
  const char* name;
} kNames[] = {
    {0x000, "KVM_GET_API_VERSION"},
    {0x001, "KVM_CREATE_VM"},
    {0x302, "KVM_GET_MSR_INDEX_LIST"},
    {0x003, "KVM_CHECK_EXTENSION"},
    {0x004, "KVM_GET_VCPU_MMAP_SIZE"},
    {0x305, "KVM_GET_SUPPORTED_CPUID"},
    {0x309, "KVM_GET_EMULATED_CPUID"},
    {0x30a, "KVM_GET_MSR_FEATURE_INDEX_LIST"},
    {0x041, "KVM_CREATE_VCPU"},
    {0x142, "KVM_GET_DIRTY_LOG"},
    {0x044, "KVM_SET_NR_MMU_PAGES"},
    {0x045, "KVM_GET_NR_MMU_PAGES"},
    {0x146, "KVM_SET_USER_MEMORY_REGION"},
    {0x047, "KVM_SET_TSS_ADDR"},
    {0x148, "KVM_SET_IDENTITY_MAP_ADDR"},
    {0x060, "KVM_CREATE_IRQCHIP"},
    {0x161, "KVM_IRQ_LINE"},
    {0x362, "KVM_GET_IRQCHIP"},
    {0x263, "KVM_SET_IRQCHIP"},
    {0x365, "KVM_GET_PIT"},
    {0x266, "KVM_SET_PIT"},
    {0x367, "KVM_IRQ_LINE_STATUS"},
    {0x16a, "KVM_SET_GSI_ROUTING"},
    {0x176, "KVM_IRQFD"},
    {0x177, "KVM_CREATE_PIT2"},
    {0x078, "KVM_SET_BOOT_CPU_ID"},
    {0x179, "KVM_IOEVENTFD"},
    {0x17b, "KVM_SET_CLOCK"},
    {0x27c, "KVM_GET_CLOCK"},
    {0x080, "KVM_RUN"},
    {0x281, "KVM_GET_REGS"},
    {0x182, "KVM_SET_REGS"},
    {0x283, "KVM_GET_SREGS"},
    {0x184, "KVM_SET_SREGS"},
    {0x385, "KVM_TRANSLATE"},
    {0x186, "KVM_INTERRUPT"},
    {0x388, "KVM_GET_MSRS"},
    {0x189, "KVM_SET_MSRS"},
    {0x18a, "KVM_SET_CPUID"},
    {0x18b, "KVM_SET_SIGNAL_MASK"},
    {0x28c, "KVM_GET_FPU"},
    {0x18d, "KVM_SET_FPU"},
    {0x28e, "KVM_GET_LAPIC"},
    {0x18f, "KVM_SET_LAPIC"},
    {0x190, "KVM_SET_CPUID2"},
    {0x391, "KVM_GET_CPUID2"},
    {0x193, "KVM_SET_VAPIC_ADDR"},
    {0x298, "KVM_GET_MP_STATE"},
    {0x199, "KVM_SET_MP_STATE"},
    {0x09a, "KVM_NMI"},
    {0x19b, "KVM_SET_GUEST_DEBUG"},
    {0x19c, "KVM_X86_SETUP_MCE"},
    {0x29d, "KVM_X86_GET_MCE_CAP_SUPPORTED"},
    {0x19e, "KVM_X86_SET_MCE"},
    {0x29f, "KVM_GET_PIT2"},
    {0x29f, "KVM_GET_VCPU_EVENTS"},
    {0x1a0, "KVM_SET_PIT2"},
    {0x1a0, "KVM_SET_VCPU_EVENTS"},
    {0x2a1, "KVM_GET_DEBUGREGS"},
    {0x0a2, "KVM_SET_TSC_KHZ"},
    {0x1a2, "KVM_SET_DEBUGREGS"},
    {0x0a3, "KVM_GET_TSC_KHZ"},
    {0x1a3, "KVM_ENABLE_CAP"},
    {0x2a4, "KVM_GET_XSAVE"},
    {0x1a5, "KVM_SET_XSAVE"},
    {0x1a5, "KVM_SIGNAL_MSI"},
    {0x2a6, "KVM_GET_XCRS"},
    {0x1a7, "KVM_SET_XCRS"},
    {0x1ab, "KVM_GET_ONE_REG"},
    {0x1ac, "KVM_SET_ONE_REG"},
    {0x0ad, "KVM_KVMCLOCK_CTRL"},
    {0x3b0, "KVM_GET_REG_LIST"},
    {0x1b2, "KVM_SET_PMU_EVENT_FILTER"},
    {0x0b7, "KVM_SMI"},
    {0x3ba, "KVM_MEMORY_ENCRYPT_OP"},
    {0x2bb, "KVM_MEMORY_ENCRYPT_REG_REGION"},
    {0x2bc, "KVM_MEMORY_ENCRYPT_UNREG_REGION"},
    {0x1bd, "KVM_HYPERV_EVENTFD"},
    {0x3be, "KVM_GET_NESTED_STATE"},
    {0x1bf, "KVM_SET_NESTED_STATE"},
    {0x3c0, "KVM_CLEAR_DIRTY_LOG"},
    {0x3c1, "KVM_GET_SUPPORTED_HV_CPUID"},
    {0x1c6, "KVM_X86_SET_MSR_FILTER"},
    {0x0c7, "KVM_RESET_DIRTY_RINGS"},
    {0x2cc, "KVM_GET_SREGS2"},
    {0x1cd, "KVM_SET_SREGS2"},
    {0x0ce, "KVM_GET_STATS_FD"},
    {0x2cf, "KVM_GET_XSAVE2"},
    {0x3e0, "KVM_CREATE_DEVICE"},
    {0x1e1, "KVM_SET_DEVICE_ATTR"},
    {0x1e2, "KVM_GET_DEVICE_ATTR"},
    {0x1e3, "KVM_HAS_DEVICE_ATTR"},
    {0x167, "KVM_REGISTER_COALESCED_MMIO"},
    {0x168, "KVM_UNREGISTER_COALESCED_MMIO"},
    {0x392, "KVM_TPR_ACCESS_REPORTING"},
    {0x149, "KVM_SET_USER_MEMORY_REGION2"},
};

}  // namespace

std::string request_name(std::uint16_t key) {
  std::string text;
  for (const auto& known : kNames)
    if (known.key == key) text += (text.empty() ? "" : " or ") + std::string(known.name);
  return text;
}

}  // namespace tscsim::tracer

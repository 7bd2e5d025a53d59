#include "kvm_backend/guest_code/boot_state.h"

#include "kvm_backend/guest_code/guest_code.h"
#include "kvm_backend/guest_code/guest_memory.h"

namespace tscsim::kvm_backend {

namespace {

// Intel SDM volume 3, 2.5 (control registers) and 2.2.1 (EFER).
constexpr std::uint64_t kCr0 = 0x80000033;  // PG, NE, ET, MP, PE
constexpr std::uint64_t kCr4 = 0x20;        // PAE
constexpr std::uint64_t kEfer = 0x500;      // LMA, LME

kvm_segment code_segment() {
  kvm_segment segment{};
  segment.limit = 0xffffffff;
  segment.selector = 8;
  segment.type = 11;  // execute, read, accessed
  segment.present = 1;
  segment.s = 1;
  segment.l = 1;
  segment.g = 1;
  return segment;
}

kvm_segment data_segment() {
  kvm_segment segment{};
  segment.limit = 0xffffffff;
  segment.selector = 16;
  segment.type = 3;  // read, write, accessed
  segment.present = 1;
  segment.db = 1;
  segment.s = 1;
  segment.g = 1;
  return segment;
}

// VMX refuses to enter 64-bit mode without a busy 64-bit TSS (SDM volume 3, 27.3.1.2).
kvm_segment task_segment() {
  kvm_segment segment{};
  segment.base = guest_map::kTss;
  segment.limit = 0x67;
  segment.type = 11;
  segment.present = 1;
  return segment;
}

}  // namespace

std::vector<kvm_cpuid_entry2> boot_cpuid(std::vector<kvm_cpuid_entry2> supported, int vcpu) {
  const auto apic_id = static_cast<std::uint32_t>(vcpu);
  for (kvm_cpuid_entry2& entry : supported) {
    if (entry.function == 1) entry.ebx = (entry.ebx & 0x00ffffff) | apic_id << 24;
    if (entry.function == 0xb || entry.function == 0x1f) entry.edx = apic_id;
  }
  return supported;
}

// Hyper-V TLFS, "Feature and Interface Discovery". A hypervisor's leaves start at a multiple of 0x100.
std::vector<kvm_cpuid_entry2> with_hyperv(std::vector<kvm_cpuid_entry2> cpuid) {
  constexpr std::uint32_t kBase = 0x40000000;
  for (kvm_cpuid_entry2& entry : cpuid) {
    if (entry.function == kBase && entry.eax != 0) entry.eax += 0x100;
    if (entry.function >= kBase && entry.function < kBase + 0x100) entry.function += 0x100;
  }
  const auto add = [&](std::uint32_t function, std::uint32_t eax, std::uint32_t ebx, std::uint32_t ecx,
                       std::uint32_t edx) {
    kvm_cpuid_entry2 entry{};
    entry.function = function;
    entry.eax = eax;
    entry.ebx = ebx;
    entry.ecx = ecx;
    entry.edx = edx;
    cpuid.push_back(entry);
  };
  constexpr std::uint32_t kReferenceCounter = 1 << 1, kReferenceTsc = 1 << 9, kFrequencies = 1 << 11,
                          kReenlightenment = 1 << 13;
  add(kBase, kBase + 3, 0x7263694d, 0x666f736f, 0x76482074);  // "Microsoft Hv"
  add(kBase + 1, 0x31237648, 0, 0, 0);                        // "Hv#1"
  add(kBase + 3, kReferenceCounter | kReferenceTsc | kFrequencies | kReenlightenment, 0, 0, 1 << 8);
  return cpuid;
}

std::vector<kvm_cpuid_entry2> with_deadline_timer(std::vector<kvm_cpuid_entry2> cpuid) {
  constexpr std::uint32_t kTscDeadline = 1U << 24;
  for (kvm_cpuid_entry2& entry : cpuid)
    if (entry.function == 1) entry.ecx |= kTscDeadline;
  return cpuid;
}

kvm_sregs boot_sregs(kvm_sregs sregs) {
  sregs.cs = code_segment();
  sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data_segment();
  sregs.tr = task_segment();
  sregs.gdt.base = guest_map::kGdt;
  sregs.gdt.limit = 3 * 8 - 1;
  sregs.idt.base = guest_map::kIdt;
  sregs.idt.limit = kVectors * 16 - 1;
  sregs.cr0 = kCr0;
  sregs.cr3 = guest_map::kPml4;
  sregs.cr4 = kCr4;
  sregs.efer = kEfer;
  return sregs;
}

kvm_regs boot_regs(int vcpu) {
  kvm_regs regs{};
  regs.rip = guest_map::kCode + guest_code_entry();
  regs.rflags = 2;  // bit 1 is always set; interrupts off
  regs.rsp = guest_map::stack_top(vcpu);
  regs.r15 = guest_map::command_page(vcpu);
  return regs;
}

}  // namespace tscsim::kvm_backend

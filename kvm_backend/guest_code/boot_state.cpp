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

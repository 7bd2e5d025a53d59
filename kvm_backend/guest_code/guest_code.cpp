#include "kvm_backend/guest_code/guest_code.h"

#include "kvm_backend/guest_code/guest_page.h"

// Offsets into the page as assembler constants, from the same list as the structure.
#define TSCSIM_FIELD(name, offset) ".set at_" #name ", " #offset "\n"
asm(TSCSIM_GUEST_PAGE(TSCSIM_FIELD));
#undef TSCSIM_FIELD

static_assert(static_cast<int>(tscsim::kvm_backend::GuestCommand::read_hyperv_page) == 8, "the dispatch below");
static_assert(tscsim::kvm_backend::kDonePort == 0x10, "the `out` below");
static_assert(tscsim::kvm_backend::guest_fault::kNone == ~std::uint64_t{0}, "the `fault` below");

asm(R"(
    .pushsection .rodata
    .balign 16
    .globl tscsim_guest_begin, tscsim_guest_exceptions, tscsim_guest_end
tscsim_guest_begin:

# r15 is the page. Each round starts with an empty stack, so an exception entry need not return.
.Lguest_next:
    mov     at_stack_top(%r15), %rsp
    movq    $-1, at_fault(%r15)
    mov     at_command(%r15), %rax
    cmp     $0, %rax
    je      .Lguest_done
    cmp     $1, %rax
    je      .Lguest_rdtsc
    cmp     $2, %rax
    je      .Lguest_rdtscp
    cmp     $3, %rax
    je      .Lguest_rdmsr
    cmp     $4, %rax
    je      .Lguest_wrmsr
    cmp     $5, %rax
    je      .Lguest_pvclock
    cmp     $6, %rax
    je      .Lguest_rdtsc_pair
    cmp     $7, %rax
    je      .Lguest_spin
    cmp     $8, %rax
    je      .Lguest_hyperv
    movq    $257, at_fault(%r15)
    jmp     .Lguest_done

# edx:eax -> value.
.Lguest_value:
    shl     $32, %rdx
    or      %rdx, %rax
    mov     %rax, at_value(%r15)

# The one way out. KVM resumes behind the `out`.
.Lguest_done:
    incq    at_completed(%r15)
    out     %al, $0x10
    jmp     .Lguest_next

.Lguest_rdtsc:
    lfence
    rdtsc
    jmp     .Lguest_value

.Lguest_rdtscp:
    rdtscp
    mov     %ecx, %ecx                  # clears the upper half
    mov     %rcx, at_aux(%r15)
    jmp     .Lguest_value

.Lguest_rdmsr:
    mov     at_msr(%r15), %ecx
    rdmsr
    mov     %eax, %eax
    jmp     .Lguest_value

.Lguest_wrmsr:
    mov     at_msr(%r15), %ecx
    mov     at_operand(%r15), %rax
    mov     %rax, %rdx
    shr     $32, %rdx
    wrmsr
    jmp     .Lguest_done

.Lguest_rdtsc_pair:
    lfence
    rdtsc
    mov     %eax, %esi
    mov     %edx, %edi
    rdtsc
    shl     $32, %rdx
    or      %rdx, %rax
    mov     %rax, at_aux(%r15)
    mov     %esi, %eax
    mov     %edi, %edx
    jmp     .Lguest_value

.Lguest_spin:
    pause
    jmp     .Lguest_spin

# One reading of the kvmclock page (struct pvclock_vcpu_time_info, pvclock-abi.h) as a Linux guest makes it
# (arch/x86/include/asm/pvclock.h): an even version, the fields and the TSC, the same version again.
#   rdi page, rsi retries left, r8 version, r9 tsc_timestamp, r10 system_time, r11 mul, ecx shift, ebx flags
.Lguest_pvclock:
    mov     at_operand(%r15), %rdi
    mov     at_retry_limit(%r15), %rsi
.Lguest_pvclock_try:
    mov     0(%rdi), %r8d
    test    $1, %r8d
    jnz     .Lguest_pvclock_retry       # an update is under way
    lfence
    rdtsc
    shl     $32, %rdx
    or      %rdx, %rax                  # rax: the guest's TSC
    mov     8(%rdi), %r9
    mov     16(%rdi), %r10
    mov     24(%rdi), %r11d
    movsbl  28(%rdi), %ecx
    movzbl  29(%rdi), %ebx
    lfence
    cmp     0(%rdi), %r8d
    jne     .Lguest_pvclock_retry
    mov     %r8, at_version(%r15)
    mov     %rax, at_tsc(%r15)
    mov     %r9, at_tsc_timestamp(%r15)
    mov     %r10, at_system_time(%r15)
    mov     %r11, at_mul(%r15)
    movslq  %ecx, %rdx
    mov     %rdx, at_shift(%r15)
    mov     %rbx, at_page_flags(%r15)
    sub     %r9, %rax                   # cycles since the page was made
    test    %ecx, %ecx
    js      .Lguest_pvclock_right
    shl     %cl, %rax
    jmp     .Lguest_pvclock_scale
.Lguest_pvclock_right:
    neg     %ecx
    shr     %cl, %rax
.Lguest_pvclock_scale:
    mul     %r11                        # rdx:rax = cycles * mul, of which bits 32..95 are nanoseconds
    shrd    $32, %rdx, %rax
    add     %r10, %rax
    mov     %rax, at_ns(%r15)
    jmp     .Lguest_done
.Lguest_pvclock_retry:
    dec     %rsi
    jnz     .Lguest_pvclock_try
    movq    $256, at_fault(%r15)
    jmp     .Lguest_done

# One reading of the Hyper-V reference TSC page (Hyper-V TLFS, "Partition Reference TSC Mechanism"): a sequence other than
# 0, scale, offset and the TSC, the same sequence again.
#   rdi page, rsi retries left, r8 sequence, r9 scale, r10 offset
.Lguest_hyperv:
    mov     at_operand(%r15), %rdi
    mov     at_retry_limit(%r15), %rsi
.Lguest_hyperv_try:
    mov     0(%rdi), %r8d
    test    %r8d, %r8d
    jz      .Lguest_hyperv_invalid
    mov     8(%rdi), %r9
    mov     16(%rdi), %r10
    lfence
    rdtsc
    shl     $32, %rdx
    or      %rdx, %rax
    lfence
    cmp     0(%rdi), %r8d
    jne     .Lguest_hyperv_retry
    mov     %r8, at_version(%r15)
    mov     %rax, at_tsc(%r15)
    mov     %r9, at_scale(%r15)
    mov     %r10, at_offset(%r15)
    mul     %r9                         # rdx: the upper half of the product
    add     %r10, %rdx
    mov     %rdx, at_value(%r15)
    jmp     .Lguest_done
.Lguest_hyperv_retry:
    dec     %rsi
    jnz     .Lguest_hyperv_try
    movq    $256, at_fault(%r15)
    jmp     .Lguest_done
.Lguest_hyperv_invalid:
    movq    $258, at_fault(%r15)
    jmp     .Lguest_done

# Exceptions: note the vector and go on with the next command; what is on the stack is dropped there.
    .balign 16
tscsim_guest_exceptions:
    .irp    vector, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    .balign 16
    movq    $\vector, at_fault(%r15)
    jmp     .Lguest_done
    .endr
tscsim_guest_end:
    .popsection
)");

extern "C" const std::byte tscsim_guest_begin[], tscsim_guest_exceptions[], tscsim_guest_end[];

namespace tscsim::kvm_backend {

std::span<const std::byte> guest_code() { return {tscsim_guest_begin, tscsim_guest_end}; }

std::size_t guest_code_entry() { return 0; }

std::size_t guest_code_exceptions() { return static_cast<std::size_t>(tscsim_guest_exceptions - tscsim_guest_begin); }

}  // namespace tscsim::kvm_backend

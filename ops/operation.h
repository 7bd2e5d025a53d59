// The vocabulary: one Operation is one thing that a VMM, a guest or a host does to a VM's clocks, at the grain of
// the KVM API; an Outcome is what came back. The model and real KVM both execute operations, so whatever is said
// in this vocabulary can run on either and be compared.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "ops/guest.h"

namespace tscsim::ops {

enum class OpKind : std::uint8_t {
  // VMM: ioctls.
  create_vm,       // KVM_CREATE_VM; flags: vm_flag
  create_vcpu,     // KVM_CREATE_VCPU; `vcpu` is the new index, which is the next free one; flags: vcpu_flag
  set_tsc_khz,     // KVM_SET_TSC_KHZ on the vCPU, or on the VM when `vcpu` is kVm; value in kHz
  get_tsc_khz,     // KVM_GET_TSC_KHZ, likewise
  set_msr,         // KVM_SET_MSRS with one entry
  get_msr,         // KVM_GET_MSRS with one entry
  set_tsc_offset,  // KVM_SET_DEVICE_ATTR, KVM_VCPU_TSC_OFFSET
  get_tsc_offset,  // KVM_GET_DEVICE_ATTR, KVM_VCPU_TSC_OFFSET
  get_clock,       // KVM_GET_CLOCK
  set_clock,       // KVM_SET_CLOCK: value = clock in ns, flags, realtime in ns
  kvmclock_ctrl,   // KVM_KVMCLOCK_CTRL
  set_lapic,       // KVM_SET_LAPIC with what KVM_GET_LAPIC gives, but for the timer's mode: value (timer_mode)
  run,             // KVM_RUN; the guest leaves again at once
  // VMM: calls that were proposed and never merged. They are not made on a real kernel: their numbers are others' now.
  get_tsc_state,    // KVM_GET_TSC_STATE
  set_tsc_state,    // KVM_SET_TSC_STATE: value = tsc, realtime = nsec, flags, tsc_adjust
  disable_quirks,   // KVM_ENABLE_CAP of KVM_CAP_DISABLE_QUIRKS: value = mask
  get_clock_guest,  // KVM_GET_CLOCK_GUEST
  set_clock_guest,  // KVM_SET_CLOCK_GUEST: value = tsc_timestamp, realtime = system_time, mul, shift
  get_tsc_scale,    // KVM_GET_DEVICE_ATTR, KVM_VCPU_TSC_SCALE
  // Guest: executed inside one KVM_RUN.
  rdtsc,
  rdtscp,
  wrmsr,
  rdmsr,
  read_pvclock,      // one read of the vCPU's kvmclock page through the version protocol
  read_hyperv_page,  // one read of the Hyper-V reference TSC page, likewise
  enter_l2,          // a nested guest begins; value = L1's TSC offset for it, realtime = L1's multiplier (0: none)
  leave_l2,          // and ends
  // VMM, without a system call: in guest memory.
  peek_pvclock,      // the vCPU's kvmclock page as it lies in memory
  peek_wall_clock,   // the structure that MSR_KVM_WALL_CLOCK_NEW filled
  peek_hyperv_page,  // the VM's Hyper-V reference TSC page
  peek_steal_time,   // the vCPU's steal time record
  bump_vmclock,      // it writes its VMClock page: the disruption marker is another one
  // Host.
  move_vcpu,   // the vCPU's thread is pinned to pCPU `value`
  delay_vcpu,  // the vCPU's thread has been runnable for `value` ns more without running; kVm: the VMM's main thread
  set_clocksource,    // the host's clocksource becomes TSC (value 1) or something else (value 0)
  mark_tsc_unstable,  // the kernel's mark_tsc_unstable()
  jump_host_tsc,      // value (signed) is added to the host's TSC, of pCPU `pcpu` or of all
  suspend_host,       // S3 for `value` ns; `flags` 1: the TSC restarts from 0, 0: it counts on
  offline_pcpu,       // CPU hot-unplug of pCPU `value`; vCPUs pinned there go to pCPU 0
  online_pcpu,        // and back
  // A guest moves to another host: what KVM wrote into its memory goes with it.
  save_memory,  // the guest's memory, as it is now, is put aside
  load_memory,  // what host `value` put aside becomes the memory of this host's VM
  // Seen from outside, by a recorder that does not see the operands: only in recordings, see Entry::call.
  observed,
  // A Linux guest (ops/guest.h); real targets have none.
  boot_guest,      // the guest's kernel boots as `guest` says, at once
  online_vcpu,     // the guest brings a vCPU up; `pcpu`: its thread is moved there meanwhile
  offline_vcpu,    // and takes it down
  read_clock,      // a program on the vCPU reads the clock that `flags` says (GuestClock)
  read_cpu_times,  // what the guest has accounted to the vCPU
  guest_state,     // the guest's clocksource and what it thinks of it
  step_realtime,   // settimeofday(): CLOCK_REALTIME moves by `value` ns (signed)
  block_task,      // value 1: a task sleeps uninterruptibly from now on; 0: it runs
  suspend_guest,   // the guest suspends itself (S3)
  wake_guest,      // and wakes
  pause_vm,        // the VMM stops all vCPUs' threads
  resume_vm,       // and lets them go on
  share_pcpus,  // each pCPU gives its threads slices of `value` ns in turn, `flags` other threads among them; 0: all run
};
inline constexpr std::size_t kOpKinds = static_cast<std::size_t>(OpKind::share_pcpus) + 1;

inline constexpr int kVm = -1;  // an operation on the VM rather than on one vCPU
inline constexpr int kAllPcpus = -1;
inline constexpr int kMaxHosts = 8;

// Operation::flags of create_vm.
namespace vm_flag {
inline constexpr std::uint32_t kIrqchip = 1;  // local APICs in KVM, and a guest that has a TSC deadline timer
}

// Operation::value of set_lapic: bits 17 and 18 of the register LVT Timer (Intel SDM volume 3, 11.5.1).
namespace timer_mode {
inline constexpr std::uint64_t kOneshot = 0, kPeriodic = 1, kTscDeadline = 2;
}

// Operation::flags of create_vcpu.
namespace vcpu_flag {
inline constexpr std::uint32_t kHyperv = 1;  // its CPUID says Hyper-V, so that the guest may use the MSRs
}

// Operation::flags of enter_l2.
namespace nested_flag {
inline constexpr std::uint32_t kFails = 1;  // the entry fails late: the processor refuses L2's state
}

// Operation::flags of suspend_host.
namespace suspend_flag {
inline constexpr std::uint32_t kTscRestarts = 1;
}

// Operation::flags of pause_vm.
namespace pause_flag {
inline constexpr std::uint32_t kDevicesStop = 1;  // the VMM's emulated devices stand still, too: QEMU's virtual clock
}

// Operation::flags of set_msr.
namespace thread_flag {
inline constexpr std::uint32_t kMainThread = 1;  // the VMM's main thread makes the call, not the vCPU's own
}

// MSR indices (Linux arch/x86/include/asm/msr-index.h, arch/x86/include/uapi/asm/kvm_para.h,
// include/hyperv/hvgdk.h).
namespace msr {
inline constexpr std::uint32_t kIa32Tsc = 0x10;
inline constexpr std::uint32_t kIa32TscAdjust = 0x3b;
inline constexpr std::uint32_t kIa32TscDeadline = 0x6e0;
inline constexpr std::uint32_t kKvmWallClock = 0x11;
inline constexpr std::uint32_t kKvmSystemTime = 0x12;
inline constexpr std::uint32_t kKvmWallClockNew = 0x4b564d00;
inline constexpr std::uint32_t kKvmSystemTimeNew = 0x4b564d01;
inline constexpr std::uint32_t kKvmStealTime = 0x4b564d03;
inline constexpr std::uint32_t kHvTimeRefCount = 0x40000020;         // reads reference time, in units of 100 ns
inline constexpr std::uint32_t kHvReferenceTsc = 0x40000021;         // where the reference TSC page is; bit 0 enables
inline constexpr std::uint32_t kHvTscFrequency = 0x40000022;         // reads Hz
inline constexpr std::uint32_t kHvTscEmulationControl = 0x40000107;  // while set, the page is left as it is
constexpr bool is_hyperv(std::uint32_t index) {
  return index == kHvTimeRefCount || index == kHvReferenceTsc || index == kHvTscFrequency ||
         index == kHvTscEmulationControl;
}
}  // namespace msr

// Flags of struct kvm_clock_data (Linux include/uapi/linux/kvm.h).
namespace clock_flag {
inline constexpr std::uint32_t kTscStable = 2;
inline constexpr std::uint32_t kRealtime = 4;
inline constexpr std::uint32_t kHostTsc = 8;
}  // namespace clock_flag

// Flags of struct kvm_tsc_state, as in the second version of the proposal; in the first, 1 was tsc_adjust.
namespace tsc_state_flag {
inline constexpr std::uint32_t kTimestamp = 1;
inline constexpr std::uint32_t kTscAdjust = 2;
}  // namespace tsc_state_flag

// Bits of disable_quirks. Since 5.19 mainline has another meaning for this one.
namespace quirk {
inline constexpr std::uint64_t kTscHostAccess = 1 << 5;
}

// Flags of the guest's pvclock page (Linux arch/x86/include/asm/pvclock-abi.h).
namespace pvclock_flag {
inline constexpr std::uint8_t kTscStable = 1;
inline constexpr std::uint8_t kGuestStopped = 2;
}  // namespace pvclock_flag

// The byte `preempted` of struct kvm_steal_time (Linux arch/x86/include/uapi/asm/kvm_para.h).
namespace steal_flag {
inline constexpr std::uint8_t kPreempted = 1;
}

// Where guest memory keeps the pages that scenarios do not place themselves. Guest physical addresses; vCPU i's
// kvmclock page is kPvclockPages + i * kPageStride, its wall clock kWallClockPages + i * kPageStride.
namespace layout {
inline constexpr std::uint64_t kMemoryBytes = 0x400000;  // guest memory, from address 0
inline constexpr std::uint64_t kPvclockPages = 0x200000;
inline constexpr std::uint64_t kWallClockPages = 0x280000;
inline constexpr std::uint64_t kHypervPage = 0x2d0000;  // one for the VM
inline constexpr std::uint64_t kStealTimes = 0x300000;  // + i * kPageStride
inline constexpr std::uint64_t kPageStride = 0x1000;
inline constexpr int kMaxVcpus = 64;
}  // namespace layout

struct Operation {
  OpKind kind{};
  std::int32_t vcpu = kVm;
  std::uint32_t msr = 0;
  std::uint32_t flags = 0;  // set_clock, set_tsc_state, suspend_host, create_vm, create_vcpu, enter_l2, pause_vm, ...
  std::uint64_t value = 0;  // what `kind` says; operations without a value leave it 0
  std::uint64_t realtime = 0;  // set_clock, set_tsc_state: ns; set_clock_guest: system_time; enter_l2: L1's multiplier
  std::int32_t pcpu = kAllPcpus;  // jump_host_tsc, online_vcpu
  std::int64_t at_ns = 0;         // scenario time at which it is due
  bool probe = false;             // inserted by the runner to read back state, not written by the author
  std::int32_t host = 0;          // index into Program::hosts; each host has a VM of its own
  std::uint64_t tsc_adjust = 0;   // set_tsc_state
  std::uint32_t mul = 0;          // set_clock_guest
  std::int8_t shift = 0;          // set_clock_guest
  GuestSpec guest{};              // boot_guest
  friend bool operator==(const Operation&, const Operation&) = default;
};

// Names of what an operation returns. Each operation returns a fixed set of fields, in a fixed order.
enum class Field : std::uint8_t {
  value,          // what the operation read: MSR value, guest TSC, kHz, TSC offset
  aux,            // rdtscp: TSC_AUX
  clock,          // get_clock: kvmclock, ns
  flags,          // get_clock: flags
  realtime,       // get_clock: CLOCK_REALTIME, ns; 0 if not given
  host_tsc,       // get_clock: host TSC; 0 if not given
  ns,             // read_pvclock: kvmclock as the guest computes it
  tsc,            // read_pvclock: the guest TSC it used
  version,        // the page's or the record's version; tsc_sequence of the Hyper-V page
  tsc_timestamp,  // pvclock page
  system_time,
  mul,
  shift,  // signed, sign-extended to 64 bits
  page_flags,
  sec,         // wall clock
  nsec,        // and get_tsc_state: CLOCK_REALTIME, ns
  tsc_adjust,  // get_tsc_state
  tsc_ratio,   // get_tsc_scale: fixed point
  tsc_frac_bits,
  scale,  // Hyper-V page: tsc_scale, tsc_offset
  offset,
  steal,        // steal time record: ns
  preempted,    // steal time record: flags of enum kvm_vcpu_preempted
  user,         // read_cpu_times: ns accounted to user time, by ticks
  task,         // and to the task's run time (clock_task)
  clocksource,  // guest_state: GuestClocksource
  tsc_khz,      // the TSC's rate as the guest knows it
  unstable,     // 1: the guest marked its TSC unstable
  watched,      // 1: its watchdog watches the TSC
  vdso,         // 1: clocks are read without entering the kernel
  exchanges,    // compare-and-exchange operations on kvmclock's last value
  held_back,    // reads that returned it
  jiffies,
};
inline constexpr std::size_t kFields = static_cast<std::size_t>(Field::jiffies) + 1;
inline constexpr std::size_t kMaxFields = 8;

template <class Num>
struct BasicFieldValue {
  Field field;
  Num value;
  friend bool operator==(const BasicFieldValue&, const BasicFieldValue&) = default;
};

// What came back: `error` is 0 or a positive errno; the fields are present only when `error` is 0. Num is a 64-bit
// integer in a recording and under simulation; the cross-check uses numbers that are not known yet.
template <class Num>
struct BasicOutcome {
  int error = 0;
  std::uint8_t count = 0;
  std::array<BasicFieldValue<Num>, kMaxFields> fields;  // the first `count` are there; the others are not even zero

  BasicOutcome() {}  // NOLINT: `= default` would let `{}` clear the fields
  BasicOutcome(const BasicOutcome& other) { *this = other; }
  BasicOutcome& operator=(const BasicOutcome& other) {
    error = other.error;
    count = other.count;
    // Member by member, as they were written: a wider load of what narrower stores have just written waits for them.
    for (std::size_t i = 0; i < count; ++i) {
      fields[i].field = other.fields[i].field;
      fields[i].value = other.fields[i].value;
    }
    return *this;
  }
  void add(Field field, Num value) { fields[count++] = {field, value}; }
  const Num* find(Field field) const {
    for (std::size_t i = 0; i < count; ++i)
      if (fields[i].field == field) return &fields[i].value;
    return nullptr;
  }
  friend bool operator==(const BasicOutcome& a, const BasicOutcome& b) {
    return a.error == b.error && a.count == b.count &&
           std::equal(a.fields.begin(), a.fields.begin() + a.count, b.fields.begin());
  }
};
using Outcome = BasicOutcome<std::uint64_t>;

std::string_view name_of(OpKind kind);
std::string_view name_of(Field field);
std::optional<OpKind> op_kind_from(std::string_view name);
std::optional<Field> field_from(std::string_view name);

// One sentence for `tscsim list operations` and `tscsim explain`.
std::string_view describe(OpKind kind);

// The field that a capture without a field name means (`rdtsc: a` captures Field::value).
std::optional<Field> primary_field(OpKind kind);

// The MSR's name in the SDM or kvm_para.h ("IA32_TSC"), or empty if it is none of those above.
std::string_view msr_name(std::uint32_t index);
std::optional<std::uint32_t> msr_from(std::string_view name);

// "tsc_deadline"; empty for a mode that there is not.
std::string_view timer_mode_name(std::uint64_t mode);

// What the 64 bits of a field stand for in arithmetic: signed for the page's shift and for a TSC offset, which is the
// guest's counter minus the host's and mostly negative.
inline __int128 numeric_value(OpKind kind, Field field, std::uint64_t bits) {
  const bool signed_read = kind == OpKind::read_clock && field == Field::ns;  // before 4.10 a read may be in the past
  const bool is_signed = signed_read || field == Field::shift || field == Field::task || field == Field::offset ||
                         (kind == OpKind::get_tsc_offset && field == Field::value);
  return is_signed ? __int128{static_cast<std::int64_t>(bits)} : __int128{bits};
}

// Only the model has it: a call that no kernel has, or whose number means another call by now.
bool is_proposal(OpKind kind);

// Only the model has it: it takes a Linux guest.
bool needs_linux_guest(OpKind kind);

// True where the VMM's main thread makes a vCPU's call. Only the model tells threads apart.
bool by_main_thread(const Operation& op);

// True for operations that the guest executes, inside KVM_RUN.
bool is_guest(OpKind kind);

// True for what happens to the host's clocks or CPUs, rather than to the VM.
bool is_host_event(OpKind kind);

}  // namespace tscsim::ops

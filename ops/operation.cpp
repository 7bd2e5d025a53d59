// Names and one-line descriptions of the vocabulary. A name in a file is exactly the enumerator's name, so
// what a scenario, a recording and the source call a thing is the same word.
#include "ops/operation.h"

namespace tscsim::ops {
namespace {

struct KindInfo {
  OpKind kind;
  std::string_view name;
  std::optional<Field> primary;
  std::string_view text;
};

constexpr std::array<KindInfo, kOpKinds> kKinds{{
    {OpKind::create_vm,
     "create_vm",
     {},
     "KVM_CREATE_VM: a virtual machine without vCPUs. One that was there before is closed."},
    {OpKind::create_vcpu, "create_vcpu", {}, "KVM_CREATE_VCPU: the next vCPU, whose TSC starts at 0."},
    {OpKind::set_tsc_khz,
     "set_tsc_khz",
     {},
     "KVM_SET_TSC_KHZ: the guest TSC's frequency in kHz, of one vCPU or of vCPUs created later."},
    {OpKind::get_tsc_khz, "get_tsc_khz", Field::value, "KVM_GET_TSC_KHZ: the guest TSC's frequency in kHz."},
    {OpKind::set_msr, "set_msr", {}, "KVM_SET_MSRS with one entry: the VMM writes an MSR of a vCPU."},
    {OpKind::get_msr, "get_msr", Field::value, "KVM_GET_MSRS with one entry: the VMM reads an MSR of a vCPU."},
    {OpKind::set_tsc_offset,
     "set_tsc_offset",
     {},
     "KVM_SET_DEVICE_ATTR of KVM_VCPU_TSC_OFFSET: guest TSC minus scaled host TSC, in guest cycles."},
    {OpKind::get_tsc_offset, "get_tsc_offset", Field::value, "KVM_GET_DEVICE_ATTR of KVM_VCPU_TSC_OFFSET."},
    {OpKind::get_clock, "get_clock", Field::clock,
     "KVM_GET_CLOCK: kvmclock in ns, with CLOCK_REALTIME and the host TSC where KVM gives them."},
    {OpKind::set_clock,
     "set_clock",
     {},
     "KVM_SET_CLOCK: kvmclock in ns, moved on by the time since `realtime` if that flag is set."},
    {OpKind::kvmclock_ctrl,
     "kvmclock_ctrl",
     {},
     "KVM_KVMCLOCK_CTRL: tells the guest, by a page flag, that its vCPU was stopped."},
    {OpKind::set_lapic,
     "set_lapic",
     {},
     "KVM_SET_LAPIC: the local APIC's registers, of which the timer's mode is chosen."},
    {OpKind::run, "run", {}, "KVM_RUN: enters the guest, which leaves again at once."},
    {OpKind::get_tsc_state, "get_tsc_state", Field::tsc,
     "KVM_GET_TSC_STATE (proposed in 2020): a vCPU's TSC, the wall clock at that moment, and TSC_ADJUST."},
    {OpKind::set_tsc_state,
     "set_tsc_state",
     {},
     "KVM_SET_TSC_STATE (proposed in 2020): the TSC that the state has reached by now on this host's wall clock."},
    {OpKind::disable_quirks,
     "disable_quirks",
     {},
     "KVM_CAP_DISABLE_QUIRKS with KVM_X86_QUIRK_TSC_HOST_ACCESS (proposed in 2020): host writes of a TSC are exact."},
    {OpKind::get_clock_guest, "get_clock_guest", Field::system_time,
     "KVM_GET_CLOCK_GUEST (proposed in 2024): kvmclock as the line that this vCPU's guest computes it by."},
    {OpKind::set_clock_guest,
     "set_clock_guest",
     {},
     "KVM_SET_CLOCK_GUEST (proposed in 2024): kvmclock goes on along the line that the guest had."},
    {OpKind::get_tsc_scale, "get_tsc_scale", Field::tsc_ratio,
     "KVM_GET_DEVICE_ATTR of KVM_VCPU_TSC_SCALE (proposed in 2024): the TSC ratio and its fraction bits."},
    {OpKind::rdtsc, "rdtsc", Field::value, "The guest executes RDTSC."},
    {OpKind::rdtscp, "rdtscp", Field::value, "The guest executes RDTSCP, which also returns TSC_AUX."},
    {OpKind::wrmsr, "wrmsr", {}, "The guest executes WRMSR."},
    {OpKind::rdmsr, "rdmsr", Field::value, "The guest executes RDMSR."},
    {OpKind::read_pvclock, "read_pvclock", Field::ns,
     "The guest reads kvmclock in ns from its page and RDTSC, through the version protocol."},
    {OpKind::read_hyperv_page, "read_hyperv_page", Field::value,
     "The guest reads Hyper-V reference time, in units of 100 ns, from the page and RDTSC."},
    {OpKind::enter_l2, "enter_l2", {}, "The guest (L1) enters a guest of its own, with a TSC offset and a multiplier."},
    {OpKind::leave_l2, "leave_l2", {}, "The nested guest exits to L1."},
    {OpKind::peek_pvclock, "peek_pvclock", Field::system_time,
     "The VMM looks at a vCPU's kvmclock page as it lies in guest memory."},
    {OpKind::peek_wall_clock, "peek_wall_clock", Field::sec,
     "The VMM looks at the wall clock structure that MSR_KVM_WALL_CLOCK_NEW filled."},
    {OpKind::peek_hyperv_page, "peek_hyperv_page", Field::version,
     "The VMM looks at the Hyper-V reference TSC page as it lies in guest memory."},
    {OpKind::peek_steal_time, "peek_steal_time", Field::steal,
     "The VMM looks at a vCPU's steal time record in guest memory."},
    {OpKind::bump_vmclock, "bump_vmclock", {}, "The VMM changes the disruption marker of its VMClock page."},
    {OpKind::move_vcpu, "move_vcpu", {}, "The host moves a vCPU's thread to another pCPU."},
    {OpKind::delay_vcpu,
     "delay_vcpu",
     {},
     "A vCPU's thread, or the VMM's main thread, was runnable for a while and did not run."},
    {OpKind::set_clocksource,
     "set_clocksource",
     {},
     "The host's clocksource becomes the TSC (1) or something else (0)."},
    {OpKind::mark_tsc_unstable, "mark_tsc_unstable", {}, "The host's kernel finds its TSC unstable."},
    {OpKind::jump_host_tsc,
     "jump_host_tsc",
     {},
     "The host's TSC, of one pCPU or of all, is moved by a number of cycles."},
    {OpKind::suspend_host,
     "suspend_host",
     {},
     "The host sleeps (S3) and resumes; its TSC counted on or starts again from 0."},
    {OpKind::offline_pcpu, "offline_pcpu", {}, "CPU hot-unplug of a pCPU; vCPUs pinned to it go to pCPU 0."},
    {OpKind::online_pcpu, "online_pcpu", {}, "The pCPU comes back."},
    {OpKind::save_memory, "save_memory", {}, "The guest's memory is put aside: the first half of a transfer."},
    {OpKind::load_memory,
     "load_memory",
     {},
     "The memory that a host put aside becomes this VM's: the other half of a transfer."},
    {OpKind::observed, "observed", Field::value,
     "Seen from outside, operands unknown: only in recordings that 'tscsim import' makes, never in a scenario."},
    {OpKind::boot_guest, "boot_guest", {}, "A Linux guest boots on the VM's vCPUs: 'vm: {guest: {...}}'."},
    {OpKind::online_vcpu, "online_vcpu", {}, "The Linux guest brings a vCPU up, and tests its TSC."},
    {OpKind::offline_vcpu, "offline_vcpu", {}, "The Linux guest takes a vCPU down."},
    {OpKind::read_clock, "read_clock", Field::ns, "A program in the Linux guest reads a clock, in ns."},
    {OpKind::read_cpu_times, "read_cpu_times", Field::user,
     "What the Linux guest has accounted to a vCPU: user, stolen and task time in ns."},
    {OpKind::guest_state, "guest_state", {}, "The Linux guest's clocksource, and what its kernel thinks of its TSC."},
    {OpKind::step_realtime, "step_realtime", {}, "CLOCK_REALTIME of the Linux guest is set: it moves by so many ns."},
    {OpKind::block_task, "block_task", {}, "A task of the Linux guest sleeps uninterruptibly (1), or runs again (0)."},
    {OpKind::suspend_guest, "suspend_guest", {}, "The Linux guest suspends itself (S3)."},
    {OpKind::wake_guest, "wake_guest", {}, "The Linux guest wakes."},
    {OpKind::pause_vm, "pause_vm", {}, "The VMM stops all vCPUs of the Linux guest."},
    {OpKind::resume_vm, "resume_vm", {}, "The VMM lets the vCPUs of the Linux guest go on."},
    {OpKind::share_pcpus,
     "share_pcpus",
     {},
     "Each pCPU gives the threads on it time slices in turn; how long vCPUs wait becomes steal time."},
}};

constexpr std::array<std::string_view, kFields> kFieldNames{
    "value",         "aux",         "clock",  "flags",     "realtime",   "host_tsc", "ns",   "tsc",         "version",
    "tsc_timestamp", "system_time", "mul",    "shift",     "page_flags", "sec",      "nsec", "tsc_adjust",  "tsc_ratio",
    "tsc_frac_bits", "scale",       "offset", "steal",     "preempted",  "user",     "task", "clocksource", "tsc_khz",
    "unstable",      "watched",     "vdso",   "exchanges", "held_back",  "jiffies"};

struct MsrInfo {
  std::uint32_t index;
  std::string_view name;
};

constexpr MsrInfo kMsrs[] = {
    {msr::kIa32Tsc, "IA32_TSC"},
    {msr::kIa32TscAdjust, "IA32_TSC_ADJUST"},
    {msr::kIa32TscDeadline, "IA32_TSC_DEADLINE"},
    {msr::kKvmWallClock, "MSR_KVM_WALL_CLOCK"},
    {msr::kKvmSystemTime, "MSR_KVM_SYSTEM_TIME"},
    {msr::kKvmWallClockNew, "MSR_KVM_WALL_CLOCK_NEW"},
    {msr::kKvmSystemTimeNew, "MSR_KVM_SYSTEM_TIME_NEW"},
    {msr::kKvmStealTime, "MSR_KVM_STEAL_TIME"},
    {msr::kHvTimeRefCount, "HV_X64_MSR_TIME_REF_COUNT"},
    {msr::kHvReferenceTsc, "HV_X64_MSR_REFERENCE_TSC"},
    {msr::kHvTscFrequency, "HV_X64_MSR_TSC_FREQUENCY"},
    {msr::kHvTscEmulationControl, "HV_X64_MSR_TSC_EMULATION_CONTROL"},
};

constexpr bool kinds_in_order() {
  for (std::size_t i = 0; i < kOpKinds; ++i)
    if (static_cast<std::size_t>(kKinds[i].kind) != i) return false;
  return true;
}
static_assert(kinds_in_order(), "the table is indexed by kind");

const KindInfo& info(OpKind kind) { return kKinds.at(static_cast<std::size_t>(kind)); }

}  // namespace

std::string_view name_of(OpKind kind) { return info(kind).name; }
std::string_view name_of(Field field) { return kFieldNames.at(static_cast<std::size_t>(field)); }
std::string_view describe(OpKind kind) { return info(kind).text; }
std::optional<Field> primary_field(OpKind kind) { return info(kind).primary; }

std::optional<OpKind> op_kind_from(std::string_view name) {
  for (const KindInfo& entry : kKinds)
    if (entry.name == name) return entry.kind;
  return std::nullopt;
}

std::optional<Field> field_from(std::string_view name) {
  for (std::size_t i = 0; i < kFields; ++i)
    if (kFieldNames[i] == name) return static_cast<Field>(i);
  return std::nullopt;
}

std::string_view msr_name(std::uint32_t index) {
  for (const MsrInfo& entry : kMsrs)
    if (entry.index == index) return entry.name;
  return {};
}

std::optional<std::uint32_t> msr_from(std::string_view name) {
  for (const MsrInfo& entry : kMsrs)
    if (entry.name == name) return entry.index;
  return std::nullopt;
}

std::string_view timer_mode_name(std::uint64_t mode) {
  constexpr std::array<std::string_view, 3> kNames{"oneshot", "periodic", "tsc_deadline"};
  return mode < kNames.size() ? kNames.at(mode) : std::string_view{};
}

bool is_host_event(OpKind kind) { return kind >= OpKind::set_clocksource && kind <= OpKind::online_pcpu; }

bool is_proposal(OpKind kind) { return kind >= OpKind::get_tsc_state && kind <= OpKind::get_tsc_scale; }

bool needs_linux_guest(OpKind kind) { return kind >= OpKind::boot_guest; }
bool by_main_thread(const Operation& op) {
  return op.kind == OpKind::set_msr && (op.flags & thread_flag::kMainThread) != 0;
}

bool is_guest(OpKind kind) { return kind >= OpKind::rdtsc && kind <= OpKind::leave_l2; }

}  // namespace tscsim::ops

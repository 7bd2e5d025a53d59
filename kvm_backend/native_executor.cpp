#include "kvm_backend/native_executor.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <vector>

#include "base/interrupt.h"
#include "kvm_backend/guest_code/guest_vcpu.h"
#include "kvm_backend/host_clocks.h"
#include "kvm_backend/host_events.h"
#include "kvm_backend/host_files.h"
#include "kvm_backend/ioctl/kvm_error.h"
#include "kvm_backend/ioctl/vm.h"
#include "kvm_backend/pinned_thread.h"
#include "kvm_backend/probe.h"
#include "kvm_backend/supervisor.h"
#include "ops/expression.h"

namespace tscsim::kvm_backend {

namespace {

using ops::Entry;
using ops::Field;
using ops::Operation;
using ops::OpKind;

std::uint64_t default_page(std::uint64_t first, int vcpu) {
  return first + static_cast<std::uint64_t>(vcpu) * ops::layout::kPageStride;
}

struct VcpuSlot {
  VcpuSlot(int number, int pcpu_number, int cpu)
      : index(number),
        pcpu(pcpu_number),
        pvclock_address(default_page(ops::layout::kPvclockPages, number)),
        wall_clock_address(default_page(ops::layout::kWallClockPages, number)),
        steal_address(default_page(ops::layout::kStealTimes, number)),
        thread(cpu) {}

  int index = 0;
  int pcpu = 0;
  // Where KVM writes: the address last written successfully to the MSR, by the host or by the guest. With 0 there, where
  // scenarios keep it.
  std::uint64_t pvclock_address = 0;
  std::uint64_t wall_clock_address = 0;
  std::uint64_t steal_address = 0;
  bool steal_time_on = false;
  std::unique_ptr<GuestVcpu> guest;
  PinnedThread thread;  // last member: joined before the vCPU is closed

  void note_msr_write(std::uint32_t msr, std::uint64_t value) {
    if (msr == ops::msr::kKvmSystemTime || msr == ops::msr::kKvmSystemTimeNew)
      pvclock_address = value == 0 ? default_page(ops::layout::kPvclockPages, index) : value & ~std::uint64_t{1};
    if (msr == ops::msr::kKvmWallClock || msr == ops::msr::kKvmWallClockNew)
      wall_clock_address = value == 0 ? default_page(ops::layout::kWallClockPages, index) : value;
    if (msr == ops::msr::kKvmStealTime) {
      steal_address = value == 0 ? default_page(ops::layout::kStealTimes, index) : value & ~std::uint64_t{0x3f};
      steal_time_on = (value & 1) != 0;
    }
  }
};

constexpr std::uint64_t kStealTimeBytes = 64;

std::string msr_text(std::uint32_t index) { return fmt::format("MSR {:#x}", index); }

void refuse(Entry& entry, const char* call, std::string arguments, int error, std::string why = "",
            std::string next = "") {
  entry.outcome.error = error;
  entry.note = to_text(KvmFailure{call, std::move(arguments), error, std::move(why), std::move(next)});
}

// With TSC scaling the ratio for 1 kHz, multiplied back, gives 0 kHz, and kvm_get_time_scale() never ends on it: the
// whole CPU hangs (hunt found it on Linux 6.12 under Bochs, too).
bool hangs_at_one_khz(const ops::TargetProfile& profile) {
  int major = 0, minor = 0;
  std::sscanf(profile.kernel.c_str(), "%d.%d", &major, &minor);
  return profile.tsc_scaling && (major < 6 || (major == 6 && minor < 16));
}

void not_supported(Entry& entry, std::string why) {
  entry.supported = false;
  entry.outcome = {};
  entry.note = std::move(why);
}

bool looks_only(OpKind kind) {
  return kind == OpKind::peek_pvclock || kind == OpKind::peek_wall_clock || kind == OpKind::peek_hyperv_page ||
         kind == OpKind::peek_steal_time || kind == OpKind::bump_vmclock;
}

// For the text of the watchdog.
std::string call_of(const Operation& op) {
  return op.kind == OpKind::run || ops::is_guest(op.kind) ? "KVM_RUN" : std::string(ops::name_of(op.kind));
}

void add_page(ops::Outcome& outcome, const PvclockPage& page) {
  outcome.add(Field::version, page.version);
  outcome.add(Field::tsc_timestamp, page.tsc_timestamp);
  outcome.add(Field::system_time, page.system_time);
  outcome.add(Field::mul, page.tsc_to_system_mul);
  outcome.add(Field::shift, static_cast<std::uint64_t>(std::int64_t{page.tsc_shift}));
  outcome.add(Field::page_flags, page.flags);
}

void add_pvclock_reading(ops::Outcome& outcome, const GuestPage& page) {
  outcome.add(Field::ns, page.ns);
  outcome.add(Field::tsc, page.tsc);
  outcome.add(Field::version, page.version);
  outcome.add(Field::tsc_timestamp, page.tsc_timestamp);
  outcome.add(Field::system_time, page.system_time);
  outcome.add(Field::mul, page.mul);
  outcome.add(Field::shift, page.shift);
  outcome.add(Field::page_flags, page.page_flags);
}

class NativeExecutor final : public NativeVm {
 public:
  explicit NativeExecutor(const NativeOptions& options)
      : options_(options),
        supervision_{options.timeout, options.interrupted},
        system_(options.device),
        cpus_(allowed_cpus()),
        profile_(options.profile ? *options.profile : probe_target(options)),
        vm_thread_(cpus_.front()) {
    if (options.trace == nullptr) return;
    options.trace->forget();
    for (std::size_t kind = 0; kind < ops::kTraceKinds; ++kind)
      profile_.traces.push_back(static_cast<ops::TraceKind>(kind));
  }

  ~NativeExecutor() override {
    if (!clocksource_before_.empty()) clocksource_.select(clocksource_before_);
  }
  NativeExecutor(const NativeExecutor&) = delete;
  NativeExecutor& operator=(const NativeExecutor&) = delete;

  const ops::TargetProfile& profile(int) const override { return profile_; }

  void start_clock(int, std::int64_t now_ns, ops::HostHeader& header) override {
    vm_thread_.run([&] {
      if (options_.realtime_at_start) set_realtime_ns(*options_.realtime_at_start);
      const auto now = static_cast<std::uint64_t>(now_ns);
      zero_ns_ = monotonic_ns() - now;
      header.zero_base_ns = clocks_.base_ns() - now;
      header.zero_tsc = read_tsc() - static_cast<std::uint64_t>(ops::Wide{now_ns} * profile_.host_khz / 1'000'000);
    });
  }

  Entry carry_memory(const Operation& op, MemoryImage& image) override {
    Entry entry;
    entry.op = op;
    if (!vm_) {
      not_supported(entry, "the VM has not been created");
      return entry;
    }
    const auto carry = [&] {
      bracketed(entry, [&] {
        if (op.kind == OpKind::save_memory) image = memory_->save();
        if (op.kind == OpKind::load_memory) memory_->load(image);
        return CallResult{};
      });
    };
    supervise(vm_thread_, {"the VM", due_ns(op), carry, {}, call_of(op)}, supervision_);
    return entry;
  }

  Entry execute(const Operation& op) override {
    if (options_.interrupted != nullptr && *options_.interrupted) {
      base::interrupted();  // heard
      throw ops::Interrupted();
    }
    Entry entry;
    entry.op = op;
    const std::string obstacle = obstacle_to(op);
    if (!obstacle.empty()) not_supported(entry, obstacle);
    else if (op.kind == OpKind::create_vcpu) create_vcpu(entry);
    else if (ops::is_host_event(op.kind)) on_host(entry);
    else if (op.vcpu == ops::kVm) on_vm_thread(entry);
    else on_vcpu_thread(entry, slot(op));
    if (options_.trace != nullptr && calls_kvm(entry)) entry.traced = options_.trace->take(cpu_of(entry));
    return entry;
  }

 private:
  // KVM prints on the CPU that executes the operation; its delayed work prints nothing. Where it was not called there is
  // nothing to look for.
  static bool calls_kvm(const Entry& entry) {
    const bool executed = entry.supported || entry.bracket.tsc.hi != 0;
    return executed && !looks_only(entry.op.kind);
  }
  int cpu_of(const Entry& entry) const { return cpus_[static_cast<std::size_t>(entry.pcpu)]; }

  // Why an operation cannot even be tried here; empty when it can.
  std::string obstacle_to(const Operation& op) const {
    if (op.kind == OpKind::create_vm) return "";
    if (ops::is_host_event(op.kind)) return obstacle_to_host_event(op);
    if (ops::is_proposal(op.kind))
      return fmt::format("needs: the model; {} was proposed and never merged, and its number means another call now",
                         ops::name_of(op.kind));
    if (ops::needs_linux_guest(op.kind)) return "needs: a Linux guest (the test guest has no kernel)";
    if (!vm_) return "the VM has not been created";
    if (op.kind == OpKind::create_vcpu) return obstacle_to_new_vcpu(op.vcpu);
    if (op.vcpu != ops::kVm && (op.vcpu < 0 || static_cast<std::size_t>(op.vcpu) >= vcpus_.size()))
      return fmt::format("vcpu {} has not been created", op.vcpu);
    return obstacle_on_this_target(op);
  }

  std::string obstacle_to_host_event(const Operation& op) const {
    if (!options_.may_change_host)
      return op.kind == OpKind::set_clocksource
                 ? "changing the clocksource of this host is not allowed (only in a lab)"
                 : fmt::format("{} changes this host, which is not allowed (only in a lab)", ops::name_of(op.kind));
    switch (op.kind) {
      case OpKind::set_clocksource:
        return "";
      case OpKind::jump_host_tsc:
        if (op.pcpu >= static_cast<std::int32_t>(cpus_.size()))
          return fmt::format("there is no pCPU {}: this process may use {}", op.pcpu, cpus_.size());
        if (op.pcpu > 0 && !cpu_is_online(cpus_[static_cast<std::size_t>(op.pcpu)]))
          return fmt::format("needs: pCPU {} online", op.pcpu);
        return profile_.tsc_jumps ? "" : "needs: a host whose IA32_TSC can be written (msr.ko; QEMU ignores the write)";
      case OpKind::suspend_host:
        if ((op.flags & ops::suspend_flag::kTscRestarts) == 0) return "needs: a host whose TSC counts on through S3";
        return profile_.suspends ? "" : "needs: a host that wakes from S3 by itself (the Intel lab does)";
      case OpKind::offline_pcpu:
      case OpKind::online_pcpu:
        if (op.value == 0 || op.value >= cpus_.size())
          return fmt::format("needs: a pCPU {} besides pCPU 0 (this process may use {})", op.value, cpus_.size());
        return "";
      default:
        return "needs: a simulated host (no kernel lets its TSC be marked unstable at will)";
    }
  }

  std::string obstacle_to_new_vcpu(int vcpu) const {
    if (vcpu >= ops::layout::kMaxVcpus) return fmt::format("at most {} vCPUs", ops::layout::kMaxVcpus);
    if (vcpu < 0 || static_cast<std::size_t>(vcpu) != vcpus_.size())
      return fmt::format("vcpu {} is not the next one, which is {}", vcpu, vcpus_.size());
    return "";
  }

  std::string obstacle_on_this_target(const Operation& op) const {
    if (op.kind == OpKind::set_tsc_offset || op.kind == OpKind::get_tsc_offset)
      return profile_.offset_attribute ? "" : "this kernel has no KVM_VCPU_TSC_OFFSET (it came with 5.16)";
    const bool hyperv =
        ops::msr::is_hyperv(op.msr) || op.kind == OpKind::read_hyperv_page || op.kind == OpKind::peek_hyperv_page;
    if (hyperv && !profile_.hyperv) return "needs: Hyper-V's MSRs in KVM (CONFIG_KVM_HYPERV)";
    if (op.msr == ops::msr::kKvmStealTime && !profile_.steal_time)
      return "needs: MSR_KVM_STEAL_TIME (CONFIG_SCHED_INFO)";
    if (ops::by_main_thread(op)) return "needs: the model (here each vCPU's calls are made by its own thread)";
    if (op.kind == OpKind::delay_vcpu)
      return "needs: a simulated host (here the scheduler decides how long a thread waits)";
    if (op.kind == OpKind::enter_l2 || op.kind == OpKind::leave_l2)
      return "needs: a simulated guest (the test guest has no guest of its own)";
    // Not tried: the failing KVM_RUN would do all that KVM does at an entry, which an operation that is not
    // supported must not.
    if (op.kind == OpKind::rdtscp)
      return profile_.guest_rdtscp ? "" : "the guest cannot execute RDTSCP on this KVM (found by probing)";
    if (op.kind == OpKind::set_tsc_khz && op.value == 1 && hangs_at_one_khz(profile_))
      return "this kernel would hang: 1 kHz scales to 0 (mended in 6.16, 4578a747f3c7)";
    if (op.kind == OpKind::move_vcpu && op.value >= cpus_.size())
      return fmt::format("there is no pCPU {}: this process may use {}", op.value, cpus_.size());
    return "";
  }

  VcpuSlot& slot(const Operation& op) { return *vcpus_[static_cast<std::size_t>(op.vcpu)]; }

  std::uint64_t due_ns(const Operation& op) const {
    if (!zero_ns_) return 0;
    const auto at_ns = static_cast<std::int64_t>(*zero_ns_) + op.at_ns;
    return at_ns < 0 ? 0 : static_cast<std::uint64_t>(at_ns);
  }

  template <class Call>
  CallResult bracketed(Entry& entry, Call&& call) {
    clocks_.open(entry.bracket);
    const CallResult result = call();
    clocks_.close(entry.bracket);
    return result;
  }

  // --- operations on the VM and on the host

  void on_vm_thread(Entry& entry) {
    entry.pcpu = 0;
    supervise(vm_thread_, {"the VM", due_ns(entry.op), [&] { execute_on_vm(entry); }, {}, call_of(entry.op)},
              supervision_);
  }

  void execute_on_vm(Entry& entry) {
    switch (entry.op.kind) {
      case OpKind::create_vm:
        return create_vm(entry);
      case OpKind::set_tsc_khz:
        return set_vm_tsc_khz(entry);
      case OpKind::get_tsc_khz:
        return get_vm_tsc_khz(entry);
      case OpKind::get_clock:
        return get_clock(entry);
      case OpKind::set_clock:
        return set_clock(entry);
      case OpKind::peek_hyperv_page:
        return peek_hyperv_page(entry);
      case OpKind::bump_vmclock:  // the test guest has no such page
        bracketed(entry, [] { return CallResult{}; });
        return;
      case OpKind::set_clocksource:
        return set_clocksource(entry);
      case OpKind::jump_host_tsc:
        return jump_host_tsc(entry);
      case OpKind::suspend_host:
        return suspend_host(entry);
      case OpKind::offline_pcpu:
        return offline_pcpu(entry);
      case OpKind::online_pcpu:
        return online_pcpu(entry);
      default:
        return not_supported(entry, "this operation needs a vCPU");
    }
  }

  // One VM at a time: another one closes the first, as when the VMM's process ends.
  void create_vm(Entry& entry) {
    vcpus_.clear();
    vm_.reset();
    hyperv_address_ = ops::layout::kHypervPage;
    const CallResult created = bracketed(entry, [&] { return system_.create_vm(); });
    if (!created.ok()) return refuse(entry, "KVM_CREATE_VM", "", created.error);
    auto vm = std::make_unique<Vm>(Fd(created.value));
    memory_ = std::make_unique<GuestMemory>();
    vm->set_tss_address(abi::kTssAddress);
    vm->set_memory(0, memory_->mapping());
    local_apics_ = (entry.op.flags & ops::vm_flag::kIrqchip) != 0;
    if (local_apics_) vm->create_local_apics();
    vm_ = std::move(vm);
  }

  // The rate of a whole VM came with 5.18; before, its file descriptor does not know the call (ENOTTY).
  void refuse_vm_rate(Entry& entry, const char* call, std::string arguments, int error) {
    if (error == ENOTTY)
      return not_supported(entry, fmt::format("this kernel has no {} for a whole VM (it came with 5.18)", call));
    refuse(entry, call, std::move(arguments), error);
  }

  void set_vm_tsc_khz(Entry& entry) {
    const CallResult set = bracketed(entry, [&] { return vm_->set_tsc_khz(entry.op.value); });
    if (!set.ok())
      refuse_vm_rate(entry, "KVM_SET_TSC_KHZ", fmt::format("VM, {} kHz", grouped(entry.op.value)), set.error);
  }

  void get_vm_tsc_khz(Entry& entry) {
    const CallResult got = bracketed(entry, [&] { return vm_->get_tsc_khz(); });
    if (!got.ok()) return refuse_vm_rate(entry, "KVM_GET_TSC_KHZ", "VM", got.error);
    entry.outcome.add(Field::value, static_cast<std::uint32_t>(got.value));
  }

  void get_clock(Entry& entry) {
    abi::ClockData clock;
    const CallResult got = bracketed(entry, [&] { return vm_->get_clock(clock); });
    if (!got.ok()) return refuse(entry, "KVM_GET_CLOCK", "", got.error);
    entry.outcome.add(Field::clock, clock.clock_ns);
    entry.outcome.add(Field::flags, clock.flags);
    // As the kernel filled them in: it gives the TSC that it used even where it does not set the flag for it (the
    // clocksource has changed and the master clock is still on), and that pins the reading.
    entry.outcome.add(Field::realtime, clock.realtime_ns);
    entry.outcome.add(Field::host_tsc, clock.host_tsc);
  }

  void set_clock(Entry& entry) {
    abi::ClockData clock;
    clock.clock_ns = entry.op.value;
    clock.flags = entry.op.flags;
    clock.realtime_ns = entry.op.realtime;
    const CallResult set = bracketed(entry, [&] { return vm_->set_clock(clock); });
    if (!set.ok())
      refuse(entry, "KVM_SET_CLOCK", fmt::format("{} ns, flags {:#x}", grouped(entry.op.value), entry.op.flags),
             set.error);
  }

  void set_clocksource(Entry& entry) {
    if (clocksource_before_.empty()) clocksource_before_ = clocksource_.current();
    const bool tsc = entry.op.value != 0;
    const CallResult set = bracketed(entry, [&] { return CallResult{0, clocksource_.select_tsc(tsc)}; });
    if (!set.ok()) refuse(entry, "write current_clocksource", tsc ? "tsc" : "another than tsc", set.error);
  }

  // Those that move the clocks move scenario time 0 along: what the step takes of CLOCK_MONOTONIC is no waiting.
  void on_host(Entry& entry) {
    if (entry.op.kind == OpKind::offline_pcpu) leave_pcpu(static_cast<int>(entry.op.value));
    on_vm_thread(entry);
    const bool moves_tsc = entry.op.kind == OpKind::suspend_host || entry.op.kind == OpKind::jump_host_tsc;
    if (moves_tsc && options_.trace != nullptr) options_.trace->reset();
    if (entry.op.kind == OpKind::suspend_host && zero_ns_) *zero_ns_ -= entry.op.value;
    allow_going_back(entry);
  }

  static void allow_going_back(Entry& entry) {
    for (ops::Range* range : {&entry.bracket.tsc, &entry.bracket.base_ns, &entry.bracket.realtime_ns})
      if (range->lo > range->hi) range->lo = 0;  // nothing is known from below
  }

  void leave_pcpu(int pcpu) {
    for (const auto& slot : vcpus_) {
      if (slot->pcpu != pcpu) continue;
      slot->thread.run([&] { pin_this_thread(cpus_.front()); });
      slot->pcpu = 0;
    }
  }

  void jump_host_tsc(Entry& entry) {
    const std::uint64_t before_ns = monotonic_ns();
    const auto cycles = static_cast<std::int64_t>(entry.op.value);
    const CallResult jumped = bracketed(entry, [&] {
      for (std::size_t pcpu = 0; pcpu < cpus_.size(); ++pcpu) {
        if (entry.op.pcpu != ops::kAllPcpus && static_cast<std::size_t>(entry.op.pcpu) != pcpu) continue;
        if (!cpu_is_online(cpus_[pcpu])) continue;
        if (const int error = jump_tsc(cpus_[pcpu], cycles); error != 0) return CallResult{0, error};
      }
      return CallResult{};
    });
    if (zero_ns_) *zero_ns_ += monotonic_ns() - before_ns;
    if (!jumped.ok()) refuse(entry, "write /dev/cpu/*/msr", fmt::format("IA32_TSC {:+}", cycles), jumped.error);
  }

  void suspend_host(Entry& entry) {
    clocks_.open(entry.bracket);
    const int error = suspend_to_ram();
    clocks_ = HostClocks();  // which knows how long the host has slept
    clocks_.close(entry.bracket);
    if (error != 0) refuse(entry, "write /sys/power/state", "mem", error);
  }

  void offline_pcpu(Entry& entry) {
    const int cpu = cpus_[entry.op.value];
    const CallResult set = bracketed(entry, [&] { return CallResult{0, set_cpu_online(cpu, false)}; });
    if (!set.ok()) refuse(entry, "write online", fmt::format("CPU {}, 0", cpu), set.error);
  }

  // The bracket is of the TSC of the pCPU that comes up: read there afterwards, and as much earlier as the whole took.
  void online_pcpu(Entry& entry) {
    const int cpu = cpus_[entry.op.value];
    const CallResult set = bracketed(entry, [&] { return CallResult{0, set_cpu_online(cpu, true)}; });
    if (!set.ok()) return refuse(entry, "write online", fmt::format("CPU {}, 1", cpu), set.error);
    PinnedThread there(cpu);
    std::uint64_t tsc = 0;
    there.run([&] { tsc = read_tsc(); });
    entry.bracket.tsc = {tsc - (read_tsc() - entry.bracket.tsc.lo), tsc};
  }

  // --- operations on a vCPU

  static Job vcpu_job(const Entry& entry, std::uint64_t due_ns, std::function<void()> work,
                      std::function<void()> kick) {
    return {fmt::format("vcpu {}", entry.op.vcpu), due_ns, std::move(work), std::move(kick), call_of(entry.op)};
  }

  void create_vcpu(Entry& entry) {
    const int index = entry.op.vcpu;
    const int pcpu = index % static_cast<int>(cpus_.size());
    entry.pcpu = pcpu;
    auto slot = std::make_unique<VcpuSlot>(index, pcpu, cpus_[static_cast<std::size_t>(pcpu)]);
    const auto create = [&] {
      const CallResult created = bracketed(entry, [&] { return vm_->create_vcpu(static_cast<std::uint64_t>(index)); });
      if (!created.ok()) return refuse(entry, "KVM_CREATE_VCPU", fmt::format("{}", index), created.error);
      slot->guest =
          std::make_unique<GuestVcpu>(Vcpu(Fd(created.value), index, system_.vcpu_mmap_bytes()), index, *memory_);
      slot->guest->boot(system_, {(entry.op.flags & ops::vcpu_flag::kHyperv) != 0, local_apics_});
    };
    supervise(slot->thread, vcpu_job(entry, due_ns(entry.op), create, {}), supervision_);
    if (slot->guest) vcpus_.push_back(std::move(slot));
  }

  void on_vcpu_thread(Entry& entry, VcpuSlot& slot) {
    entry.pcpu = slot.pcpu;
    supervise(slot.thread,
              vcpu_job(
                  entry, due_ns(entry.op), [&] { execute_on_vcpu(entry, slot); }, [&] { slot.guest->kick(); }),
              supervision_);
  }

  void execute_on_vcpu(Entry& entry, VcpuSlot& slot) {
    const Vcpu& vcpu = slot.guest->vcpu();
    switch (entry.op.kind) {
      case OpKind::set_tsc_khz:
        return set_tsc_khz(entry, vcpu);
      case OpKind::get_tsc_khz:
        return get_tsc_khz(entry, vcpu);
      case OpKind::set_msr:
        return set_msr(entry, slot);
      case OpKind::get_msr:
        return get_msr(entry, vcpu);
      case OpKind::set_tsc_offset:
        return set_tsc_offset(entry, vcpu);
      case OpKind::get_tsc_offset:
        return get_tsc_offset(entry, vcpu);
      case OpKind::kvmclock_ctrl:
        return kvmclock_ctrl(entry, vcpu);
      case OpKind::set_lapic:
        return set_lapic(entry, vcpu);
      case OpKind::run:
        return call_guest(entry, slot, GuestCommand::nop);
      case OpKind::rdtsc:
        return call_guest(entry, slot, GuestCommand::rdtsc);
      case OpKind::rdtscp:
        return call_guest(entry, slot, GuestCommand::rdtscp);
      case OpKind::rdmsr:
        return call_guest(entry, slot, GuestCommand::rdmsr);
      case OpKind::wrmsr:
        return call_guest(entry, slot, GuestCommand::wrmsr);
      case OpKind::read_pvclock:
        return read_pvclock(entry, slot);
      case OpKind::read_hyperv_page:
        return read_hyperv_page(entry, slot);
      case OpKind::peek_pvclock:
        return peek_pvclock(entry, slot);
      case OpKind::peek_wall_clock:
        return peek_wall_clock(entry, slot);
      case OpKind::peek_steal_time:
        return peek_steal_time(entry, slot);
      case OpKind::move_vcpu:
        return move_vcpu(entry, slot);
      default:
        return not_supported(entry, "this operation is for the VM, not for one vCPU");
    }
  }

  void set_tsc_khz(Entry& entry, const Vcpu& vcpu) {
    const CallResult set = bracketed(entry, [&] { return vcpu.set_tsc_khz(entry.op.value); });
    if (set.ok()) return;
    const std::string why =
        profile_.tsc_scaling
            ? ""
            : fmt::format("this host has no TSC scaling and its counter runs at {} kHz", grouped(profile_.host_khz));
    refuse(entry, "KVM_SET_TSC_KHZ", fmt::format("vcpu {}, {} kHz", entry.op.vcpu, grouped(entry.op.value)), set.error,
           why, why.empty() ? "" : "run on a host with TSC scaling");
  }

  void get_tsc_khz(Entry& entry, const Vcpu& vcpu) {
    const CallResult got = bracketed(entry, [&] { return vcpu.get_tsc_khz(); });
    if (!got.ok()) return refuse(entry, "KVM_GET_TSC_KHZ", fmt::format("vcpu {}", entry.op.vcpu), got.error);
    entry.outcome.add(Field::value, static_cast<std::uint32_t>(got.value));
  }

  void set_msr(Entry& entry, VcpuSlot& slot) {
    const Operation& op = entry.op;
    const CallResult set = bracketed(entry, [&] { return slot.guest->vcpu().set_msr(op.msr, op.value); });
    if (set.ok()) return note_msr_write(slot, op);
    refuse(entry, "KVM_SET_MSRS", fmt::format("vcpu {}, {}, {}", op.vcpu, msr_text(op.msr), grouped(op.value)),
           set.error);
  }

  void note_msr_write(VcpuSlot& slot, const Operation& op) {
    slot.note_msr_write(op.msr, op.value);
    if (op.msr == ops::msr::kHvReferenceTsc)
      hyperv_address_ = op.value == 0 ? ops::layout::kHypervPage : op.value & ~std::uint64_t{0xfff};
  }

  void get_msr(Entry& entry, const Vcpu& vcpu) {
    std::uint64_t value = 0;
    const CallResult got = bracketed(entry, [&] { return vcpu.get_msr(entry.op.msr, value); });
    if (got.ok()) return entry.outcome.add(Field::value, value);
    refuse(entry, "KVM_GET_MSRS", fmt::format("vcpu {}, {}", entry.op.vcpu, msr_text(entry.op.msr)), got.error);
  }

  void set_tsc_offset(Entry& entry, const Vcpu& vcpu) {
    const CallResult set = bracketed(entry, [&] { return vcpu.set_tsc_offset(entry.op.value); });
    if (set.ok()) return;
    refuse(entry, "KVM_SET_DEVICE_ATTR",
           fmt::format("vcpu {}, KVM_VCPU_TSC_OFFSET, {}", entry.op.vcpu, grouped(entry.op.value)), set.error);
  }

  void get_tsc_offset(Entry& entry, const Vcpu& vcpu) {
    std::uint64_t offset = 0;
    const CallResult got = bracketed(entry, [&] { return vcpu.get_tsc_offset(offset); });
    if (got.ok()) return entry.outcome.add(Field::value, offset);
    refuse(entry, "KVM_GET_DEVICE_ATTR", fmt::format("vcpu {}, KVM_VCPU_TSC_OFFSET", entry.op.vcpu), got.error);
  }

  void kvmclock_ctrl(Entry& entry, const Vcpu& vcpu) {
    const CallResult set = bracketed(entry, [&] { return vcpu.kvmclock_ctrl(); });
    if (set.ok()) return;
    const bool inactive = set.error == EINVAL;
    refuse(entry, "KVM_KVMCLOCK_CTRL", fmt::format("vcpu {}", entry.op.vcpu), set.error,
           inactive ? "the vCPU has no kvmclock page" : "",
           inactive ? "write the page's address to MSR_KVM_SYSTEM_TIME_NEW first" : "");
  }

  void set_lapic(Entry& entry, const Vcpu& vcpu) {
    const CallResult set = bracketed(entry, [&] { return vcpu.set_timer_mode(entry.op.value); });
    if (set.ok()) return;
    refuse(entry, "KVM_SET_LAPIC", fmt::format("vcpu {}", entry.op.vcpu), set.error,
           local_apics_ ? "" : "the VM has no local APICs in KVM", local_apics_ ? "" : "write 'vm: {irqchip: on}'");
  }

  // Enters the guest. With steal time on, what the thread has waited is measured before and after.
  GuestResult enter(Entry& entry, VcpuSlot& slot, const GuestCall& call) {
    if (slot.steal_time_on) entry.bracket.run_delay_ns.lo = run_delay_ns();
    GuestResult result = slot.guest->call(call, clocks_, entry.bracket);
    if (slot.steal_time_on) entry.bracket.run_delay_ns.hi = run_delay_ns();
    return result;
  }

  void call_guest(Entry& entry, VcpuSlot& slot, GuestCommand command) {
    const GuestResult result = enter(entry, slot, {command, entry.op.msr, entry.op.value});
    if (!accept(entry, result)) return;
    if (command == GuestCommand::wrmsr) note_msr_write(slot, entry.op);
    if (command == GuestCommand::rdtsc || command == GuestCommand::rdtscp || command == GuestCommand::rdmsr)
      entry.outcome.add(Field::value, result.page.value);
    if (command == GuestCommand::rdtscp) entry.outcome.add(Field::aux, result.page.aux);
  }

  void read_pvclock(Entry& entry, VcpuSlot& slot) {
    if (!inside_guest_memory(slot.pvclock_address, sizeof(PvclockPage)))
      return outside_memory(entry, slot.pvclock_address);
    const GuestResult result = enter(entry, slot, {GuestCommand::read_pvclock, 0, slot.pvclock_address});
    if (accept(entry, result)) add_pvclock_reading(entry.outcome, result.page);
  }

  void read_hyperv_page(Entry& entry, VcpuSlot& slot) {
    if (!inside_guest_memory(hyperv_address_, ops::layout::kPageStride)) return outside_memory(entry, hyperv_address_);
    const GuestResult result = enter(entry, slot, {GuestCommand::read_hyperv_page, 0, hyperv_address_});
    if (!accept(entry, result)) return;
    entry.outcome.add(Field::value, result.page.value);
    entry.outcome.add(Field::tsc, result.page.tsc);
    entry.outcome.add(Field::version, result.page.version);
    entry.outcome.add(Field::scale, result.page.scale);
    entry.outcome.add(Field::offset, result.page.offset);
  }

  // True when the guest executed its command; else fills in the error or `supported`.
  static bool accept(Entry& entry, const GuestResult& result) {
    switch (result.end) {
      case GuestEnd::done:
        return true;
      case GuestEnd::fault:
        entry.outcome.error = error_of(result.page.fault);
        break;
      case GuestEnd::refused:
        entry.outcome.error = result.error;
        break;
      case GuestEnd::stuck:
        not_supported(entry, result.note);
        break;
      case GuestEnd::kicked:
        entry.outcome.error = EINTR;
        break;  // supervise() throws
    }
    entry.note = result.note;
    return false;
  }

  static int error_of(std::uint64_t fault) {
    if (fault == guest_fault::kRetriesUsedUp) return EAGAIN;
    return fault == guest_fault::kPageInvalid ? ENODATA : EFAULT;
  }

  void outside_memory(Entry& entry, std::uint64_t address) {
    clocks_.open(entry.bracket);
    clocks_.close(entry.bracket);
    entry.outcome.error = EFAULT;
    entry.note = fmt::format("guest address {:#x} lies outside the guest's {} bytes of memory", address,
                             grouped(guest_map::kBytes));
  }

  void peek_pvclock(Entry& entry, VcpuSlot& slot) {
    std::optional<PvclockPage> page;
    bracketed(entry, [&] {
      page = memory_->read_pvclock(slot.pvclock_address);
      return CallResult{};
    });
    if (page) add_page(entry.outcome, *page);
    else outside_memory(entry, slot.pvclock_address);
  }

  void peek_wall_clock(Entry& entry, VcpuSlot& slot) {
    std::optional<WallClock> clock;
    bracketed(entry, [&] {
      clock = memory_->read_wall_clock(slot.wall_clock_address);
      return CallResult{};
    });
    if (!clock) return outside_memory(entry, slot.wall_clock_address);
    entry.outcome.add(Field::version, clock->version);
    entry.outcome.add(Field::sec, clock->sec);
    entry.outcome.add(Field::nsec, clock->nsec);
  }

  void peek_hyperv_page(Entry& entry) {
    std::optional<ReferenceTscPage> page;
    bracketed(entry, [&] {
      if (inside_guest_memory(hyperv_address_, ops::layout::kPageStride))
        page = memory_->read_hyperv_page(hyperv_address_);
      return CallResult{};
    });
    if (!page) return outside_memory(entry, hyperv_address_);
    entry.outcome.add(Field::version, page->sequence);
    entry.outcome.add(Field::scale, page->scale);
    entry.outcome.add(Field::offset, page->offset);
  }

  void peek_steal_time(Entry& entry, VcpuSlot& slot) {
    std::optional<StealTime> record;
    bracketed(entry, [&] {
      if (inside_guest_memory(slot.steal_address, kStealTimeBytes))
        record = memory_->read_steal_time(slot.steal_address);
      return CallResult{};
    });
    if (!record) return outside_memory(entry, slot.steal_address);
    entry.outcome.add(Field::version, record->version);
    entry.outcome.add(Field::steal, record->steal_ns);
    entry.outcome.add(Field::preempted, record->preempted);
  }

  void move_vcpu(Entry& entry, VcpuSlot& slot) {
    const int cpu = cpus_[entry.op.value];
    const CallResult moved = bracketed(entry, [&] { return CallResult{0, pin_this_thread(cpu)}; });
    if (!moved.ok()) return refuse(entry, "sched_setaffinity", fmt::format("CPU {}", cpu), moved.error);
    slot.pcpu = entry.pcpu = static_cast<int>(entry.op.value);
    allow_going_back(entry);  // pCPUs have TSCs of their own
  }

  NativeOptions options_;
  Supervision supervision_;
  System system_;
  HostClocks clocks_;
  Clocksource clocksource_;
  std::string clocksource_before_;  // empty: not changed
  std::vector<int> cpus_;
  ops::TargetProfile profile_;
  std::optional<std::uint64_t> zero_ns_;  // CLOCK_MONOTONIC at scenario time 0
  // Closed in the reverse order: vCPUs, the VM, and only then its memory.
  std::unique_ptr<GuestMemory> memory_;
  std::unique_ptr<Vm> vm_;
  bool local_apics_ = false;
  std::uint64_t hyperv_address_ = ops::layout::kHypervPage;
  PinnedThread vm_thread_;
  std::vector<std::unique_ptr<VcpuSlot>> vcpus_;
};

}  // namespace

std::unique_ptr<NativeVm> open_native(const NativeOptions& options) {
  return std::make_unique<NativeExecutor>(options);
}

}  // namespace tscsim::kvm_backend

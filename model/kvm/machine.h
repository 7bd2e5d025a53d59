// KVM's timekeeping of one VM, as a pure state machine fed with readings. It has no clock, no queue and no I/O; the
// same code runs on plain integers (simulation) and on numbers that are not known yet (cross-check).
//
// Names are the kernel's where the kernel has one. Reading guide: docs/model-guide.md.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "model/kvm/arithmetic.h"
#include "model/kvm/era.h"
#include "model/kvm/host.h"
#include "model/kvm/rules.h"
#include "model/kvm/sync_policy.h"
#include "model/members.h"
#include "ops/operation.h"
#include "witness/witness.h"

namespace tscsim::model {

struct MachineConfig {
  Era era;
  std::shared_ptr<const SyncPolicy> policy;  // never null once the machine runs
  Vendor vendor = Vendor::vmx;
  std::uint32_t host_khz = 0;      // KVM's tsc_khz
  bool tsc_scaling = false;        // has_tsc_control
  bool tsc_in_software = false;    // the guest's RDTSC is KVM's computation, ratio and all (seen on a PVM host)
  bool honours_tsc_offset = true;  // false: offsets are accepted and stay 0 (seen on a PVM host, docs/observed.md)
  bool reenters_after_tsc_wrmsr = true;  // false: what it requests waits for the next KVM_RUN (same host)
  bool enabling_clears_stable = false;   // see TargetProfile (same host)
  std::uint32_t tolerance_ppm = kDefaultTolerancePpm;
  std::uint64_t memory_bytes = ops::layout::kMemoryBytes;  // where the guest's memory ends
};

// The pvclock page as it lies in guest memory.
template <class Num>
struct PvclockPage {
  std::uint32_t version = 0;
  Num tsc_timestamp{};
  Num system_time{};
  TimeScale scale;
  std::uint8_t flags = 0;
  TSCSIM_MEMBERS(version, tsc_timestamp, system_time, scale, flags)
};

template <class Num>
struct WallClockPage {
  std::uint32_t version = 0;
  Num sec{};
  Num nsec{};
  TSCSIM_MEMBERS(version, sec, nsec)
};

// struct ms_hyperv_tsc_page.
template <class Num>
struct HypervPage {
  std::uint32_t sequence = 0;
  std::uint64_t scale = 0;
  Num offset{};
  TSCSIM_MEMBERS(sequence, scale, offset)
};

// struct kvm_steal_time.
template <class Num>
struct StealRecord {
  std::uint32_t version = 0;
  Num steal{};
  std::uint8_t preempted = 0;
  TSCSIM_MEMBERS(version, steal, preempted)
};

// What KVM wrote into the guest's memory, by guest physical address.
template <class Num>
struct GuestMemory {
  std::vector<std::pair<std::uint64_t, PvclockPage<Num>>> pages;
  std::vector<std::pair<std::uint64_t, WallClockPage<Num>>> wall_clocks;
  std::vector<std::pair<std::uint64_t, HypervPage<Num>>> hyperv_pages;
  std::vector<std::pair<std::uint64_t, StealRecord<Num>>> steal_records;
  TSCSIM_MEMBERS(pages, wall_clocks, hyperv_pages, steal_records)

  void clear() {
    each_member(*this, [](const char*, auto& values) { values.clear(); });
  }
};

constexpr bool inside_memory(std::uint64_t address, std::uint64_t bytes, std::uint64_t memory_bytes) {
  return bytes <= memory_bytes && address <= memory_bytes - bytes;
}

// What KVM keeps in the guest's memory.
inline constexpr std::uint64_t kPvclockPageBytes = 32, kWallClockBytes = 12, kStealTimeBytes = 64,
                               kHypervPageBytes = 0x1000;

// The value kept for `address`; a new one when there is none yet.
template <class Value>
Value& at_address(std::vector<std::pair<std::uint64_t, Value>>& values, std::uint64_t address) {
  for (auto& [known, value] : values)
    if (known == address) return value;
  return values.emplace_back(address, Value{}).second;
}

// Bits of Vcpu::requests.
enum Request : std::uint8_t {
  kNoRequest = 0,
  kMasterClockUpdate = 1,
  kGlobalClockUpdate = 2,
  kClockUpdate = 4,
  kStealUpdate = 8,
};

// What L1 gave L2: the fields of its VMCS or VMCB.
struct NestedTsc {
  std::uint64_t offset = 0;
  TscRatio ratio;
  TSCSIM_MEMBERS(offset, ratio)
};

// struct kvm_vcpu_arch, as far as time goes.
template <class Num>
struct Vcpu {
  Num l1_tsc_offset{};
  TscRatio l1_tsc_scaling_ratio;
  Num tsc_offset{};  // the active pair: L1's, or L2's while that runs
  TscRatio tsc_scaling_ratio;
  std::optional<NestedTsc> l2;
  std::uint32_t virtual_tsc_khz = 0;
  TimeScale virtual_scale;      // ns to guest cycles at the requested rate
  std::uint64_t hw_tsc_hz = 0;  // the kernel keeps kHz; Hz as proposed in v6
  TimeScale pvclock_scale;      // guest cycles to ns, as in the page
  std::uint64_t this_tsc_generation = 0;
  std::uint64_t this_freq_generation = 0;  // v6
  Num this_tsc_nsec{};
  Num this_tsc_write{};
  Num last_guest_tsc{};
  std::optional<Num> last_host_tsc;          // when last unloaded; empty: never was
  std::optional<Num> tsc_offset_adjustment;  // host cycles, applied by the next load
  bool tsc_catchup = false;
  bool tsc_always_catchup = false;
  Num ia32_tsc_adjust{};
  std::uint64_t system_time_msr = 0;  // address | enable
  std::uint64_t wall_clock_address = 0;
  std::uint64_t steal_msr = 0;     // address | enable
  Num last_steal{};                // run delay of the thread at the last record, to 4.3 of that which loaded it last
  Num counted_steal{};             // to 4.3: between the last two loads, not recorded yet
  std::uint64_t steal_mapped = 0;  // where the last record was written
  bool told_preempted = false;
  bool hyperv_enabled = false;
  // The local APIC's timer, as far as its MSR goes (lapic.inl).
  std::uint64_t timer_mode = ops::timer_mode::kOneshot;
  Num tsc_deadline{};
  bool deadline_in_doubt = false;  // that the timer has not fired yet
  bool guest_stopped_request = false;
  std::uint8_t requests = 0;
  int cpu = -1;
  std::uint64_t memory_bytes = ops::layout::kMemoryBytes;  // of the VM
  TSCSIM_MEMBERS(l1_tsc_offset, l1_tsc_scaling_ratio, tsc_offset, tsc_scaling_ratio, l2, virtual_tsc_khz, virtual_scale,
                 hw_tsc_hz, pvclock_scale, this_tsc_generation, this_freq_generation, this_tsc_nsec, this_tsc_write,
                 last_guest_tsc, last_host_tsc, tsc_offset_adjustment, tsc_catchup, tsc_always_catchup, ia32_tsc_adjust,
                 system_time_msr, wall_clock_address, steal_msr, last_steal, counted_steal, steal_mapped,
                 told_preempted, hyperv_enabled, timer_mode, tsc_deadline, deadline_in_doubt, guest_stopped_request,
                 requests, cpu, memory_bytes)

  // Enabled, and where there is memory.
  bool page_active() const {
    return (system_time_msr & 1) != 0 && inside_memory(page_address(), kPvclockPageBytes, memory_bytes);
  }
  bool steal_active() const {
    return (steal_msr & 1) != 0 && inside_memory(steal_address(), kStealTimeBytes, memory_bytes);
  }
  std::uint64_t steal_address() const { return steal_msr & ~std::uint64_t{0x3f}; }
  std::uint64_t page_address() const { return system_time_msr & ~std::uint64_t{1}; }
};

// State of the reference TSC page (enum hv_tsc_page_status, 5.13).
enum class HypervState : std::uint8_t { unset, guest_changed, host_changed, set, updating, broken };

// struct kvm_hv, as far as time goes.
template <class Num>
struct HypervClock {
  std::uint64_t page_msr = 0;  // address | enable
  HypervState state = HypervState::unset;
  std::uint64_t emulation_control = 0;
  HypervPage<Num> last;                                    // tsc_ref: what KVM wrote, or read back
  std::uint64_t memory_bytes = ops::layout::kMemoryBytes;  // of the VM
  TSCSIM_MEMBERS(page_msr, state, emulation_control, last, memory_bytes)

  bool enabled() const { return (page_msr & 1) != 0; }
  std::uint64_t address() const { return page_msr & ~std::uint64_t{0xfff}; }
  bool in_memory() const { return inside_memory(address(), kHypervPageBytes, memory_bytes); }
};

// struct kvm_arch, as far as time goes.
template <class Num>
struct VmClock {
  Num last_tsc_nsec{};
  Num last_tsc_write{};
  std::uint32_t last_tsc_khz = 0;
  Num last_tsc_offset{};
  TscRatio last_tsc_scaling_ratio;  // 7.4; of the latest write
  std::uint64_t cur_tsc_generation = 0;
  Num cur_tsc_nsec{};
  Num cur_tsc_write{};
  Num cur_tsc_offset{};
  int nr_vcpus_matched_tsc = 0;  // without the starter; v6: with it
  // v6, TscMatching::rates_and_offsets.
  std::uint32_t cur_tsc_khz = 0;
  std::uint64_t cur_freq_generation = 0;
  int nr_vcpus_matched_freq = 0;
  bool all_vcpus_matched_tsc = false;
  bool all_vcpus_matched_freq = true;
  std::uint64_t disabled_quirks = 0;
  bool irqchip = false;  // local APICs in the kernel
  bool user_set_tsc = false;
  bool use_master_clock = false;
  Num master_kernel_ns{};
  Num master_cycle_now{};
  Num kvmclock_offset{};
  bool backwards_tsc_observed = false;
  bool boot_vcpu_runs_old_kvmclock = false;
  std::uint32_t default_tsc_khz = 0;
  std::uint64_t wall_clock_msr = 0;
  HypervClock<Num> hyperv;
  TSCSIM_MEMBERS(last_tsc_nsec, last_tsc_write, last_tsc_khz, last_tsc_offset, last_tsc_scaling_ratio,
                 cur_tsc_generation, cur_tsc_nsec, cur_tsc_write, cur_tsc_offset, nr_vcpus_matched_tsc, cur_tsc_khz,
                 cur_freq_generation, nr_vcpus_matched_freq, all_vcpus_matched_tsc, all_vcpus_matched_freq,
                 disabled_quirks, irqchip, user_set_tsc, use_master_clock, master_kernel_ns, master_cycle_now,
                 kvmclock_offset, backwards_tsc_observed, boot_vcpu_runs_old_kvmclock, default_tsc_khz, wall_clock_msr,
                 hyperv)
};

// struct ratelimit_state, as far as it goes.
template <class Num>
struct RateLimit {
  std::optional<Num> until;  // Host::jiffies_ns() from which on another interval begins; empty: none has begun
  int used = 0;              // in this one
  TSCSIM_MEMBERS(until, used)
};

// All that a machine remembers from one operation to the next.
template <class Num>
struct MachineState {
  VmClock<Num> vm_;
  std::vector<Vcpu<Num>> vcpus_;
  GuestMemory<Num> memory_;
  bool delayed_update_pending_ = false;  // kvmclock_update_work
  RateLimit<Num> update_limit_;          // kvmclock_update_rs
  bool had_master_clock_ = false;        // kvm_guest_has_master_clock, one for the host
  TSCSIM_MEMBERS(vm_, vcpus_, memory_, delayed_update_pending_, update_limit_, had_master_clock_)
};

// `HostType` is Host<Num>, or one final host whose answers the compiler then sees through: the same rules, for runs by the
// million. Such a machine tells no story and traces nothing (HostType::kObserved).
template <class Num, class HostType = Host<Num>>
class Machine : private MachineState<Num> {
 public:
  explicit Machine(const MachineConfig& config);

  // A machine without a VM again, on a host of this rate. What it has allocated it keeps, and what is the host's: its
  // memory of a master clock.
  void restart(std::uint32_t host_khz);
  void forget_master_clock() { had_master_clock_ = false; }

  // Executes one operation of the KVM API or of the guest, on pCPU `cpu`. What happens to the host (move_vcpu,
  // set_clocksource, ...) is the host's business: see notice_clocksource_change() and the following.
  ops::BasicOutcome<Num> perform(const ops::Operation& op, int cpu, HostType& host);

  // The host's clocksource became TSC based, or ceased to be. `another_vm`: a VM before this one had the master clock.
  void notice_clocksource_change(bool tsc_clocksource, bool another_vm = false);
  // This VM has had the master clock since the clocksource was last left.
  bool had_master_clock() const { return had_master_clock_; }

  // The vCPU is loaded and unloaded: an ioctl that only reads, KVM_RUN that does not come as far as the guest.
  void visit(int vcpu, int cpu, HostType& host);

  // The host is about to sleep: the PM notifier.
  void prepare_suspend();

  // Virtualisation is switched on again on `cpu`, which came up: after a suspend, or online.
  void enable_hardware(int cpu, HostType& host);

  // Whether KVM_GET_CLOCK would say TSC_STABLE.
  bool clock_is_stable(const HostType& host) const;

  // A delayed work that was scheduled through Host::schedule runs.
  void run_delayed(DelayedWork work, HostType& host);

  // --- The pieces, for tests and for perform().
  void create_vm(HostType& host);
  void create_vcpu(int cpu, HostType& host);
  int publish_vcpu();                                  // the VM counts it from here on; returns its index
  void synchronize_created(int vcpu, HostType& host);  // the write of 0 that creation implies
  void host_write_tsc(int vcpu, Num value, HostType& host);
  void guest_write_tsc(int vcpu, Num value, HostType& host);
  void host_write_tsc_adjust(int vcpu, Num value);
  void guest_write_tsc_adjust(int vcpu, Num value);
  void set_tsc_offset(int vcpu, Num offset, HostType& host);
  int set_tsc_khz(int vcpu, std::uint32_t khz);  // khz > 0; errno; the ratio alone
  void update_master_clock(HostType& host);
  void guest_time_update(int vcpu, HostType& host);

  // What the clocks show when the host's TSC and base clock show these.
  Num guest_tsc(const Vcpu<Num>& vcpu, const Num& host_tsc) const;  // as KVM computes it
  Num kvmclock_at(const Num& host_tsc, const Num& base_ns) const {
    return clock_counts_tsc() ? master_clock_at(host_tsc) : base_ns + vm_.kvmclock_offset;
  }

  // No operation is going on: the story starts again.
  void begin_story() { story_length_ = 0; }

  const MachineConfig& config() const { return config_; }
  const VmClock<Num>& vm() const { return vm_; }
  VmClock<Num>& vm() { return vm_; }
  const std::vector<Vcpu<Num>>& vcpus() const { return vcpus_; }
  std::vector<Vcpu<Num>>& vcpus() { return vcpus_; }
  PvclockPage<Num>& page_at(std::uint64_t address) { return at_address(memory_.pages, address); }  // guest memory
  const std::vector<std::pair<std::uint64_t, PvclockPage<Num>>>& pages() const { return memory_.pages; }
  // A guest that moves takes its memory to another machine.
  const GuestMemory<Num>& memory() const { return memory_; }
  StealRecord<Num>& steal_record_at(std::uint64_t address) { return at_address(memory_.steal_records, address); }
  void continue_hyperv_sequence(std::uint32_t sequence);  // updates that nobody saw one by one
  void set_memory(const GuestMemory<Num>& memory);
  const MachineState<Num>& state() const { return *this; }
  MachineState<Num>& state() { return *this; }

  // Who hears of trace events from now on; null: nobody. A copy of the machine talks to the same listener.
  void listen(TraceListener<Num>* listener) { listener_ = listener; }

  // The rules that the last perform() followed, in order.
  std::span<const Rule> story() const { return {story_.data(), story_length_}; }

 private:
  using State = MachineState<Num>;
  using State::delayed_update_pending_;
  using State::had_master_clock_;
  using State::memory_;
  using State::update_limit_;
  using State::vcpus_;
  using State::vm_;

  using Outcome = ops::BasicOutcome<Num>;
  struct Clock {
    Num clock{};
    std::uint64_t flags = 0;
    Num realtime{};
    Num host_tsc{};
  };

  void follow(Rule rule) {
    if constexpr (HostType::kObserved)
      if (story_length_ < story_.size()) story_[story_length_++] = rule;
  }
  void trace(ops::TraceKind kind, int vcpu, const std::array<Num, ops::kMaxTraceValues>& values) {
    if constexpr (HostType::kObserved)
      if (listener_ != nullptr) listener_->traced({kind, vcpu, 0, values});
  }
  static Num clock_mode(const HostType& host) { return Num(host.tsc_clocksource() ? 1 : 0); }  // vdso_clock_mode
  Vcpu<Num>& at(int vcpu) { return vcpus_[static_cast<std::size_t>(vcpu)]; }
  int index_of(const Vcpu<Num>& vcpu) const { return static_cast<int>(&vcpu - vcpus_.data()); }
  Outcome refuse(int error);

  // tsc_sync.inl: writes, generations, the master clock request.
  Num generation_line(const Vcpu<Num>& vcpu, const Num& ns) const;
  TscWrite<Num> seen_by_policy(const Vcpu<Num>& vcpu, std::optional<Num> user_value, bool by_guest,
                               const Num& scaled_tsc, const Num& ns) const;
  static bool is_zero_request(const TscWrite<Num>& write);
  Num elapsed_for_unstable_join(const Vcpu<Num>& vcpu, Num elapsed_ns) const;
  void synchronize(Vcpu<Num>& vcpu, std::optional<Num> user_value, bool by_guest, HostType& host);
  ClockPair<Num> write_readings(HostType& host);
  void record_by_rates_and_offsets(Vcpu<Num>& vcpu, Num offset, Num tsc, Num ns, bool matched, HostType& host);
  void track_by_rates_and_offsets(Vcpu<Num>& vcpu, bool update, HostType& host);
  bool vetoed() const {
    return vm_.backwards_tsc_observed || (config_.era.old_msr_vetoes_master_clock && vm_.boot_vcpu_runs_old_kvmclock);
  }
  std::uint32_t rate_to_match() const;
  void record(Vcpu<Num>& vcpu, Num offset, Num tsc, Num ns, bool matched, bool by_user, HostType& host);
  void track(Vcpu<Num>& vcpu, bool new_generation, HostType& host);
  void set_l1_offset(Vcpu<Num>& vcpu, Num offset);
  bool all_vcpus_matched() const;
  Num hardware_tsc(const Vcpu<Num>& vcpu, const Num& host_tsc) const;  // as the guest's RDTSC reads it

  // master_clock.inl
  void renew_master_pair(HostType& host);
  void request_everywhere(std::uint8_t requests);
  void withdraw_everywhere(std::uint8_t requests);
  void global_clock_update(Vcpu<Num>& requester, HostType& host);

  // vcpu_run.inl: load, unload, entry, guest instructions.
  void load(Vcpu<Num>& vcpu, int cpu, HostType& host);
  void load_on(Vcpu<Num>& vcpu, int cpu, HostType& host);
  void apply_offset_adjustment(Vcpu<Num>& vcpu);
  bool load_update_allowed(HostType& host);
  void unload(Vcpu<Num>& vcpu, HostType& host);
  void enter(int vcpu, HostType& host);
  void leave(Vcpu<Num>& vcpu, HostType& host);
  void let_work_run(int vcpu, HostType& host);
  bool reenters_after_wrmsr(std::uint32_t msr) const;
  Outcome guest_operation(const ops::Operation& op, HostType& host);
  Outcome guest_read_pvclock(Vcpu<Num>& vcpu, const Num& host_tsc);

  Num caught_up(Vcpu<Num>& vcpu, const Num& tsc, const Num& ns);
  void set_page_rate(Vcpu<Num>& vcpu) const;

  // kvmclock.inl: pages, KVM_GET_CLOCK, KVM_SET_CLOCK, wall clock.
  void publish(Vcpu<Num>& vcpu, const PvclockPage<Num>& fresh);
  void trace_page(const Vcpu<Num>& vcpu, const PvclockPage<Num>& page);
  static void clear_stable(PvclockPage<Num>& page);
  WallClockPage<Num>& wall_clock_at(std::uint64_t address) { return at_address(memory_.wall_clocks, address); }
  void write_system_time(int vcpu, std::uint64_t value, bool old_msr, bool by_host, HostType& host);
  void write_wall_clock(Vcpu<Num>& vcpu, std::uint64_t address, HostType& host);
  Num wall_clock_epoch(HostType& host);
  bool clock_counts_tsc() const { return vm_.use_master_clock && config_.era.get_clock_tells_stable; }
  Num master_clock_at(const Num& host_tsc) const;
  Clock read_clock(HostType& host);
  Num kvmclock_now(HostType& host);
  Outcome get_clock(HostType& host);
  std::uint64_t effective_rate_hz(TscRatio ratio) const;
  bool guests_may_trust_pages() const;

  // lapic.inl: the MSR of the TSC deadline timer.
  bool deadline_is_ahead(const Vcpu<Num>& vcpu, const Num& deadline, HostType& host) const;
  Outcome write_tsc_deadline(Vcpu<Num>& vcpu, const Num& value, HostType& host);
  Outcome read_tsc_deadline(Vcpu<Num>& vcpu, HostType& host);
  Outcome set_lapic(Vcpu<Num>& vcpu, std::uint64_t timer_mode);
  void disarm(Vcpu<Num>& vcpu) {
    vcpu.tsc_deadline = Num(0);
    vcpu.deadline_in_doubt = false;
  }

  // proposals.inl
  ClockPair<Num> wall_clock_readings(HostType& host);
  Outcome get_tsc_state(Vcpu<Num>& vcpu, HostType& host);
  Outcome set_tsc_state(Vcpu<Num>& vcpu, const ops::Operation& op, HostType& host);
  Outcome get_clock_guest(const Vcpu<Num>& vcpu);
  Outcome set_clock_guest(const Vcpu<Num>& vcpu, const ops::Operation& op, HostType& host);
  Outcome get_tsc_scale(const Vcpu<Num>& vcpu);
  Outcome set_clock(const ops::Operation& op, HostType& host);

  // hyperv.inl: the reference TSC page and the reference counter.
  HypervPage<Num>& hyperv_page_at(std::uint64_t address) { return at_address(memory_.hyperv_pages, address); }
  bool hyperv_msr_refused(const Vcpu<Num>& vcpu, bool by_host) const;
  Outcome write_hyperv_msr(const ops::Operation& op, bool by_host);
  void write_reference_tsc(Vcpu<Num>& vcpu, std::uint64_t value, bool by_host);
  Outcome read_hyperv_msr(const ops::Operation& op, HostType& host);
  bool hyperv_page_counts() const;
  Num reference_counter(HostType& host);
  void request_hyperv_page();
  bool fills_hyperv_page(int vcpu) const;
  void update_hyperv_page(const PvclockPage<Num>& clock);
  static std::uint32_t next_sequence(std::uint32_t before);
  std::uint64_t hyperv_page_in_sight() const;
  Outcome peek_hyperv_page();
  Outcome guest_read_hyperv_page(const Vcpu<Num>& vcpu, const Num& host_tsc);

  // steal_time.inl
  Outcome write_steal_time(Vcpu<Num>& vcpu, std::uint64_t value, bool by_host, HostType& host);
  void count_steal_at_load(Vcpu<Num>& vcpu, HostType& host);
  void record_steal_time(Vcpu<Num>& vcpu, HostType& host);
  void mark_preempted(Vcpu<Num>& vcpu);
  std::uint64_t steal_record_in_sight(const Vcpu<Num>& vcpu) const;
  Outcome peek_steal_time(int vcpu);

  // nested.inl
  void activate(Vcpu<Num>& vcpu);
  Outcome enter_l2(const ops::Operation& op);
  void fail_l2_entry(Vcpu<Num>& vcpu);
  Outcome leave_l2(int vcpu);

  // perform.inl: dispatch.
  Outcome vcpu_operation(const ops::Operation& op, HostType& host);
  Outcome write_msr(const ops::Operation& op, bool by_host, HostType& host);
  Outcome read_msr(const ops::Operation& op, HostType& host);
  Num tsc_of_msr(const Vcpu<Num>& vcpu, bool by_host, const Num& host_tsc) const;
  int choose_ratio(int vcpu, std::uint32_t khz);
  Outcome set_vcpu_tsc_khz(int vcpu, std::uint32_t khz, HostType& host);
  Outcome set_vm_tsc_khz(std::uint32_t khz);
  bool looks_outside_memory(const ops::Operation& op) const;
  std::uint64_t usual_place(std::uint64_t first, const Vcpu<Num>& vcpu) const {
    return first + static_cast<std::uint64_t>(index_of(vcpu)) * ops::layout::kPageStride;
  }
  std::uint64_t page_in_sight(const Vcpu<Num>& vcpu) const;
  std::uint64_t wall_clock_in_sight(const Vcpu<Num>& vcpu) const;
  Outcome peek_page(int vcpu);
  Outcome peek_wall_clock(int vcpu);

  MachineConfig config_;
  RememberedScale scales_;
  TraceListener<Num>* listener_ = nullptr;
  std::array<Rule, 12> story_{};
  std::size_t story_length_ = 0;
};

extern template class Machine<std::uint64_t>;
extern template class Machine<witness::Witness>;

}  // namespace tscsim::model

#include "model/world/simulation.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "model/guest/kernel.h"
#include "model/host/scheduler.h"
#include "model/mutation.h"
#include "sim/event_queue.h"
#include "sim/time.h"

namespace tscsim::model {
namespace {

using ops::OpKind;

// The host's answers at the simulation's present instant, on one pCPU.
class SimulatedHost final : public Host<std::uint64_t> {
 public:
  SimulatedHost(HostClock& clock, BaseClock base_clock, sim::EventQueue<DelayedWork>& queue)
      : clock_(clock), slews_alone_(TSCSIM_MUTATE(boottime_is_raw, base_clock != BaseClock::raw, false)), slews_in_pairs_(base_clock == BaseClock::boottime),
        queue_(queue) {}

  void run_on(int pcpu, std::uint64_t run_delay_ns = 0) {
    pcpu_ = pcpu;
    run_delay_ns_ = run_delay_ns;
  }

  std::uint64_t tsc() override { return clock_.tsc(pcpu_); }
  std::uint64_t base_ns() override { return clock_.base_ns(pcpu_) + (slews_alone_ ? clock_.slewed_ns() : 0); }
  std::uint64_t realtime_ns() override { return clock_.realtime_ns(); }
  std::uint64_t run_delay_ns() override { return run_delay_ns_; }
  std::optional<ClockPair<std::uint64_t>> base_pair() override {
    auto pair = clock_.base_pair(pcpu_);
    if (pair && slews_in_pairs_) pair->ns += clock_.slewed_ns();
    return pair;
  }
  std::optional<ClockPair<std::uint64_t>> realtime_pair() override { return clock_.realtime_pair(pcpu_); }
  bool tsc_clocksource() const override { return clock_.tsc_clocksource(); }
  bool tsc_unstable() const override { return clock_.tsc_unstable(); }
  void mark_tsc_unstable() override {
    if (clock_.tsc_unstable()) return;
    clock_.mark_tsc_unstable();
    if (clock_.tsc_clocksource()) schedule(DelayedWork::clocksource_falls_away, 0);
  }
  void schedule(DelayedWork work, std::int64_t delay_ns) override {
    queue_.schedule(sim::SimTime{clock_.now_ns()} + delay_ns, work);
  }

 private:
  HostClock& clock_;
  bool slews_alone_, slews_in_pairs_;  // kvmclock's readings follow NTP
  sim::EventQueue<DelayedWork>& queue_;
  int pcpu_ = 0;
  std::uint64_t run_delay_ns_ = 0;  // of the thread that executes
};

std::string story_text(std::span<const Rule> story) {
  std::string text;
  for (const Rule rule : story) {
    if (!text.empty()) text += "; ";
    text += info(rule).name;
  }
  return text;
}

ops::TargetProfile profile_of(const ops::HostSpec& spec, const std::string& heuristic, Tracing tracing) {
  ops::TargetProfile profile;
  profile.target = "model";
  profile.kernel = spec.kernel.empty() ? std::string(kNewestKernel) : spec.kernel;
  profile.vendor = spec.vendor;
  profile.host_khz = spec.tsc_khz;
  profile.tsc_clocksource = spec.tsc_clocksource;
  profile.tsc_unstable = spec.tsc_unstable;
  profile.honours_tsc_offset = spec.honours_tsc_offset;
  profile.heuristic = heuristic;
  profile.pcpus = static_cast<int>(spec.pcpus.size());
  for (std::size_t kind = 0; tracing == Tracing::on && kind < ops::kTraceKinds; ++kind)
    profile.traces.push_back(static_cast<ops::TraceKind>(kind));
  const Era era = machine_config(profile).era;
  profile.tsc_scaling = spec.tsc_scaling && (era.vmx_tsc_scaling || spec.vendor == "svm");
  profile.offset_attribute = era.offset_attribute;
  profile.clock_has_realtime = era.clock_flags_accepted;
  return profile;
}

// One host with its VM. Its clock starts at scenario time 0, like every other's. A Linux guest runs on it as on hardware.
class SimulatedKvm final : public guest::Hardware {
 public:
  SimulatedKvm(const ops::HostSpec& spec, const ops::TargetProfile& profile)
      : profile_(profile), clock_(spec), machine_(machine_config(profile)),
        host_(clock_, machine_.config().era.base_clock, queue_) {}

  const ops::TargetProfile& profile() const { return profile_; }
  Machine<std::uint64_t>& machine() { return machine_; }

  SimulatedWorld::ClockState clock_state() const { return {clock_.tsc_clocksource(), clock_.tsc_unstable()}; }

  void start_clock(ops::HostHeader& header) const {
    header.zero_tsc = clock_.tsc(0);
    header.zero_base_ns = clock_.base_ns(0);
  }

  // The operation's bracket, at its due time. What KVM put off until then has run.
  ops::Entry arrive(const ops::Operation& op) {
    advance_to(op.at_ns);
    ops::Entry entry;
    entry.op = op;
    entry.pcpu = pcpu_of(op.vcpu);
    host_.run_on(entry.pcpu, run_delay_ns(op.vcpu));
    const std::uint64_t tsc = clock_.tsc(entry.pcpu), base = clock_.base_ns(entry.pcpu), real = clock_.realtime_ns();
    entry.bracket = {{tsc, tsc}, {base, base}, {real, real}, {}};
    return entry;
  }

  void execute(ops::Entry& entry) {
    const ops::Operation& op = entry.op;
    if (op.kind == OpKind::move_vcpu) return move(op, entry);
    if (op.kind == OpKind::delay_vcpu) {
      run_delay_ns_[op.vcpu] += op.value;
      return;
    }
    if (op.kind == OpKind::share_pcpus) return scheduler_.share(static_cast<std::int64_t>(op.value), static_cast<int>(op.flags), now_ns());
    const Listening listening(*this, entry);
    if (ops::is_host_event(op.kind)) return happen(op, entry);
    if (op.kind == OpKind::create_vm) leave_vm();
    entry.outcome = machine_.perform(op, entry.pcpu, host_);
    entry.note = story_text(machine_.story());
    if (op.kind == OpKind::create_vcpu && entry.outcome.error == 0) scheduler_.place(op.vcpu, pcpu_of(op.vcpu), now_ns());
  }

  void want_to_run(bool runs) { scheduler_.want(runs, now_ns()); }

  // --- guest::Hardware. What the guest executes, KVM executes: each is a KVM_RUN of its own.

  std::uint64_t rdtsc(int vcpu) override { return *in_guest(OpKind::rdtsc, vcpu).find(ops::Field::value); }
  guest::PvclockRecord pvclock(int vcpu) override {
    const PvclockPage<std::uint64_t>& page = page_of(vcpu);
    return {page.tsc_timestamp, page.system_time, page.scale, page.flags};
  }
  void clear_stop_flag(int vcpu) override {
    std::uint8_t& flags = page_of(vcpu).flags;
    flags = static_cast<std::uint8_t>(flags & ~ops::pvclock_flag::kGuestStopped);
  }
  std::uint64_t rdmsr(int vcpu, std::uint32_t msr) override { return *in_guest(OpKind::rdmsr, vcpu, msr).find(ops::Field::value); }
  void wrmsr(int vcpu, std::uint32_t msr, std::uint64_t value) override { in_guest(OpKind::wrmsr, vcpu, msr, value); }
  guest::WallTime wall_clock_epoch(int vcpu) override {
    const std::uint64_t address = ops::layout::kWallClockPages + static_cast<std::uint64_t>(vcpu) * ops::layout::kPageStride;
    wrmsr(vcpu, ops::msr::kKvmWallClockNew, address);
    const ops::Outcome stored = in_guest(OpKind::peek_wall_clock, vcpu);
    return {*stored.find(ops::Field::sec), *stored.find(ops::Field::nsec)};
  }
  std::uint64_t steal_ns(int vcpu) override {
    in_guest(OpKind::run, vcpu);
    return machine_.steal_record_at(machine_.vcpus()[static_cast<std::size_t>(vcpu)].steal_address()).steal;
  }
  std::uint64_t rtc_seconds() override { return clock_.realtime_ns() / 1'000'000'000; }
  std::int64_t now_ns() const override { return clock_.now_ns(); }
  std::int64_t ns_for(int vcpu, std::uint64_t cycles) const override {
    const sim::U128 ns = (sim::mul(cycles, 1'000'000) + tsc_khz(vcpu) - 1) / tsc_khz(vcpu);
    return ns > sim::U128{INT64_MAX} ? INT64_MAX : static_cast<std::int64_t>(ns);
  }
  std::int64_t runs_at(int vcpu, std::int64_t at_ns) const override { return scheduler_.runs_at(vcpu, at_ns); }
  std::int64_t turn_ns(int vcpu, int other) const override { return scheduler_.turn_ns(vcpu, other); }
  void move_vcpu(int vcpu, int pcpu) override {
    pcpu_of(vcpu);
    pcpu_of_vcpu_[static_cast<std::size_t>(vcpu)] = pcpu;
    scheduler_.place(vcpu, pcpu, now_ns());
  }
  std::uint32_t tsc_khz(int vcpu) const override {
    return static_cast<std::uint32_t>(scale_tsc(profile_.host_khz, machine_.vcpus()[static_cast<std::size_t>(vcpu)].tsc_scaling_ratio));
  }
  int vcpus() const override { return static_cast<int>(machine_.vcpus().size()); }

  void advance_to(std::int64_t at_ns) override {
    while (queue_.next_time().value_or(sim::SimTime::last()).ns <= at_ns) {
      const auto event = queue_.pop();
      clock_.advance_to(std::max(event.time.ns, clock_.now_ns()));
      if (event.payload == DelayedWork::clocksource_falls_away) clock_.set_tsc_clocksource(false);
      machine_.run_delayed(event.payload, host_);
    }
    clock_.advance_to(std::max(at_ns, clock_.now_ns()));  // what was due while the host slept is late
  }

 private:
  PvclockPage<std::uint64_t>& page_of(int vcpu) {
    return machine_.page_at(ops::layout::kPvclockPages + static_cast<std::uint64_t>(vcpu) * ops::layout::kPageStride);
  }

  ops::Outcome in_guest(OpKind kind, int vcpu, std::uint32_t msr = 0, std::uint64_t value = 0) {
    ops::Operation op;
    op.kind = kind;
    op.vcpu = vcpu;
    op.msr = msr;
    op.value = value;
    const int pcpu = pcpu_of(vcpu);
    host_.run_on(pcpu, run_delay_ns(vcpu));
    return machine_.perform(op, pcpu, host_);
  }

  std::uint64_t run_delay_ns(std::int32_t vcpu) {
    const bool placed = vcpu != ops::kVm && vcpu < vcpus();
    return run_delay_ns_[vcpu] + (placed ? scheduler_.waited_ns(vcpu, now_ns()) : 0);
  }

  // Keeps in the entry what KVM traces while it executes.
  class Listening final : public TraceListener<std::uint64_t> {
   public:
    Listening(SimulatedKvm& kvm, ops::Entry& entry) : kvm_(kvm), entry_(entry) {
      if (!kvm.profile_.traces.empty()) kvm.machine_.listen(this);
    }
    ~Listening() override { kvm_.machine_.listen(nullptr); }
    Listening(const Listening&) = delete;
    Listening& operator=(const Listening&) = delete;

    void traced(const ops::TraceEvent& event) override {
      entry_.traced.push_back(event);
      entry_.traced.back().tsc = kvm_.host_.tsc();
    }

   private:
    SimulatedKvm& kvm_;
    ops::Entry& entry_;
  };

  // The process that had the VM is gone, its threads and what KVM had put off for it with it.
  void leave_vm() {
    std::vector<sim::SimTime> of_the_host;
    while (!queue_.empty()) {
      const auto event = queue_.pop();
      if (event.payload == DelayedWork::clocksource_falls_away) of_the_host.push_back(event.time);
    }
    for (const sim::SimTime time : of_the_host) queue_.schedule(time, DelayedWork::clocksource_falls_away);
    pcpu_of_vcpu_.clear();
    run_delay_ns_.clear();
  }

  int pcpu_of(std::int32_t vcpu) {
    if (vcpu == ops::kVm) return 0;
    const auto index = static_cast<std::size_t>(vcpu);
    for (std::size_t i = pcpu_of_vcpu_.size(); i <= index; ++i)
      pcpu_of_vcpu_.push_back(first_pcpu(static_cast<int>(i)));
    return pcpu_of_vcpu_[index];
  }

  int first_pcpu(int vcpu) const {
    const int pcpu = vcpu % clock_.pcpus();
    return offline_.contains(pcpu) ? 0 : pcpu;
  }

  void move(const ops::Operation& op, ops::Entry& entry) {
    if (op.value < static_cast<std::uint64_t>(clock_.pcpus()) && !offline_.contains(static_cast<int>(op.value))) {
      return move_vcpu(op.vcpu, static_cast<int>(op.value));
    }
    entry.supported = false;
    entry.note = fmt::format("needs: pCPU {} online (this host has {})", op.value, clock_.pcpus());
  }

  void happen(const ops::Operation& op, ops::Entry& entry) {
    machine_.begin_story();
    switch (op.kind) {
      case OpKind::set_clocksource:
        change_clocksource(op.value != 0, entry);
        break;
      case OpKind::mark_tsc_unstable:
        host_.mark_tsc_unstable();
        break;
      case OpKind::jump_host_tsc:
        clock_.jump_tsc(op.pcpu, static_cast<std::int64_t>(op.value));
        break;
      case OpKind::suspend_host:
        suspend(op);
        break;
      default:
        switch_pcpu(op, entry);
        break;
    }
    entry.bracket.tsc.hi = clock_.tsc(0);
    entry.bracket.base_ns.hi = clock_.base_ns(0);
    entry.bracket.realtime_ns.hi = clock_.realtime_ns();
    for (ops::Range* range : {&entry.bracket.tsc, &entry.bracket.realtime_ns})
      if (range->lo > range->hi) range->lo = 0;  // it went back: nothing is known from below
    entry.note += story_text(machine_.story());
  }

  // Kernel: Linux v6.12 kernel/time/clocksource.c: an unstable clocksource cannot be chosen while ticks are high
  // resolution; the write succeeds all the same.
  void change_clocksource(bool tsc, ops::Entry& entry) {
    if (tsc && clock_.tsc_unstable()) {
      entry.note = "the TSC is unstable and stays away";
      return;
    }
    if (clock_.tsc_clocksource() != tsc) machine_.notice_clocksource_change(tsc);
    clock_.set_tsc_clocksource(tsc);
  }

  void suspend(const ops::Operation& op) {
    machine_.prepare_suspend();
    clock_.suspend(static_cast<std::int64_t>(op.value), (op.flags & ops::suspend_flag::kTscRestarts) != 0);
    for (int pcpu = 0; pcpu < clock_.pcpus(); ++pcpu)
      if (!offline_.contains(pcpu)) enable_hardware(pcpu);
  }

  void enable_hardware(int pcpu) {
    host_.run_on(pcpu);
    machine_.enable_hardware(pcpu, host_);
  }

  void switch_pcpu(const ops::Operation& op, ops::Entry& entry) {
    const int pcpu = static_cast<int>(op.value);
    const bool online = op.kind == OpKind::online_pcpu;
    if (pcpu >= clock_.pcpus() || offline_.contains(pcpu) != online) {
      entry.supported = false;
      entry.note = fmt::format("needs: a pCPU {} that is {}", pcpu, online ? "offline" : "online");
      return;
    }
    if (online) {
      offline_.erase(pcpu);
      entry.bracket.tsc = {clock_.tsc(pcpu), clock_.tsc(pcpu)};
      enable_hardware(pcpu);
      return;
    }
    offline_.insert(pcpu);
    for (std::size_t vcpu = 0; vcpu < pcpu_of_vcpu_.size(); ++vcpu)
      if (pcpu_of_vcpu_[vcpu] == pcpu) move_vcpu(static_cast<int>(vcpu), 0);
  }

  ops::TargetProfile profile_;
  HostClock clock_;
  sim::EventQueue<DelayedWork> queue_;
  Machine<std::uint64_t> machine_;
  SimulatedHost host_;
  std::vector<int> pcpu_of_vcpu_;
  std::map<std::int32_t, std::uint64_t> run_delay_ns_;  // of each vCPU's thread, as steps said
  HostScheduler scheduler_;
  std::set<int> offline_;
};

// Hosts that share nothing but scenario time and what is carried from one to the other. A Linux guest is on the host where its
// memory is; it takes its interrupts up to the next operation, whichever host that is for.
class Simulation final : public SimulatedWorld {
 public:
  Simulation(const std::vector<ops::HostSpec>& specs, const std::string& heuristic, Tracing tracing) : saved_(specs.size()) {
    for (const ops::HostSpec& spec : specs)
      hosts_.push_back(std::make_unique<SimulatedKvm>(spec, profile_of(spec, heuristic, tracing)));
  }

  const ops::TargetProfile& profile(int host) const override { return at(host).profile(); }
  void start_clock(int host, std::int64_t, ops::HostHeader& header) override { at(host).start_clock(header); }
  const Machine<std::uint64_t>& machine(int host) const override { return at(host).machine(); }
  ClockState clock_state(int host) const override { return at(host).clock_state(); }

  ops::Entry execute(const ops::Operation& op) override {
    if (guest_) guest_->run_until(op.at_ns);
    SimulatedKvm& host = at(op.host);
    ops::Entry entry = host.arrive(op);
    if (op.kind == OpKind::save_memory)
      saved_[static_cast<std::size_t>(op.host)] = host.machine().memory();
    else if (op.kind == OpKind::load_memory)
      load_memory(op, host);
    else if (ops::needs_linux_guest(op.kind) && op.kind != OpKind::share_pcpus)
      execute_in_linux(entry, host);
    else
      host.execute(entry);
    if (!guest_) return entry;
    if (!op.probe) guest_->hardware_changed();
    entry.guest = guest_->take_events();
    return entry;
  }

 private:
  void load_memory(const ops::Operation& op, SimulatedKvm& host) {
    host.machine().set_memory(saved_.at(op.value));
    if (!guest_) return;
    guest_->move_to(host);
    host.want_to_run(!guest_->paused());
  }

  void execute_in_linux(ops::Entry& entry, SimulatedKvm& host) {
    if (entry.op.kind == OpKind::boot_guest) {
      const KernelVersion version{entry.op.guest.major, entry.op.guest.minor};
      if (!guest::has_guest_era(version))
        throw ops::InputError(ops::Diagnostic{{}, fmt::format("unknown guest kernel '{}.{}'", version.major, version.minor),
                                              fmt::format("give a version from {} on, such as 6.12; see 'tscsim list guests'", guest::kOldestGuest), "", 1});
      guest_ = std::make_unique<guest::GuestKernel>(entry.op.guest, host);
    } else if (!guest_) {
      entry.supported = false;
      entry.note = "needs: a Linux guest";
    } else {
      if (entry.op.kind == OpKind::pause_vm || entry.op.kind == OpKind::resume_vm) host.want_to_run(entry.op.kind == OpKind::resume_vm);
      entry.outcome = guest_->perform(entry.op);
    }
  }

  SimulatedKvm& at(int host) const { return *hosts_[static_cast<std::size_t>(host)]; }

  std::vector<std::unique_ptr<SimulatedKvm>> hosts_;
  std::vector<GuestMemory<std::uint64_t>> saved_;
  std::unique_ptr<guest::GuestKernel> guest_;
};

}  // namespace

namespace {

std::string kernel_mend(const std::string& kernel) {
  const auto plus = kernel.find('+');
  if (plus == std::string::npos) return fmt::format("give a version from {} on, such as 6.12; see 'tscsim list kernels'", kOldestKernel);
  std::vector<std::string> names;
  for (const KnownProposal& known : known_proposals()) names.emplace_back(known.name);
  const std::string near = ops::nearest_word(kernel.substr(plus + 1), names);
  for (const KnownProposal& known : known_proposals())
    if (known.name == near)
      return fmt::format("'{}' can be had on {}.{} and later, such as '{}'", near, known.major, known.minor, known.kernel);
  return fmt::format("the proposals are {}", fmt::join(names, ", "));
}

}  // namespace

MachineConfig machine_config(const ops::TargetProfile& profile) {
  const auto refuse = [](const std::string& what, const std::string& mend) {
    return ops::InputError(ops::Diagnostic{{}, what, mend, "", 1});
  };
  const bool real = !profile.target.empty() && profile.target != "model";
  const auto version = real ? KernelVersion::parse(profile.kernel) : KernelVersion::parse_modelled(profile.kernel);
  if (!version || !has_era(*version))
    throw refuse(fmt::format("unknown kernel '{}'", profile.kernel), kernel_mend(profile.kernel));
  MachineConfig config;
  config.era = era_for(*version);
  config.policy = sync_policy(profile.heuristic, config.era.heuristic);
  config.policy->adapt(config.era);
  config.vendor = profile.vendor == "svm" ? Vendor::svm : Vendor::vmx;
  config.host_khz = profile.host_khz;
  config.tsc_scaling = profile.tsc_scaling;
  config.tsc_in_software = profile.vendor == "none";
  config.honours_tsc_offset = profile.honours_tsc_offset;
  config.reenters_after_tsc_wrmsr = profile.reenters_after_tsc_wrmsr;
  config.enabling_clears_stable = profile.enabling_clears_stable;
  return config;
}

std::unique_ptr<SimulatedWorld> simulate(const std::vector<ops::HostSpec>& hosts, const std::string& heuristic,
                                         Tracing tracing) {
  return std::make_unique<Simulation>(hosts, heuristic, tracing);
}

}  // namespace tscsim::model

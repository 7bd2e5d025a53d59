#include "model/world/simulation.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/check.h"
#include "model/guest/kernel.h"
#include "model/host/scheduler.h"
#include "model/mutation.h"
#include "model/world/simulated_kvm.h"
#include "ops/kernel_release.h"
#include "sim/time.h"

namespace tscsim::model {
namespace {

using ops::OpKind;

std::string story_text(std::span<const Rule> story) {
  std::string text;
  for (const Rule rule : story) {
    if (!text.empty()) text += "; ";
    text += info(rule).name;
  }
  return text;
}

using ObservedKvm = SimulatedKvm<Host<std::uint64_t>>;

// Keeps in the entry what KVM traces while it executes.
class Listening final : public TraceListener<std::uint64_t> {
 public:
  Listening(ObservedKvm& kvm, bool wanted, ops::Entry& entry) : kvm_(kvm), entry_(entry) {
    if (wanted) kvm_.machine().listen(this);
  }
  ~Listening() override { kvm_.machine().listen(nullptr); }
  Listening(const Listening&) = delete;
  Listening& operator=(const Listening&) = delete;

  void traced(const ops::TraceEvent& event) override {
    entry_.traced.push_back(event);
    entry_.traced.back().tsc = kvm_.host().tsc();
  }

 private:
  ObservedKvm& kvm_;
  ops::Entry& entry_;
};

// A simulated KVM whose operations are recorded. A Linux guest runs on it as on hardware.
class RecordedKvm final : public guest::Hardware {
 public:
  RecordedKvm(const ops::HostSpec& spec, const ops::TargetProfile& profile)
      : profile_(profile), kvm_(spec, machine_config(profile)) {}

  const ops::TargetProfile& profile() const { return profile_; }
  Machine<std::uint64_t>& machine() { return kvm_.machine(); }
  const Machine<std::uint64_t>& machine() const { return kvm_.machine(); }

  SimulatedWorld::ClockState clock_state() const {
    return {kvm_.clock().tsc_clocksource(), kvm_.clock().tsc_unstable()};
  }

  void start_clock(ops::HostHeader& header) const {
    header.zero_tsc = kvm_.clock().tsc(0);
    header.zero_base_ns = kvm_.clock().base_ns(0);
  }

  // The operation's bracket, at its due time. What KVM put off until then has run.
  ops::Entry arrive(const ops::Operation& op) {
    advance_to(op.at_ns);
    ops::Entry entry;
    entry.op = op;
    entry.pcpu = enter(ops::by_main_thread(op) ? ops::kVm : op.vcpu);
    const HostClock& clock = kvm_.clock();
    const std::uint64_t tsc = clock.tsc(entry.pcpu), base = clock.base_ns(entry.pcpu), real = clock.realtime_ns();
    entry.bracket = {{tsc, tsc}, {base, base}, {real, real}, {}};
    return entry;
  }

  void execute(ops::Entry& entry) {
    const ops::Operation& op = entry.op;
    if (op.kind == OpKind::share_pcpus)
      return scheduler_.share(static_cast<std::int64_t>(op.value), static_cast<int>(op.flags), now_ns());
    const Listening listening(kvm_, !profile_.traces.empty(), entry);
    if (ops::is_host_event(op.kind) || op.kind == OpKind::move_vcpu || op.kind == OpKind::delay_vcpu)
      return happen(entry);
    entry.outcome = kvm_.perform(op, entry.pcpu);
    entry.note = story_text(machine().story());
    if (op.kind == OpKind::create_vcpu && entry.outcome.error == 0)
      scheduler_.place(op.vcpu, kvm_.pcpu_of(op.vcpu), now_ns());
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
  std::uint64_t rdmsr(int vcpu, std::uint32_t msr) override {
    return *in_guest(OpKind::rdmsr, vcpu, msr).find(ops::Field::value);
  }
  void wrmsr(int vcpu, std::uint32_t msr, std::uint64_t value) override { in_guest(OpKind::wrmsr, vcpu, msr, value); }
  guest::WallTime wall_clock_epoch(int vcpu) override {
    const std::uint64_t address =
        ops::layout::kWallClockPages + static_cast<std::uint64_t>(vcpu) * ops::layout::kPageStride;
    wrmsr(vcpu, ops::msr::kKvmWallClockNew, address);
    const ops::Outcome stored = in_guest(OpKind::peek_wall_clock, vcpu);
    return {*stored.find(ops::Field::sec), *stored.find(ops::Field::nsec)};
  }
  std::uint64_t steal_ns(int vcpu) override {
    in_guest(OpKind::run, vcpu);
    return machine().steal_record_at(machine().vcpus()[static_cast<std::size_t>(vcpu)].steal_address()).steal;
  }
  std::uint64_t rtc_seconds() override { return kvm_.clock().realtime_ns() / 1'000'000'000; }
  std::int64_t now_ns() const override { return kvm_.clock().now_ns(); }
  std::int64_t ns_for(int vcpu, std::uint64_t cycles) const override {
    const sim::U128 ns = (sim::mul(cycles, 1'000'000) + tsc_khz(vcpu) - 1) / tsc_khz(vcpu);
    return ns > sim::U128{INT64_MAX} ? INT64_MAX : static_cast<std::int64_t>(ns);
  }
  std::int64_t runs_at(int vcpu, std::int64_t at_ns) const override { return scheduler_.runs_at(vcpu, at_ns); }
  std::int64_t turn_ns(int vcpu, int other) const override { return scheduler_.turn_ns(vcpu, other); }
  void move_vcpu(int vcpu, int pcpu) override {
    kvm_.place(vcpu, pcpu);
    scheduler_.place(vcpu, pcpu, now_ns());
  }
  std::uint32_t tsc_khz(int vcpu) const override {
    return static_cast<std::uint32_t>(
        scale_tsc(profile_.host_khz, machine().vcpus()[static_cast<std::size_t>(vcpu)].tsc_scaling_ratio));
  }
  int vcpus() const override { return static_cast<int>(machine().vcpus().size()); }
  void advance_to(std::int64_t at_ns) override { kvm_.advance_to(at_ns); }

 private:
  using Obstacle = ObservedKvm::Obstacle;

  PvclockPage<std::uint64_t>& page_of(int vcpu) {
    return machine().page_at(ops::layout::kPvclockPages + static_cast<std::uint64_t>(vcpu) * ops::layout::kPageStride);
  }

  // Whatever follows happens on the pCPU of this vCPU.
  int enter(std::int32_t vcpu) {
    const bool placed = vcpu != ops::kVm && vcpu < vcpus();
    return kvm_.enter(vcpu, placed ? scheduler_.waited_ns(vcpu, now_ns()) : 0);
  }

  ops::Outcome in_guest(OpKind kind, int vcpu, std::uint32_t msr = 0, std::uint64_t value = 0) {
    ops::Operation op;
    op.kind = kind;
    op.vcpu = vcpu;
    op.msr = msr;
    op.value = value;
    return kvm_.perform(op, enter(vcpu));
  }

  void happen(ops::Entry& entry) {
    machine().begin_story();
    const Obstacle obstacle = kvm_.happen(entry.op);
    if (entry.op.kind == OpKind::move_vcpu || entry.op.kind == OpKind::offline_pcpu) place_threads();
    entry.supported = ObservedKvm::supported(obstacle);
    entry.note = note_on(obstacle, static_cast<int>(entry.op.value)) + story_text(machine().story());
    if (ops::is_host_event(entry.op.kind) && entry.supported) widen(entry);
  }

  void place_threads() {
    for (int vcpu = 0; vcpu < vcpus(); ++vcpu) scheduler_.place(vcpu, kvm_.pcpu_of(vcpu), now_ns());
  }

  std::string note_on(Obstacle obstacle, int pcpu) const {
    switch (obstacle) {
      case Obstacle::none:
        break;
      case Obstacle::tsc_stays_away:
        return "the TSC is unstable and stays away";
      case Obstacle::pcpu_not_online:
        return fmt::format("needs: pCPU {} online (this host has {})", pcpu, kvm_.clock().pcpus());
      case Obstacle::pcpu_already_there:
        return fmt::format("needs: a pCPU {} that is offline", pcpu);
      case Obstacle::pcpu_already_away:
        return fmt::format("needs: a pCPU {} that is online", pcpu);
    }
    return {};
  }

  // The bracket ends after the event.
  void widen(ops::Entry& entry) const {
    const HostClock& clock = kvm_.clock();
    if (entry.op.kind == OpKind::online_pcpu) entry.bracket.tsc.lo = clock.tsc(static_cast<int>(entry.op.value));
    entry.bracket.tsc.hi = clock.tsc(0);
    entry.bracket.base_ns.hi = clock.base_ns(0);
    entry.bracket.realtime_ns.hi = clock.realtime_ns();
    for (ops::Range* range : {&entry.bracket.tsc, &entry.bracket.realtime_ns})
      if (range->lo > range->hi) range->lo = 0;  // it went back: nothing is known from below
  }

  ops::TargetProfile profile_;
  ObservedKvm kvm_;
  HostScheduler scheduler_;
};

// Hosts that share nothing but scenario time and what is carried from one to the other. A Linux guest is on the host where its
// memory is; it takes its interrupts up to the next operation, whichever host that is for.
class Simulation final : public SimulatedWorld {
 public:
  Simulation(const std::vector<ops::HostSpec>& specs, const std::string& heuristic, Tracing tracing)
      : saved_(specs.size()), saved_guests_(specs.size()) {
    for (const ops::HostSpec& spec : specs)
      hosts_.push_back(std::make_unique<RecordedKvm>(spec, profile_of(spec, heuristic, tracing)));
  }

  const ops::TargetProfile& profile(int host) const override { return at(host).profile(); }
  void start_clock(int host, std::int64_t, ops::HostHeader& header) override { at(host).start_clock(header); }
  const Machine<std::uint64_t>& machine(int host) const override { return at(host).machine(); }
  ClockState clock_state(int host) const override { return at(host).clock_state(); }

  ops::Entry execute(const ops::Operation& op) override {
    if (guest_) guest_->run_until(op.at_ns);
    RecordedKvm& host = at(op.host);
    ops::Entry entry = host.arrive(op);
    if (op.kind == OpKind::save_memory) save_memory(op, host);
    else if (op.kind == OpKind::load_memory) load_memory(op, host);
    else if (ops::needs_linux_guest(op.kind) && op.kind != OpKind::share_pcpus) execute_in_linux(entry, host);
    else host.execute(entry);
    if (!guest_) return entry;
    if (!op.probe) guest_->hardware_changed();
    entry.guest = guest_->take_events();
    return entry;
  }

 private:
  // What a kernel knows lies in its memory.
  void save_memory(const ops::Operation& op, RecordedKvm& host) {
    saved_[static_cast<std::size_t>(op.host)] = host.machine().memory();
    if (guest_) saved_guests_[static_cast<std::size_t>(op.host)] = *guest_;
  }

  void load_memory(const ops::Operation& op, RecordedKvm& host) {
    host.machine().set_memory(saved_.at(op.value));
    if (!guest_) return;
    if (const auto& saved = saved_guests_.at(op.value))
      *guest_ = TSCSIM_MUTATE(guest_knows_what_came_later, *saved, *guest_);
    guest_->move_to(host);
    host.want_to_run(!guest_->paused());
  }

  static void check(const ops::GuestSpec& spec) {
    const KernelVersion version{spec.major, spec.minor};
    const auto refuse = [](std::string what, std::string mend) {
      throw ops::InputError(ops::Diagnostic{{}, std::move(what), std::move(mend), "", 1});
    };
    if (!guest::has_guest_era(version))
      refuse(fmt::format("unknown guest kernel '{}.{}'", version.major, version.minor),
             fmt::format("give a version from {} on, such as 6.12; see 'tscsim list guests'", guest::kOldestGuest));
    if (spec.watchdog_max_skew_us != 0 && !guest::guest_era_for(version).max_skew_configured)
      refuse(fmt::format("a guest kernel {}.{} has no CONFIG_CLOCKSOURCE_WATCHDOG_MAX_SKEW_US", version.major,
                         version.minor),
             "remove 'watchdog_max_skew', or take a guest kernel from 5.18 to 7.0");
  }

  void execute_in_linux(ops::Entry& entry, RecordedKvm& host) {
    if (entry.op.kind == OpKind::boot_guest) {
      check(entry.op.guest);
      guest_ = std::make_unique<guest::GuestKernel>(entry.op.guest, host);
      host.want_to_run(true);
    } else if (!guest_) {
      entry.supported = false;
      entry.note = "needs: a Linux guest";
    } else {
      if (entry.op.kind == OpKind::pause_vm || entry.op.kind == OpKind::resume_vm)
        host.want_to_run(entry.op.kind == OpKind::resume_vm);
      entry.outcome = guest_->perform(entry.op);
    }
  }

  RecordedKvm& at(int host) const {
    CHECK(static_cast<std::size_t>(host) < hosts_.size());
    return *hosts_[static_cast<std::size_t>(host)];
  }

  std::vector<std::unique_ptr<RecordedKvm>> hosts_;
  std::vector<GuestMemory<std::uint64_t>> saved_;
  std::vector<std::optional<guest::GuestKernel>> saved_guests_;
  std::unique_ptr<guest::GuestKernel> guest_;
};

}  // namespace

namespace {

std::string kernel_mend(const std::string& kernel) {
  if (!ops::kernel_release(kernel)) return ops::kernel_release_mend(kernel);
  const auto plus = kernel.find('+');
  if (plus == std::string::npos)
    return fmt::format("give a version from {} on, such as 6.12; see 'tscsim list kernels'", kOldestKernel);
  std::vector<std::string> names;
  for (const KnownProposal& known : known_proposals()) names.emplace_back(known.name);
  const std::string near = ops::nearest_word(kernel.substr(plus + 1), names);
  for (const KnownProposal& known : known_proposals())
    if (known.name == near)
      return fmt::format("'{}' can be had on {}.{} and later, such as '{}'", near, known.major, known.minor,
                         known.kernel);
  return fmt::format("the proposals are {}", fmt::join(names, ", "));
}

}  // namespace

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

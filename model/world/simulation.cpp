#include "model/world/simulation.h"

#include <fmt/format.h>

#include <algorithm>

#include "model/world/simulated_kvm.h"

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

// A simulated KVM whose operations are recorded.
class RecordedKvm {
 public:
  RecordedKvm(const ops::HostSpec& spec, const ops::TargetProfile& profile)
      : profile_(profile), kvm_(spec, machine_config(profile)) {}

  const ops::TargetProfile& profile() const { return profile_; }
  Machine<std::uint64_t>& machine() { return kvm_.machine(); }

  void start_clock(ops::HostHeader& header) const {
    header.zero_tsc = kvm_.clock().tsc(0);
    header.zero_base_ns = kvm_.clock().base_ns(0);
  }

  // The operation's bracket, at its due time. What KVM put off until then has run.
  ops::Entry arrive(const ops::Operation& op) {
    ops::Entry entry;
    entry.op = op;
    entry.pcpu = kvm_.arrive(op.at_ns, op.vcpu);
    const HostClock& clock = kvm_.clock();
    const std::uint64_t tsc = clock.tsc(entry.pcpu), base = clock.base_ns(entry.pcpu), real = clock.realtime_ns();
    entry.bracket = {{tsc, tsc}, {base, base}, {real, real}, {}};
    return entry;
  }

  void execute(ops::Entry& entry) {
    const Listening listening(kvm_, !profile_.traces.empty(), entry);
    const OpKind kind = entry.op.kind;
    if (ops::is_host_event(kind) || kind == OpKind::move_vcpu || kind == OpKind::delay_vcpu) return happen(entry);
    entry.outcome = kvm_.perform(entry.op, entry.pcpu);
    entry.note = story_text(machine().story());
  }

 private:
  using Obstacle = ObservedKvm::Obstacle;

  void happen(ops::Entry& entry) {
    machine().begin_story();
    const Obstacle obstacle = kvm_.happen(entry.op);
    entry.supported = ObservedKvm::supported(obstacle);
    entry.note = note_on(obstacle, static_cast<int>(entry.op.value)) + story_text(machine().story());
    if (ops::is_host_event(entry.op.kind) && entry.supported) widen(entry);
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
};

// Hosts that share nothing but scenario time and what is carried from one to the other.
class Simulation final : public ops::Executor {
 public:
  Simulation(const std::vector<ops::HostSpec>& specs, const std::string& heuristic, Tracing tracing) : saved_(specs.size()) {
    for (const ops::HostSpec& spec : specs)
      hosts_.push_back(std::make_unique<RecordedKvm>(spec, profile_of(spec, heuristic, tracing)));
  }

  const ops::TargetProfile& profile(int host) const override { return at(host).profile(); }
  void start_clock(int host, std::int64_t, ops::HostHeader& header) override { at(host).start_clock(header); }

  ops::Entry execute(const ops::Operation& op) override {
    RecordedKvm& host = at(op.host);
    ops::Entry entry = host.arrive(op);
    if (op.kind == OpKind::save_memory)
      saved_[static_cast<std::size_t>(op.host)] = host.machine().memory();
    else if (op.kind == OpKind::load_memory)
      host.machine().set_memory(saved_.at(op.value));
    else
      host.execute(entry);
    return entry;
  }

 private:
  RecordedKvm& at(int host) const { return *hosts_[static_cast<std::size_t>(host)]; }

  std::vector<std::unique_ptr<RecordedKvm>> hosts_;
  std::vector<GuestMemory<std::uint64_t>> saved_;
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

ops::TargetProfile profile_of(const ops::HostSpec& spec, const std::string& heuristic, Tracing tracing) {
  ops::TargetProfile profile;
  profile.target = "model";
  profile.kernel = spec.kernel.empty() ? std::string(kNewestKernel) : spec.kernel;
  profile.vendor = spec.vendor;
  profile.host_khz = spec.tsc_khz;
  profile.tsc_clocksource = spec.tsc_clocksource;
  profile.tsc_unstable = spec.tsc_unstable;
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

std::unique_ptr<ops::Executor> simulate(const std::vector<ops::HostSpec>& hosts, const std::string& heuristic,
                                        Tracing tracing) {
  return std::make_unique<Simulation>(hosts, heuristic, tracing);
}

}  // namespace tscsim::model

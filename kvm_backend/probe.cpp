#include "kvm_backend/probe.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <optional>

#include "kvm_backend/host_clocks.h"
#include "kvm_backend/host_events.h"
#include "kvm_backend/host_files.h"
#include "kvm_backend/ioctl/kvm_error.h"
#include "kvm_backend/pinned_thread.h"
#include "kvm_backend/supervisor.h"
#include "kvm_backend/trial_vm.h"

namespace tscsim::kvm_backend {

namespace {

struct Capabilities {
  bool tsc_control = false;
  bool vm_tsc_control = false;
  bool get_tsc_khz = false;
  bool vcpu_attributes = false;
  bool offset_attribute = false;
  bool kvmclock_ctrl = false;
  bool hyperv = false;  // the VMM may write these MSRs
  bool steal_time = false;
  std::uint32_t adjust_clock = 0;  // flags that KVM_GET_CLOCK knows; 1 before 4.9
};

struct Behaviour {
  std::uint32_t host_khz = 0;
  std::optional<bool> offset_moves_guest;  // none: there is no offset attribute
  bool write_moves_guest = false;
  bool guest_rdtsc = false;
  bool guest_rdtscp = false;
  std::string rdtscp_note;
  std::uint64_t rdtsc_cycles = 0;  // median of two back to back; 0 when the guest could not
  bool host_sees_offset = false;   // the attribute reads back what was written
  bool reenters_after_tsc_wrmsr = true;
  bool enabling_clears_stable = false;
  std::uint32_t clock_flags = 0;     // KVM_GET_CLOCK with matching vCPUs after a run
  std::optional<int> scaling_error;  // of KVM_SET_TSC_KHZ at 3/2 of the host's rate; none: not tried
  bool scaling_honoured = false;
};

// Two readings back to back take about 20 to 80 cycles when the processor executes them, thousands when the
// hypervisor does. An emulated host counts instructions: single digits.
constexpr std::uint64_t kTrapCycles = 1000;

// Far from anything that a guest's counter shows by itself (2^50 cycles are days), and far outside the window
// in which KVM would take a write for synchronisation.
constexpr std::uint64_t kFarCycles = std::uint64_t{1} << 50;

// The kernel does not offer a clocksource that it has marked unstable.
bool tsc_is_offered() {
  const std::vector<std::string> offered = Clocksource().available();
  return std::find(offered.begin(), offered.end(), "tsc") != offered.end();
}

class Trials {
 public:
  explicit Trials(const System& system) : system_(system) {}

  Capabilities capabilities() {
    Capabilities found;
    found.tsc_control = system_.check_extension(abi::kCapTscControl) != 0;
    found.vm_tsc_control = system_.check_extension(abi::kCapVmTscControl) != 0;
    found.get_tsc_khz = system_.check_extension(abi::kCapGetTscKhz) != 0;
    found.vcpu_attributes = system_.check_extension(abi::kCapVcpuAttributes) != 0;
    found.kvmclock_ctrl = system_.check_extension(abi::kCapKvmclockCtrl) != 0;
    found.adjust_clock = static_cast<std::uint32_t>(system_.check_extension(abi::kCapAdjustClock));
    TrialVm trial(system_, 1);
    found.offset_attribute = trial.vcpu(0).has_tsc_offset().ok();
    found.hyperv = trial.vcpu(0).set_msr(ops::msr::kHvReferenceTsc, 0).ok();
    found.steal_time = trial.vcpu(0).set_msr(ops::msr::kKvmStealTime, 0).ok();
    return found;
  }

  Behaviour behaviour(const Capabilities& capabilities) {
    Behaviour found;
    try_guest_instructions(found);
    if (capabilities.offset_attribute) try_offset(found);
    try_write(found);
    try_master_clock(found);
    try_page_updates(found);
    if (capabilities.tsc_control) try_scaling(found);
    return found;
  }

  // From the supervisor's thread.
  void kick() {
    const std::lock_guard lock(mutex_);
    if (entered_ != nullptr) entered_->kick();
  }

 private:
  // What the guest answered; nothing when it could not.
  std::optional<GuestPage> ask(GuestVcpu& guest, GuestCommand command, ops::Bracket& bracket,
                               std::string* note = nullptr) {
    set_entered(&guest);
    const GuestResult result = guest.call({command, 0, 0}, clocks_, bracket);
    set_entered(nullptr);
    if (note != nullptr) *note = result.note;
    if (result.end != GuestEnd::done) return std::nullopt;
    return result.page;
  }

  void set_entered(GuestVcpu* guest) {
    const std::lock_guard lock(mutex_);
    entered_ = guest;
  }

  void try_guest_instructions(Behaviour& found) {
    TrialVm trial(system_, 1);
    const CallResult khz = trial.vcpu(0).get_tsc_khz();
    if (khz.ok()) found.host_khz = static_cast<std::uint32_t>(khz.value);
    found.rdtsc_cycles = median_rdtsc_cycles(trial.guest(0));
    found.guest_rdtsc = found.rdtsc_cycles != 0;
    ops::Bracket bracket;
    found.guest_rdtscp = ask(trial.guest(0), GuestCommand::rdtscp, bracket, &found.rdtscp_note).has_value();
  }

  std::uint64_t median_rdtsc_cycles(GuestVcpu& guest) {
    std::array<std::uint64_t, 31> cycles{};
    for (std::uint64_t& one : cycles) {
      ops::Bracket bracket;
      const auto page = ask(guest, GuestCommand::rdtsc_pair, bracket);
      if (!page) return 0;
      one = page->aux - page->value;
    }
    std::nth_element(cycles.begin(), cycles.begin() + cycles.size() / 2, cycles.end());
    return cycles[cycles.size() / 2];
  }

  // guest TSC = host TSC + offset: the reading less the offset must lie in the bracket around the KVM_RUN.
  void try_offset(Behaviour& found) {
    TrialVm trial(system_, 1);
    found.offset_moves_guest = false;
    if (!trial.vcpu(0).set_tsc_offset(kFarCycles).ok()) return;
    std::uint64_t read_back = 0;
    found.host_sees_offset = trial.vcpu(0).get_tsc_offset(read_back).ok() && read_back == kFarCycles;
    ops::Bracket bracket;
    const auto page = ask(trial.guest(0), GuestCommand::rdtsc, bracket);
    if (!page) return;
    const std::uint64_t host_tsc = page->value - kFarCycles;
    found.offset_moves_guest =
        (bracket.tsc.lo <= host_tsc && host_tsc <= bracket.tsc.hi) || was_replaced(*page, bracket);
  }

  void try_write(Behaviour& found) {
    TrialVm trial(system_, 1);
    const std::uint64_t before_tsc = read_tsc();
    if (!trial.vcpu(0).set_msr(ops::msr::kIa32Tsc, kFarCycles).ok()) return;
    ops::Bracket bracket;
    const auto page = ask(trial.guest(0), GuestCommand::rdtsc, bracket);
    if (!page) return;
    found.write_moves_guest = page->value - kFarCycles <= bracket.tsc.hi - before_tsc || was_replaced(*page, bracket);
  }

  // On a host whose TSC is unstable each load replaces the offset (kvm_arch_vcpu_load()): any but 0 is honoured.
  static bool was_replaced(const GuestPage& page, const ops::Bracket& bracket) {
    return !tsc_is_offered() && (page.value < bracket.tsc.lo || page.value > bracket.tsc.hi);
  }

  void try_master_clock(Behaviour& found) {
    TrialVm trial(system_, 2);
    for (int i = 0; i < 2; ++i) {
      const std::uint64_t page = ops::layout::kPvclockPages + static_cast<std::uint64_t>(i) * ops::layout::kPageStride;
      trial.vcpu(i).set_msr(ops::msr::kKvmSystemTimeNew, page | 1);
    }
    for (int i = 0; i < 2; ++i) {
      ops::Bracket bracket;
      ask(trial.guest(i), GuestCommand::nop, bracket);
    }
    abi::ClockData clock;
    if (trial.vm().get_clock(clock).ok()) found.clock_flags = clock.flags;
  }

  // A guest write of TSC_ADJUST asks for a new page (5.15), which the entry after the trap should bring. And enabling
  // the page once more: does KVM touch what lies there?
  void try_page_updates(Behaviour& found) {
    TrialVm trial(system_, 1);
    trial.vcpu(0).set_msr(ops::msr::kKvmSystemTimeNew, ops::layout::kPvclockPages | 1);
    ops::Bracket bracket;
    ask(trial.guest(0), GuestCommand::nop, bracket);
    const auto before = trial.memory().read_pvclock(ops::layout::kPvclockPages);
    const GuestCall adjust{GuestCommand::wrmsr, ops::msr::kIa32TscAdjust, 1000};
    if (trial.guest(0).call(adjust, clocks_, bracket).end != GuestEnd::done) return;
    const auto after = trial.memory().read_pvclock(ops::layout::kPvclockPages);
    found.reenters_after_tsc_wrmsr = before && after && before->version != after->version;
    trial.vcpu(0).set_msr(ops::msr::kKvmSystemTimeNew, ops::layout::kPvclockPages | 1);
    const auto enabled = trial.memory().read_pvclock(ops::layout::kPvclockPages);
    found.enabling_clears_stable = after && enabled && after->version != enabled->version;
  }

  // Asks for 3/2 of the host's rate and compares how far both counters go: 3/2 within 1 part in 8 for an
  // interval whose ends are known to far better than that.
  void try_scaling(Behaviour& found) {
    TrialVm trial(system_, 1);
    found.scaling_error = trial.vcpu(0).set_tsc_khz(std::uint64_t{found.host_khz} * 3 / 2).error;
    if (*found.scaling_error != 0) return;
    ops::Bracket first, last;
    const auto from = ask(trial.guest(0), GuestCommand::rdtsc, first);
    wait_until(monotonic_ns() + 20'000'000, nullptr);
    const auto to = ask(trial.guest(0), GuestCommand::rdtsc, last);
    if (!from || !to) return;
    const std::uint64_t guest_cycles = to->value - from->value;
    const std::uint64_t host_least = last.tsc.lo - first.tsc.hi, host_most = last.tsc.hi - first.tsc.lo;
    found.scaling_honoured = guest_cycles * 16 > host_least * 22 && guest_cycles * 16 < host_most * 26;
  }

  const System& system_;
  HostClocks clocks_;
  std::mutex mutex_;
  GuestVcpu* entered_ = nullptr;
};

struct Probed {
  Capabilities capabilities;
  Behaviour behaviour;
  bool tsc_jumps = false;
};

// On a pinned thread under supervision: a KVM that does not come back must not hang the doctor either.
Probed probe(const NativeOptions& options) {
  const System system(options.device);
  Probed probed;
  probed.tsc_jumps = options.may_change_host && tsc_can_jump(allowed_cpus());
  if (probed.tsc_jumps) bring_tscs_in_step(allowed_cpus());
  Trials trials(system);
  PinnedThread thread(allowed_cpus().front());
  const auto work = [&] {
    probed.capabilities = trials.capabilities();
    probed.behaviour = trials.behaviour(probed.capabilities);
  };
  supervise(thread, {"the probe's vCPU", 0, work, [&] { trials.kick(); }, "KVM_RUN"},
            {options.timeout * 6, options.interrupted});
  return probed;
}

// The coarse clocks' resolution is a jiffy.
std::uint32_t tick_ns() {
  timespec tick{};
  if (::clock_getres(CLOCK_MONOTONIC_COARSE, &tick) != 0 || tick.tv_sec != 0) return 0;
  return static_cast<std::uint32_t>(tick.tv_nsec);
}

ops::TargetProfile profile_from(const NativeOptions& options, const Probed& probed) {
  const auto& [capabilities, behaviour, tsc_jumps] = probed;
  const Clocksource clocksource;
  ops::TargetProfile profile;
  profile.target = options.target;
  profile.kernel = kernel_release();
  profile.vendor = kvm_vendor();
  profile.host_khz = behaviour.host_khz;
  profile.tsc_scaling = capabilities.tsc_control;
  profile.tsc_clocksource = clocksource.current() == "tsc";
  profile.tsc_unstable = !tsc_is_offered();
  profile.offset_attribute = capabilities.offset_attribute;
  profile.honours_tsc_offset = behaviour.offset_moves_guest.value_or(behaviour.write_moves_guest);
  profile.clock_has_realtime = (capabilities.adjust_clock & ops::clock_flag::kRealtime) != 0;
  profile.guest_rdtscp = behaviour.guest_rdtscp;
  profile.reenters_after_tsc_wrmsr = behaviour.reenters_after_tsc_wrmsr;
  profile.enabling_clears_stable = behaviour.enabling_clears_stable;
  profile.hyperv = capabilities.hyperv;
  profile.steal_time = capabilities.steal_time;
  profile.pcpus = static_cast<int>(allowed_cpus().size());
  profile.tick_ns = tick_ns();
  if (options.may_change_host) {
    profile.clocksource_changes = clocksource.available().size() > 1;
    profile.tsc_jumps = tsc_jumps;
    profile.suspends = options.may_suspend_host && can_suspend_to_ram();
    profile.pcpu_hotplug = profile.pcpus > 1;
  }
  return profile;
}

std::string yes_no(bool yes) { return yes ? "yes" : "no"; }

std::string clock_flags_text(std::uint32_t flags) {
  std::string text;
  const auto add = [&](std::uint32_t bit, const char* name) {
    if ((flags & bit) != 0) text += (text.empty() ? "" : " ") + std::string(name);
  };
  add(ops::clock_flag::kTscStable, "TSC_STABLE");
  add(ops::clock_flag::kRealtime, "REALTIME");
  add(ops::clock_flag::kHostTsc, "HOST_TSC");
  return text.empty() ? "none" : text;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

void add_host(DoctorReport& report) {
  const Clocksource clocksource;
  report.findings.push_back({"kernel", report.profile.kernel, ""});
  report.findings.push_back({"vendor", report.profile.vendor,
                             report.profile.vendor == "none" ? "neither kvm-intel nor kvm-amd serves this KVM" : ""});
  report.findings.push_back({"clocksource", clocksource.current(), "available: " + joined(clocksource.available())});
  report.findings.push_back({"pCPUs", fmt::format("{}", report.profile.pcpus), "that this process may use"});
}

void add_capabilities(DoctorReport& report, const Capabilities& found) {
  report.findings.push_back({"KVM_CAP_TSC_CONTROL", yes_no(found.tsc_control), "TSC scaling by hardware"});
  report.findings.push_back({"KVM_CAP_VM_TSC_CONTROL", yes_no(found.vm_tsc_control), "a rate for the whole VM (5.18)"});
  report.findings.push_back({"KVM_CAP_GET_TSC_KHZ", yes_no(found.get_tsc_khz), ""});
  report.findings.push_back({"KVM_CAP_VCPU_ATTRIBUTES", yes_no(found.vcpu_attributes), ""});
  report.findings.push_back({"KVM_VCPU_TSC_OFFSET", yes_no(found.offset_attribute), "the offset attribute (5.16)"});
  report.findings.push_back({"KVM_CAP_KVMCLOCK_CTRL", yes_no(found.kvmclock_ctrl), ""});
  report.findings.push_back({"HV_X64_MSR_REFERENCE_TSC", yes_no(found.hyperv), "the Hyper-V reference TSC page"});
  report.findings.push_back({"MSR_KVM_STEAL_TIME", yes_no(found.steal_time), ""});
  report.findings.push_back({"KVM_CAP_ADJUST_CLOCK", clock_flags_text(found.adjust_clock), "flags of KVM_GET_CLOCK"});
}

void add_rdtsc(DoctorReport& report, const Behaviour& found) {
  if (!found.guest_rdtsc) return report.findings.push_back({"guest RDTSC", "no", "the guest cannot execute it"});
  const bool trapped = found.rdtsc_cycles >= kTrapCycles;
  report.findings.push_back({"guest RDTSC",
                             fmt::format("{} cycles, {}", grouped(found.rdtsc_cycles), trapped ? "trapped" : "direct"),
                             "median between two back to back"});
}

void add_offsets(DoctorReport& report, const Behaviour& found) {
  const char* ignored = "accepted and ignored";
  if (found.offset_moves_guest) {
    report.findings.push_back(
        {"TSC offset", *found.offset_moves_guest ? "honoured" : ignored, "seen by the guest's RDTSC"});
    report.findings.push_back({"TSC offset reads back", yes_no(found.host_sees_offset), ""});
  } else {
    report.findings.push_back({"TSC offset", "not there", "needs KVM_VCPU_TSC_OFFSET"});
  }
  report.findings.push_back(
      {"host write of IA32_TSC", found.write_moves_guest ? "honoured" : ignored, "seen by the guest's RDTSC"});
}

void add_scaling(DoctorReport& report, const Behaviour& found) {
  if (!found.scaling_error) report.findings.push_back({"TSC scaling", "not there", "needs KVM_CAP_TSC_CONTROL"});
  else if (*found.scaling_error != 0)
    report.findings.push_back(
        {"TSC scaling", "refused: " + errno_name(*found.scaling_error), "3/2 of the host's rate"});
  else
    report.findings.push_back({"TSC scaling", found.scaling_honoured ? "honoured" : "accepted and ignored",
                               "3/2 of the host's rate, seen by the guest's RDTSC"});
}

void add_behaviour(DoctorReport& report, const Behaviour& found) {
  report.findings.push_back(
      {"host TSC", fmt::format("{} kHz", grouped(found.host_khz)), "KVM_GET_TSC_KHZ of a new vCPU"});
  add_rdtsc(report, found);
  report.findings.push_back({"guest RDTSCP", yes_no(found.guest_rdtscp), found.rdtscp_note});
  add_offsets(report, found);
  add_scaling(report, found);
  report.findings.push_back(
      {"guest write of TSC_ADJUST",
       found.reenters_after_tsc_wrmsr ? "new page in the same KVM_RUN" : "new page not before the next KVM_RUN",
       "kernels without d9130a2dfdd4 (5.15) give none at all"});
  report.findings.push_back({"kvmclock enabled again by the host",
                             found.enabling_clears_stable ? "clears TSC_STABLE in the page" : "leaves the page alone",
                             "until the next update"});
  report.findings.push_back({"master clock", (found.clock_flags & ops::clock_flag::kTscStable) != 0 ? "on" : "off",
                             "2 matching vCPUs after a run; flags: " + clock_flags_text(found.clock_flags)});
}

}  // namespace

ops::TargetProfile probe_target(const NativeOptions& options) { return profile_from(options, probe(options)); }

const Finding* DoctorReport::find(const std::string& name) const {
  for (const Finding& finding : findings)
    if (finding.name == name) return &finding;
  return nullptr;
}

DoctorReport doctor(const NativeOptions& options) {
  const Probed probed = probe(options);
  DoctorReport report{profile_from(options, probed), {}};
  add_host(report);
  add_capabilities(report, probed.capabilities);
  add_behaviour(report, probed.behaviour);
  return report;
}

}  // namespace tscsim::kvm_backend

#include "ops/recording_rules.h"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>

#include "ops/guest.h"

namespace tscsim::ops {
namespace {

constexpr const char* kMend = "take the whole file again from where it was recorded, or record again";

// As for a scenario's host: KVM keeps the rate in kHz, in a signed 32-bit number.
constexpr std::int64_t kMostKhz = std::numeric_limits<std::int32_t>::max();
// Two bits of the register LVT Timer.
constexpr std::uint64_t kMostTimerMode = 3;
// No x86 kernel has more CPUs. Kernel: Linux v6.12 arch/x86/Kconfig NR_CPUS_RANGE_END.
constexpr int kMostCpus = 8192;

std::string in_quotes(std::string_view text) { return "'" + std::string(text) + "'"; }

// "0", "0 and 1", "0 to 7".
std::string indices_text(int count) {
  if (count == 1) return "0";
  return "0 " + std::string(count == 2 ? "and " : "to ") + std::to_string(count - 1);
}

// Collects faults up to the limit.
class Faults {
 public:
  explicit Faults(const std::string& file) : file_(file) {}

  void add(int line, const std::string& found, const std::string& expected) {
    if (++count_ <= kMostFaults) faults_.push_back({{file_, line, 0}, found + "; expected " + expected, kMend, "", 1});
  }
  std::vector<Diagnostic> take() {
    if (count_ > kMostFaults)
      faults_.push_back({{file_, 0, 0}, "and " + std::to_string(count_ - kMostFaults) + " more faults", "", "", 1});
    return std::move(faults_);
  }

 private:
  const std::string& file_;
  std::vector<Diagnostic> faults_;
  std::size_t count_ = 0;
};

int line_of(const RecordingLines& lines, std::size_t entry) {
  return entry < lines.entries.size() ? lines.entries[entry] : 0;
}

// What an operation acts on.
enum class Place : std::uint8_t {
  vm,
  vcpu,
  vm_or_vcpu,
  host,        // needs no VM
  linux_vm,    // needs a Linux guest, which only the model has
  linux_vcpu,  // likewise
  anything,    // seen from outside
};

// Operands besides `vcpu`. Those that an operation does not take are 0 (kAllPcpus for `pcpu`).
enum Operand : unsigned {
  kMsr = 1,
  kFlags = 2,
  kValue = 4,
  kRealtime = 8,
  kPcpu = 16,
  kTscAdjust = 32,
  kMulShift = 64,
};

struct Shape {
  Place place;
  unsigned operands = 0;
};

Shape shape_of(OpKind kind) {
  switch (kind) {
    case OpKind::create_vm:
      return {Place::host, kFlags};
    case OpKind::create_vcpu:
      return {Place::vcpu, kFlags};
    case OpKind::set_tsc_khz:
      return {Place::vm_or_vcpu, kValue};
    case OpKind::get_tsc_khz:
      return {Place::vm_or_vcpu};
    case OpKind::set_msr:
      return {Place::vcpu, kMsr | kValue | kFlags};
    case OpKind::wrmsr:
      return {Place::vcpu, kMsr | kValue};
    case OpKind::get_msr:
    case OpKind::rdmsr:
      return {Place::vcpu, kMsr};
    case OpKind::set_tsc_offset:
    case OpKind::set_lapic:
    case OpKind::move_vcpu:
      return {Place::vcpu, kValue};
    case OpKind::delay_vcpu:  // without a vCPU: the VMM's main thread
      return {Place::vm_or_vcpu, kValue};
    case OpKind::get_tsc_offset:
    case OpKind::kvmclock_ctrl:
    case OpKind::run:
    case OpKind::get_tsc_state:
    case OpKind::get_clock_guest:
    case OpKind::get_tsc_scale:
    case OpKind::rdtsc:
    case OpKind::rdtscp:
    case OpKind::read_pvclock:
    case OpKind::read_hyperv_page:
    case OpKind::leave_l2:
    case OpKind::peek_pvclock:
    case OpKind::peek_wall_clock:
    case OpKind::peek_steal_time:
      return {Place::vcpu};
    case OpKind::enter_l2:
      return {Place::vcpu, kValue | kRealtime | kFlags};
    case OpKind::set_tsc_state:
      return {Place::vcpu, kValue | kRealtime | kFlags | kTscAdjust};
    case OpKind::set_clock_guest:
      return {Place::vcpu, kValue | kRealtime | kMulShift};
    case OpKind::get_clock:
    case OpKind::peek_hyperv_page:
    case OpKind::bump_vmclock:
    case OpKind::save_memory:
      return {Place::vm};
    case OpKind::set_clock:
      return {Place::vm, kValue | kRealtime | kFlags};
    case OpKind::disable_quirks:
    case OpKind::load_memory:
      return {Place::vm, kValue};
    case OpKind::set_clocksource:
    case OpKind::offline_pcpu:
    case OpKind::online_pcpu:
      return {Place::host, kValue};
    case OpKind::mark_tsc_unstable:
      return {Place::host};
    case OpKind::jump_host_tsc:
      return {Place::host, kValue | kPcpu};
    case OpKind::suspend_host:
      return {Place::host, kValue | kFlags};
    case OpKind::observed:
      return {Place::anything};
    case OpKind::boot_guest:
    case OpKind::guest_state:
    case OpKind::suspend_guest:
    case OpKind::wake_guest:
    case OpKind::resume_vm:
      return {Place::linux_vm};
    case OpKind::pause_vm:
      return {Place::linux_vm, kFlags};
    case OpKind::step_realtime:
    case OpKind::block_task:
      return {Place::linux_vm, kValue};
    case OpKind::share_pcpus:
      return {Place::linux_vm, kValue | kFlags};
    case OpKind::online_vcpu:
      return {Place::linux_vcpu, kPcpu};
    case OpKind::offline_vcpu:
    case OpKind::read_cpu_times:
      return {Place::linux_vcpu};
    case OpKind::read_clock:
      return {Place::linux_vcpu, kFlags};
  }
  return {Place::anything};
}

bool takes_vcpu(Place place) { return place == Place::vcpu || place == Place::linux_vcpu; }

// The flags that an operation knows; a VMM may pass any to KVM_SET_CLOCK.
std::uint32_t known_flags(OpKind kind) {
  switch (kind) {
    case OpKind::create_vm:
      return vm_flag::kIrqchip;
    case OpKind::create_vcpu:
      return vcpu_flag::kHyperv;
    case OpKind::set_msr:
      return thread_flag::kMainThread;
    case OpKind::pause_vm:
      return pause_flag::kDevicesStop;
    case OpKind::enter_l2:
      return nested_flag::kFails;
    case OpKind::suspend_host:
      return suspend_flag::kTscRestarts;
    default:
      return std::numeric_limits<std::uint32_t>::max();
  }
}

// What is wrong with a host's profile, apart from its name's fate in the model.
void check_host(const HostHeader& host, bool observed, int line, Faults& faults) {
  const TargetProfile& profile = host.profile;
  const auto bad = [&](const std::string& found, const std::string& expected) {
    faults.add(line, "host " + in_quotes(host.name) + ": " + found, expected);
  };
  if (profile.host_khz > kMostKhz || (profile.host_khz == 0 && !observed))
    bad("host_khz " + std::to_string(profile.host_khz), "1 to " + std::to_string(kMostKhz));
  if (profile.pcpus < (observed ? 0 : 1) || profile.pcpus > kMostCpus)
    bad("pcpus " + std::to_string(profile.pcpus), "1 to " + std::to_string(kMostCpus));
  constexpr std::array<std::string_view, 3> kVendors{"vmx", "svm", "none"};
  if (!observed && std::find(kVendors.begin(), kVendors.end(), profile.vendor) == kVendors.end())
    bad("vendor " + in_quotes(profile.vendor), "'vmx', 'svm' or 'none'");
}

// Hosts that run one after the other are in the header from the first on, without a profile until it is their turn.
bool is_met(const Recording& recording, int host) {
  return recording.header.host(host).profile != TargetProfile{} ||
         std::any_of(recording.entries.begin(), recording.entries.end(),
                     [host](const Entry& entry) { return entry.op.host == host; });
}

// One host and its VM as the entries have it so far.
struct Known {
  bool vm = false;
  bool from_before = false;  // the VM was made before the recorder came, and so were the vCPUs that it names
  int vcpus = 0;
  bool memory_saved = false;
};

class EntryRules {
 public:
  EntryRules(const Recording& recording, const RecordingLines& lines, Faults& faults)
      : recording_(recording),
        lines_(lines),
        faults_(faults),
        foreign_(!recording.header.vmm.empty()),
        known_(static_cast<std::size_t>(recording.header.hosts())) {}

  void check() {
    for (std::size_t i = 0; i < recording_.entries.size(); ++i) {
      line_ = line_of(lines_, i);
      check(recording_.entries[i]);
    }
  }

 private:
  void bad(const Operation& op, const std::string& found, const std::string& expected) {
    faults_.add(line_, "op: " + in_quotes(name_of(op.kind)) + " " + found, expected);
  }
  Known& known(const Operation& op) { return known_[static_cast<std::size_t>(op.host)]; }
  int pcpus(const Operation& op) const { return recording_.header.host(op.host).profile.pcpus; }

  void check(const Entry& entry) {
    const Operation& op = entry.op;
    if (op.host < 0 || op.host >= recording_.header.hosts())
      return bad(op, "on host " + std::to_string(op.host), "host " + indices_text(recording_.header.hosts()));
    if (op.kind == OpKind::observed) return bad(op, "beside operations", "it in imported logs alone");
    check_pcpu(entry);
    check_time(op);
    check_operands(op);
    const bool placed = check_place(op);
    check_outcome(entry);
    // A guest's instruction that the target could not execute has entered the guest all the same.
    const bool executed = entry.supported || entry.bracket.tsc.hi != 0;
    if (executed) check_value(op);
    if (placed && executed) check_state(entry);
    if (placed) learn(entry);
  }

  // One's own programs run on the pCPUs that the profile counts. Of another VMM the kernel's numbers are kept.
  void check_pcpu(const Entry& entry) {
    const int count = foreign_ ? kMostCpus : pcpus(entry.op);
    if (entry.pcpu < 0 || entry.pcpu >= count)
      bad(entry.op, "ran on pCPU " + std::to_string(entry.pcpu), "pCPU " + indices_text(count) + " of its host");
  }

  void check_time(const Operation& op) {
    if (op.at_ns < last_at_ns_)
      bad(op, "is due at " + std::to_string(op.at_ns) + " ns",
          "a time from " + std::to_string(last_at_ns_) + " ns on, that of the entry before");
    else last_at_ns_ = op.at_ns;
  }

  void check_operands(const Operation& op) {
    const unsigned takes = shape_of(op.kind).operands;
    const auto none = [&](unsigned operand, bool there, const char* name) {
      if (there && (takes & operand) == 0) bad(op, std::string("has '") + name + "'", "none: it takes no such operand");
    };
    none(kMsr, op.msr != 0, "msr");
    none(kFlags, op.flags != 0, "flags");
    none(kValue, op.value != 0, "value");
    none(kRealtime, op.realtime != 0, "realtime");
    none(kPcpu, op.pcpu != kAllPcpus, "pcpu");
    none(kTscAdjust, op.tsc_adjust != 0, "tsc_adjust");
    none(kMulShift, op.mul != 0 || op.shift != 0, "mul or shift");
    if ((takes & kFlags) != 0 && (op.flags & ~known_flags(op.kind)) != 0)
      bad(op, "has flags " + std::to_string(op.flags), "no others than " + std::to_string(known_flags(op.kind)));
    if (op.kind == OpKind::read_clock && op.flags >= kGuestClocks)
      bad(op, "reads clock " + std::to_string(op.flags), "0 to " + std::to_string(kGuestClocks - 1));
  }

  // Whether it stands where its kind may.
  bool check_place(const Operation& op) {
    const Place place = shape_of(op.kind).place;
    if (place == Place::vm_or_vcpu || place == Place::anything) return true;
    if (takes_vcpu(place) && op.vcpu == kVm) {
      bad(op, "names no vCPU", "one: it acts on a vCPU, not on the VM");
      return false;
    }
    if (!takes_vcpu(place) && op.vcpu != kVm) {
      bad(op, "names vCPU " + std::to_string(op.vcpu), "none: it does not act on a vCPU");
      return false;
    }
    return true;
  }

  // A success has just what its kind returns: what is missing would be compared with nothing.
  void check_outcome(const Entry& entry) {
    const Outcome& outcome = entry.outcome;
    if (outcome.error < 0) bad(entry.op, "has error " + std::to_string(outcome.error), "0 or an errno above");
    std::vector<Field> expected;
    if (entry.supported && outcome.error == 0) expected = outcome_fields(entry.op.kind);
    const auto names = [](const auto& fields) {
      std::string text;
      for (const Field field : fields) text += (text.empty() ? "" : ", ") + std::string(name_of(field));
      return text.empty() ? "no field" : text;
    };
    std::vector<Field> found;
    for (std::size_t i = 0; i < outcome.count; ++i) found.push_back(outcome.fields[i].field);
    if (!std::is_permutation(found.begin(), found.end(), expected.begin(), expected.end()))
      bad(entry.op, "returned " + names(found), names(expected));
  }

  // --- against what came before; of operations that were executed

  void check_state(const Entry& entry) {
    const Operation& op = entry.op;
    const Place place = shape_of(op.kind).place;
    if (place == Place::linux_vm || place == Place::linux_vcpu)
      return bad(op, "was executed", "it unsupported: only the model has a Linux guest, and its runs are not recorded");
    if (place == Place::host) return;
    const Known& here = known(op);
    if (!here.vm) return bad(op, "acts on a VM of host " + std::to_string(op.host), "a 'create_vm' there before it");
    if (op.kind == OpKind::create_vcpu) {
      if (op.vcpu != here.vcpus)
        bad(op, "creates vCPU " + std::to_string(op.vcpu), "vCPU " + std::to_string(here.vcpus) + ", the next one");
      return;
    }
    if (op.vcpu == kVm || op.vcpu < here.vcpus) return;
    bad(op, "acts on vCPU " + std::to_string(op.vcpu),
        here.vcpus == 0 ? "a 'create_vcpu' before it"
                        : "vCPU " + indices_text(here.vcpus) + ", which were created before it");
  }

  void check_value(const Operation& op) {
    const auto count = static_cast<std::uint64_t>(std::max(pcpus(op), 0));
    const auto value = [&] { return std::to_string(op.value); };
    switch (op.kind) {
      case OpKind::set_lapic:
        if (op.value > kMostTimerMode) bad(op, "sets timer mode " + value(), "0 to " + std::to_string(kMostTimerMode));
        return;
      case OpKind::set_clocksource:
        if (op.value > 1) bad(op, "has value " + value(), "0 or 1");
        return;
      case OpKind::move_vcpu:
        if (op.value >= count) bad(op, "goes to pCPU " + value(), "pCPU " + indices_text(pcpus(op)) + " of its host");
        return;
      case OpKind::offline_pcpu:
      case OpKind::online_pcpu:
        if (op.value == 0 || op.value >= count)
          bad(op, "names pCPU " + value(), "one of its host besides pCPU 0; it has " + std::to_string(pcpus(op)));
        return;
      case OpKind::jump_host_tsc:
        if (op.pcpu != kAllPcpus && (op.pcpu < 0 || op.pcpu >= pcpus(op)))
          bad(op, "names pCPU " + std::to_string(op.pcpu), "pCPU " + indices_text(pcpus(op)) + " of its host");
        return;
      case OpKind::suspend_host:
        if (op.value >
            static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max() - std::max<std::int64_t>(op.at_ns, 0)))
          bad(op, "sleeps for " + value() + " ns", "an end within 292 years: time ends at 2^63 ns");
        return;
      case OpKind::load_memory:
        if (op.value >= known_.size() || !known_[op.value].memory_saved)
          bad(op, "takes the memory of host " + value(), "a host that put its memory aside before it ('save_memory')");
        return;
      default:
        return;
    }
  }

  void learn(const Entry& entry) {
    const Operation& op = entry.op;
    Known& here = known(op);
    if (op.kind == OpKind::create_vm) {
      const bool from_before = foreign_ && !entry.supported;
      here = {from_before || (entry.supported && entry.outcome.error == 0), from_before, 0, here.memory_saved};
    }
    if (op.kind == OpKind::create_vcpu && entry.outcome.error == 0 && op.vcpu == here.vcpus &&
        (entry.supported || here.from_before))
      ++here.vcpus;
    if (op.kind == OpKind::save_memory && entry.supported) here.memory_saved = true;
  }

  const Recording& recording_;
  const RecordingLines& lines_;
  Faults& faults_;
  const bool foreign_;
  std::vector<Known> known_;  // by host
  std::int64_t last_at_ns_ = std::numeric_limits<std::int64_t>::min();
  int line_ = 0;
};

// ---- recordings of Linux itself

// HZ of x86 is 100 to 1000. Kernel: Linux v6.12 kernel/Kconfig.hz.
constexpr std::uint64_t kLeastTick_ns = 1'000'000, kMostTick_ns = 10'000'000;
constexpr int kMostLinuxCpus = 64;
// Counts of the power management timer (3.579545 MHz) that are still an instant in ns.
constexpr std::uint64_t kMostPmTimer = std::uint64_t{1} << 54;
constexpr std::int64_t kMostJump_ns = 1'000'000'000'000'000'000;

class LinuxRules {
 public:
  LinuxRules(const LinuxRecording& recording, const RecordingLines& lines, Faults& faults)
      : recording_(recording), lines_(lines), faults_(faults) {}

  void check() {
    check_header();
    for (std::size_t i = 0; i < recording_.events.size(); ++i) {
      line_ = line_of(lines_, i);
      std::visit([this](const auto& event) { check_event(event); }, recording_.events[i]);
    }
    check_course();
  }

 private:
  void bad(const std::string& found, const std::string& expected) { faults_.add(line_, found, expected); }
  int cpus() const { return recording_.header.experiment.machine.cpus; }

  void check_header() {
    line_ = lines_.header;
    const LinuxHeader& header = recording_.header;
    if (header.tsc_khz == 0 || header.tsc_khz > kMostKhz)
      bad("tsc_khz " + std::to_string(header.tsc_khz), "1 to " + std::to_string(kMostKhz));
    if (header.tick_ns < kLeastTick_ns || header.tick_ns > kMostTick_ns)
      bad("tick_ns " + std::to_string(header.tick_ns),
          std::to_string(kLeastTick_ns) + " to " + std::to_string(kMostTick_ns));
    if (cpus() < 1 || cpus() > kMostLinuxCpus)
      bad("machine: cpus " + std::to_string(cpus()), "1 to " + std::to_string(kMostLinuxCpus));
    if (header.experiment.steps.size() < 2)
      bad("experiment: " + std::to_string(header.experiment.steps.size()) + " steps", "two or more");
    for (const LinuxStep& step : header.experiment.steps) check_step(step);
  }

  void check_step(const LinuxStep& step) {
    check_cpu(step.cpu);
    if (step.ns < -kMostJump_ns || step.ns > kMostJump_ns)
      bad("step: ns " + std::to_string(step.ns), "at most " + std::to_string(kMostJump_ns) + " either way");
    if (step.count < 0) bad("step: count " + std::to_string(step.count), "0 or more");
  }
  void check_cpu(int cpu) {
    if (cpu < 0 || cpu >= std::max(cpus(), 1))
      bad("cpu " + std::to_string(cpu), "CPU " + indices_text(std::max(cpus(), 1)) + " of the machine");
  }
  void check_range(const Range& range, const char* what) {
    if (range.lo > range.hi) bad(std::string(what) + " ends before it begins", "the lower count first");
  }
  void check_pm_timer(const Range& range) {
    check_range(range, "pm");
    if (range.hi > kMostPmTimer)
      bad("pm " + std::to_string(range.hi), "at most " + std::to_string(kMostPmTimer) + ", within 292 years");
    else if (range.lo < last_pm_)
      bad("pm " + std::to_string(range.lo),
          "a count from " + std::to_string(last_pm_) + " on: the timer never goes back");
    else last_pm_ = range.lo;
  }

  void check_event(const LinuxDone& done) {
    check_step(done.step);  // a TSC that was moved may end before it began
    check_pm_timer(done.pm_timer);
  }
  void check_event(const LinuxSample& sample) {
    check_cpu(sample.cpu);
    check_pm_timer(sample.pm_timer);
    for (const LinuxReading& reading : sample.clocks) check_range(reading.tsc, "clocks");
  }
  void check_event(const LinuxLook& look) { check_range(look.tsc, "tsc"); }

  // Every experiment settles, looks, samples CPU 0 before it does anything, and looks last of all.
  void check_course() {
    line_ = lines_.header;
    const auto& events = recording_.events;
    const auto is_look = [](const LinuxEvent& event) { return std::holds_alternative<LinuxLook>(event); };
    const auto first_look = std::find_if(events.begin(), events.end(), is_look);
    const bool twice = std::count_if(events.begin(), events.end(), is_look) > 1;
    if (!twice || first_look == events.begin() || !is_look(events.back()))
      bad("the experiment does not look before and after it samples",
          "'settle', a look, samples, and a look at the end");
    const LinuxSample* first = nullptr;
    const LinuxSample* last = nullptr;
    for (const LinuxEvent& event : events) {
      const auto* done = std::get_if<LinuxDone>(&event);
      if (done != nullptr && done->step.action != LinuxAction::settle) break;
      const auto* sample = std::get_if<LinuxSample>(&event);
      if (sample == nullptr || sample->cpu != 0) continue;
      if (first == nullptr) first = sample;
      last = sample;
    }
    if (first == nullptr || last->pm_timer.lo <= first->pm_timer.lo ||
        last->clocks[0].tsc.lo <= first->clocks[0].tsc.lo)
      bad("CPU 0 is not sampled twice before anything is done", "samples between which the TSC and the timer count");
  }

  const LinuxRecording& recording_;
  const RecordingLines& lines_;
  Faults& faults_;
  std::uint64_t last_pm_ = 0;
  int line_ = 0;
};

}  // namespace

std::vector<Field> outcome_fields(OpKind kind) {
  switch (kind) {
    case OpKind::get_tsc_khz:
    case OpKind::get_msr:
    case OpKind::get_tsc_offset:
    case OpKind::rdtsc:
    case OpKind::rdmsr:
      return {Field::value};
    case OpKind::rdtscp:
      return {Field::value, Field::aux};
    case OpKind::get_clock:
      return {Field::clock, Field::flags, Field::realtime, Field::host_tsc};
    case OpKind::read_pvclock:
      return {Field::ns,          Field::tsc, Field::version, Field::tsc_timestamp,
              Field::system_time, Field::mul, Field::shift,   Field::page_flags};
    case OpKind::peek_pvclock:
      return {Field::version, Field::tsc_timestamp, Field::system_time, Field::mul, Field::shift, Field::page_flags};
    case OpKind::peek_hyperv_page:
      return {Field::version, Field::scale, Field::offset};
    case OpKind::read_hyperv_page:
      return {Field::value, Field::tsc, Field::version, Field::scale, Field::offset};
    case OpKind::peek_steal_time:
      return {Field::version, Field::steal, Field::preempted};
    case OpKind::read_clock:
      return {Field::ns, Field::tsc};
    case OpKind::read_cpu_times:
      return {Field::user, Field::steal, Field::task};
    case OpKind::guest_state:
      return {Field::clocksource, Field::tsc_khz,   Field::unstable,  Field::watched,
              Field::vdso,        Field::exchanges, Field::held_back, Field::jiffies};
    case OpKind::peek_wall_clock:
      return {Field::version, Field::sec, Field::nsec};
    case OpKind::get_tsc_state:
      return {Field::nsec, Field::tsc, Field::tsc_adjust, Field::flags};
    case OpKind::get_clock_guest:
      return {Field::tsc_timestamp, Field::system_time, Field::mul, Field::shift, Field::page_flags};
    case OpKind::get_tsc_scale:
      return {Field::tsc_ratio, Field::tsc_frac_bits};
    default:
      return {};
  }
}

std::vector<Diagnostic> faults_of(const Recording& recording, const std::string& file, const RecordingLines& lines) {
  Faults faults(file);
  const bool observed = is_observed(recording);
  for (int host = 0; host < recording.header.hosts(); ++host)
    if (is_met(recording, host)) check_host(recording.header.host(host), observed, lines.header, faults);
  if (!observed) EntryRules(recording, lines, faults).check();
  else
    for (std::size_t i = 0; i < recording.entries.size(); ++i) {
      const Entry& entry = recording.entries[i];
      if (entry.op.kind != OpKind::observed)
        faults.add(line_of(lines, i), "op: " + in_quotes(name_of(entry.op.kind)) + " in an imported log",
                   "'observed' alone: what was asked is not known there");
      if (entry.pcpu < 0 || entry.pcpu >= kMostCpus)
        faults.add(line_of(lines, i), "pCPU " + std::to_string(entry.pcpu), "0 to " + std::to_string(kMostCpus - 1));
    }
  return faults.take();
}

std::vector<Diagnostic> faults_of(const LinuxRecording& recording, const std::string& file,
                                  const RecordingLines& lines) {
  Faults faults(file);
  LinuxRules(recording, lines, faults).check();
  return faults.take();
}

}  // namespace tscsim::ops

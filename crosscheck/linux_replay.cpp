#include "crosscheck/linux_replay.h"

#include <algorithm>
#include <vector>

#include "crosscheck/linux_clocks.h"
#include "model/guest/kernel.h"
#include "ops/operation.h"

namespace tscsim::crosscheck {
namespace {

namespace guest = model::guest;
using ops::LinuxAction;

constexpr Wide kSecond = 1'000'000'000;
constexpr std::int64_t kBootLead_ns = 3'000'000'000;  // a watched TSC is chosen when it has passed once

std::int64_t at_ns(std::uint64_t pm_timer) {
  return kBootLead_ns + static_cast<std::int64_t>(static_cast<Wide>(pm_timer) * kSecond / kPmTimerHz);
}

// Counters that go as they did in the lab, and TSC_ADJUST. Every CPU runs all the time.
class RecordedMachine : public guest::Hardware {
 public:
  RecordedMachine(int cpus, Wide cycles, Wide ns, std::uint32_t khz)
      : cycles_(cycles),
        ns_(ns),
        khz_(khz),
        offsets_(static_cast<std::size_t>(cpus)),
        adjusts_(static_cast<std::size_t>(cpus)) {}

  void move(int cpu, std::int64_t cycles) {
    offsets_.at(static_cast<std::size_t>(cpu)) += static_cast<std::uint64_t>(cycles);
    adjusts_.at(static_cast<std::size_t>(cpu)) +=
        static_cast<std::uint64_t>(cycles);  // a write of IA32_TSC shows there, too
  }

  std::uint64_t rdtsc(int vcpu) override {
    return kStart + static_cast<std::uint64_t>(now_ns_ * cycles_ / ns_) + offsets_.at(static_cast<std::size_t>(vcpu));
  }
  std::uint64_t rdmsr(int vcpu, std::uint32_t msr) override {
    return msr == ops::msr::kIa32TscAdjust ? adjusts_.at(static_cast<std::size_t>(vcpu)) : 0;
  }
  void wrmsr(int vcpu, std::uint32_t msr, std::uint64_t value) override {
    if (msr == ops::msr::kIa32TscAdjust) move(vcpu, static_cast<std::int64_t>(value - rdmsr(vcpu, msr)));
  }
  std::int64_t now_ns() const override { return static_cast<std::int64_t>(now_ns_); }
  void advance_to(std::int64_t at) override { now_ns_ = std::max<Wide>(now_ns_, at); }
  std::int64_t ns_for(int, std::uint64_t cycles) const override {
    return static_cast<std::int64_t>(std::min<Wide>(ceil_of(static_cast<Wide>(cycles) * ns_, cycles_), Wide{1} << 62));
  }
  std::int64_t runs_at(int, std::int64_t at) const override { return at; }
  std::int64_t turn_ns(int, int) const override { return 0; }
  std::uint32_t tsc_khz(int) const override { return khz_; }
  int vcpus() const override { return static_cast<int>(offsets_.size()); }

  // This machine is no VM.
  guest::PvclockRecord pvclock(int) override { return {}; }
  void clear_stop_flag(int) override {}
  guest::WallTime wall_clock_epoch(int) override { return {}; }
  std::uint64_t steal_ns(int) override { return 0; }
  std::uint64_t rtc_seconds() override { return 0; }
  void move_vcpu(int, int) override {}

 private:
  static constexpr std::uint64_t kStart = 1'000'000'000;  // so that a step back stays above 0
  Wide now_ns_ = 0, cycles_, ns_;
  std::uint32_t khz_;
  std::vector<std::uint64_t> offsets_, adjusts_;
};

ops::GuestSpec spec_of(const ops::LinuxHeader& header) {
  const auto has = [](const std::string& text, const char* word) {
    return (" " + text + " ").find(std::string(" ") + word + " ") != std::string::npos;
  };
  const auto version = *model::KernelVersion::parse(header.kernel);
  ops::GuestSpec spec;
  spec.major = static_cast<std::uint16_t>(version.major);
  spec.minor = static_cast<std::uint16_t>(version.minor);
  spec.hz = static_cast<std::uint16_t>(1'000'000'000 / header.tick_ns);
  if (has(header.command_line, "tsc=reliable")) spec.tsc = ops::TscOption::reliable;
  if (has(header.command_line, "tsc=nowatchdog")) spec.tsc = ops::TscOption::nowatchdog;
  spec.invtsc = has(header.cpu_flags, "constant_tsc") && has(header.cpu_flags, "nonstop_tsc");
  spec.tsc_adjust = has(header.cpu_flags, "tsc_adjust");
  spec.kvmclock = false;
  const bool siblings = header.siblings == "0-1 0-1";
  spec.packages = static_cast<std::uint8_t>(siblings ? 1 : header.experiment.machine.cpus);
  return spec;
}

// Samples on CPU 0 before anything was done.
std::vector<const ops::LinuxSample*> quiet_samples(const ops::LinuxRecording& recording) {
  std::vector<const ops::LinuxSample*> samples;
  for (const ops::LinuxEvent& event : recording.events) {
    if (const auto* done = std::get_if<ops::LinuxDone>(&event);
        done != nullptr && done->step.action != LinuxAction::settle)
      break;
    if (const auto* sample = std::get_if<ops::LinuxSample>(&event); sample != nullptr && sample->cpu == 0)
      samples.push_back(sample);
  }
  return samples;
}

class Replay {
 public:
  Replay(const ops::LinuxRecording& recording, const guest::GuestEra& era)
      : recording_(recording), machine_(machine_of(recording)), kernel_(spec_of(recording.header), machine_, era) {}

  LinuxReplay run() {
    bool begun = false;
    for (const ops::LinuxEvent& event : recording_.events) {
      if (const auto* done = std::get_if<ops::LinuxDone>(&event)) take(*done);
      const auto* sample = std::get_if<ops::LinuxSample>(&event);
      if (sample == nullptr || sample->cpu != 0) continue;
      go_to(sample->pm_timer.lo);
      const std::int64_t now = monotonic();
      if (!begun) first_ = now;
      begun = true;
      out_.moved_ns = now - first_;
    }
    out_.tsc_in_use = *state(ops::Field::clocksource) == static_cast<std::uint64_t>(ops::GuestClocksource::tsc);
    for (const ops::GuestEvent& event : kernel_.take_events()) out_.events.insert(event.kind);
    return out_;
  }

 private:
  static RecordedMachine machine_of(const ops::LinuxRecording& recording) {
    const auto quiet = quiet_samples(recording);
    const ops::LinuxSample &first = *quiet.front(), &last = *quiet.back();
    const Wide ns = (static_cast<Wide>(last.pm_timer.lo) - static_cast<Wide>(first.pm_timer.lo)) * kSecond / kPmTimerHz;
    const Wide cycles = static_cast<Wide>(last.clocks[0].tsc.lo) - static_cast<Wide>(first.clocks[0].tsc.lo);
    return {recording.header.experiment.machine.cpus, cycles, ns, recording.header.tsc_khz};
  }

  void go_to(std::uint64_t pm_timer) { run_until(at_ns(pm_timer) + later_ns_); }
  void run_until(std::int64_t at) {
    kernel_.run_until(at);
    machine_.advance_to(at);
  }

  ops::Operation operation(ops::OpKind kind, int vcpu) const {
    ops::Operation op;
    op.kind = kind;
    op.vcpu = vcpu;
    return op;
  }
  std::optional<std::uint64_t> state(ops::Field field) {
    const ops::Outcome outcome = kernel_.perform(operation(ops::OpKind::guest_state, ops::kVm));
    return outcome.find(field) != nullptr ? std::optional(*outcome.find(field)) : std::nullopt;
  }
  std::int64_t monotonic() {
    ops::Operation read = operation(ops::OpKind::read_clock, 0);
    read.flags = static_cast<std::uint32_t>(ops::GuestClock::monotonic);
    return static_cast<std::int64_t>(*kernel_.perform(read).find(ops::Field::ns));
  }

  // The model's ticks come at other instants than the real ones did; what was done right after a tick is done so here, too, and
  // all that follows as much later.
  void wait_for_tick() {
    constexpr std::int64_t kStep_ns = 10'000;
    constexpr std::uint64_t kMostTicks = 10;
    const auto before = state(ops::Field::jiffies);
    const auto most =
        static_cast<std::int64_t>(kMostTicks * recording_.header.tick_ns);  // a guest whose CPUs are off has none
    const std::int64_t begin = machine_.now_ns();
    for (std::int64_t at = begin; state(ops::Field::jiffies) == before && at - begin < most; later_ns_ += kStep_ns)
      run_until(at += kStep_ns);
  }

  // The timer of the lab's CPUs counts for itself: a TSC that is moved changes no deadline that is set.
  void take(const ops::LinuxDone& done) {
    go_to(done.pm_timer.lo);
    if (done.step.at_tick) wait_for_tick();
    const WideRange cycles = moved_cycles(done, recording_.header.tsc_khz);
    switch (done.step.action) {
      case LinuxAction::jump_tsc:
      case LinuxAction::adjust_tsc:
        return machine_.move(done.step.cpu, static_cast<std::int64_t>(cycles.hi));
      case LinuxAction::offline:
        return run(operation(ops::OpKind::offline_vcpu, done.step.cpu));
      case LinuxAction::online:
        return run(operation(ops::OpKind::online_vcpu, done.step.cpu));
      case LinuxAction::set_time:
        return run(operation(ops::OpKind::step_realtime, 0));
      default:
        return;
    }
  }
  void run(const ops::Operation& op) { kernel_.perform(op); }

  const ops::LinuxRecording& recording_;
  RecordedMachine machine_;
  guest::GuestKernel kernel_;
  LinuxReplay out_;
  std::int64_t first_ = 0, later_ns_ = 0;
};

}  // namespace

LinuxReplay replay_linux(const ops::LinuxRecording& recording, const guest::GuestEra& era) {
  return Replay(recording, era).run();
}

}  // namespace tscsim::crosscheck

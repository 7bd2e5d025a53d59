#include "kvm_backend/lab/linux_experiments.h"

namespace tscsim::kvm_backend::lab {
namespace {

using ops::LinuxAction;
using ops::LinuxExperiment;
using ops::LinuxStep;

constexpr std::int64_t kMs = 1'000'000, kSecond = 1'000'000'000;

LinuxStep step(LinuxAction action, int cpu = 0, std::int64_t ns = 0) {
  LinuxStep step;
  step.action = action;
  step.cpu = cpu;
  step.ns = ns;
  return step;
}

LinuxStep settle() {
  LinuxStep settled = step(LinuxAction::settle, 0, 20 * kSecond);
  settled.clocksource = "tsc";
  return settled;
}

LinuxStep look() { return step(LinuxAction::look); }

LinuxStep samples(int count, std::int64_t every_ns, bool sleeps, int cpu = 0) {
  LinuxStep some = step(LinuxAction::sample, cpu, every_ns);
  some.count = count;
  some.sleeps = sleeps;
  return some;
}
LinuxStep asleep(int count, std::int64_t every_ns, int cpu = 0) { return samples(count, every_ns, true, cpu); }
LinuxStep awake(int count, std::int64_t every_ns, int cpu = 0) { return samples(count, every_ns, false, cpu); }
// Longer than the watchdog's period, so that it has a reference. A clocksource that was registered just now has none.
LinuxStep at_rest() { return asleep(5, 250 * kMs); }
LinuxStep at_once() { return awake(12, 0); }

LinuxStep jump(std::int64_t ns, int cpu = 0) {
  LinuxStep jumped = step(LinuxAction::jump_tsc, cpu, ns);
  jumped.at_tick = true;
  return jumped;
}

// The kernel is told that its TSC needs no watching.
constexpr const char* kUnwatched = "tsc=reliable";

// What one jump does: `after` is what is sampled when the first samples, back to back, are done.
LinuxExperiment jumps(const char* name, const char* title, ops::LinuxMachine machine, std::int64_t ns,
                      LinuxStep after) {
  return {
      name, title, std::move(machine), {settle(), look(), at_rest(), jump(ns), at_once(), std::move(after), look()}};
}

// CPU 1 is set apart, goes and comes back.
LinuxExperiment set_apart(const char* name, const char* title, ops::LinuxMachine machine, std::int64_t ns) {
  return {name,
          title,
          std::move(machine),
          {settle(), look(), at_rest(), asleep(2, 50 * kMs, 1), jump(ns, 1), awake(2, 0), awake(2, 0, 1),
           step(LinuxAction::offline, 1), look(), step(LinuxAction::online, 1), look(), awake(2, 0), awake(2, 0, 1),
           asleep(6, 100 * kMs), look()}};
}

ops::LinuxMachine two_cpus(bool packages, bool tsc_adjust) {
  ops::LinuxMachine machine;
  machine.cpus = 2;
  machine.packages = packages;
  machine.tsc_adjust = tsc_adjust;
  machine.options = "tsc=nowatchdog";
  return machine;
}

ops::LinuxMachine one_cpu(const char* options, bool hpet = false) {
  ops::LinuxMachine machine;
  machine.hpet = hpet;
  machine.options = options;
  return machine;
}

// Up to 6.19 the watchdog goes from CPU to CPU.
LinuxExperiment cpu_behind() {
  ops::LinuxMachine machine = two_cpus(false, false);
  machine.options = "";
  return {"watched-cpu-behind",
          "CPU 1 is set back by 20 ms, watched by acpi_pm",
          machine,
          {settle(), look(), at_rest(), asleep(2, 50 * kMs, 1), jump(-20 * kMs, 1), awake(2, 0), awake(2, 0, 1),
           asleep(20, 100 * kMs), look()}};
}

// A CPU that comes out of idle has touched the soft lockup detector, which runs every 4 s. Here it has been busy since.
LinuxExperiment busy() {
  return {"busy-forward",
          "+30 s on a CPU that is busy; not watched",
          one_cpu(kUnwatched),
          {settle(), look(), awake(10, kSecond), jump(30 * kSecond), at_once(), asleep(4, 100 * kMs), look()}};
}

LinuxExperiment behind_its_back() {
  ops::LinuxMachine machine = one_cpu(kUnwatched);
  machine.tsc_adjust = true;
  LinuxStep adjust = step(LinuxAction::adjust_tsc, 0, kSecond);
  adjust.at_tick = true;
  return {"adjust-behind-its-back",
          "+1 s by IA32_TSC_ADJUST, and the kernel left alone",
          machine,
          {settle(), look(), at_rest(), adjust, at_once(), asleep(26, 100 * kMs), look()}};
}

LinuxExperiment time_set_first() {
  LinuxExperiment set = jumps("set-time-first", "+1500 s, and CLOCK_REALTIME set before the next tick; not watched",
                              one_cpu(kUnwatched), 1500 * kSecond, asleep(4, 100 * kMs));
  set.steps.insert(set.steps.begin() + 4, step(LinuxAction::set_time));
  return set;
}

std::vector<LinuxExperiment> make() {
  return {
      jumps("forward-below", "+300 s, which 64 bits hold; not watched", one_cpu(kUnwatched), 300 * kSecond,
            asleep(6, 100 * kMs)),
      jumps("forward-above", "+1500 s, which 64 bits do not hold; not watched", one_cpu(kUnwatched), 1500 * kSecond,
            asleep(6, 100 * kMs)),
      time_set_first(),
      jumps("backward", "-1 s; not watched", one_cpu(kUnwatched), -kSecond, awake(14, 100 * kMs)),
      jumps("watched-1ms", "+1 ms, watched by acpi_pm", one_cpu(""), kMs, asleep(20, 100 * kMs)),
      jumps("watched-100ms", "+100 ms, watched by hpet", one_cpu("", true), 100 * kMs, asleep(20, 100 * kMs)),
      jumps("watched-5s", "+5 s, watched by hpet", one_cpu("", true), 5 * kSecond, asleep(20, 100 * kMs)),
      jumps("watched-backward", "-100 ms, watched by acpi_pm", one_cpu(""), -100 * kMs, asleep(20, 100 * kMs)),
      set_apart("hotplug-behind", "CPU 1 is set back by 20 ms, goes and comes back; no IA32_TSC_ADJUST",
                two_cpus(false, false), -20 * kMs),
      set_apart("hotplug-adjusted",
                "CPU 1, a package of its own with IA32_TSC_ADJUST, is set back by 20 ms, goes and comes back",
                two_cpus(true, true), -20 * kMs),
      set_apart("hotplug-sibling", "CPU 1, with IA32_TSC_ADJUST, is set back by 20 ms, goes and comes back",
                two_cpus(false, true), -20 * kMs),
      cpu_behind(),
      behind_its_back(),
      busy(),
  };
}

}  // namespace

const std::vector<LinuxExperiment>& linux_experiments() {
  static const std::vector<LinuxExperiment> all = make();
  return all;
}

}  // namespace tscsim::kvm_backend::lab

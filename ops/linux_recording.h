// A stock Linux as the guest: what was done to the TSC under it, and what its clocks, its log and its statistics said.
// Recorded in the lab (kvm_backend/lab/), compared with the model's guest. JSON Lines; docs/lab.md describes the members.
//
// Two counters stand beside each other throughout: the TSC, which the experiment moves, and the ACPI power management
// timer, which nothing moves.
#pragma once

#include <array>
#include <cstdint>
#include <iosfwd>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "ops/recording.h"

namespace tscsim::ops {

enum class LinuxAction : std::uint8_t {
  settle,      // wait until `clocksource` is in use
  sample,      // read all clocks `count` times, every `ns` of the power management timer
  jump_tsc,    // WRMSR of IA32_TSC on `cpu`: its TSC plus `ns`
  adjust_tsc,  // WRMSR of IA32_TSC_ADJUST on `cpu`: what is there plus `ns`
  offline,     // `cpu`
  online,      // `cpu`
  set_time,    // clock_settime() of CLOCK_REALTIME to what it shows
  look,        // statistics, and what the kernel has logged since the last look
  kCount,
};
std::string_view name_of(LinuxAction action);

struct LinuxStep {
  LinuxAction action{};
  int cpu = 0;
  std::int64_t ns = 0;  // at the rate that the kernel gives its TSC
  int count = 0;
  bool sleeps = false;   // between samples; else the CPU is kept busy
  bool at_tick = false;  // begins right after a tick has moved the timekeeper's base
  std::string clocksource;
  friend bool operator==(const LinuxStep&, const LinuxStep&) = default;
};

// The machine that an experiment wants.
struct LinuxMachine {
  int cpus = 1;
  bool packages = false;    // each CPU is a package of its own
  bool tsc_adjust = false;  // the CPU has IA32_TSC_ADJUST
  bool hpet = false;
  std::string options;  // of the kernel's command line
  friend bool operator==(const LinuxMachine&, const LinuxMachine&) = default;
};

struct LinuxExperiment {
  std::string name, title;
  LinuxMachine machine;
  std::vector<LinuxStep> steps;
  friend bool operator==(const LinuxExperiment&, const LinuxExperiment&) = default;
};

// In the order in which a sample holds them: through the vDSO where there is one, then as system calls.
inline constexpr std::array<std::string_view, 9> kLinuxClocks = {
    "vdso monotonic", "vdso realtime", "vdso boottime", "vdso monotonic_raw", "monotonic_coarse",
    "monotonic",      "realtime",      "boottime",      "monotonic_raw"};

struct LinuxReading {
  Range tsc;  // around it, on the CPU that read
  std::uint64_t ns = 0;
  friend bool operator==(const LinuxReading&, const LinuxReading&) = default;
};

struct LinuxSample {
  int cpu = 0;
  Range pm_timer;  // ticks since the first look, around the whole sample
  std::string clocksource;
  std::array<LinuxReading, kLinuxClocks.size()> clocks;
  friend bool operator==(const LinuxSample&, const LinuxSample&) = default;
};

// A step other than sampling, done.
struct LinuxDone {
  LinuxStep step;
  int error = 0;
  Range tsc;  // around it, on `step.cpu`, or on CPU 0 where that is off
  Range pm_timer;
  std::uint64_t wrote = 0;  // to the MSR
  friend bool operator==(const LinuxDone&, const LinuxDone&) = default;
};

struct LinuxLogLine {
  std::uint64_t us = 0;  // as the kernel stamped it: its scheduler clock
  int priority = 0;      // 0 emergency to 7 debugging
  std::string text;
  friend bool operator==(const LinuxLogLine&, const LinuxLogLine&) = default;
};

// /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal, in hundredths of a second.
using LinuxCpuTime = std::array<std::uint64_t, 8>;

struct LinuxLook {
  Range tsc;  // around writing the mark into the log that is the last of `log`
  std::string clocksource;
  std::string available;
  std::map<std::string, LinuxCpuTime> stat;
  std::vector<LinuxLogLine> log;
  friend bool operator==(const LinuxLook&, const LinuxLook&) = default;
};

using LinuxEvent = std::variant<LinuxDone, LinuxSample, LinuxLook>;

struct LinuxHeader {
  std::string target;        // "lab:intel-6.12"
  std::string emulator;      // "Bochs x86 Emulator 3.0"
  std::string package;       // of the kernel
  std::string kernel;        // release
  std::string command_line;  // as the kernel saw it
  std::string cpu_flags;     // those that concern the TSC
  std::string siblings;      // for each CPU, those in its package as the kernel has it, itself included: "0-1 0-1"
  std::string detectors;     // which watchdogs it has: "soft_watchdog=1 watchdog_thresh=10"
  std::uint64_t tick_ns = 0;
  std::uint32_t tsc_khz = 0;  // that the kernel last printed
  LinuxExperiment experiment;
  friend bool operator==(const LinuxHeader&, const LinuxHeader&) = default;
};

struct LinuxRecording {
  LinuxHeader header;
  std::vector<LinuxEvent> events;
  friend bool operator==(const LinuxRecording&, const LinuxRecording&) = default;
};

// The mark that `look` writes into the kernel's log.
inline constexpr std::string_view kLinuxLogMark = "tscsim: mark";

// One line without its end.
std::string to_json(const LinuxExperiment& experiment);
LinuxExperiment linux_experiment_from_json(const std::string& text);  // throws InputError
std::string to_json(const LinuxHeader& header);
std::string to_json(const LinuxEvent& event);
inline constexpr std::string_view kLinuxEnd = "{\"type\":\"linux-end\"}";

void write_json_lines(const LinuxRecording& recording, std::ostream& out);
// Throws InputError naming the file and the line: not what it should be, or cut.
LinuxRecording read_linux_recording(std::istream& in, const std::string& name);

}  // namespace tscsim::ops

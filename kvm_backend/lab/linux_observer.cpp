#include "kvm_backend/lab/linux_observer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/io.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>

#include "kvm_backend/host_clocks.h"
#include "kvm_backend/host_events.h"
#include "kvm_backend/host_files.h"
#include "kvm_backend/ioctl/fd.h"
#include "kvm_backend/lab/inside.h"
#include "ops/operation.h"

namespace tscsim::kvm_backend::lab {
namespace {

using ops::LinuxAction;
using ops::LinuxStep;

[[noreturn]] void fail(const std::string& what) { throw std::runtime_error(what + ": " + std::strerror(errno)); }

std::string file_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string without_newline(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

void add_word(std::string& words, const std::string& word) { words += (words.empty() ? "" : " ") + word; }

Fd open_or_fail(const std::string& path, int flags) {
  OpenResult opened = open_file(path.c_str(), flags);
  if (!opened.fd) throw std::runtime_error(path + ": " + std::strerror(opened.error));
  return std::move(opened.fd);
}

// ACPI's power management timer: 3.579545 MHz, 24 bits, read at a port that the FADT names (ACPI 6.5, 5.2.9
// PM_TMR_BLK). Counted on in 64 bits, which needs a read every 4.6 s.
class PmTimer {
 public:
  static constexpr std::uint64_t kHz = 3'579'545;

  PmTimer() {
    constexpr std::size_t kPmTimerBlock = 76;
    const std::string table = file_text("/sys/firmware/acpi/tables/FACP");
    std::uint32_t port = 0;
    if (table.size() >= kPmTimerBlock + sizeof port) std::memcpy(&port, table.data() + kPmTimerBlock, sizeof port);
    if (port == 0 || port > 0xffff) throw std::runtime_error("the machine has no power management timer");
    port_ = static_cast<std::uint16_t>(port);
    last_ = raw();
  }

  std::uint64_t read() {
    const std::uint32_t now = raw();
    ticks_ += (now - last_) & kMask;
    last_ = now;
    return ticks_;
  }

 private:
  static constexpr std::uint32_t kMask = 0xffffff;
  std::uint32_t raw() const { return ::inl(port_) & kMask; }
  std::uint16_t port_ = 0;
  std::uint32_t last_ = 0;
  std::uint64_t ticks_ = 0;
};

std::uint64_t ns_of(const timespec& time) {
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(time.tv_nsec);
}

template <class Read>
ops::LinuxReading bracketed(clockid_t clock, Read read) {
  timespec time{};
  ops::LinuxReading reading;
  reading.tsc.lo = read_tsc();
  read(clock, &time);
  reading.tsc.hi = read_tsc();
  reading.ns = ns_of(time);
  return reading;
}

ops::LinuxReading through_vdso(clockid_t clock) {
  return bracketed(clock, [](clockid_t which, timespec* time) { ::clock_gettime(which, time); });
}

ops::LinuxReading through_kernel(clockid_t clock) {
  return bracketed(clock, [](clockid_t which, timespec* time) { ::syscall(SYS_clock_gettime, which, time); });
}

std::uint64_t coarse_ns() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
  return ns_of(time);
}

void move_to(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<unsigned>(cpu), &set);
  if (::sched_setaffinity(0, sizeof set, &set) != 0) fail(fmt::format("CPU {} cannot be had", cpu));
}

// The kernel's log, from where the last look ended.
class KernelLog {
 public:
  KernelLog()
      : reader_(open_or_fail("/dev/kmsg", O_RDONLY | O_NONBLOCK)), writer_(open_or_fail("/dev/kmsg", O_WRONLY)) {}

  void mark() const {
    const std::string line = fmt::format("<6>{}\n", ops::kLinuxLogMark);  // without its end it would wait for more
    if (::write(writer_.number(), line.data(), line.size()) < 0) fail("/dev/kmsg");
  }

  // Records are "priority,sequence,microseconds,flags[,...];text\n", then lines of properties
  // (Linux Documentation/ABI/testing/dev-kmsg).
  std::vector<ops::LinuxLogLine> next_lines() const {
    std::vector<ops::LinuxLogLine> lines;
    std::array<char, 8192> record{};
    for (;;) {
      const ssize_t size = ::read(reader_.number(), record.data(), record.size());
      if (size < 0 && errno == EPIPE) continue;  // overwritten meanwhile
      if (size < 0) return lines;
      lines.push_back(parsed({record.data(), static_cast<std::size_t>(size)}));
    }
  }

 private:
  static ops::LinuxLogLine parsed(const std::string& record) {
    std::istringstream fields(record.substr(0, record.find(';')));
    std::string priority, sequence, us;
    std::getline(fields, priority, ',');
    std::getline(fields, sequence, ',');
    std::getline(fields, us, ',');
    constexpr int kPriorities = 8;
    const std::string text = record.substr(record.find(';') + 1);
    return {std::stoull(us), std::stoi(priority) % kPriorities, text.substr(0, text.find('\n'))};
  }

  Fd reader_, writer_;
};

bool concerns_time(const std::string& text) {
  for (const char* word :
       {"tsc", "TSC", "clock", "hpet", "HPET", "PM-Timer", "Linux version", "Calibrating", "smp", "sched"})
    if (text.find(word) != std::string::npos) return true;
  return false;
}

// "tsc: Detected 49.998 MHz processor", "tsc: Refined TSC clocksource calibration: 50.000 MHz"; 0: neither.
std::uint32_t tsc_khz_in(const std::string& text) {
  const std::size_t unit = text.find(" MHz");
  if (text.rfind("tsc: ", 0) != 0 || unit == std::string::npos) return 0;
  const std::size_t from = text.rfind(' ', unit - 1) + 1, point = text.find('.', from);
  if (point > unit) return 0;
  return static_cast<std::uint32_t>(std::stoul(text.substr(from, point - from)) * 1000 +
                                    std::stoul(text.substr(point + 1, unit - point - 1)));
}

std::string tsc_flags() {
  std::istringstream lines(file_text("/proc/cpuinfo"));
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("flags", 0) != 0) continue;
    std::istringstream words(line);
    std::string found;
    for (std::string word; words >> word;)
      if (word.find("tsc") != std::string::npos || word == "hypervisor") add_word(found, word);
    return found;
  }
  return "";
}

std::string siblings_of(int cpus) {
  std::string siblings;
  for (int cpu = 0; cpu < cpus; ++cpu)
    add_word(siblings,
             without_newline(file_text(fmt::format("/sys/devices/system/cpu/cpu{}/topology/core_siblings_list", cpu))));
  return siblings;
}

// What of the detectors this kernel was built with, and as it is set.
std::string detectors() {
  std::string found;
  for (const char* file :
       {"/proc/sys/kernel/soft_watchdog", "/proc/sys/kernel/watchdog_thresh", "/proc/sys/kernel/hung_task_timeout_secs",
        "/sys/module/rcupdate/parameters/rcu_cpu_stall_timeout"})
    if (const std::string value = without_newline(file_text(file)); !value.empty())
      add_word(found, fmt::format("{}={}", std::string(file).substr(std::string(file).rfind('/') + 1), value));
  return found;
}

std::map<std::string, ops::LinuxCpuTime> cpu_times() {
  std::map<std::string, ops::LinuxCpuTime> times;
  std::istringstream lines(file_text("/proc/stat"));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string name;
    words >> name;
    if (name.rfind("cpu", 0) != 0 || name == "cpu") continue;
    for (std::uint64_t& value : times[name]) words >> value;
  }
  return times;
}

class Observer {
 public:
  Observer(const ops::LinuxExperiment& experiment, const std::string& target) : experiment_(experiment) {
    header_.target = target;
    header_.experiment = experiment;
    header_.kernel = kernel_release();
    header_.command_line = without_newline(file_text("/proc/cmdline"));
    header_.cpu_flags = tsc_flags();
    header_.siblings = siblings_of(experiment.machine.cpus);
    header_.detectors = detectors();
    timespec tick{};
    ::clock_getres(CLOCK_MONOTONIC_COARSE, &tick);
    header_.tick_ns = ns_of(tick);
    move_to(0);
  }

  void run() {
    for (const LinuxStep& step : experiment_.steps) {
      if (step.action != LinuxAction::settle) write_header();
      do_step(step);
      pm_timer_.read();
    }
    write_header();
    write_result(std::string(ops::kLinuxEnd) + "\n");
  }

 private:
  // The kernel measures its TSC while it settles, so the header waits for that.
  void write_header() {
    if (header_written_) return;
    header_written_ = true;
    const auto lines = log_.next_lines();
    for (const ops::LinuxLogLine& line : lines) {
      if (const std::uint32_t khz = tsc_khz_in(line.text); khz != 0) header_.tsc_khz = khz;
      if (concerns_time(line.text)) boot_log_.push_back(line);
    }
    if (header_.tsc_khz == 0) throw std::runtime_error("the kernel does not say at what rate its TSC runs");
    write_result(to_json(header_) + "\n");
    for (const ops::LinuxEvent& event : before_header_) write_result(to_json(event) + "\n");
  }

  void say(const ops::LinuxEvent& event) {
    if (header_written_) write_result(to_json(event) + "\n");
    else before_header_.push_back(event);
  }

  void do_step(const LinuxStep& step) {
    if (step.action == LinuxAction::sample) return sample(step);
    if (step.action == LinuxAction::look) return look();
    const bool elsewhere =
        step.cpu != 0 && (step.action == LinuxAction::jump_tsc || step.action == LinuxAction::adjust_tsc);
    if (elsewhere) move_to(step.cpu);
    say(done(step));
    if (elsewhere) move_to(0);
  }

  ops::LinuxDone done(const LinuxStep& step) {
    ops::LinuxDone done;
    done.step = step;
    Fd msr;
    if (step.action == LinuxAction::jump_tsc || step.action == LinuxAction::adjust_tsc)
      msr = open_or_fail(fmt::format("/dev/cpu/{}/msr", step.cpu), O_RDWR);
    if (step.at_tick) wait_for_tick();
    done.pm_timer.lo = pm_timer_.read();
    done.tsc.lo = read_tsc();
    done.error = act(step, msr, done);
    done.tsc.hi = read_tsc();
    done.pm_timer.hi = pm_timer_.read();
    return done;
  }

  int act(const LinuxStep& step, const Fd& msr, ops::LinuxDone& done) {
    switch (step.action) {
      case LinuxAction::settle:
        return settle(step);
      case LinuxAction::jump_tsc:
        done.wrote = done.tsc.lo + cycles(step.ns);
        return write_msr(msr, ops::msr::kIa32Tsc, done.wrote);
      case LinuxAction::adjust_tsc:
        return adjust(step, msr, done);
      case LinuxAction::offline:
        return set_cpu_online(step.cpu, false);
      case LinuxAction::online:
        return set_cpu_online(step.cpu, true);
      case LinuxAction::set_time: {
        timespec now{};
        ::clock_gettime(CLOCK_REALTIME, &now);
        return ::clock_settime(CLOCK_REALTIME, &now) == 0 ? 0 : errno;
      }
      default:
        throw std::logic_error("not a step that is done");
    }
  }

  int adjust(const LinuxStep& step, const Fd& msr, ops::LinuxDone& done) const {
    std::uint64_t value = 0;
    if (::pread(msr.number(), &value, sizeof value, ops::msr::kIa32TscAdjust) != sizeof value) return errno;
    done.wrote = value + cycles(step.ns);
    return write_msr(msr, ops::msr::kIa32TscAdjust, done.wrote);
  }

  static int write_msr(const Fd& msr, std::uint32_t index, std::uint64_t value) {
    return ::pwrite(msr.number(), &value, sizeof value, index) == sizeof value ? 0 : errno;
  }

  std::uint64_t cycles(std::int64_t ns) const {
    return static_cast<std::uint64_t>(
        static_cast<std::int64_t>(static_cast<__int128>(ns) * header_.tsc_khz / 1'000'000));
  }

  static void wait_for_tick() {
    const std::uint64_t before = coarse_ns();
    while (coarse_ns() == before) {
    }
  }

  // A verified clocksource comes into use some time after it is registered.
  int settle(const LinuxStep& step) {
    const std::uint64_t until = pm_timer_.read() + ticks(step.ns);
    while (clocksource_.current() != step.clocksource) {
      if (pm_timer_.read() > until) return ETIME;
      ::usleep(20'000);
    }
    return 0;
  }

  static std::uint64_t ticks(std::int64_t ns) {
    return static_cast<std::uint64_t>(static_cast<__int128>(ns) * PmTimer::kHz / 1'000'000'000);
  }

  void sample(const LinuxStep& step) {
    if (step.cpu != 0) move_to(step.cpu);
    std::uint64_t next = pm_timer_.read();
    for (int i = 0; i < step.count; ++i) {
      say(one_sample(step.cpu));
      next += ticks(step.ns);
      wait_until_pm(next, step);
    }
    if (step.cpu != 0) move_to(0);
  }

  void wait_until_pm(std::uint64_t until, const LinuxStep& step) {
    while (pm_timer_.read() < until)
      if (step.sleeps) ::usleep(static_cast<unsigned>(step.ns / 1000));
  }

  ops::LinuxSample one_sample(int cpu) {
    ops::LinuxSample sample;
    sample.cpu = cpu;
    sample.pm_timer.lo = pm_timer_.read();
    sample.clocks = {
        through_vdso(CLOCK_MONOTONIC),     through_vdso(CLOCK_REALTIME),         through_vdso(CLOCK_BOOTTIME),
        through_vdso(CLOCK_MONOTONIC_RAW), through_vdso(CLOCK_MONOTONIC_COARSE), through_kernel(CLOCK_MONOTONIC),
        through_kernel(CLOCK_REALTIME),    through_kernel(CLOCK_BOOTTIME),       through_kernel(CLOCK_MONOTONIC_RAW)};
    sample.pm_timer.hi = pm_timer_.read();
    sample.clocksource = clocksource_.current();
    return sample;
  }

  void look() {
    ops::LinuxLook look;
    look.clocksource = clocksource_.current();
    for (const std::string& name : clocksource_.available()) add_word(look.available, name);
    look.stat = cpu_times();
    look.tsc.lo = read_tsc();
    log_.mark();
    look.tsc.hi = read_tsc();
    look.log.swap(boot_log_);
    for (const ops::LinuxLogLine& line : log_.next_lines()) look.log.push_back(line);
    say(look);
  }

  const ops::LinuxExperiment& experiment_;
  ops::LinuxHeader header_;
  bool header_written_ = false;
  std::vector<ops::LinuxEvent> before_header_;
  std::vector<ops::LinuxLogLine> boot_log_;
  PmTimer pm_timer_;
  KernelLog log_;
  Clocksource clocksource_;
};

}  // namespace

void observe_linux(const ops::LinuxExperiment& experiment, const std::string& target) {
  Observer(experiment, target).run();
}

}  // namespace tscsim::kvm_backend::lab

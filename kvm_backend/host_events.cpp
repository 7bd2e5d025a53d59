#include "kvm_backend/host_events.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>

#include "kvm_backend/host_clocks.h"
#include "kvm_backend/ioctl/fd.h"
#include "kvm_backend/pinned_thread.h"
#include "ops/operation.h"

namespace tscsim::kvm_backend {

namespace {

int write_text(const std::string& path, const std::string& text) {
  const OpenResult file = open_file(path.c_str(), O_WRONLY);
  if (!file.fd) return file.error;
  for (;;) {
    if (::write(file.fd.number(), text.data(), text.size()) >= 0) return 0;
    if (errno != EINTR) return errno;
  }
}

}  // namespace

int jump_tsc(int cpu, std::int64_t cycles) {
  const OpenResult file = open_file(fmt::format("/dev/cpu/{}/msr", cpu).c_str(), O_RDWR);
  if (!file.fd) return file.error;
  std::uint64_t value = 0;
  if (::pread(file.fd.number(), &value, sizeof value, ops::msr::kIa32Tsc) != sizeof value) return errno;
  value += static_cast<std::uint64_t>(cycles);
  return ::pwrite(file.fd.number(), &value, sizeof value, ops::msr::kIa32Tsc) == sizeof value ? 0 : errno;
}

// The jump is shorter than a tick: all that would come due in a longer one runs before the way back.
bool tsc_can_jump(const std::vector<int>& cpus) {
  constexpr std::int64_t kCycles = 1'000'000;
  bool moved = true;
  for (const int cpu : cpus)
    PinnedThread(cpu).run([&] {
      const std::uint64_t before = read_tsc();
      moved = moved && jump_tsc(cpu, kCycles) == 0 && read_tsc() - before >= static_cast<std::uint64_t>(kCycles);
      if (moved) jump_tsc(cpu, -kCycles);
    });
  return moved;
}

namespace {

// By how much the TSC of `cpu` is ahead of that of `reference`: of the way there and the way back the difference, of each the
// shortest seen.
std::int64_t tsc_lead(int cpu, int reference) {
  std::int64_t there = INT64_MAX, back = INT64_MAX;
  std::thread traveller([&] {
    for (int i = 0; i < 20; ++i) {
      if (pin_this_thread(reference) != 0) return;
      const std::uint64_t start = read_tsc();
      if (pin_this_thread(cpu) != 0) return;
      const std::uint64_t away = read_tsc();
      if (pin_this_thread(reference) != 0) return;
      there = std::min(there, static_cast<std::int64_t>(away - start));
      back = std::min(back, static_cast<std::int64_t>(read_tsc() - away));
    }
  });
  traveller.join();
  return there == INT64_MAX ? 0 : (there - back) / 2;
}

}  // namespace

void bring_tscs_in_step(const std::vector<int>& cpus) {
  constexpr std::int64_t kNearCycles = 3'000;
  constexpr int kTries = 6;
  for (std::size_t i = 1; i < cpus.size(); ++i) {
    std::int64_t lead = tsc_lead(cpus[i], cpus[0]), lost = 0;  // what a jump takes: the way from reading to writing
    for (int n = 0; n < kTries && std::abs(lead) > kNearCycles; ++n) {
      const std::int64_t jump = lost - lead, before = lead;
      PinnedThread(cpus[i]).run([&] { jump_tsc(cpus[i], jump); });
      lead = tsc_lead(cpus[i], cpus[0]);
      lost = before + jump - lead;
    }
  }
}

int suspend_to_ram() { return write_text("/sys/power/state", "mem"); }

bool can_suspend_to_ram() {
  std::ifstream file("/sys/power/mem_sleep");
  for (std::string word; file >> word;)
    if (word == "[deep]") return true;
  return false;
}

namespace {
std::string online_file(int cpu) { return fmt::format("/sys/devices/system/cpu/cpu{}/online", cpu); }
}  // namespace

int set_cpu_online(int cpu, bool online) { return write_text(online_file(cpu), online ? "1" : "0"); }

// A CPU that cannot be switched off has no such file.
bool cpu_is_online(int cpu) {
  std::ifstream file(online_file(cpu));
  char state = '1';
  file >> state;
  return state != '0';
}

}  // namespace tscsim::kvm_backend

#include "kvm_backend/host_events.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <string>

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

bool tsc_can_jump(int cpu) {
  constexpr std::int64_t kCycles = 4'000'000'000;
  bool moved = false;
  PinnedThread thread(cpu);
  thread.run([&] {
    const std::uint64_t before = read_tsc();
    moved = jump_tsc(cpu, kCycles) == 0 && read_tsc() - before >= static_cast<std::uint64_t>(kCycles);
  });
  return moved;
}

int suspend_to_ram() {
  return write_text("/sys/power/state", "mem");
}

bool can_suspend_to_ram() {
  std::ifstream file("/sys/power/mem_sleep");
  for (std::string word; file >> word;)
    if (word == "[deep]") return true;
  return false;
}

namespace {
std::string online_file(int cpu) { return fmt::format("/sys/devices/system/cpu/cpu{}/online", cpu); }
}  // namespace

int set_cpu_online(int cpu, bool online) {
  return write_text(online_file(cpu), online ? "1" : "0");
}

// A CPU that cannot be switched off has no such file.
bool cpu_is_online(int cpu) {
  std::ifstream file(online_file(cpu));
  char state = '1';
  file >> state;
  return state != '0';
}

}  // namespace tscsim::kvm_backend

#include "kvm_backend/lab/inside.h"

#include <fcntl.h>
#include <sys/io.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "kvm_backend/host_clocks.h"
#include "kvm_backend/host_files.h"
#include "kvm_backend/ioctl/fd.h"
#include "kvm_backend/lab/protocol.h"

namespace tscsim::kvm_backend::lab {
namespace {

// QEMU docs/specs/fw_cfg: a selector port, a data port, and a directory of named files (big-endian count,
// then records of 64 bytes: size, selector, reserved, name). Selector 0 answers "QEMU".
constexpr std::uint16_t kFwCfgSelector = 0x510, kFwCfgData = 0x511;
constexpr std::uint16_t kFwCfgSignature = 0x0, kFwCfgDirectory = 0x19;
constexpr std::size_t kFwCfgNameBytes = 56;

[[noreturn]] void fail(const std::string& what) { throw std::runtime_error(what + ": " + std::strerror(errno)); }

void mount_at(const char* type, const char* where) {
  ::mkdir(where, 0755);
  if (::mount(type, where, type, 0, nullptr) != 0 && errno != EBUSY) fail(std::string("mount ") + where);
}

std::string file_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void read_port(std::uint16_t port, void* to, std::size_t bytes) {
  asm volatile("rep insb" : "+D"(to), "+c"(bytes) : "d"(port) : "memory");
}

class FwCfg {
 public:
  static bool present() {
    std::array<char, 4> signature{};
    select(kFwCfgSignature);
    read_port(kFwCfgData, signature.data(), signature.size());
    return std::string_view(signature.data(), signature.size()) == "QEMU";
  }

  static std::string file(std::string_view wanted) {
    select(kFwCfgDirectory);
    for (std::uint32_t left = number(4); left > 0; --left) {
      const std::uint32_t bytes = number(4);
      const auto selector = static_cast<std::uint16_t>(number(2));
      number(2);
      std::array<char, kFwCfgNameBytes> name{};
      read_port(kFwCfgData, name.data(), name.size());
      if (wanted != name.data()) continue;
      std::string content(bytes, '\0');
      select(selector);
      read_port(kFwCfgData, content.data(), content.size());
      return content;
    }
    return "";
  }

 private:
  static void select(std::uint16_t selector) { ::outw(selector, kFwCfgSelector); }
  static std::uint32_t number(int bytes) {
    std::uint32_t value = 0;
    for (int i = 0; i < bytes; ++i) value = value << 8 | ::inb(kFwCfgData);
    return value;
  }
};

}  // namespace

void mount_file_systems() {
  mount_at("proc", "/proc");
  mount_at("sysfs", "/sys");
  mount_at("devtmpfs", "/dev");
  ::mount("tracefs", "/sys/kernel/tracing", "tracefs", 0,
          nullptr);  // absent from some kernels, and then not used
}

bool wait_for_clocksource() {
  constexpr std::string_view kKey = "clocksource=";
  const std::string line = file_text("/proc/cmdline");
  const std::size_t at = line.find(kKey);
  if (at == std::string::npos) return true;
  const std::size_t from = at + kKey.size();
  const std::string wanted = line.substr(from, line.find_first_of(" \n", from) - from);
  const std::uint64_t until_ns = monotonic_ns() + 10'000'000'000;
  while (Clocksource().current() != wanted) {
    if (monotonic_ns() > until_ns) return false;
    ::usleep(20'000);
  }
  return true;
}

// Bochs offers APIC virtualisation, and then refuses to enter a guest whose local APIC is in KVM (VM-instruction error 7).
std::string own_parameters(std::string_view module) { return module.starts_with("kvm-intel") ? " enable_apicv=0" : ""; }

void load_modules(std::string_view parameters) {
  std::ifstream order{std::string(kModuleOrderFile)};
  for (std::string name; std::getline(order, name);) {
    const std::string path = std::string(kModulesFolder) + "/" + name;
    const OpenResult file = open_file(path.c_str(), O_RDONLY);
    if (!file.fd) fail(path);
    if (::syscall(SYS_finit_module, file.fd.number(), (std::string(parameters) + own_parameters(name)).c_str(), 0) !=
            0 &&
        errno != EEXIST)
      fail("the kernel refuses module " + name);
  }
}

void open_ports() {
  if (::iopl(3) != 0) fail("iopl");
}

std::string read_jobs() { return FwCfg::present() ? FwCfg::file(kJobsFwCfgName) : file_text(std::string(kJobsFile)); }

bool wakes_from_s3() { return !FwCfg::present(); }

void write_result(std::string_view bytes) {
  const char* from = bytes.data();
  std::size_t left = bytes.size();
  asm volatile("rep outsb" : "+S"(from), "+c"(left) : "d"(kResultPort) : "memory");
}

void flush_results() {
  constexpr std::size_t kStdioBuffer = 4096;
  if (!FwCfg::present()) write_result(std::string(kStdioBuffer, '\n'));
}

void power_off(std::uint8_t status) {
  ::outb(status, kExitPort);
  for (const char c : std::string_view("Shutdown")) ::outb(static_cast<unsigned char>(c), kShutdownPort);
  ::reboot(RB_POWER_OFF);
  for (;;) ::pause();
}

}  // namespace tscsim::kvm_backend::lab

#include "kvm_backend/host_files.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>

#include "kvm_backend/ioctl/fd.h"

namespace tscsim::kvm_backend {

namespace {

bool exists(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0;
}

std::vector<std::string> words_of(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::string> words;
  for (std::string word; file >> word;) words.push_back(word);
  return words;
}

}  // namespace

std::vector<int> allowed_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return {0};
  std::vector<int> cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(static_cast<unsigned>(cpu), &set)) cpus.push_back(cpu);
  return cpus;
}

std::string kernel_release() {
  utsname names{};
  return ::uname(&names) == 0 ? stable_release(names.release, names.version) : "";
}

std::string stable_release(const std::string& release, const std::string& build) {
  const std::size_t series_end = release.find(".0-");
  const std::size_t at = build.find("Debian ");
  if (series_end == std::string::npos || at == std::string::npos) return release;
  const std::string series = release.substr(0, series_end + 1);  // "5.10."
  std::string stable = build.substr(at + 7);
  stable = stable.substr(0, stable.find_first_of(" -"));
  return stable.rfind(series, 0) == 0 ? stable + " (" + release + ")" : release;
}

std::string kvm_vendor(const std::string& module_directory) {
  // Only one vendor module can be active; where PVM is loaded it is the one.
  if (exists(module_directory + "/kvm_pvm")) return "none";
  if (exists(module_directory + "/kvm_amd")) return "svm";
  if (exists(module_directory + "/kvm_intel")) return "vmx";
  return "none";
}

Clocksource::Clocksource(std::string directory) : directory_(std::move(directory)) {}

std::string Clocksource::current() const {
  const auto words = words_of(directory_ + "/current_clocksource");
  return words.empty() ? "" : words.front();
}

std::vector<std::string> Clocksource::available() const { return words_of(directory_ + "/available_clocksource"); }

int Clocksource::select(const std::string& name) const {
  const OpenResult file = open_file((directory_ + "/current_clocksource").c_str(), O_WRONLY);
  if (!file.fd) return file.error;
  for (;;) {
    const ssize_t written = ::write(file.fd.number(), name.data(), name.size());
    if (written >= 0) return 0;
    if (errno != EINTR) return errno;
  }
}

int Clocksource::select_tsc(bool tsc) const {
  if (tsc) return select("tsc");
  for (const std::string& name : available())
    if (name != "tsc") return select(name);
  return ENODEV;
}

}  // namespace tscsim::kvm_backend

// What the host says about itself in files and by uname: kernel, vendor module, clocksource, allowed CPUs.
#pragma once

#include <string>
#include <vector>

namespace tscsim::kvm_backend {

// CPUs that this process may run on, ascending. Position in this list is the pCPU number everywhere above.
std::vector<int> allowed_cpus();

// The release string, preceded by the stable version where only the build string tells it: Debian's 5.10 and 6.1 call
// themselves 5.10.0-32 and say "Debian 5.10.223-1" in the build string, and stable versions behave differently.
std::string kernel_release();
std::string stable_release(const std::string& release, const std::string& build);

// "vmx" or "svm" by the module that serves /dev/kvm, "none" when neither is there (PVM).
std::string kvm_vendor(const std::string& module_directory = "/sys/module");

class Clocksource {
 public:
  explicit Clocksource(std::string directory = "/sys/devices/system/clocksource/clocksource0");

  std::string current() const;                 // "tsc"; empty when unknown
  std::vector<std::string> available() const;  // best first, as the kernel lists them

  // Returns 0 or a positive errno. `false` chooses the best one that is not the TSC; ENODEV without one.
  int select_tsc(bool tsc) const;
  int select(const std::string& name) const;

 private:
  std::string directory_;
};

}  // namespace tscsim::kvm_backend

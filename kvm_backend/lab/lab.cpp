#include "kvm_backend/lab/lab.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "kvm_backend/lab/cache.h"
#include "kvm_backend/lab/files.h"
#include "kvm_backend/lab/protocol.h"

namespace tscsim::kvm_backend::lab {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

// As the kernel is told, and keeps: a value within 1 % of what it measures against the timers (1 GHz under
// QEMU, 50 MHz under Bochs) would be "refined". Bochs passes idle time in steps of a few cycles, so that
// fewer make waiting shorter.
constexpr std::uint32_t kQemuTscKhz = 2'000'000, kBochsTscKhz = 1'000'000;
constexpr std::chrono::milliseconds kQemuLimit{60'000}, kBochsLimit{240'000}, kJobLimit{20'000};

fs::path init_path(const LabOptions& options) {
  const fs::path beside = fs::read_symlink("/proc/self/exe").parent_path() / "tscsim-init";
  const fs::path path = options.init.empty() ? beside : options.init;
  if (!fs::exists(path))
    throw ops::TargetError(fmt::format("{} is missing: the lab's /init, built with tscsim", path.string()));
  return path;
}

// What one boot said, sorted out.
struct Heard {
  std::vector<LabResult> results;  // of the programs that were begun
  std::vector<Finding> findings;
  std::string log;
  bool done = false;
};

ops::Diagnostic diagnostic_from(const Json& line) {
  ops::Diagnostic diagnostic;
  diagnostic.message = line.at("message").get<std::string>();
  diagnostic.mend = line.at("mend").get<std::string>();
  diagnostic.place = {line.at("file").get<std::string>(), line.at("line").get<int>(),
                      line.at("column").get<int>()};
  return diagnostic;
}

class Listener {
 public:
  Heard hear(const std::string& results) {
    std::istringstream lines(results);
    for (std::string line; std::getline(lines, line);)
      if (line.rfind("{\"type\":", 0) == 0) take(line);  // Bochs says more than that on its standard output
    return std::move(heard_);
  }

 private:
  void take(const std::string& line) {
    const Json json = Json::parse(line, nullptr, false);
    if (json.is_discarded()) return;  // cut by the machine's death
    const std::string type = json.at("type").get<std::string>();
    if (type == "job") heard_.results.emplace_back(), recording_.clear();
    if (type == "header" || type == "entry" || type == "end") recording_ += line + "\n";
    if (type == "end" && !heard_.results.empty()) take_recording();
    if (type == "failed" && !heard_.results.empty()) take_failure(json);
    if (type == "doctor")
      for (const Json& f : json.at("findings"))
        heard_.findings.push_back({f.at("name"), f.at("value"), f.at("note")});
    if (type == "log") heard_.log += "  " + json.at("text").get<std::string>() + "\n";
    if (type == "done") heard_.done = true;
  }

  void take_recording() {
    std::istringstream in(recording_);
    heard_.results.back().recording = ops::read_json_lines(in, "lab");
  }

  void take_failure(const Json& json) {
    if (json.at("kind") == "input")
      heard_.results.back().wrong_input = diagnostic_from(json);
    else
      heard_.results.back().failure = json.at("message").get<std::string>();
  }

  Heard heard_;
  std::string recording_;
};

class Lab {
 public:
  Lab(const LabTarget& target, const LabOptions& options)
      : target_(target), options_(options), cache_(options.notice, options.machine.interrupted) {
    init_ = init_path(options);
    emulator_ = cache_.emulator(target.emulator);
    kernel_ = cache_.kernel(target);
  }

  // The second is the report when the machine did not end as it should.
  std::pair<Heard, std::string> boot(const Jobs& jobs) {
    const ScratchFolder scratch;
    MachineSpec spec = options_.machine;
    spec.limit += kJobLimit * static_cast<int>(jobs.programs.size());
    if (options_.notice)
      options_.notice(fmt::format("lab:{}: booting {} for {} program{}", target_.name, kernel_.package,
                                  jobs.programs.size(), jobs.programs.size() == 1 ? "" : "s"));
    const MachineEnd end =
        boot_machine(target_, kernel_, emulator_, init_, to_text(jobs), spec, scratch.path());
    Heard heard = Listener().hear(end.results);
    if (options_.notice)
      options_.notice(fmt::format("lab:{}: ran for {}.{} s", target_.name, end.taken.count() / 1000,
                                  end.taken.count() / 100 % 10));
    if (options_.notice && !heard.log.empty()) options_.notice(fmt::format("lab:{}: in the machine:\n{}", target_.name, heard.log));
    std::string trouble = end.trouble;
    if (trouble.empty() && !heard.done) trouble = "the machine ended before its jobs did\n";
    if (!trouble.empty()) trouble = fmt::format("lab:{}: {}{}", target_.name, trouble, heard.log);
    return {std::move(heard), trouble};
  }

  Jobs jobs() const {
    Jobs jobs;
    jobs.target = "lab:" + target_.name;
    jobs.seed = options_.seed;
    jobs.trace = options_.trace;
    return jobs;
  }

 private:
  const LabTarget& target_;
  const LabOptions& options_;
  Cache cache_;
  fs::path init_;
  EmulatorFiles emulator_;
  KernelFiles kernel_;
};

}  // namespace

LabOptions default_lab_options(const LabTarget& target) {
  LabOptions options;
  const bool qemu = target.emulator == Emulator::qemu;
  options.machine.tsc_khz = qemu ? kQemuTscKhz : kBochsTscKhz;
  options.machine.limit = qemu ? kQemuLimit : kBochsLimit;
  return options;
}

std::vector<LabResult> run_in_lab(const LabTarget& target, const std::vector<ops::Program>& programs,
                                  const LabOptions& options) {
  Lab lab(target, options);
  std::vector<LabResult> results;
  while (results.size() < programs.size()) {
    Jobs jobs = lab.jobs();
    jobs.programs.assign(programs.begin() + static_cast<std::ptrdiff_t>(results.size()), programs.end());
    auto [heard, trouble] = lab.boot(jobs);
    if (!trouble.empty() && heard.results.empty()) throw ops::TargetError(trouble);
    for (LabResult& result : heard.results) {
      if (!result.recording && !result.wrong_input && result.failure.empty()) result.failure = trouble;
      results.push_back(std::move(result));
    }
  }
  return results;
}

std::vector<Finding> doctor_in_lab(const LabTarget& target, const LabOptions& options) {
  Lab lab(target, options);
  Jobs jobs = lab.jobs();
  jobs.doctor = true;
  auto [heard, trouble] = lab.boot(jobs);
  if (!trouble.empty()) throw ops::TargetError(trouble);
  return heard.findings;
}

}  // namespace tscsim::kvm_backend::lab

// A log of strace as recordings. strace prints which ioctl, on which descriptor, when and with what result; the structures
// that the calls point to it does not print (as of strace 6.1), so that no MSR, clock or offset is known: order and time
// alone are left. Descriptors lead to VMs and vCPUs through the calls that returned them, or through the names of -y.
#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cstring>
#include <map>

#include "logs/import.h"
#include "logs/strace_line.h"

namespace tscsim::logs {
namespace {

// What has to do with a VM's clocks, or tells where in a restore one is.
constexpr std::array<std::string_view, 17> kKept = {
    "KVM_CREATE_VM",       "KVM_CREATE_VCPU",    "KVM_SET_TSC_KHZ", "KVM_GET_TSC_KHZ", "KVM_SET_MSRS",
    "KVM_GET_MSRS",        "KVM_GET_CLOCK",      "KVM_SET_CLOCK",   "KVM_RUN",         "KVM_SET_DEVICE_ATTR",
    "KVM_GET_DEVICE_ATTR", "KVM_KVMCLOCK_CTRL",  "KVM_SET_CPUID2",  "KVM_SET_LAPIC",   "KVM_SET_MP_STATE",
    "KVM_SET_VCPU_EVENTS", "KVM_HAS_DEVICE_ATTR"};
constexpr std::string_view kVmFd = "anon_inode:kvm-vm";
constexpr std::string_view kVcpuFd = "anon_inode:kvm-vcpu";
constexpr std::int64_t kDay_ns = 86'400'000'000'000;

// strace joins the names of equal numbers by " or ".
std::string_view kept_name(std::string_view name) {
  for (const std::string_view kept : kKept) {
    const std::size_t at = name.find(kept);
    if (at == std::string_view::npos) continue;
    const std::size_t end = at + kept.size();
    if (end == name.size() || name[end] == ' ') return kept;
  }
  return {};
}

int errno_of(std::string_view name) {
  for (int error = 1; error < 134; ++error) {
    const char* known = ::strerrorname_np(error);
    if (known != nullptr && name == known) return error;
  }
  return -1;
}

std::optional<std::uint64_t> number_of(std::string_view text) {
  const bool hex = text.starts_with("0x");
  if (hex) text.remove_prefix(2);
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, hex ? 16 : 10);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

struct Target {
  std::size_t vm = 0;
  int vcpu = ops::kVm;
};

struct Vm {
  ops::Recording recording;
  bool created = false;
  int vcpus = 0;
  std::size_t last_other = 0;        // entries up to here hold something else than KVM_RUN
  std::map<int, std::size_t> runs;   // the last KVM_RUN of each vCPU
  std::map<int, std::size_t> again;  // how often it was called again since
};

class Importer {
 public:
  Importer(std::istream& in, const std::string& name) : text_(in, name) {}

  Import take(const ImportOptions& options) {
    while (text_.next()) take_line(text_.line());
    if (vms_.empty()) refuse();
    for (std::size_t i = 0; i < vms_.size(); ++i) finish(i, options);
    state_facts();
    return std::move(result_);
  }

 private:
  void take_line(std::string_view line) {
    if (line.find("ioctl") == std::string_view::npos) return;
    kept_lines_ = ops::content_hash(kept_lines_ + std::string(line));
    const auto parts = split_strace_line(line);
    if (!parts) return leave_out(line);
    if (parts->of_day || parts->at_ns) stamped_ = true;
    if (!parts->call) return resume(*parts);
    take_call(*parts);
  }

  void leave_out(std::string_view line) {
    if (line.find("KVM_") == std::string_view::npos) return;
    result_.problems.add(
        {{text_.name(), text_.number(), 1},
         "expected '[PID] [TIME] ioctl(FD, NAME, ...) = RESULT [<SECONDS>]'",
         text_.is_cut() ? "the log is cut there; what is before it was taken" : "the line was left out",
         std::string(line),
         1});
  }

  void take_call(const StraceLine& line) {
    const std::string_view name = kept_name(line.call->name);
    if (line.call->name.starts_with("KVM_CREATE_VM") || line.call->name.starts_with("KVM_CHECK_EXTENSION"))
      note_system_fd(line);
    const auto target = name.empty() ? std::nullopt : target_of(*line.call, name);
    if (!target) {
      ++passed_over_;
      pending_.erase(line.pid);
      return;
    }
    const std::size_t index = add(*target, line, name);
    if (line.result) end(*target, index, *line.result, line);
    else pending_[line.pid] = {*target, index};
  }

  void note_system_fd(const StraceLine& line) {
    if (line.call->name == "KVM_CREATE_VM") system_fds_[line.call->fd] = true;
  }

  // Where the call goes; nothing for calls on /dev/kvm itself and on devices.
  std::optional<Target> target_of(const StraceCall& call, std::string_view name) {
    if (name == "KVM_CREATE_VM") {
      vms_.emplace_back().created = true;
      return Target{vms_.size() - 1, ops::kVm};
    }
    if (!call.fd_name.empty() && !call.fd_name.starts_with(kVmFd) && !call.fd_name.starts_with(kVcpuFd))
      return std::nullopt;
    if (const auto known = fds_.find(call.fd); known != fds_.end()) return known->second;
    if (system_fds_.count(call.fd) != 0) return std::nullopt;
    return adopt(call, name);
  }

  // A descriptor that was there before the log began.
  Target adopt(const StraceCall& call, std::string_view name) {
    if (vms_.empty()) vms_.emplace_back();
    const bool of_vm = call.fd_name.starts_with(kVmFd) || name == "KVM_CREATE_VCPU" || name == "KVM_GET_CLOCK" ||
                       name == "KVM_SET_CLOCK";
    Target target{vms_.size() - 1, ops::kVm};
    if (!of_vm) {
      const auto number =
          call.fd_name.size() > kVcpuFd.size() ? number_of(call.fd_name.substr(kVcpuFd.size() + 1)) : std::nullopt;
      target.vcpu = number && *number < ops::layout::kMaxVcpus ? static_cast<int>(*number) : vms_.back().vcpus;
      if (target.vcpu >= ops::layout::kMaxVcpus) target.vcpu = ops::kVm;
      vms_.back().vcpus = std::max(vms_.back().vcpus, target.vcpu + 1);
      if (!number)
        result_.assumptions.push_back(
            fmt::format("descriptor {} was opened before the log begins; it is taken for vCPU {} "
                        "(strace -y prints what it is)",
                        call.fd, target.vcpu));
    }
    fds_[call.fd] = target;
    return target;
  }

  std::int64_t time_of(const StraceLine& line) {
    std::int64_t at = line.at_ns.value_or(last_at_);
    if (line.of_day) {
      at += days_ * kDay_ns;
      if (at < last_at_ - kDay_ns / 2) {
        ++days_;
        at += kDay_ns;
      }
    }
    return last_at_ = at;
  }

  static std::string call_text(const StraceCall& call, std::string_view name) {
    const bool shown = name == "KVM_CREATE_VCPU" || name == "KVM_SET_TSC_KHZ";
    const auto argument = shown ? number_of(call.argument) : std::nullopt;
    return argument ? fmt::format("{}({})", name, *argument) : std::string(name);
  }

  std::size_t add(const Target& target, const StraceLine& line, std::string_view name) {
    Vm& vm = vms_[target.vm];
    auto& entries = vm.recording.entries;
    const std::int64_t at = time_of(line);
    if (name == "KVM_RUN") {
      const auto last = vm.runs.find(target.vcpu);
      if (last != vm.runs.end() && last->second >= vm.last_other) {
        ++vm.again[target.vcpu];
        ops::Range& seen = entries[last->second].bracket.realtime_ns;
        seen.hi = std::max(seen.hi, static_cast<std::uint64_t>(at));  // the log's clock may have been set back
        return last->second;
      }
      vm.runs[target.vcpu] = entries.size();
      vm.again[target.vcpu] = 0;
    } else {
      vm.last_other = entries.size() + 1;
    }
    ops::Entry entry;
    entry.op.kind = ops::OpKind::observed;
    entry.op.vcpu = target.vcpu;
    entry.op.at_ns = at;
    entry.bracket.realtime_ns = {static_cast<std::uint64_t>(at), static_cast<std::uint64_t>(at)};
    entry.call = call_text(*line.call, name);
    entry.note = fmt::format("{}:{}", text_.name(), text_.number());
    if (line.pid >= 0) entry.note += fmt::format(" thread {}", line.pid);
    entries.push_back(std::move(entry));
    return entries.size() - 1;
  }

  void resume(const StraceLine& line) {
    const auto waiting = pending_.find(line.pid);
    if (waiting == pending_.end()) return;
    const auto [target, index] = waiting->second;
    pending_.erase(waiting);
    end(target, index, *line.result, line);
  }

  void end(const Target& target, std::size_t index, const StraceResult& result, const StraceLine& line) {
    ops::Entry& entry = vms_[target.vm].recording.entries[index];
    const std::int64_t seen = time_of(line);
    const std::int64_t took = result.took_ns.value_or(0);
    const std::int64_t over = line.call ? seen + took : seen;  // "resumed" is printed at the end
    entry.bracket.realtime_ns.hi = std::max(entry.bracket.realtime_ns.hi, static_cast<std::uint64_t>(over));
    entry.outcome = {};
    if (!result.error.empty()) entry.outcome.error = errno_of(result.error);
    else if (result.value) entry.outcome.add(ops::Field::value, static_cast<std::uint64_t>(*result.value));
    if (result.value && *result.value >= 0) learn_fd(target, entry.call, *result.value);
  }

  void learn_fd(const Target& target, const std::string& call, std::int64_t fd) {
    if (fd > INT32_MAX) return;
    if (call == "KVM_CREATE_VM") {
      fds_[static_cast<int>(fd)] = target;
    } else if (call.starts_with("KVM_CREATE_VCPU(")) {
      const auto number = number_of(std::string_view(call).substr(16, call.size() - 17));
      const bool fits = number && *number < ops::layout::kMaxVcpus;
      if (!fits && !told_many_) {
        told_many_ = true;
        result_.assumptions.push_back(fmt::format("a recording holds vCPUs 0 to {}; calls on others count as the VM's",
                                                  ops::layout::kMaxVcpus - 1));
      }
      fds_[static_cast<int>(fd)] = {target.vm, fits ? static_cast<int>(*number) : ops::kVm};
      ++vms_[target.vm].vcpus;
    }
  }

  void finish(std::size_t i, const ImportOptions& options) {
    Vm& vm = vms_[i];
    for (const auto& [vcpu, count] : vm.again) {
      ops::Entry& entry = vm.recording.entries[vm.runs.at(vcpu)];
      if (count != 0) entry.note += fmt::format(", and {} times more", count);
    }
    ops::Header& header = vm.recording.header;
    header.scenario = vms_.size() == 1 ? text_.name() : fmt::format("{} VM {}", text_.name(), i + 1);
    header.scenario_hash = kept_lines_;
    header.profile.target = "strace";
    header.profile.host_khz = options.host_khz;
    const std::size_t calls = vm.recording.entries.size();
    result_.vms.push_back(
        {std::move(vm.recording), fmt::format("VM {}: {} vCPUs, {} calls, {}", i + 1, vm.vcpus, calls,
                                              vm.created ? "from its creation on" : "its creation is not in the log")});
  }

  void state_facts() {
    std::size_t calls = 0;
    for (const ImportedVm& vm : result_.vms) calls += vm.recording.entries.size();
    result_.facts.push_back(
        fmt::format("{} calls that have to do with clocks, {} other ioctls passed over; repeated KVM_RUN counts once",
                    calls, passed_over_));
    result_.facts.push_back("strace shows no MSR, clock or offset: order and time are judged, values are not");
    if (!stamped_) result_.facts.push_back("the lines have no time (strace -ttt -T): order alone is judged");
    if (vms_.size() > 1)
      result_.assumptions.push_back(
          "a descriptor number stands for what it was given to last; VMMs that run at once mix");
  }

  [[noreturn]] void refuse() const {
    if (result_.problems.count != 0) throw ops::InputError(result_.problems.kept);
    throw ops::InputError(ops::Diagnostic{
        {text_.name(), text_.number(), 0},
        text_.number() == 0
            ? "the log is empty"
            : fmt::format("expected KVM's ioctls, found none of those that have to do with clocks among {} ioctls",
                          passed_over_),
        "strace -f -y -ttt -T -e trace=ioctl -o LOG VMM",
        "",
        1});
  }

  LogText text_;
  Import result_;
  std::vector<Vm> vms_;
  std::map<int, Target> fds_;
  std::map<int, bool> system_fds_;
  std::map<int, std::pair<Target, std::size_t>> pending_;  // by thread
  std::uint64_t passed_over_ = 0;
  std::string kept_lines_;
  std::int64_t last_at_ = 0;
  std::int64_t days_ = 0;
  bool stamped_ = false;
  bool told_many_ = false;
};

}  // namespace

Import import_strace(std::istream& in, const std::string& name, const ImportOptions& options) {
  return Importer(in, name).take(options);
}

}  // namespace tscsim::logs

#include "tracer/assemble.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "tracer/payload.h"

namespace tscsim::tracer {
namespace {

using ops::Entry;
using ops::Field;
using ops::OpKind;

// "qemu-system-x86_64" of a command line.
std::string program_name(const std::string& command) {
  const std::string path = command.substr(0, command.find(' '));
  return path.substr(path.rfind('/') + 1);
}

// One VM's calls become its recording.
class VmRecording {
 public:
  VmRecording(const Circumstances& circumstances, const RawCall& creation, const Seen& seen)
      : circumstances_(circumstances), pid_(creation.pid) {
    ops::Header& header = recording_.header;
    header.profile = circumstances.profile;
    const auto command = seen.commands.find(creation.vm);
    header.vmm = command == seen.commands.end() || command->second.empty() ? "not told" : command->second;
    header.scenario = program_name(header.vmm);
    header.sees_one_reg = true;
    header.zero_tsc = creation.begin.tsc;
    header.zero_base_ns = creation.begin.raw_ns + circumstances.suspended_ns.lo;
    recording_.cut = circumstances.cut;
    if (seen.lost != 0) recording_.cut = fmt::format("there was no room for {} calls", seen.lost);
  }

  void take(const RawCall& call) {
    if (call.pid != pid_ || (call.vcpu != kNoVcpu && index_of(call.vcpu) == static_cast<int>(ids_.size()))) {
      ++strangers_;
      return;
    }
    switch (call.request) {
      case KVM_CREATE_VM:
        push(call, OpKind::create_vm, call.error);
        return;
      case KVM_CREATE_VCPU:
        return create_vcpu(call);
      case KVM_RUN:
        return run(call);
      case KVM_SET_TSC_KHZ:
        push(call, OpKind::set_tsc_khz, call.error).op.value = call.value;
        return;
      case KVM_GET_TSC_KHZ:
        return get_tsc_khz(call);
      case request::kSetMsrs:
      case request::kGetMsrs:
        return msrs(call);
      case request::kGetOneReg:
      case request::kSetOneReg:
        return one_reg(call);
      case KVM_SET_DEVICE_ATTR:
        push(call, OpKind::set_tsc_offset, call.error).op.value = call.value;
        return;
      case KVM_GET_DEVICE_ATTR:
        return get_tsc_offset(call);
      case KVM_GET_CLOCK:
        return get_clock(call);
      case KVM_SET_CLOCK:
        return set_clock(call);
      case KVM_KVMCLOCK_CTRL:
        push(call, OpKind::kvmclock_ctrl, call.error);
        return;
      case KVM_SET_LAPIC:
        return set_lapic(call);
      case request::kSetCpuid2:
        return set_cpuid(call);
      case request::kSetMemory:
      case request::kSetMemory2:
        return set_memory(call);
      default:
        return set_aside(call);
    }
  }

  ops::Recording finish(const Seen& seen) {
    for (const auto& [index, run] : last_run_) {
      const auto total = seen.runs.find({vm_, ids_[static_cast<std::size_t>(index)]});
      if (total != seen.runs.end()) note_more_runs(recording_.entries[run.entry], total->second - run.before - 1);
    }
    if (!recording_.entries.empty()) note_strangers(recording_.entries.back());
    return std::move(recording_);
  }

 private:
  struct LastRun {
    std::size_t entry = 0;
    std::uint64_t before = 0;  // KVM_RUNs
  };

  // ---- entries

  ops::Bracket bracket_of(const RawCall& call) const {
    const ops::Range slept = circumstances_.suspended_ns;
    return {{call.begin.tsc, call.end.tsc},
            {call.begin.raw_ns + slept.lo, call.end.raw_ns + slept.hi},
            {call.begin.realtime_ns, call.end.realtime_ns},
            {}};
  }

  static void add_note(Entry& entry, const std::string& text) {
    if (!entry.note.empty()) entry.note += "; ";
    entry.note += text;
  }

  // Numbers in the order in which threads appear: the kernel's differ from run to run.
  int thread_of(const RawCall& call) {
    return threads_.emplace(call.tid, static_cast<int>(threads_.size()) + 1).first->second;
  }

  Entry& push(const RawCall& call, OpKind kind, int error) {
    vm_ = call.vm;
    Entry entry;
    entry.op.kind = kind;
    entry.op.vcpu = call.vcpu == kNoVcpu ? ops::kVm : index_of(call.vcpu);
    entry.bracket = bracket_of(call);
    entry.op.at_ns = static_cast<std::int64_t>(entry.bracket.base_ns.lo - recording_.header.zero_base_ns);
    entry.pcpu = call.cpu_after;
    entry.thread = thread_of(call);
    entry.outcome.error = error;
    note_circumstances(entry, call);
    if (!call.seen) leave_open(entry);
    recording_.entries.push_back(std::move(entry));
    return recording_.entries.back();
  }

  // What a recorder that came later finds: it was made, nobody knows when, nor what was done with it since.
  static void leave_open(Entry& entry) {
    entry.supported = false;
    entry.bracket = {};
    entry.outcome = {};
    entry.note = "made before the recorder came";
  }

  void note_circumstances(Entry& entry, const RawCall& call) {
    if (std::string& before = aside_[entry.op.vcpu]; !before.empty()) {
      add_note(entry, "after " + before);
      before.clear();
    }
    if (call.cpu_before != call.cpu_after) add_note(entry, fmt::format("moved from pCPU {}", call.cpu_before));
    if (call.request == KVM_RUN) return;
    if (call.begin.raw_ns < busy_until_ns_ && busy_thread_ != entry.thread)
      add_note(entry, "overlaps the operation before it");
    busy_until_ns_ = call.end.raw_ns;
    busy_thread_ = entry.thread;
  }

  // ---- vCPUs

  int index_of(std::int32_t id) const {
    const auto found = std::find(ids_.begin(), ids_.end(), id);
    return static_cast<int>(found - ids_.begin());
  }

  void create_vcpu(const RawCall& call) {
    if (call.result < 0) {
      aside_[ops::kVm] = joined(aside_[ops::kVm],
                                fmt::format("KVM_CREATE_VCPU({}) that failed with errno {}", call.value, call.error));
      return;
    }
    const auto id = static_cast<std::int32_t>(call.value);
    ids_.push_back(id);
    Entry& entry = push(call, OpKind::create_vcpu, 0);
    entry.op.vcpu = static_cast<int>(ids_.size()) - 1;
    if (entry.op.vcpu != id) add_note(entry, fmt::format("its id is {}", id));
    created_[entry.op.vcpu] = recording_.entries.size() - 1;
  }

  void run(const RawCall& call) {
    const auto before = last_run_.find(index_of(call.vcpu));
    if (before != last_run_.end())
      note_more_runs(recording_.entries[before->second.entry], call.runs - before->second.before - 1);
    Entry& entry = push(call, OpKind::run, call.returned ? call.error : EINTR);
    if (!call.returned) add_note(entry, "had not returned when the recording ended");
    last_run_[entry.op.vcpu] = {recording_.entries.size() - 1, call.runs};
  }

  static void note_more_runs(Entry& entry, std::uint64_t more) {
    if (more == 0 || more > INT64_MAX) return;  // beyond: they were not counted
    add_note(entry, fmt::format("the first of {} entries", more + 1));
  }

  // ---- what came back

  void get_tsc_khz(const RawCall& call) {
    Entry& entry = push(call, OpKind::get_tsc_khz, call.error);
    if (call.result >= 0) entry.outcome.add(Field::value, static_cast<std::uint32_t>(call.result));
  }

  void get_tsc_offset(const RawCall& call) {
    Entry& entry = push(call, OpKind::get_tsc_offset, call.error);
    if (call.result >= 0) entry.outcome.add(Field::value, call.value);
  }

  void get_clock(const RawCall& call) {
    Entry& entry = push(call, OpKind::get_clock, call.error);
    if (call.result < 0) return;
    entry.outcome.add(Field::clock, call.value);
    entry.outcome.add(Field::flags, call.flags);
    entry.outcome.add(Field::realtime, call.realtime);
    entry.outcome.add(Field::host_tsc, call.host_tsc);
  }

  void set_clock(const RawCall& call) {
    Entry& entry = push(call, OpKind::set_clock, call.error);
    entry.op.value = call.value;
    entry.op.flags = call.flags;
    if ((call.flags & ops::clock_flag::kRealtime) != 0) entry.op.realtime = call.realtime;
  }

  // The kernel takes the entries in order and returns how many it could; the one after those failed, later ones were not
  // tried.
  void msrs(const RawCall& call) {
    const bool reads = call.request == request::kGetMsrs;
    bool first = true;
    for (std::uint32_t i = 0; i < call.msrs && call.result >= 0; ++i) {
      const RawMsr& msr = call.msr[i];
      const auto done = static_cast<std::uint32_t>(call.result);
      if (msr.position > done) break;
      Entry& entry = push(call, reads ? OpKind::get_msr : OpKind::set_msr, msr.position == done ? EINVAL : 0);
      entry.op.msr = msr.index;
      if (!reads) entry.op.value = msr.value;
      else if (msr.position < done) entry.outcome.add(Field::value, msr.value);
      if (first && call.other_msrs != 0) add_note(entry, fmt::format("with {} other MSRs", call.other_msrs));
      first = false;
    }
  }

  // An MSR: read_one_reg() lets no other register through.
  void one_reg(const RawCall& call) {
    if (call.msrs == 0) return set_aside(call);
    const bool reads = call.request == request::kGetOneReg;
    Entry& entry = push(call, reads ? OpKind::get_msr : OpKind::set_msr, call.error);
    entry.op.msr = call.msr[0].index;
    if (!reads) entry.op.value = call.msr[0].value;
    else if (call.result >= 0) entry.outcome.add(Field::value, call.msr[0].value);
  }

  // ---- what has no operation

  void set_memory(const RawCall& call) {
    if (call.result < 0 || call.realtime == 0) return;
    recording_.header.memory_bytes = std::max(recording_.header.memory_bytes, call.value + call.realtime);
  }

  static std::string joined(const std::string& before, const std::string& name) {
    return before.empty() ? name : before + ", " + name;
  }

  void set_aside(const RawCall& call) {
    const int vcpu = call.vcpu == kNoVcpu ? ops::kVm : index_of(call.vcpu);
    aside_[vcpu] = joined(aside_[vcpu], request_name(request_key(call.request)));
  }

  void set_cpuid(const RawCall& call) {
    set_aside(call);
    const int vcpu = index_of(call.vcpu);
    told_[vcpu] = call.value;
    const auto created = created_.find(vcpu);
    if ((call.value & cpuid_flag::kHyperv) != 0 && created != created_.end())
      recording_.entries[created->second].op.flags |= ops::vcpu_flag::kHyperv;
  }

  // Kernel: Linux v6.12 arch/x86/kvm/lapic.c apic_update_lvtt(): without the timer in CPUID bit 18 does not count. Local
  // APICs that can be set are in the kernel.
  void set_lapic(const RawCall& call) {
    const std::uint64_t mode = call.value >> kvm_backend::abi::kLvtTimerModeShift & 3;
    const bool may_count_tsc = (told_[index_of(call.vcpu)] & cpuid_flag::kDeadlineTimer) != 0;
    push(call, OpKind::set_lapic, call.error).op.value = may_count_tsc ? mode : mode & 1;
    if (call.result >= 0) recording_.entries.front().op.flags |= ops::vm_flag::kIrqchip;
  }

  void note_strangers(Entry& entry) {
    if (strangers_ != 0)
      add_note(
          entry,
          fmt::format(
              "{} calls by another process than the VM's own, or on a vCPU that was not seen being made, are left out",
              strangers_));
  }

  const Circumstances& circumstances_;
  ops::Recording recording_;
  std::uint32_t vm_ = kNoVm;
  std::uint32_t pid_ = 0;
  std::vector<std::int32_t> ids_;  // KVM's ids, by index
  std::map<std::uint32_t, int> threads_;
  std::map<int, std::size_t> created_;  // create_vcpu entries, by index
  std::map<int, LastRun> last_run_;
  std::map<int, std::uint64_t> told_;  // cpuid_flag, by index
  std::map<int, std::string> aside_;   // calls without an operation since the vCPU's last one
  std::uint64_t busy_until_ns_ = 0;
  int busy_thread_ = 0;
  int strangers_ = 0;
};

}  // namespace

std::vector<ops::Recording> assemble(const Seen& seen, const Circumstances& circumstances) {
  std::vector<RawCall> calls = seen.calls;
  std::stable_sort(calls.begin(), calls.end(),
                   [](const RawCall& a, const RawCall& b) { return a.begin.raw_ns < b.begin.raw_ns; });
  std::map<std::uint32_t, VmRecording> vms;
  for (const RawCall& call : calls) {
    if (call.request == KVM_CREATE_VM && call.result >= 0) vms.try_emplace(call.vm, circumstances, call, seen);
    if (const auto vm = vms.find(call.vm); vm != vms.end()) vm->second.take(call);
  }
  std::vector<ops::Recording> recordings;
  for (auto& [number, vm] : vms) recordings.push_back(vm.finish(seen));
  return recordings;
}

std::string others_text(const Seen& seen) {
  std::string text;
  for (std::size_t key = 0; key < seen.others.size(); ++key) {
    if (seen.others[key] == 0) continue;
    const std::string name = request_name(static_cast<std::uint16_t>(key));
    if (!text.empty()) text += ", ";
    text +=
        fmt::format("{} {}", name.empty() ? fmt::format("ioctl {:#x} (not known)", KVMIO << 8 | (key & 0xff)) : name,
                    seen.others[key]);
  }
  return text;
}

}  // namespace tscsim::tracer

#include "crosscheck/guest_writes.h"

#include <cerrno>
#include <map>
#include <optional>
#include <tuple>

namespace tscsim::crosscheck {
namespace {

using ops::OpKind;
namespace msr = ops::msr;

// Numbers that stand for the same register count as the newer one. The TSC itself is not among them: a guest's write of
// it moves IA32_TSC_ADJUST by as much.
std::optional<std::uint32_t> guest_register(std::uint32_t index) {
  switch (index) {
    case msr::kKvmSystemTime:
      return msr::kKvmSystemTimeNew;
    case msr::kKvmWallClock:
      return msr::kKvmWallClockNew;
    case msr::kIa32TscAdjust:
    case msr::kIa32TscDeadline:
    case msr::kKvmSystemTimeNew:
    case msr::kKvmWallClockNew:
    case msr::kKvmStealTime:
    case msr::kHvReferenceTsc:
      return index;
    default:
      return std::nullopt;
  }
}

bool is_of_vm(std::uint32_t index) { return index == msr::kKvmWallClockNew || index == msr::kHvReferenceTsc; }

class Finder {
 public:
  void take(std::size_t index, const ops::Entry& entry) {
    const ops::Operation& op = entry.op;
    if (!entry.supported) return;
    if (op.kind == OpKind::run) runs_[op.host].push_back({index, op.vcpu});
    if (op.kind == OpKind::kvmclock_ctrl) return learn_from_ctrl(index, entry);
    if ((op.kind != OpKind::set_msr && op.kind != OpKind::get_msr) || entry.outcome.error != 0) return;
    const auto reg = guest_register(op.msr);
    if (!reg) return;
    Known& known = known_[{op.host, is_of_vm(*reg) ? ops::kVm : op.vcpu, *reg}];
    if (op.kind == OpKind::get_msr)
      if (const std::uint64_t* value = entry.outcome.find(ops::Field::value))
        return learn(known, index, op, *reg, *value);
    known = {op.value, index, std::nullopt};
  }

  std::vector<GuestWrite> writes;

 private:
  struct Known {
    std::uint64_t value = 0;
    std::size_t since = 0;             // entry
    std::optional<std::size_t> guess;  // the write of which only bit 0 is known so far
  };
  struct Run {
    std::size_t entry = 0;
    int vcpu = 0;
  };

  void learn(Known& known, std::size_t index, const ops::Operation& op, std::uint32_t reg, std::uint64_t value) {
    const bool fired = reg == msr::kIa32TscDeadline && value == 0;
    const bool told_now = known.guess && (value & 1) != 0;
    if (told_now) writes[*known.guess].value = value;
    else if (value != known.value && !fired) add(known.since, index, op, reg, value);
    known = {value, index, std::nullopt};
  }

  // The call succeeds just where the guest has a kvmclock page; where that is, it does not tell.
  void learn_from_ctrl(std::size_t index, const ops::Entry& entry) {
    Known& known = known_[{entry.op.host, entry.op.vcpu, msr::kKvmSystemTimeNew}];
    const bool enabled = (known.value & 1) != 0;
    if (entry.outcome.error == 0 && !enabled) {
      const std::size_t before = writes.size();
      learn(known, index, entry.op, msr::kKvmSystemTimeNew, 1);
      if (writes.size() > before) known.guess = before;
    }
    if (entry.outcome.error == EINVAL && enabled) learn(known, index, entry.op, msr::kKvmSystemTimeNew, 0);
  }

  void add(std::size_t since, std::size_t until, const ops::Operation& op, std::uint32_t reg, std::uint64_t value) {
    GuestWrite write;
    write.host = op.host;
    write.vcpu = op.vcpu;
    write.msr = reg;
    write.value = value;
    write.by_any_vcpu = is_of_vm(reg);
    write.told = until;
    bool found = false;
    for (const Run& run : runs_[op.host]) {
      if (run.entry < since || run.entry > until || (!write.by_any_vcpu && run.vcpu != op.vcpu)) continue;
      if (!found) write.first = run.entry;
      write.last = run.entry;
      found = true;
    }
    if (found) writes.push_back(write);
  }

  std::map<std::tuple<int, int, std::uint32_t>, Known> known_;
  std::map<int, std::vector<Run>> runs_;  // by host
};

// Which KVM_RUNs may hold a write of the TSC that nothing shows.
class UnseenWrites {
 public:
  void take(std::size_t index, const ops::Entry& entry) {
    const ops::Operation& op = entry.op;
    if (!entry.supported) return;
    Vcpu& vcpu = vcpus_[{op.host, op.vcpu}];
    switch (op.kind) {
      case OpKind::create_vm:
        std::erase_if(vcpus_, [&](const auto& known) { return known.first.first == op.host; });
        return;
      case OpKind::run:
        vcpu.run = index;
        return;
      case OpKind::get_tsc_offset:
        return read(vcpu, index, entry);
      case OpKind::get_msr:
        if (op.msr == msr::kIa32Tsc) return read(vcpu, index, entry);
        // Whatever the guest did until here is told by it.
        if (op.msr == msr::kIa32TscAdjust && entry.outcome.error == 0) tell(vcpu);
        return;
      case OpKind::set_msr:
        if (op.msr == msr::kIa32Tsc) vcpu = {};
        if (op.msr == msr::kIa32TscAdjust) cover(vcpu);
        return;
      case OpKind::set_tsc_offset:
        vcpu = {};
        return;
      default:
        return;
    }
  }

  std::map<std::size_t, std::size_t> readings;

 private:
  struct Vcpu {
    std::optional<std::size_t> run;      // the last one since the TSC was read or written, IA32_TSC_ADJUST may tell yet
    std::optional<std::size_t> covered;  // the same, but what would have told was written by the VMM
    std::vector<std::size_t> open;       // readings that IA32_TSC_ADJUST may explain yet
  };

  void read(Vcpu& vcpu, std::size_t index, const ops::Entry& entry) {
    if (entry.outcome.error != 0 || (!vcpu.run && !vcpu.covered)) return;
    readings[index] = vcpu.run ? *vcpu.run : *vcpu.covered;
    if (!vcpu.covered) vcpu.open.push_back(index);
    vcpu.run.reset();
    vcpu.covered.reset();
  }
  void tell(Vcpu& vcpu) {
    for (const std::size_t reading : vcpu.open) readings.erase(reading);
    vcpu.open.clear();
    vcpu.run.reset();
  }
  static void cover(Vcpu& vcpu) {
    if (vcpu.run) vcpu.covered = vcpu.run;
    vcpu.run.reset();
    vcpu.open.clear();
  }

  std::map<std::pair<int, int>, Vcpu> vcpus_;  // by host and vCPU
};

}  // namespace

std::map<std::size_t, std::size_t> readings_after_unseen_writes(const ops::Recording& recording) {
  if (recording.header.vmm.empty()) return {};
  UnseenWrites unseen;
  for (std::size_t i = 0; i < recording.entries.size(); ++i) unseen.take(i, recording.entries[i]);
  return std::move(unseen.readings);
}

std::vector<GuestWrite> guest_writes(const ops::Recording& recording) {
  if (recording.header.vmm.empty()) return {};
  Finder finder;
  for (std::size_t i = 0; i < recording.entries.size(); ++i) finder.take(i, recording.entries[i]);
  return std::move(finder.writes);
}

}  // namespace tscsim::crosscheck

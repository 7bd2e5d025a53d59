#include "tracer/sequence.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace tscsim::tracer {
namespace {

using ops::Entry;
using ops::OpKind;

struct Call {
  const Entry* entry = nullptr;
  std::size_t index = 0;  // in the sequence

  std::string text() const {
    const ops::Operation& op = entry->op;
    std::string text(ops::name_of(op.kind));
    if (op.vcpu != ops::kVm) text += fmt::format(" vcpu {}", op.vcpu);
    const std::string_view name = ops::msr_name(op.msr);
    if (op.msr != 0) text += name.empty() ? fmt::format(" MSR {:#x}", op.msr) : fmt::format(" {}", name);
    return text;
  }
};

using Sequence = std::vector<Call>;

// Nothing was asked of this vCPU, nor of the VM, since it ran.
bool runs_already(const Sequence& sequence, int vcpu) {
  for (auto call = sequence.rbegin(); call != sequence.rend(); ++call) {
    const ops::Operation& op = call->entry->op;
    if (op.vcpu == vcpu) return op.kind == OpKind::run;
    if (op.vcpu == ops::kVm) return false;
  }
  return false;
}

// A read by itself between two KVM_RUNs is the guest's doing: the VMM emulates what it left for, with all registers at hand.
bool reads_for_an_exit(const std::vector<const Entry*>& calls, std::size_t i) {
  const auto runs = [&](std::size_t at) { return calls[at]->op.kind == OpKind::run; };
  return calls[i]->op.kind == OpKind::get_msr && i > 0 && i + 1 < calls.size() && runs(i - 1) && runs(i + 1);
}

std::vector<const Entry*> calls_of(const ops::Recording& recording, const Wanted& wanted) {
  std::vector<const Entry*> calls;
  for (const Entry& entry : recording.entries)
    if (!entry.op.probe && entry.supported && wanted(entry.op)) calls.push_back(&entry);
  return calls;
}

Sequence sequence_of(const ops::Recording& recording, const Wanted& wanted) {
  const std::vector<const Entry*> calls = calls_of(recording, wanted);
  Sequence sequence;
  for (std::size_t i = 0; i < calls.size(); ++i) {
    const ops::Operation& op = calls[i]->op;
    if (reads_for_an_exit(calls, i) || (op.kind == OpKind::run && runs_already(sequence, op.vcpu))) continue;
    auto place = sequence.end();
    if (op.kind == OpKind::run)
      while (place != sequence.begin() && std::prev(place)->entry->op.kind == OpKind::run &&
             std::prev(place)->entry->op.vcpu > op.vcpu)
        --place;
    sequence.insert(place, {calls[i], 0});
  }
  for (std::size_t i = 0; i < sequence.size(); ++i) sequence[i].index = i;
  return sequence;
}

bool same_target(const Call& a, const Call& b) {
  const ops::Operation &x = a.entry->op, &y = b.entry->op;
  return x.kind == y.kind && x.vcpu == y.vcpu && x.msr == y.msr;
}

// Which calls of both sequences are each other's: the longest common sequence, so that one call too many is one difference.
std::vector<std::pair<std::optional<std::size_t>, std::optional<std::size_t>>> aligned(const Sequence& a,
                                                                                       const Sequence& b) {
  std::vector<std::vector<std::size_t>> longest(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = a.size(); i-- > 0;)
    for (std::size_t j = b.size(); j-- > 0;)
      longest[i][j] =
          same_target(a[i], b[j]) ? longest[i + 1][j + 1] + 1 : std::max(longest[i + 1][j], longest[i][j + 1]);
  std::vector<std::pair<std::optional<std::size_t>, std::optional<std::size_t>>> pairs;
  for (std::size_t i = 0, j = 0; i < a.size() || j < b.size();) {
    if (i < a.size() && j < b.size() && same_target(a[i], b[j])) pairs.push_back({i++, j++});
    else if (j == b.size() || (i < a.size() && longest[i + 1][j] >= longest[i][j + 1]))
      pairs.push_back({i++, std::nullopt});
    else pairs.push_back({std::nullopt, j++});
  }
  return pairs;
}

bool writes(const Call& call) {
  const OpKind kind = call.entry->op.kind;
  return kind == OpKind::set_msr || kind == OpKind::set_clock || kind == OpKind::set_tsc_khz ||
         kind == OpKind::set_tsc_offset;
}

bool returned(const Entry& entry, std::uint64_t value) {
  for (std::size_t f = 0; f < entry.outcome.count; ++f)
    if (entry.outcome.fields[f].value == value) return true;
  return false;
}

// A clock or a counter is no constant, unless it is small.
bool comes_from_a_call(const ops::Operation& op) {
  constexpr std::uint64_t kLargestConstant = 1'000'000;
  return op.kind == OpKind::set_clock || op.value > kLargestConstant;
}

// The last call before that returned what is written, on the same vCPU if there is one.
std::optional<std::size_t> origin(const Sequence& sequence, const Call& call) {
  const ops::Operation& op = call.entry->op;
  std::optional<std::size_t> found;
  if (!comes_from_a_call(op)) return found;
  for (std::size_t i = call.index; i-- > 0;) {
    if (!returned(*sequence[i].entry, op.value)) continue;
    if (sequence[i].entry->op.vcpu == op.vcpu) return i;
    if (!found) found = i;
  }
  return found;
}

// Some call on another host returned it, to the same vCPU.
bool comes_from(const ops::Recording& recording, const ops::Operation& op) {
  return comes_from_a_call(op) &&
         std::any_of(recording.entries.begin(), recording.entries.end(), [&](const Entry& entry) {
           return !entry.op.probe && entry.op.vcpu == op.vcpu && returned(entry, op.value);
         });
}

class Comparison {
 public:
  Comparison(const Pair& here, const Wanted& wanted, const std::vector<Pair>& elsewhere)
      : elsewhere_(elsewhere),
        expected_khz_(here.expected.header.profile.host_khz),
        seen_khz_(here.seen.header.profile.host_khz),
        expected_(sequence_of(here.expected, wanted)),
        seen_(sequence_of(here.seen, wanted)),
        pairs_(aligned(expected_, seen_)) {}

  std::vector<std::string> lines() {
    for (const auto& [e, s] : pairs_) {
      if (!s) lines_.push_back("- expected, not seen: " + expected_[*e].text());
      else if (!e) lines_.push_back("+ seen, not expected: " + seen_[*s].text());
      else compare(expected_[*e], seen_[*s]);
    }
    return std::move(lines_);
  }

 private:
  void compare(const Call& expected, const Call& seen) {
    if (expected.entry->outcome.error != seen.entry->outcome.error && !fails_by_itself(seen))
      lines_.push_back(fmt::format("! {}: errno {}, expected {}", seen.text(), seen.entry->outcome.error,
                                   expected.entry->outcome.error));
    if (writes(seen) && !same_value(expected, seen))
      lines_.push_back(
          fmt::format("! {}: value {}, expected {}", seen.text(), seen.entry->op.value, expected.entry->op.value));
  }

  static bool fails_by_itself(const Call& call) {
    return call.entry->op.kind == OpKind::run || call.entry->op.kind == OpKind::kvmclock_ctrl;
  }

  bool same_value(const Call& expected, const Call& seen) const {
    if (expected.entry->op.value == seen.entry->op.value) return true;
    if (expected.entry->op.kind == OpKind::set_tsc_khz)
      return expected.entry->op.value - expected_khz_ == seen.entry->op.value - seen_khz_;
    for (const Pair& there : elsewhere_)
      if (comes_from(there.expected, expected.entry->op) && comes_from(there.seen, seen.entry->op)) return true;
    const auto e = origin(expected_, expected), s = origin(seen_, seen);
    return e && s && std::find(pairs_.begin(), pairs_.end(), std::pair{e, s}) != pairs_.end();
  }

  const std::vector<Pair>& elsewhere_;
  std::uint64_t expected_khz_, seen_khz_;
  Sequence expected_, seen_;
  std::vector<std::pair<std::optional<std::size_t>, std::optional<std::size_t>>> pairs_;
  std::vector<std::string> lines_;
};

}  // namespace

std::vector<std::string> differences(const Pair& here, const Wanted& wanted, const std::vector<Pair>& elsewhere) {
  return Comparison(here, wanted, elsewhere).lines();
}

}  // namespace tscsim::tracer

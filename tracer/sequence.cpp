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

// Among the KVM_RUNs at the end of the sequence there is one of this vCPU.
bool runs_already(const Sequence& sequence, int vcpu) {
  for (auto call = sequence.rbegin(); call != sequence.rend() && call->entry->op.kind == OpKind::run; ++call)
    if (call->entry->op.vcpu == vcpu) return true;
  return false;
}

Sequence sequence_of(const ops::Recording& recording, const Wanted& wanted) {
  Sequence sequence;
  for (const Entry& entry : recording.entries) {
    if (entry.op.probe || !entry.supported || !wanted(entry.op)) continue;
    if (entry.op.kind == OpKind::run && runs_already(sequence, entry.op.vcpu)) continue;
    sequence.push_back({&entry, sequence.size()});
  }
  return sequence;
}

bool same_target(const Call& a, const Call& b) {
  const ops::Operation &x = a.entry->op, &y = b.entry->op;
  return x.kind == y.kind && x.vcpu == y.vcpu && x.msr == y.msr;
}

// Which calls of both sequences are each other's: the longest common sequence, so that one call too many is one difference.
std::vector<std::pair<std::optional<std::size_t>, std::optional<std::size_t>>> aligned(const Sequence& a, const Sequence& b) {
  std::vector<std::vector<std::size_t>> longest(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = a.size(); i-- > 0;)
    for (std::size_t j = b.size(); j-- > 0;)
      longest[i][j] = same_target(a[i], b[j]) ? longest[i + 1][j + 1] + 1 : std::max(longest[i + 1][j], longest[i][j + 1]);
  std::vector<std::pair<std::optional<std::size_t>, std::optional<std::size_t>>> pairs;
  for (std::size_t i = 0, j = 0; i < a.size() || j < b.size();) {
    if (i < a.size() && j < b.size() && same_target(a[i], b[j])) pairs.push_back({i++, j++});
    else if (j == b.size() || (i < a.size() && longest[i + 1][j] >= longest[i][j + 1])) pairs.push_back({i++, std::nullopt});
    else pairs.push_back({std::nullopt, j++});
  }
  return pairs;
}

bool writes(const Call& call) {
  const OpKind kind = call.entry->op.kind;
  return kind == OpKind::set_msr || kind == OpKind::set_clock || kind == OpKind::set_tsc_khz || kind == OpKind::set_tsc_offset;
}

// Where a written value comes from: the last call before that returned it, if it is no small number.
std::optional<std::size_t> origin(const Sequence& sequence, const Call& call) {
  constexpr std::uint64_t kLargestConstant = 1'000'000;
  const std::uint64_t value = call.entry->op.value;
  if (value <= kLargestConstant) return std::nullopt;
  for (std::size_t i = call.index; i-- > 0;) {
    const ops::Outcome& outcome = sequence[i].entry->outcome;
    for (std::size_t f = 0; f < outcome.count; ++f)
      if (outcome.fields[f].value == value) return i;
  }
  return std::nullopt;
}

class Comparison {
 public:
  Comparison(const ops::Recording& expected, const ops::Recording& seen, const Wanted& wanted)
      : expected_khz_(expected.header.profile.host_khz), seen_khz_(seen.header.profile.host_khz),
        expected_(sequence_of(expected, wanted)), seen_(sequence_of(seen, wanted)), pairs_(aligned(expected_, seen_)) {}

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
    if (expected.entry->outcome.error != seen.entry->outcome.error && !interrupted(seen))
      lines_.push_back(fmt::format("! {}: errno {}, expected {}", seen.text(), seen.entry->outcome.error, expected.entry->outcome.error));
    if (writes(seen) && !same_value(expected, seen))
      lines_.push_back(fmt::format("! {}: value {}, expected {}", seen.text(), seen.entry->op.value, expected.entry->op.value));
  }

  static bool interrupted(const Call& call) { return call.entry->op.kind == OpKind::run; }

  bool same_value(const Call& expected, const Call& seen) const {
    if (expected.entry->op.value == seen.entry->op.value) return true;
    if (expected.entry->op.kind == OpKind::set_tsc_khz)
      return expected.entry->op.value == expected_khz_ && seen.entry->op.value == seen_khz_;
    const auto e = origin(expected_, expected), s = origin(seen_, seen);
    return e && s && std::find(pairs_.begin(), pairs_.end(), std::pair{e, s}) != pairs_.end();
  }

  std::uint64_t expected_khz_, seen_khz_;
  Sequence expected_, seen_;
  std::vector<std::pair<std::optional<std::size_t>, std::optional<std::size_t>>> pairs_;
  std::vector<std::string> lines_;
};

}  // namespace

std::vector<std::string> differences(const ops::Recording& expected, const ops::Recording& seen, const Wanted& wanted) {
  return Comparison(expected, seen, wanted).lines();
}

}  // namespace tscsim::tracer

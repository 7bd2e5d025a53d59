#include "verdict/decisions.h"

#include <map>

namespace tscsim::verdict {
namespace {

using model::Rule;
using ops::OpKind;

std::optional<Fate> fate_of(const Moment& moment) {
  const struct {
    Rule rule;
    Fate fate;
  } rows[] = {{Rule::starts_generation, Fate::own_generation},
              {Rule::starts_generation_rate, Fate::other_rate},
              {Rule::joins_window, Fate::absorbed},
              {Rule::joins_unstable, Fate::absorbed},
              {Rule::joins_zero, Fate::zero},
              {Rule::joins_same_offset, Fate::same_offset}};
  for (const auto& row : rows)
    if (moment.followed(row.rule)) return row.fate;
  return std::nullopt;
}

bool places_tsc(const ops::Operation& op) {
  return op.kind == OpKind::create_vcpu || op.kind == OpKind::set_tsc_offset || writes_tsc(op);
}

// As KVM reckons it: where the last write would be by now.
Span expected(const VmView& before, const Moment& moment, std::uint32_t khz) {
  const Span since = moment.base_ns - before.last_write_base_ns;
  const auto cycles = [&](Wide ns) {
    const auto age = static_cast<std::uint64_t>(std::max<Wide>(ns, 0));
    return Wide{model::scale_delta(age, model::ns_to_cycles(khz))};
  };
  return before.last_write + Span{cycles(since.lo), cycles(since.hi)};
}

class Reader {
 public:
  explicit Reader(const Course& course) : course_(course) {}

  std::vector<Decision> read() {
    for (std::size_t i = 0; i < course_.moments.size(); ++i) {
      const ops::Operation& op = course_.op(i);
      if (!course_.succeeded(i) || !places_tsc(op)) continue;
      const auto fate = fate_of(course_.moments[i]);
      const auto index = static_cast<std::size_t>(op.vcpu);
      if (fate && index < course_.after(i).vcpus.size()) found_.push_back(decision(i, *fate));
      last_[op.host] = i;
    }
    return std::move(found_);
  }

 private:
  Decision decision(std::size_t i, Fate fate) const {
    const ops::Operation& op = course_.op(i);
    Decision d;
    d.moment = i;
    d.vcpu = op.vcpu;
    d.host = op.host;
    d.fate = fate;
    d.creation = op.kind == OpKind::create_vcpu;
    d.by_offset = op.kind == OpKind::set_tsc_offset;
    if (const auto last = last_.find(op.host); last != last_.end()) d.last = last->second;
    const VmView* before = course_.before(i);
    if (before == nullptr) return d;
    const VcpuView& vcpu = course_.after(i).vcpus[static_cast<std::size_t>(op.vcpu)];
    d.since_ns = course_.moments[i].base_ns - before->last_write_base_ns;
    d.first_by_user = !d.creation && !before->user_set_tsc;
    if (d.creation || d.by_offset) return d;
    const Span written = Span::exactly(Wide{op.value});
    d.missed_by = wrapped(written - expected(*before, course_.moments[i], vcpu.khz));
    const Span during{course_.moments[i].tsc_at_begin(static_cast<std::size_t>(op.vcpu)).lo, vcpu.tsc.hi};
    d.in_force = wrapped(during - written);
    return d;
  }

  const Course& course_;
  std::map<std::int32_t, std::size_t> last_;
  std::vector<Decision> found_;
};

}  // namespace

bool writes_tsc(const ops::Operation& op) { return op.kind == OpKind::set_msr && op.msr == ops::msr::kIa32Tsc; }

std::vector<Decision> decisions_of(const Course& course) { return Reader(course).read(); }

}  // namespace tscsim::verdict

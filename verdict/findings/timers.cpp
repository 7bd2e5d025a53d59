// Deadlines that a restore loses or makes overdue.
#include <fmt/format.h>

#include <algorithm>

#include "verdict/findings/families.h"
#include "verdict/words.h"

namespace tscsim::verdict::findings {
namespace {

using ops::OpKind;
constexpr std::uint32_t kDeadline = ops::msr::kIa32TscDeadline;

// The deadline of a vCPU on the source when the disturbance began: what was read, else what was written last.
struct Armed {
  std::uint64_t deadline = 0;
  bool was_armed = false;           // with another value than 0, at any time
  std::optional<std::size_t> read;  // as the VMM saved it
};

Armed armed_on_source(const Case& c, const Disturbance& d, std::int32_t vcpu) {
  Armed armed;
  for (std::size_t i = 0; i < d.end(); ++i) {
    const ops::Operation& op = c.course.op(i);
    if (op.host != d.from_host || op.vcpu != vcpu || op.msr != kDeadline || !c.course.succeeded(i)) continue;
    if (is_in(d, i) && op.kind == OpKind::set_msr) break;  // the restore
    if (op.kind == OpKind::get_msr || op.kind == OpKind::rdmsr) {
      armed.deadline = *c.course.entry(i).outcome.find(ops::Field::value);
      if (is_in(d, i)) armed.read = i;
    } else {
      armed.deadline = op.value;
      armed.was_armed = armed.was_armed || op.value != 0;
    }
  }
  return armed;
}

}  // namespace

void deadline_before_tsc(const Case& c, Sink& sink) {
  for (const Disturbance& d : c.disturbances) {
    const std::vector<std::size_t> all = done(c, d);
    for (const std::size_t i : all) {
      const ops::Operation& op = c.course.op(i);
      if (!writes(op, kDeadline) || op.value == 0) continue;
      const auto later = std::find_if(all.begin(), all.end(), [&](std::size_t k) {
        return k > i && writes_tsc(c.course.op(k)) && c.course.op(k).value > 1 && c.course.op(k).vcpu == op.vcpu &&
               c.course.op(k).host == op.host;
      });
      if (later != all.end())
        sink.add(i, {op.vcpu},
                 fmt::format("vCPU {}'s deadline is written before its TSC ({}): the timer is set by the old TSC",
                             op.vcpu, place_text(c.course, *later)));
    }
  }
}

void deadline_before_lapic(const Case& c, Sink& sink) {
  for (std::size_t i = 0; i < c.course.moments.size(); ++i) {
    const ops::Operation& op = c.course.op(i);
    if (!writes(op, kDeadline) || op.value == 0 || !c.course.moments[i].followed(model::Rule::deadline_ignored))
      continue;
    sink.add(i, {op.vcpu},
             fmt::format("vCPU {}'s deadline {} is written while its timer is in another mode: KVM ignores it", op.vcpu,
                         digits(Wide{op.value})));
  }
}

void deadline_zero(const Case& c, Sink& sink) {
  for (const Disturbance& d : c.disturbances) {
    if (!d.before) continue;
    const std::vector<std::size_t> all = done(c, d);
    const VmView& before = c.course.after(*d.before);
    for (const std::size_t i : all) {
      const ops::Operation& op = c.course.op(i);
      if (!writes(op, kDeadline) || op.value != 0 || static_cast<std::size_t>(op.vcpu) >= before.vcpus.size()) continue;
      const Armed armed = armed_on_source(c, d, op.vcpu);
      const bool expects =
          before.vcpus[static_cast<std::size_t>(op.vcpu)].timer_mode == ops::timer_mode::kTscDeadline &&
          armed.was_armed;
      if (expects && armed.read && armed.deadline == 0)
        sink.add(i, {op.vcpu},
                 fmt::format("vCPU {}'s timer had just fired when it was saved ({}): the 0 that is restored is no tick",
                             op.vcpu, place_text(c.course, *armed.read)));
    }
  }
}

void overdue_timers(const Case& c, Sink& sink) {
  for (std::size_t n = 0; n < c.disturbances.size(); ++n) {
    const Disturbance& d = c.disturbances[n];
    if (!d.before || !d.resume || !c.measures[n].instants.stop) continue;
    for (const VcpuMeasure& m : c.measures[n].vcpus) {
      const Armed armed = armed_on_source(c, d, m.vcpu);
      // It was ahead at the stop: the guest did not see it pass.
      if (armed.deadline == 0 || !m.tsc_step) continue;
      const Span now = c.course.moments[d.end()].tsc_at_begin(static_cast<std::size_t>(m.vcpu));
      const Span late = now - Span::exactly(Wide{armed.deadline});
      const bool ahead = (now - *m.tsc_step).lo < Wide{armed.deadline};
      if (!ahead || ns_of(late, m.khz).lo <= c.thresholds.overdue_ns) continue;
      sink.add(
          d.end(), {m.vcpu},
          fmt::format("vCPU {}'s deadline is {} overdue when it runs again", m.vcpu, duration(ns_of(late, m.khz))));
    }
  }
}

}  // namespace tscsim::verdict::findings

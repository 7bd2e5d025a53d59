// TSC values that KVM did not take, took too late or took and forgot.
#include <fmt/format.h>

#include <algorithm>

#include "verdict/findings/families.h"
#include "verdict/words.h"

namespace tscsim::verdict::findings {
namespace {

// Whether the vCPU has not run since it was created, or since it was reset: a vCPU that QEMU unplugs is kept, reset with 1 and
// plugged in again.
bool is_new(const Case& c, const Disturbance& d, std::int32_t vcpu, std::size_t written) {
  for (std::size_t i = written; i > 0; --i) {
    const ops::Operation& op = c.course.op(i - 1);
    const bool of_vcpu = op.vcpu == vcpu || (op.vcpu == ops::kVm && c.course.moments[i - 1].guest_ran);
    if (op.host != d.host || !of_vcpu || !c.course.succeeded(i - 1)) continue;
    if (c.course.by_guest(i - 1)) return false;
    if (op.kind == ops::OpKind::create_vcpu) return true;
    if (!is_in(d, i - 1) && writes_tsc(op) && op.value <= 1) return true;
  }
  return false;
}

std::uint32_t khz_of(const Case& c, const Decision& d) {
  return c.course.after(d.moment).vcpus[static_cast<std::size_t>(d.vcpu)].khz;
}

}  // namespace

// A value that joins another of the same pass is what the window is for.
void written_value_discarded(const Case& c, Sink& sink) {
  for (const Disturbance& d : c.disturbances)
    for (const Decision* w : values_written(c, d)) {
      if (w->fate != Fate::absorbed || c.course.op(w->moment).value <= 1) continue;
      const bool same_pass =
          w->last && is_in(d, *w->last) && writes_tsc(c.course.op(*w->last)) && c.course.op(*w->last).value > 1;
      if (same_pass || ns_of(w->in_force, khz_of(c, *w)).least() <= c.thresholds.discarded_ns) continue;
      sink.add(w->moment, {w->vcpu}, sentence(c.course, *w));
    }
}

void zero_is_not_reset(const Case& c, Sink& sink) {
  for (const Disturbance& d : c.disturbances) {
    std::vector<std::int32_t> vcpus;
    std::size_t first = 0;
    Span reads;
    for (const Decision* w : values_written(c, d)) {
      if (w->fate != Fate::zero || !d.before || is_new(c, d, w->vcpu, w->moment)) continue;
      const auto v = static_cast<std::size_t>(w->vcpu);
      const VcpuView& now = c.course.after(w->moment).vcpus[v];
      if (ns_of(now.tsc, now.khz).least() <= c.thresholds.discarded_ns) continue;
      if (vcpus.empty()) {
        first = w->moment;
        reads = now.tsc;
      }
      vcpus.push_back(w->vcpu);
    }
    if (!vcpus.empty())
      sink.add(first, vcpus,
               fmt::format("0 is written to reset the TSC of {}, which goes on and reads {}", vcpus_text(vcpus),
                           digits(reads)));
  }
}

// Where the pass begins with a 1 that counts, the others join it.
void reset_absorbed(const Case& c, Sink& sink) {
  for (const Disturbance& d : c.disturbances) {
    std::vector<const Decision*> ones;
    for (const Decision* w : values_written(c, d))
      if (c.course.op(w->moment).value == 1 && !(d.before && is_new(c, d, w->vcpu, w->moment))) ones.push_back(w);
    if (ones.empty() || ones.front()->fate != Fate::absorbed) continue;
    std::vector<std::int32_t> vcpus;
    for (const Decision* w : ones)
      if (w->fate == Fate::absorbed) vcpus.push_back(w->vcpu);
    sink.add(d.before ? Level::warning : Level::note, ones.front()->moment, vcpus, sentence(c.course, *ones.front()));
  }
}

void write_pass_too_long(const Case& c, Sink& sink) {
  for (const Disturbance& d : c.disturbances) {
    const std::vector<const Decision*> pass = values_written(c, d);
    for (const Decision* w : pass) {
      const bool splits = w->fate == Fate::own_generation && w != pass.front() && c.course.op(w->moment).value > 1;
      const bool after_value = w->last && is_in(d, *w->last) && writes_tsc(c.course.op(*w->last));
      if (!splits || !after_value || w->missed_by.hi > 0) continue;
      const Span since = c.course.moments[w->moment].at_ns - c.course.moments[pass.front()->moment].at_ns;
      if (since.hi < 1'000'000'000) continue;
      sink.add(w->moment, {w->vcpu},
               fmt::format("vCPU {} is written {} after the first of the pass: {}", w->vcpu, duration(since),
                           sentence(c.course, *w)));
      break;
    }
  }
}

void tsc_before_long_step(const Case& c, Sink& sink) {
  for (std::size_t n = 0; n < c.disturbances.size(); ++n) {
    const Disturbance& d = c.disturbances[n];
    std::vector<std::int32_t> vcpus;
    Span longest;
    for (const VcpuMeasure& m : c.measures[n].vcpus) {
      const bool saved =
          m.decision && !m.decision->creation && (m.decision->by_offset || c.course.op(m.decision->moment).value > 1);
      // An offset that follows the clock's own time is no value that goes stale.
      if (!saved || m.decision->by_offset || !m.before_entry || m.before_entry->least() <= c.thresholds.before_entry_ns)
        continue;
      vcpus.push_back(m.vcpu);
      if (m.before_entry->lo > longest.lo) longest = *m.before_entry;
    }
    if (!vcpus.empty())
      sink.add(d.end(), vcpus,
               fmt::format("the TSC of {} counts for {} between its write and the first entry", vcpus_text(vcpus),
                           duration(longest)));
  }
}

void ignored_write(const Case& c, Sink& sink) {
  for (std::size_t i = 0; i < c.course.moments.size(); ++i) {
    const ops::Operation& op = c.course.op(i);
    const bool gives = op.kind == ops::OpKind::set_tsc_offset || writes_tsc(op);
    if (!gives || op.value <= 1 || !c.course.moments[i].followed(model::Rule::offset_not_honoured)) continue;
    sink.add(i, {op.vcpu},
             fmt::format("{} succeeds, and the offset stays {}", operation_text(c.course, i),
                         digits(c.course.after(i).vcpus[static_cast<std::size_t>(op.vcpu)].offset)));
    return;  // one is enough: this KVM is so
  }
}

}  // namespace tscsim::verdict::findings

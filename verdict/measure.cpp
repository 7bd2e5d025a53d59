#include "verdict/measure.h"

#include <algorithm>

namespace tscsim::verdict {
namespace {

using ops::OpKind;

bool reads_tsc(const ops::Operation& op) {
  return (op.kind == OpKind::get_msr && op.msr == ops::msr::kIa32Tsc) || op.kind == OpKind::get_tsc_offset ||
         op.kind == OpKind::get_tsc_state;
}

bool gives_tsc(const ops::Operation& op) {
  return writes_tsc(op) || op.kind == OpKind::set_tsc_offset || op.kind == OpKind::set_tsc_state;
}

bool moves_host_clocks(const ops::Operation& op) {
  return op.kind == OpKind::jump_host_tsc || op.kind == OpKind::suspend_host;
}

Instants instants_of(const Course& course, const Disturbance& d) {
  Instants t;
  t.tsc_read.resize(d.entries.size());
  t.tsc_written.resize(d.entries.size());
  if (d.stop) t.stop = course.moments[*d.stop].at_ns;
  if (d.resume) t.resume = course.moments[*d.resume].at_ns;
  for (const std::size_t i : d.operations) {
    if (!course.succeeded(i)) continue;
    const ops::Operation& op = course.op(i);
    const Span at = course.moments[i].at_ns;
    const auto vcpu = static_cast<std::size_t>(op.vcpu);
    const bool known = op.vcpu >= 0 && vcpu < d.entries.size();
    if (known && reads_tsc(op) && op.host == d.from_host && !t.tsc_written[vcpu]) t.tsc_read[vcpu] = at;
    if (known && gives_tsc(op)) t.tsc_written[vcpu] = at;
    if (op.kind == OpKind::get_clock && op.host == d.from_host && !t.clock_set) t.clock_read = at;
    if (op.kind != OpKind::set_clock && op.kind != OpKind::set_clock_guest) continue;
    t.clock_set = at;
    t.clock_set_moment = i;
    t.clock_by_realtime = (op.flags & ops::clock_flag::kRealtime) != 0 && op.kind == OpKind::set_clock;
  }
  return t;
}

// How the guest's TSC and clock would stand had nothing happened.
class Undisturbed {
 public:
  Undisturbed(const Course& course, const Disturbance& d) : course_(course), d_(d) {
    if (d.before) last_ = d.before;
    // What the VMM did on the source before the first write is still undisturbed, and nearer.
    moves_ = std::any_of(d.operations.begin(), d.operations.end(),
                         [&](std::size_t i) { return moves_host_clocks(course.op(i)); });
  }

  const VmView* state() const { return last_ ? &course_.after(*last_) : nullptr; }
  bool same_counter() const { return d_.from_host == d_.host && !moves_; }

  Span elapsed(Span until) const { return until - course_.moments[*last_].at_ns; }
  // At the rate at which it counted.
  Span tsc(std::size_t vcpu, Span at) const {
    const VcpuView& view = state()->vcpus[vcpu];
    return view.tsc + cycles_of(elapsed(at), view.true_khz);
  }
  Span kvmclock(Span at) const { return state()->kvmclock + elapsed(at); }

 private:
  const Course& course_;
  const Disturbance& d_;
  std::optional<std::size_t> last_;
  bool moves_ = false;
};

class Measuring {
 public:
  Measuring(const Course& course, const Disturbance& d, const std::vector<Decision>& decisions)
      : course_(course), d_(d), undisturbed_(course, d), end_(course.moments[d.end()]) {
    for (const Decision& decision : decisions)
      if (std::binary_search(d.operations.begin(), d.operations.end(), decision.moment) && decision.host == d.host)
        decisions_.push_back(decision);
  }

  Measure run() {
    result_.instants = instants_of(course_, d_);
    result_.master_after = course_.after(d_.settled).master_clock;
    if (undisturbed_.state() != nullptr) result_.master_before = undisturbed_.state()->master_clock;
    for (std::size_t v = 0; v < end_.after.vcpus.size(); ++v) result_.vcpus.push_back(of_vcpu(v));
    of_kvmclock();
    name_errors();
    return std::move(result_);
  }

 private:
  bool known_before(std::size_t vcpu) const {
    return undisturbed_.state() != nullptr && vcpu < undisturbed_.state()->vcpus.size();
  }

  VcpuMeasure of_vcpu(std::size_t v) {
    const VcpuView& now = end_.after.vcpus[v];
    VcpuMeasure m;
    m.vcpu = static_cast<std::int32_t>(v);
    m.khz = now.khz;
    m.skew = now.tsc - end_.after.vcpus.front().tsc;
    if (same_rate(end_.after, v)) m.skew = now.offset - end_.after.vcpus.front().offset;
    for (const Decision& decision : decisions_)
      if (decision.vcpu == m.vcpu) m.decision = decision;
    if (const auto& written = result_.instants.tsc_written[v]; written && result_.instants.resume)
      m.before_entry = *result_.instants.resume - *written;
    if (!known_before(v)) return m;
    const VmView& before = *undisturbed_.state();
    m.skew_before = before.vcpus[v].tsc - before.vcpus.front().tsc;
    if (same_rate(before, v)) m.skew_before = before.vcpus[v].offset - before.vcpus.front().offset;
    m.khz = before.vcpus[v].khz;
    m.rate_error_ppb = formula::rate_error_ppb(now.true_khz, before.vcpus[v].true_khz);
    m.tsc_error = tsc_error(before.vcpus[v], now, v);
    if (result_.instants.stop) m.tsc_step = now.tsc - undisturbed_.tsc(v, *result_.instants.stop);
    return m;
  }

  static bool same_rate(const VmView& vm, std::size_t v) { return vm.vcpus[v].ratio == vm.vcpus.front().ratio; }

  // On the counter on which it ran before, the difference of the offsets is exact.
  Span tsc_error(const VcpuView& before, const VcpuView& now, std::size_t v) const {
    if (undisturbed_.same_counter() && before.ratio == now.ratio) return now.offset - before.offset;
    return now.tsc - undisturbed_.tsc(v, end_.at_ns);
  }

  void of_kvmclock() {
    if (undisturbed_.state() == nullptr) return;
    result_.kvmclock_error = end_.after.kvmclock - undisturbed_.kvmclock(end_.at_ns);
    if (result_.instants.stop)
      result_.kvmclock_step = end_.after.kvmclock - undisturbed_.kvmclock(*result_.instants.stop);
    if (!result_.vcpus.empty() && result_.vcpus.front().tsc_error)
      result_.split = *result_.kvmclock_error - ns_of(*result_.vcpus.front().tsc_error, result_.vcpus.front().khz);
  }

  // --- names

  void add(ErrorName name, Span value, std::string_view unit, std::int32_t vcpu = -1) {
    result_.errors.push_back({name, vcpu, value, unit});
  }
  // Up to the rounding of a page nothing is called an error.
  static bool is_something(Span ns) { return ns.least() > formula::kPageRounding_ns; }

  void name_errors() {
    for (const VcpuMeasure& m : result_.vcpus) name_tsc_error(m);
    name_kvmclock_error();
    if (result_.split && is_something(*result_.split)) add(ErrorName::clock_disagreement, *result_.split, "ns");
    for (const VcpuMeasure& m : result_.vcpus)
      if (m.before_entry && is_something(*m.before_entry))
        add(ErrorName::run_before_entry, *m.before_entry, "ns", m.vcpu);
    if (result_.instants.clock_set && result_.instants.resume)
      if (const Span ran = *result_.instants.resume - *result_.instants.clock_set; is_something(ran))
        add(ErrorName::run_before_entry, ran, "ns");
    for (const VcpuMeasure& m : result_.vcpus) name_skew(m);
    for (const VcpuMeasure& m : result_.vcpus)
      if (m.rate_error_ppb && *m.rate_error_ppb != 0)
        add(ErrorName::rate_error, Span::exactly(*m.rate_error_ppb), "ppb", m.vcpu);
  }

  void name_tsc_error(const VcpuMeasure& m) {
    const bool by_value = m.decision && !m.decision->creation && !m.decision->by_offset;
    if (by_value && m.decision->joins() && m.decision->fate != Fate::zero && m.decision->in_force.least() > 1)
      add(ErrorName::snap, m.decision->in_force, "cycles", m.vcpu);
    if (!m.tsc_error || !is_something(ns_of(*m.tsc_error, m.khz))) return;
    if (m.decision && m.decision->by_offset) return add(ErrorName::offset_procedure, *m.tsc_error, "cycles", m.vcpu);
    if (by_value) add(ErrorName::tsc_freeze_loss, frozen(m), "cycles", m.vcpu);
  }

  // What is lost beside the snap.
  Span frozen(const VcpuMeasure& m) const {
    const bool snapped = m.decision->joins() && m.decision->fate != Fate::zero;
    return snapped ? *m.tsc_error - m.decision->in_force : *m.tsc_error;
  }

  void name_kvmclock_error() {
    if (!result_.instants.clock_set_moment) return;
    const std::size_t set = *result_.instants.clock_set_moment;
    if (result_.instants.clock_by_realtime)
      add(ErrorName::realtime_advance, course_.after(set).kvmclock - Span::exactly(Wide{course_.op(set).value}), "ns");
    if (!result_.kvmclock_error || !is_something(*result_.kvmclock_error)) return;
    if (!result_.instants.clock_by_realtime) return add(ErrorName::kvmclock_pause_loss, *result_.kvmclock_error, "ns");
    if (d_.from_host == d_.host) add(slewed_or_stepped(), *result_.kvmclock_error, "ns");
  }

  // NTP slews by 500 ppm at the most (adjtimex); what is beyond is a step.
  ErrorName slewed_or_stepped() const {
    constexpr Wide kMaxSlew_ppm = 500;
    const Span error = *result_.kvmclock_error;
    const Span paused = *result_.instants.clock_set - result_.instants.clock_read.value_or(*result_.instants.clock_set);
    return error.least() * 1'000'000 > paused.hi * kMaxSlew_ppm ? ErrorName::wall_clock_step : ErrorName::realtime_slew;
  }

  void name_skew(const VcpuMeasure& m) {
    if (m.vcpu == 0) return;
    const Span before = m.skew_before.value_or(Span{});
    const Span grown = m.skew - before;
    if (m.skew.least() <= 1 && before.least() > 1) return add(ErrorName::erased_skew, grown, "cycles", m.vcpu);
    if (grown.least() > 1) add(ErrorName::skew, grown, "cycles", m.vcpu);
  }

  const Course& course_;
  const Disturbance& d_;
  Undisturbed undisturbed_;
  const Moment& end_;
  std::vector<Decision> decisions_;
  Measure result_;
};

}  // namespace

Measure measure(const Course& course, const Disturbance& disturbance, const std::vector<Decision>& decisions) {
  return Measuring(course, disturbance, decisions).run();
}

}  // namespace tscsim::verdict

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

// P1 and P2 of a guest that goes back are those of the stop in which it was saved.
void note_saved(const Course& course, const Disturbance& d, Instants& t) {
  for (std::size_t i = *d.before + 1; i < course.moments.size() && !course.by_guest(i); ++i) {
    const ops::Operation& op = course.op(i);
    if (op.host != d.from_host || !course.succeeded(i)) continue;
    const auto vcpu = static_cast<std::size_t>(op.vcpu);
    if (op.vcpu >= 0 && vcpu < t.tsc_read.size() && reads_tsc(op)) t.tsc_read[vcpu] = course.moments[i].at_ns;
    if (op.kind == OpKind::get_clock) t.clock_read = course.moments[i].at_ns;
  }
}

Instants instants_of(const Course& course, const Disturbance& d) {
  Instants t;
  t.tsc_read.resize(d.entries.size());
  t.tsc_written.resize(d.entries.size());
  if (d.stop) t.stop = course.moments[*d.stop].at_ns;
  // The call: what KVM_RUN lasts is the guest's time.
  if (d.resume) t.resume = Span::exactly(course.moments[*d.resume].at_ns.lo);
  if (d.saved) note_saved(course, d, t);
  for (const std::size_t i : d.operations) {
    if (!course.succeeded(i)) continue;
    const ops::Operation& op = course.op(i);
    const Span at = course.moments[i].at_ns;
    const auto vcpu = static_cast<std::size_t>(op.vcpu);
    const bool known = op.vcpu >= 0 && vcpu < d.entries.size();
    if (known && !d.saved && reads_tsc(op) && op.host == d.from_host && !t.tsc_written[vcpu]) t.tsc_read[vcpu] = at;
    if (known && gives_tsc(op)) t.tsc_written[vcpu] = at;
    if (!d.saved && op.kind == OpKind::get_clock && op.host == d.from_host && !t.clock_set) t.clock_read = at;
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
    moves_ = std::any_of(d.operations.begin(), d.operations.end(),
                         [&](std::size_t i) { return moves_host_clocks(course.op(i)); });
  }

  const VmView* state() const { return last_ ? &course_.after(*last_) : nullptr; }
  bool same_counter() const { return d_.from_host == d_.host && !moves_; }

  // When the moment begins, and when it ends. At the rate at which it counted.
  Span tsc_at_begin(std::size_t vcpu, std::size_t moment) const {
    const Moment& m = course_.moments[moment];
    return tsc(vcpu, m.begin, Span::exactly(m.at_ns.lo));
  }
  Span tsc_at_end(std::size_t vcpu, std::size_t moment) const {
    const Moment& m = course_.moments[moment];
    return tsc(vcpu, m.end, Span::exactly(m.at_ns.hi));
  }
  // When the moment, on the host where it stopped, begins.
  Span kvmclock_at_begin(std::size_t moment) const {
    const Moment& m = course_.moments[moment];
    if (!moves_) return state()->kvmclock.at(m.begin);
    return state()->kvmclock.at(last().end) + elapsed(Span::exactly(m.at_ns.lo));
  }
  // When the moment ends: by the line on which KVM counted, and by the time that passed. KVM's multiplier and that of the host's
  // clock are rounded, each in its own way.
  Span kvmclock_by_line(std::size_t moment) const { return state()->kvmclock.at(course_.moments[moment].end); }
  Span kvmclock_by_time(std::size_t moment) const {
    return state()->kvmclock.at(last().end) + elapsed(Span::exactly(course_.moments[moment].at_ns.hi));
  }

 private:
  const Moment& last() const { return course_.moments[*last_]; }
  Span elapsed(Span until) const { return until - Span::exactly(last().at_ns.hi); }

  Span tsc(std::size_t vcpu, const Reading& now, Span at_ns) const {
    const VcpuView& view = state()->vcpus[vcpu];
    // Where KVM makes up for a rate that the host does not have, cycles are no measure.
    const bool counts = !view.ratio.is_default() || view.true_khz == course_.profile(d_.from_host).host_khz;
    if (same_counter() && counts) return view.tsc + Span::exactly(guest_cycles(view, last().end.tsc, now.tsc));
    return view.tsc + cycles_of(elapsed(at_ns), view.true_khz);
  }
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
    m.skew = wrapped(now.tsc - end_.after.vcpus.front().tsc);
    if (same_rate(end_.after, v)) m.skew = wrapped(now.offset_to_first);
    for (const Decision& decision : decisions_)
      if (decision.vcpu == m.vcpu) m.decision = decision;
    if (const auto& written = result_.instants.tsc_written[v]; written && result_.instants.resume)
      m.before_entry = *result_.instants.resume - *written;
    if (!known_before(v)) return m;
    const VmView& before = *undisturbed_.state();
    m.skew_before = wrapped(before.vcpus[v].tsc - before.vcpus.front().tsc);
    if (same_rate(before, v)) m.skew_before = wrapped(before.vcpus[v].offset_to_first);
    m.khz = before.vcpus[v].khz;
    m.rate_error_ppb = formula::rate_error_ppb(now.true_khz, before.vcpus[v].true_khz);
    m.tsc_error = tsc_error(before.vcpus[v], now, v);
    if (d_.stop) m.tsc_step = tsc_step(before.vcpus[v], now, v, *m.tsc_error);
    return m;
  }

  static bool same_rate(const VmView& vm, std::size_t v) { return vm.vcpus[v].ratio == vm.vcpus.front().ratio; }

  bool same_line(const VcpuView& before, const VcpuView& now) const {
    return undisturbed_.same_counter() && before.ratio == now.ratio;
  }

  // On the counter on which it ran before, the difference of the offsets is exact.
  Span tsc_error(const VcpuView& before, const VcpuView& now, std::size_t v) const {
    if (!same_line(before, now)) return wrapped(now.tsc - undisturbed_.tsc_at_end(v, d_.end()));
    Span moved;
    for (std::size_t i = *d_.before + 1; i <= d_.end(); ++i)
      if (course_.op(i).host == d_.host && v < course_.after(i).vcpus.size())
        moved = moved + course_.after(i).vcpus[v].offset_moved;
    return wrapped(narrower(moved, now.offset - before.offset));
  }

  Span tsc_step(const VcpuView& before, const VcpuView& now, std::size_t v, Span error) const {
    const Reading& stop = course_.moments[*d_.stop].begin;
    if (same_line(before, now)) return wrapped(error + Span::exactly(guest_cycles(before, stop.tsc, end_.begin.tsc)));
    return wrapped(end_.tsc_at_begin(v) - undisturbed_.tsc_at_begin(v, *d_.stop));
  }

  static Span narrower(Span a, Span b) { return a.hi - a.lo <= b.hi - b.lo ? a : b; }

  void of_kvmclock() {
    result_.kvmclock_page = std::any_of(end_.after.vcpus.begin(), end_.after.vcpus.end(),
                                        [](const VcpuView& vcpu) { return vcpu.kvmclock; });
    if (undisturbed_.state() == nullptr) return;
    result_.kvmclock_error = kvmclock_error();
    if (d_.stop) result_.kvmclock_step = kvmclock_step();
    if (!result_.vcpus.empty() && result_.vcpus.front().tsc_error)
      result_.split = *result_.kvmclock_error - ns_of(*result_.vcpus.front().tsc_error, result_.vcpus.front().khz);
  }

  Span kvmclock_error() const {
    const Span now = end_.after.kvmclock.at(end_.end);
    const Span by_time = now - undisturbed_.kvmclock_by_time(d_.end());
    if (!undisturbed_.same_counter()) return by_time;
    const Span by_line = now - undisturbed_.kvmclock_by_line(d_.end()) + between_clocks();
    if (!course_.places.empty()) return less_the_rounding(by_line.lo, by_time.lo);
    // In a recording, by the same counter: readings of two counters are not of one instant.
    Span moved;
    for (std::size_t i = *d_.before + 1; i <= d_.end(); ++i)
      if (course_.op(i).host == d_.host) moved = moved + course_.after(i).kvmclock_moved;
    return narrower(by_line, moved);
  }

  // What lies between the two is rounding, and nobody's error; beside a greater one the time that passed counts.
  static Span less_the_rounding(Wide by_line, Wide by_time) {
    const auto size = [](Wide value) { return value < 0 ? -value : value; };
    if ((by_line < 0) != (by_time < 0)) return {};
    const Wide nearer = size(by_line) < size(by_time) ? by_line : by_time;
    return Span::exactly(size(nearer) <= size(by_line - by_time) ? nearer : by_time);
  }

  Span kvmclock_step() const {
    const Span step = end_.after.kvmclock.at(end_.begin) - undisturbed_.kvmclock_at_begin(*d_.stop);
    if (!undisturbed_.same_counter()) return step;
    const Span passed = Span::exactly(end_.begin.base_ns - course_.moments[*d_.stop].begin.base_ns);
    return narrower(step, passed + *result_.kvmclock_error);
  }

  // The bracket's readings of the TSC and of the base clock are not of one instant.
  Span between_clocks() const {
    const bool same = undisturbed_.state()->kvmclock.by_tsc == end_.after.kvmclock.by_tsc;
    const bool told = !same && d_.host == d_.from_host && course_.places.empty();
    const Wide apart = told ? end_.end.base_ns - end_.begin.base_ns : 0;
    return {-apart, apart};
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
    if (result_.split && result_.kvmclock_page && is_something(*result_.split))
      add(ErrorName::clock_disagreement, *result_.split, "ns");
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
      add(ErrorName::realtime_advance, during(set) - Span::exactly(Wide{course_.op(set).value}), "ns");
    if (!result_.kvmclock_error || !is_something(*result_.kvmclock_error)) return;
    if (!result_.instants.clock_by_realtime) return add(ErrorName::kvmclock_pause_loss, *result_.kvmclock_error, "ns");
    if (d_.from_host == d_.host) add(slewed_or_stepped(), *result_.kvmclock_error, "ns");
  }

  Span during(std::size_t moment) const {
    const ClockView& clock = course_.after(moment).kvmclock;
    return {clock.at(course_.moments[moment].begin).lo, clock.at(course_.moments[moment].end).hi};
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

// KVM_SET_CLOCK: forgotten, late, twice, with the wrong flags, or without the TSC.
#include <fmt/format.h>

#include <algorithm>

#include "verdict/findings/families.h"
#include "verdict/words.h"

namespace tscsim::verdict::findings {
namespace {

using ops::OpKind;

bool sets_clock(const ops::Operation& op) { return op.kind == OpKind::set_clock || op.kind == OpKind::set_clock_guest; }

std::vector<std::size_t> clock_sets(const Case& c, const Disturbance& d) {
  std::vector<std::size_t> found = done(c, d);
  std::erase_if(found, [&](std::size_t i) { return !sets_clock(c.course.op(i)) || c.course.op(i).host != d.host; });
  return found;
}

bool by_realtime(const ops::Operation& op) {
  return op.kind == OpKind::set_clock && (op.flags & ops::clock_flag::kRealtime) != 0;
}

enum class Read : std::uint8_t { before_the_guest_ran, perhaps, since_the_guest_ran };

Wide lasted_ns(const Case& c, std::size_t moment) {
  const Moment& m = c.course.moments[moment];
  return m.end.base_ns - m.begin.base_ns;
}

// KVM_RUN that ended with EINTR before a KVM_RUN can have come to the guest and back, by the shortest that did.
bool too_short_for_the_guest(const Case& c, std::size_t run) {
  std::optional<Wide> shortest;
  for (std::size_t i = 0; i < c.course.moments.size(); ++i)
    if (c.course.surely_by_guest(i) && (!shortest || lasted_ns(c, i) < *shortest)) shortest = lasted_ns(c, i);
  return shortest && lasted_ns(c, run) < *shortest;
}

Read clock_read_before(const Case& c, const Disturbance& d, std::size_t set) {
  Read last = Read::since_the_guest_ran;
  for (std::size_t i = set; i > 0; --i) {
    if (c.course.op(i - 1).host != d.from_host) continue;
    if (is_kind(c, i - 1, OpKind::get_clock) && c.course.succeeded(i - 1)) return last;
    if (c.course.surely_by_guest(i - 1)) return Read::before_the_guest_ran;
    if (c.course.by_guest(i - 1) && !too_short_for_the_guest(c, i - 1)) last = Read::perhaps;
  }
  return Read::before_the_guest_ran;
}

// An earlier set_clock of the same value, before the guest ran.
std::optional<std::size_t> set_before(const Case& c, const Disturbance& d, std::size_t set) {
  if (!d.ran_until || c.course.op(set).value == 0) return std::nullopt;
  for (std::size_t i = 0; i < *d.ran_until; ++i)
    if (is_kind(c, i, OpKind::set_clock) && c.course.succeeded(i) && c.course.op(i).value == c.course.op(set).value)
      return i;
  return std::nullopt;
}

}  // namespace

void clock_tsc_split(const Case& c, Sink& sink) {
  for (std::size_t n = 0; n < c.disturbances.size(); ++n) {
    const std::optional<Span>& split = c.measures[n].split;
    const Disturbance& d = c.disturbances[n];
    if (!split || split->least() <= c.thresholds.split_ns || d.kind == DisturbanceKind::reset) continue;
    const bool kvmclock = std::any_of(c.course.after(d.end()).vcpus.begin(), c.course.after(d.end()).vcpus.end(),
                                      [](const VcpuView& v) { return v.kvmclock; });
    if (!kvmclock) continue;
    sink.add(d.end(), {}, fmt::format("kvmclock and TSC part by {} (kvmclock minus TSC, E3)", duration(*split)));
  }
}

// KVM_RUN that ended with EINTR need not have come to the guest (immediate_exit): what was read before it may still hold.
void clock_after_run(const Case& c, Sink& sink) {
  for (const Disturbance& d : c.disturbances) {
    if (!d.before || d.saved || restores(d)) continue;
    for (const std::size_t set : clock_sets(c, d)) {
      const Read read = clock_read_before(c, d, set);
      if (read == Read::since_the_guest_ran || set_before(c, d, set)) continue;
      if (read == Read::perhaps)
        sink.undecided(fmt::format(
            "kvmclock was read before a KVM_RUN that ended with EINTR ({}): whether the guest ran there is not known",
            place_text(c.course, *d.before)));
      else
        sink.add(set, {},
                 fmt::format("kvmclock is set after the guest has run ({}), and was not read since",
                             operation_text(c.course, *d.before)));
    }
  }
}

void clock_missing(const Case& c, Sink& sink) {
  for (const Disturbance& d : c.disturbances) {
    if (!restores(d) || !d.resume || !clock_sets(c, d).empty()) continue;
    const VmView& now = c.course.after(d.end());
    const bool kvmclock = std::any_of(now.vcpus.begin(), now.vcpus.end(), [](const VcpuView& v) { return v.kvmclock; });
    if (kvmclock)
      sink.add(d.end(), {},
               fmt::format("the guest goes on and kvmclock, never set, shows {}",
                           duration(now.kvmclock.at(c.course.moments[d.end()].begin))));
  }
}

// A guest whose memory goes back to where it was saved remembers nothing later.
void clock_stale(const Case& c, Sink& sink) {
  for (const Disturbance& d : c.disturbances)
    for (const std::size_t set : clock_sets(c, d)) {
      const auto first = set_before(c, d, set);
      if (!first || (d.saved && !memory_in_doubt(d))) continue;
      if (memory_in_doubt(d)) {
        sink.undecided(std::string(kMemoryInDoubt));
        continue;
      }
      sink.add(set, {},
               fmt::format("kvmclock is set to {} ns, as before the guest ran ({})",
                           digits(Wide{c.course.op(set).value}), operation_text(c.course, *first)));
    }
}

void clock_flags_passthrough(const Case& c, Sink& sink) {
  constexpr std::uint32_t kNeverAct = ops::clock_flag::kTscStable | ops::clock_flag::kHostTsc;
  for (std::size_t i = 0; i < c.course.moments.size(); ++i) {
    const ops::Operation& op = c.course.op(i);
    if (op.kind != OpKind::set_clock || (op.flags & kNeverAct) == 0) continue;
    sink.add(i, {},
             fmt::format("KVM_SET_CLOCK gets the flags {:#x} that KVM_GET_CLOCK returns{}", op.flags,
                         c.course.succeeded(i) ? "" : ", and refuses them"));
  }
}

void realtime_without_tsc(const Case& c, Sink& sink) {
  for (const Disturbance& d : c.disturbances) {
    if (!restores(d)) continue;
    const std::vector<const Decision*> values = values_written(c, d);
    const bool by_value =
        std::any_of(values.begin(), values.end(), [&](const Decision* w) { return c.course.op(w->moment).value > 1; });
    if (!by_value) continue;
    const std::vector<std::size_t> all = done(c, d);
    const bool by_offset = std::any_of(all.begin(), all.end(), [&](std::size_t i) {
      return is_kind(c, i, OpKind::set_tsc_offset) && i > values.back()->moment;
    });
    if (by_offset) continue;
    for (const std::size_t set : clock_sets(c, d))
      if (by_realtime(c.course.op(set)))
        sink.add(set, {}, "kvmclock is moved on by the wall clock; the TSC goes on from the value that was saved");
  }
}

void realtime_unsynchronised(const Case& c, Sink& sink) {
  for (const Disturbance& d : c.disturbances)
    for (const std::size_t set : clock_sets(c, d)) {
      const ops::Operation& op = c.course.op(set);
      if (!by_realtime(op)) continue;
      const std::uint64_t now_ns = c.course.entry(set).bracket.realtime_ns.hi;
      if (op.realtime > now_ns) {
        sink.add(set, {},
                 fmt::format("the saved wall clock time lies {} in this host's future: kvmclock is not moved on",
                             duration(Wide{op.realtime} - Wide{now_ns})));
        continue;
      }
      if (d.host == d.from_host) continue;
      if (c.course.hosts.empty()) {
        sink.undecided("a recording does not tell how far the hosts' wall clocks are apart");
        continue;
      }
      const auto error = [&](std::int32_t host) {
        return Wide{c.course.hosts[static_cast<std::size_t>(host)].realtime_error_ns};
      };
      const Wide apart = error(d.host) - error(d.from_host);
      if (Span::exactly(apart).least() > c.thresholds.realtime_ns)
        sink.add(set, {},
                 fmt::format("the hosts' wall clocks are {} apart: kvmclock is off by as much", duration(apart)));
    }
}

}  // namespace tscsim::verdict::findings

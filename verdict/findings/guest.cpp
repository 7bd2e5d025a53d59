// What the guest is told of the disturbance, and what it finds in its memory afterwards.
#include <fmt/format.h>

#include <algorithm>

#include "verdict/findings/families.h"
#include "verdict/words.h"

namespace tscsim::verdict::findings {
namespace {

using ops::OpKind;

bool any(const Case& c, const Disturbance& d, auto wanted) {
  const std::vector<std::size_t> all = done(c, d);
  return std::any_of(all.begin(), all.end(), wanted);
}

bool tells_stop(const Case& c, const Disturbance& d, std::int32_t host) {
  return any(c, d, [&](std::size_t i) { return is_kind(c, i, OpKind::kvmclock_ctrl) && c.course.op(i).host == host; });
}

bool uses_kvmclock(const VmView& vm) {
  return std::any_of(vm.vcpus.begin(), vm.vcpus.end(), [](const VcpuView& v) { return v.kvmclock; });
}

}  // namespace

void ctrl_lost(const Case& c, Sink& sink) {
  for (const Disturbance& d : c.disturbances) {
    if (d.host == d.from_host || !tells_stop(c, d, d.from_host) || tells_stop(c, d, d.host)) continue;
    const std::vector<std::size_t> all = done(c, d);
    const auto told =
        std::find_if(all.begin(), all.end(), [&](std::size_t i) { return is_kind(c, i, OpKind::kvmclock_ctrl); });
    sink.add(
        *told, {},
        "the guest is told of the stop on the source only: the flag is written at the next entry, which comes after "
        "its memory was saved");
  }
}

void ctrl_missing(const Case& c, Sink& sink) {
  for (std::size_t n = 0; n < c.disturbances.size(); ++n) {
    const Disturbance& d = c.disturbances[n];
    const Instants& t = c.measures[n].instants;
    if (!t.stop || !t.resume || !uses_kvmclock(c.course.after(d.end()))) continue;
    if ((*t.resume - *t.stop).least() <= c.thresholds.stop_ns) continue;
    if (tells_stop(c, d, d.host) || tells_stop(c, d, d.from_host)) continue;
    sink.add(d.end(), {}, fmt::format("the guest stood still for {} and is not told", duration(*t.resume - *t.stop)));
  }
}

namespace {

// Whether the vCPU runs with the TSC and the page that it has now. One that QEMU unplugged is kept and reset with the others; it
// gets new values before it runs again.
bool comes_back_as_left(const Case& c, const Disturbance& d, std::size_t vcpu) {
  if (vcpu >= d.entries.size() || !d.entries[vcpu]) return false;
  for (std::size_t i = d.operations.back() + 1; i < *d.entries[vcpu]; ++i) {
    const ops::Operation& op = c.course.op(i);
    const bool page = writes(op, ops::msr::kKvmSystemTime) || writes(op, ops::msr::kKvmSystemTimeNew);
    if (op.host == d.host && op.vcpu == static_cast<std::int32_t>(vcpu) && (page || writes_tsc(op))) return false;
  }
  return true;
}

// vCPUs whose TSC is behind the page that lay in memory when the guest left at `left`. One that is told of no page any more, as
// at a reset, does not look there.
struct Behind {
  std::vector<std::int32_t> vcpus;
  Span by_ns;
};
Behind behind_page(const Case& c, const Disturbance& d, std::size_t left_at) {
  const VmView& left = c.course.after(left_at);
  const VmView& restored = c.course.after(d.operations.back());
  Behind found;
  for (std::size_t v = 0; v < std::min(left.vcpus.size(), restored.vcpus.size()); ++v) {
    if (!comes_back_as_left(c, d, v)) continue;
    if (!left.vcpus[v].page_tsc || !left.vcpus[v].kvmclock || !restored.vcpus[v].kvmclock) continue;
    const Span gap = *left.vcpus[v].page_tsc - restored.vcpus[v].tsc;
    if (gap.lo <= 0) continue;
    found.vcpus.push_back(static_cast<std::int32_t>(v));
    found.by_ns = ns_of(gap, restored.vcpus[v].khz);
  }
  return found;
}

}  // namespace

// The page as it lies in memory when the guest goes on is that of the guest that stopped, until KVM writes it anew; `before` is
// the guest that was saved, if another one has run since.
void page_newer_than_tsc(const Case& c, Sink& sink) {
  for (const Disturbance& d : c.disturbances) {
    if (!d.before || !d.resume) continue;
    const Behind behind = behind_page(c, d, *d.before);
    if (!behind.vcpus.empty())
      sink.add(d.operations.back(), behind.vcpus,
               fmt::format("the TSC of {} is {} behind the timestamp of its kvmclock page", vcpus_text(behind.vcpus),
                           duration(behind.by_ns)));
    else if (memory_in_doubt(d) && !behind_page(c, d, *d.ran_until).vcpus.empty())
      sink.undecided(std::string(kMemoryInDoubt));
  }
}

void master_clock_off(const Case& c, Sink& sink) {
  for (std::size_t n = 0; n < c.disturbances.size(); ++n) {
    const Disturbance& d = c.disturbances[n];
    if (!d.resume || c.measures[n].master_after) continue;
    const bool was_off = d.host == d.from_host && c.measures[n].master_before == false;
    if (was_off) continue;  // said where it went off
    const VmView& now = c.course.after(d.settled);
    const std::string why = now.vetoed             ? "a TSC that went backwards, or the old kvmclock MSR, vetoes it"
                            : !now.tsc_clocksource ? "the host's clocksource is not the TSC"
                                                   : "not all vCPUs are in one generation";
    sink.add(d.settled, {}, "the master clock is off when the guest goes on: " + why);
  }
}

void vmclock_not_bumped(const Case& c, Sink& sink) {
  for (const Disturbance& d : c.disturbances) {
    if (!restores(d)) continue;
    if (any(c, d, [&](std::size_t i) { return is_kind(c, i, OpKind::bump_vmclock); })) continue;
    if (c.course.hosts.empty()) {
      sink.undecided("a recording does not show what a VMM writes into guest memory");
      continue;
    }
    sink.add(d.end(), {}, "the guest goes on elsewhere, and the disruption marker of its VMClock page is the old one");
  }
}

}  // namespace tscsim::verdict::findings

#include "scenarios/guest_metrics.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "scenarios/units.h"

namespace tscsim::scenarios {
namespace {

using ops::Field;
using ops::GuestClock;
using ops::OpKind;
using ops::Wide;

constexpr auto id(GuestClock clock) { return static_cast<std::uint32_t>(clock); }

Metric jump(GuestClock clock, std::string_view name, std::string_view example) {
  return {
      Subject::clock_jump, name,
      "The progress of a guest clock between two readings of a vCPU in a row minus the host's, where its size is greatest, in ns: negative where the guest lost time. 'at_most' bounds its size in both directions, 'at_least' asks for a step forward.",
      example, id(clock)};
}
Metric skew(GuestClock clock, std::string_view name, std::string_view example) {
  return {Subject::clock_skew, name,
          "The greatest difference between two vCPUs' readings of a guest clock at one instant, in ns.", example,
          id(clock)};
}

std::vector<Metric> table() {
  std::vector<Metric> all{
      jump(GuestClock::monotonic, "monotonic_jump", "{monotonic_jump: {is: 5 s, within: 1 us}}"),
      jump(GuestClock::realtime, "realtime_jump", "{realtime_jump: {is: 0, within: 1 us}}"),
      jump(GuestClock::boottime, "boottime_jump", "{boottime_jump: {is: 0, within: 1 us}}"),
      jump(GuestClock::sched_clock, "sched_clock_jump", "{sched_clock_jump: {is: 0, within: 1 us}}"),
      jump(GuestClock::vdso_monotonic, "vdso_monotonic_jump", "{vdso_monotonic_jump: {is: 0, within: 1 us}}"),
      jump(GuestClock::user_tsc, "user_tsc_jump", "{user_tsc_jump: {is: 0, within: 1 us}}"),
      skew(GuestClock::monotonic, "monotonic_skew", "{monotonic_skew: {is: 0}}"),
      skew(GuestClock::sched_clock, "sched_clock_skew", "{sched_clock_skew: {is: 0}}"),
      skew(GuestClock::vdso_monotonic, "vdso_monotonic_skew", "{vdso_monotonic_skew: {is: 0}}"),
      {Subject::monotonic_backwards, "monotonic_backwards",
       "By how much a reading of CLOCK_MONOTONIC, on any vCPU, lies below an earlier one, at most, in ns.",
       "{monotonic_backwards: {is: 0}}"},
      {Subject::paused_time_kept, "paused_time_kept",
       "How much of the time that the VM was paused CLOCK_MONOTONIC counted, in ns: between the last reading before and the first after.",
       "{paused_time_kept: {is: 0, within: 1 us}}"},
      {Subject::wall_clock_error, "wall_clock_error",
       "The last reading of CLOCK_REALTIME in the guest minus true time, in ns.",
       "{wall_clock_error: {is: -5 s, within: 1 us}}"},
      {Subject::kvmclock_divergence, "kvmclock_divergence",
       "The progress of kvmclock between a vCPU's first and last reading of its page minus what its TSC says, at its rate, in ns.",
       "{kvmclock_divergence: {is: 0, within: 1 us}}"},
      {Subject::guest_clocksource, "clocksource", "The guest's clocksource, last it changed.",
       "{clocksource: {is: tsc}}"},
  };
  static std::array<std::string, ops::kGuestEventKinds> examples;
  for (std::size_t i = 0; i < ops::kGuestEventKinds; ++i) {
    const auto kind = static_cast<ops::GuestEventKind>(i);
    examples.at(i) = "{" + std::string(ops::name_of(kind)) + ": {is: 1}}";
    all.push_back(
        {Subject::guest_event, ops::name_of(kind), ops::describe(kind), examples.at(i), static_cast<std::uint32_t>(i)});
  }
  return all;
}

struct Reading {
  std::int64_t at_ns = 0;
  std::int32_t vcpu = 0;
  Wide ns = 0, tsc = 0;
};

class Search {
 public:
  Search(const Expectation& expectation, const ops::Program& program, const ops::Recording& recording)
      : expectation_(expectation), program_(program), recording_(recording) {
    std::map<std::uint64_t, std::size_t> saved;  // readings when the memory was saved, by host
    for (const ops::Entry& entry : recording.entries) {
      if (expectation.subject != Subject::kvmclock_divergence) forget(entry.op, saved);
      const std::uint64_t* ns = entry.outcome.find(Field::ns);
      if (!reads_for(expectation, entry.op) || ns == nullptr || !in_window(entry.op.at_ns)) continue;
      const std::uint64_t* tsc = entry.outcome.find(Field::tsc);
      readings_.push_back({entry.op.at_ns, entry.op.vcpu, static_cast<std::int64_t>(*ns), tsc ? Wide{*tsc} : Wide{0}});
    }
  }

  std::optional<Found> find() const {
    switch (expectation_.subject) {
      case Subject::clock_jump:
        return jump();
      case Subject::clock_skew:
        return skew();
      case Subject::monotonic_backwards:
        return backwards();
      case Subject::paused_time_kept:
        return paused_time_kept();
      case Subject::wall_clock_error:
        return wall_clock_error();
      case Subject::kvmclock_divergence:
        return divergence();
      case Subject::guest_clocksource:
        return clocksource();
      default:
        return events();
    }
  }

 private:
  // A guest that boots has read nothing yet; one that is restored knows nothing of what came after it was saved.
  void forget(const ops::Operation& op, std::map<std::uint64_t, std::size_t>& saved) {
    if (op.kind == OpKind::boot_guest) readings_.clear();
    if (op.kind == OpKind::save_memory) saved[static_cast<std::uint64_t>(op.host)] = readings_.size();
    if (op.kind != OpKind::load_memory) return;
    if (const auto then = saved.find(op.value); then != saved.end() && then->second < readings_.size())
      readings_.erase(readings_.begin() + static_cast<std::ptrdiff_t>(then->second), readings_.end());
  }

  bool in_window(std::int64_t at_ns) const {
    return (!expectation_.at_ns || at_ns <= *expectation_.at_ns) &&
           (!expectation_.from_ns || at_ns >= *expectation_.from_ns);
  }
  bool of(std::int32_t vcpu) const {
    return expectation_.of.empty() ||
           std::find(expectation_.of.begin(), expectation_.of.end(), vcpu) != expectation_.of.end();
  }
  static Wide magnitude(Wide value) { return value < 0 ? -value : value; }

  std::optional<Found> jump() const {
    std::map<std::int32_t, Reading> before;
    std::optional<Found> greatest;
    for (const Reading& reading : readings_) {
      if (!of(reading.vcpu)) continue;
      if (const auto last = before.find(reading.vcpu); last != before.end()) {
        const Reading& early = last->second;
        const Wide value = reading.ns - early.ns - (reading.at_ns - early.at_ns);
        if (!greatest || magnitude(value) > magnitude(greatest->value))
          greatest = {value, "vCPU " + std::to_string(reading.vcpu) + " between " + grouped(early.at_ns) + " ns and " +
                                 grouped(reading.at_ns) + " ns"};
      }
      before.insert_or_assign(reading.vcpu, reading);
    }
    return greatest;
  }

  std::optional<Found> skew() const {
    std::map<std::int64_t, std::map<std::int32_t, Wide>> instants;
    for (const Reading& reading : readings_) instants[reading.at_ns].try_emplace(reading.vcpu, reading.ns);
    std::optional<Found> widest;
    for (const auto& [at_ns, by_vcpu] : instants) {
      if (by_vcpu.size() < 2) continue;
      const auto [least, most] = std::minmax_element(by_vcpu.begin(), by_vcpu.end(),
                                                     [](const auto& a, const auto& b) { return a.second < b.second; });
      const Wide value = most->second - least->second;
      if (!widest || value > widest->value) widest = {value, "at " + grouped(at_ns) + " ns"};
    }
    return widest;
  }

  std::optional<Found> backwards() const {
    if (readings_.size() < 2) return std::nullopt;
    Found found{0, "nowhere"};
    Wide highest = readings_.front().ns;
    for (const Reading& reading : readings_) {
      if (highest - reading.ns > found.value)
        found = {highest - reading.ns,
                 "vCPU " + std::to_string(reading.vcpu) + " at " + grouped(reading.at_ns) + " ns"};
      highest = std::max(highest, reading.ns);
    }
    return found;
  }

  // Progress beyond the time that the VM ran, over each pause with a reading on either side.
  std::optional<Found> paused_time_kept() const {
    std::optional<Found> kept;
    std::optional<std::int64_t> paused_at;
    for (const ops::Entry& entry : recording_.entries) {
      if (entry.op.kind == OpKind::pause_vm) paused_at = entry.op.at_ns;
      if (entry.op.kind != OpKind::resume_vm || !paused_at) continue;
      const Reading *before = nullptr, *after = nullptr;
      for (const Reading& reading : readings_) {
        if (reading.at_ns <= *paused_at) before = &reading;
        if (reading.at_ns >= entry.op.at_ns && after == nullptr) after = &reading;
      }
      if (before == nullptr || after == nullptr) continue;
      const std::int64_t ran = after->at_ns - before->at_ns - (entry.op.at_ns - *paused_at);
      kept = Found{(kept ? kept->value : Wide{0}) + after->ns - before->ns - ran,
                   "the pause from " + grouped(*paused_at) + " ns"};
    }
    return kept;
  }

  std::optional<Found> wall_clock_error() const {
    if (readings_.empty()) return std::nullopt;
    const Reading& last = readings_.back();
    return Found{last.ns - program_.hosts.front().realtime_ns - last.at_ns, "at " + grouped(last.at_ns) + " ns"};
  }

  // The pages say the rate: the mul and shift of the first reading.
  std::optional<Found> divergence() const {
    if (readings_.size() < 2) return std::nullopt;
    const Reading &first = readings_.front(), &last = readings_.back();
    std::uint64_t mul = 0;
    std::int64_t shift = 0;
    for (const ops::Entry& entry : recording_.entries) {
      if (entry.op.kind != OpKind::read_pvclock || entry.op.at_ns != first.at_ns || entry.op.vcpu != first.vcpu)
        continue;
      if (const std::uint64_t* found = entry.outcome.find(Field::mul)) mul = *found;
      if (const std::uint64_t* found = entry.outcome.find(Field::shift)) shift = static_cast<std::int64_t>(*found);
    }
    const Wide cycles = last.tsc - first.tsc;
    const Wide by_tsc = ((shift < 0 ? cycles >> -shift : cycles << shift) * static_cast<Wide>(mul)) >> 32;
    return Found{last.ns - first.ns - by_tsc, "vCPU " + std::to_string(first.vcpu)};
  }

  std::optional<Found> clocksource() const {
    std::optional<Found> last;
    for (const ops::Entry& entry : recording_.entries)
      for (const ops::GuestEvent& event : entry.guest)
        if (event.kind == ops::GuestEventKind::clocksource_switched && in_window(event.at_ns))
          last = Found{event.value, std::string(ops::name_of(static_cast<ops::GuestClocksource>(event.value))) +
                                        " since " + grouped(event.at_ns) + " ns"};
    return last;
  }

  std::optional<Found> events() const {
    Found count{0, ""};
    bool guest = false;
    for (const ops::Entry& entry : recording_.entries) {
      guest = guest || entry.op.kind == OpKind::boot_guest;
      for (const ops::GuestEvent& event : entry.guest) {
        if (static_cast<std::uint32_t>(event.kind) != expectation_.selector || !in_window(event.at_ns) ||
            !of(event.vcpu))
          continue;
        ++count.value;
        count.where = "last at " + grouped(event.at_ns) + " ns";
      }
    }
    return guest ? std::optional(count) : std::nullopt;
  }

  const Expectation& expectation_;
  const ops::Program& program_;
  const ops::Recording& recording_;
  std::vector<Reading> readings_;
};

}  // namespace

const std::vector<Metric>& guest_metrics() {
  static const std::vector<Metric> all = table();
  return all;
}

bool reads_for(const Expectation& expectation, const ops::Operation& op) {
  if (expectation.subject == Subject::kvmclock_divergence) return op.kind == OpKind::read_pvclock;
  if (op.kind != OpKind::read_clock) return false;
  switch (expectation.subject) {
    case Subject::clock_jump:
    case Subject::clock_skew:
      return op.flags == expectation.selector;
    case Subject::monotonic_backwards:
    case Subject::paused_time_kept:
      return op.flags == id(GuestClock::monotonic);
    case Subject::wall_clock_error:
      return op.flags == id(GuestClock::realtime);
    default:
      return false;
  }
}

std::optional<Found> find_in_guest(const Expectation& expectation, const ops::Program& program,
                                   const ops::Recording& recording) {
  return Search(expectation, program, recording).find();
}

}  // namespace tscsim::scenarios

#include "verdict/disturbance.h"

#include <algorithm>
#include <array>
#include <map>

#include "verdict/decisions.h"

namespace tscsim::verdict {
namespace {

using ops::OpKind;

// What touches the clocks of a guest that stands still.
bool disturbs(const ops::Operation& op, bool guest_has_run) {
  switch (op.kind) {
    case OpKind::set_tsc_offset:
    case OpKind::set_clock:
    case OpKind::set_tsc_khz:
    case OpKind::set_tsc_state:
    case OpKind::set_clock_guest:
    case OpKind::kvmclock_ctrl:
    case OpKind::load_memory:
    case OpKind::pause_vm:
      return true;
    case OpKind::create_vcpu:
      return guest_has_run;
    default:
      return ops::is_host_event(op.kind) || writes_tsc(op);
  }
}

auto kind(OpKind wanted) {
  return [wanted](const ops::Operation& op) { return op.kind == wanted; };
}

class Finder {
 public:
  explicit Finder(const Course& course) : course_(course) {}

  std::vector<Disturbance> find() {
    for (std::size_t i = 0; i < course_.moments.size(); ++i) take(i);
    if (!operations_.empty()) close(std::nullopt);
    for (Disturbance& d : found_) find_entries(d);
    return std::move(found_);
  }

 private:
  void take(std::size_t i) {
    const ops::Operation& op = course_.op(i);
    if (op.kind == OpKind::load_memory && course_.succeeded(i)) arrive(op.host);
    if (op.host != host_) {
      elsewhere_[op.host].push_back(i);  // a destination that is being prepared
      return;
    }
    if (!course_.by_guest(i)) {
      operations_.push_back(i);
      return;
    }
    if (!operations_.empty()) close(i);
    last_guest_ = i;
  }

  void arrive(std::int32_t host) {
    if (host == host_) return;
    std::vector<std::size_t>& prepared = elsewhere_[host];
    operations_.insert(operations_.end(), prepared.begin(), prepared.end());
    std::sort(operations_.begin(), operations_.end());
    prepared.clear();
    host_ = host;
  }

  void close(std::optional<std::size_t> resume) {
    Disturbance d;
    d.operations = std::move(operations_);
    operations_.clear();
    d.before = d.ran_until = last_guest_;
    d.resume = resume;
    d.from_host = from_host_;
    d.host = host_;
    from_host_ = host_;
    d.loads_memory = has(d, kind(OpKind::load_memory));
    d.saved = saved_for(d);
    if (d.saved) {
      d.from_host = course_.op(*d.saved).host;
      d.before = last_guest_before(*d.saved, d.from_host);
    }
    d.stop = d.before ? first_by_vmm(*d.before + 1, d.saved.value_or(d.end()), d.from_host) : std::nullopt;
    const bool any = std::any_of(d.operations.begin(), d.operations.end(), [&](std::size_t i) {
      return course_.succeeded(i) && disturbs(course_.op(i), d.before.has_value());
    });
    if (!any) return;
    d.kind = kind_of(d);
    found_.push_back(std::move(d));
  }

  std::optional<std::size_t> last_guest_before(std::size_t moment, std::int32_t host) const {
    for (std::size_t i = moment; i > 0; --i)
      if (course_.op(i - 1).host == host && course_.by_guest(i - 1)) return i - 1;
    return std::nullopt;
  }
  std::optional<std::size_t> first_by_vmm(std::size_t from, std::size_t to, std::int32_t host) const {
    for (std::size_t i = from; i <= to; ++i)
      if (course_.op(i).host == host && !course_.by_guest(i)) return i;
    return std::nullopt;
  }

  // The operation that saved what comes back, when the guest has run since.
  std::optional<std::size_t> saved_for(const Disturbance& d) const {
    if (!d.before) return std::nullopt;
    const auto saved = d.loads_memory ? memory_saved_for(d) : values_saved_for(d);
    const bool ran_since = saved && *d.before > *saved;
    return ran_since && last_guest_before(*saved, course_.op(*saved).host) ? saved : std::nullopt;
  }

  std::optional<std::size_t> memory_saved_for(const Disturbance& d) const {
    std::optional<std::size_t> loaded;
    for (const std::size_t i : d.operations)
      if (course_.op(i).kind == OpKind::load_memory && course_.succeeded(i)) loaded = i;
    for (std::size_t i = *loaded; i > 0; --i) {
      const ops::Operation& op = course_.op(i - 1);
      if (op.kind == OpKind::save_memory && op.host == static_cast<std::int32_t>(course_.op(*loaded).value))
        return i - 1;
    }
    return std::nullopt;
  }

  // A real VMM reads memory back without a system call that is seen. It has, where every TSC value and the clock that it
  // writes are those that it read at one stop before the guest ran on; nobody does that to a guest whose memory stays.
  std::optional<std::size_t> values_saved_for(const Disturbance& d) const {
    std::optional<std::size_t> saved;
    bool clock = false, counter = false;
    for (const std::size_t i : d.operations) {
      const ops::Operation& op = course_.op(i);
      const bool tsc = writes_tsc(op) && op.value > 1, set = op.kind == OpKind::set_clock;
      if (!course_.succeeded(i) || (!tsc && !set)) continue;
      const auto read = read_before(i, d.operations.front());
      if (!read) return std::nullopt;
      if (saved && last_guest_before(*saved, d.from_host) != last_guest_before(*read, d.from_host)) return std::nullopt;
      saved = read;
      clock = clock || set;
      counter = counter || tsc;
    }
    return clock && counter ? saved : std::nullopt;
  }

  // Where the value that moment `written` writes was read last, before `until`.
  std::optional<std::size_t> read_before(std::size_t written, std::size_t until) const {
    const ops::Operation& op = course_.op(written);
    const bool clock = op.kind == OpKind::set_clock;
    for (std::size_t i = until; i > 0; --i) {
      const ops::Operation& other = course_.op(i - 1);
      const bool reads = clock ? other.kind == OpKind::get_clock
                               : other.kind == OpKind::get_msr && other.msr == op.msr && other.vcpu == op.vcpu;
      if (!reads || other.host != op.host || !course_.succeeded(i - 1)) continue;
      const auto* value = course_.entry(i - 1).outcome.find(clock ? ops::Field::clock : ops::Field::value);
      if (value != nullptr && *value == op.value) return i - 1;
    }
    return std::nullopt;
  }

  bool has(const Disturbance& d, auto predicate) const {
    return std::any_of(d.operations.begin(), d.operations.end(),
                       [&](std::size_t i) { return course_.succeeded(i) && predicate(course_.op(i)); });
  }

  DisturbanceKind kind_of(const Disturbance& d) const {
    const bool saved_value = has(d, [](const ops::Operation& op) { return writes_tsc(op) && op.value > 1; }) ||
                             has(d, kind(OpKind::set_tsc_offset)) || has(d, kind(OpKind::set_tsc_state));
    const bool any_value = saved_value || has(d, writes_tsc);
    if (d.host != d.from_host) return DisturbanceKind::migration;
    if (d.before && has(d, kind(OpKind::create_vm))) return DisturbanceKind::restore;
    if (d.saved) return DisturbanceKind::go_back;
    if (!d.before) return saved_value ? DisturbanceKind::restore : DisturbanceKind::start;
    if (has(d, kind(OpKind::create_vcpu))) return DisturbanceKind::hotplug;
    if (any_value) return saved_value ? DisturbanceKind::rewrite : DisturbanceKind::reset;
    if (has(d, kind(OpKind::set_clock)) || has(d, kind(OpKind::set_clock_guest))) return DisturbanceKind::clock_set;
    if (has(d, [](const ops::Operation& op) { return ops::is_host_event(op.kind); }))
      return DisturbanceKind::host_event;
    const bool pauses = has(d, kind(OpKind::kvmclock_ctrl)) || has(d, kind(OpKind::pause_vm));
    return pauses ? DisturbanceKind::pause : DisturbanceKind::rewrite;
  }

  void find_entries(Disturbance& d) const {
    d.entries.resize(course_.after(d.end()).vcpus.size());
    d.settled = d.end();
    if (!d.resume) return;
    bool undisturbed = true, has_run = false;
    for (std::size_t i = *d.resume; i < course_.moments.size(); ++i) {
      const ops::Operation& op = course_.op(i);
      undisturbed = undisturbed && (op.host != d.host || !disturbs(op, true));
      if (op.host != d.host || !course_.by_guest(i)) continue;
      // resume_vm only lets a Linux guest go on: what that brings shows once it has run.
      const bool runs_on = course_.moments[i].guest_ran && !has_run;
      has_run = has_run || runs_on;
      if ((enter(d, i, op.vcpu) || runs_on) && undisturbed) d.settled = i;
    }
  }

  // Whether a vCPU comes to the guest here for the first time. A Linux guest's come all at once.
  static bool enter(Disturbance& d, std::size_t moment, std::int32_t vcpu) {
    bool first = false;
    for (std::size_t v = 0; v < d.entries.size(); ++v) {
      const bool enters = vcpu == ops::kVm || static_cast<std::size_t>(vcpu) == v;
      if (!enters || d.entries[v]) continue;
      d.entries[v] = moment;
      first = true;
    }
    return first;
  }
  const Course& course_;
  std::vector<Disturbance> found_;
  std::vector<std::size_t> operations_;
  std::map<std::int32_t, std::vector<std::size_t>> elsewhere_;
  std::optional<std::size_t> last_guest_;
  std::int32_t host_ = 0, from_host_ = 0;
};

}  // namespace

std::string_view name_of(DisturbanceKind kind) {
  constexpr std::array<std::string_view, 10> kNames{
      "start",     "restore", "migration", "reset", "rewrite of the TSC", "hotplug", "return to a snapshot",
      "clock set", "pause",   "host event"};
  return kNames.at(static_cast<std::size_t>(kind));
}

std::vector<Disturbance> disturbances_of(const Course& course) { return Finder(course).find(); }

}  // namespace tscsim::verdict

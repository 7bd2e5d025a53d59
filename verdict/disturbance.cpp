#include "verdict/disturbance.h"

#include <algorithm>
#include <array>
#include <map>

#include "verdict/decisions.h"

namespace tscsim::verdict {
namespace {

using ops::OpKind;

bool by_guest(const ops::Operation& op) { return op.kind == OpKind::run || ops::is_guest(op.kind); }

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
      return true;
    case OpKind::create_vcpu:
      return guest_has_run;
    default:
      return ops::is_host_event(op.kind) || writes_tsc(op);
  }
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
    if (!by_guest(op)) {
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
    d.before = last_guest_;
    d.resume = resume;
    d.from_host = from_host_;
    d.host = host_;
    from_host_ = host_;
    const auto on_source = [&](std::size_t i) {
      return last_guest_ && i > *last_guest_ && course_.op(i).host == d.from_host;
    };
    const auto stop = std::find_if(d.operations.begin(), d.operations.end(), on_source);
    if (stop != d.operations.end()) d.stop = *stop;
    const bool any = std::any_of(d.operations.begin(), d.operations.end(), [&](std::size_t i) {
      return course_.succeeded(i) && disturbs(course_.op(i), d.before.has_value());
    });
    if (!any) return;
    d.kind = kind_of(d);
    found_.push_back(std::move(d));
  }

  bool has(const Disturbance& d, auto predicate) const {
    return std::any_of(d.operations.begin(), d.operations.end(),
                       [&](std::size_t i) { return course_.succeeded(i) && predicate(course_.op(i)); });
  }

  DisturbanceKind kind_of(const Disturbance& d) const {
    const auto kind = [](OpKind wanted) { return [wanted](const ops::Operation& op) { return op.kind == wanted; }; };
    const bool saved_value = has(d, [](const ops::Operation& op) { return writes_tsc(op) && op.value > 1; }) ||
                             has(d, kind(OpKind::set_tsc_offset)) || has(d, kind(OpKind::set_tsc_state));
    const bool any_value = saved_value || has(d, writes_tsc);
    if (d.host != d.from_host) return DisturbanceKind::migration;
    if (d.before && has(d, kind(OpKind::create_vm))) return DisturbanceKind::restore;
    if (!d.before) return saved_value ? DisturbanceKind::restore : DisturbanceKind::start;
    if (has(d, kind(OpKind::create_vcpu))) return DisturbanceKind::hotplug;
    if (any_value) return saved_value ? DisturbanceKind::rewrite : DisturbanceKind::reset;
    if (has(d, kind(OpKind::set_clock)) || has(d, kind(OpKind::set_clock_guest))) return DisturbanceKind::clock_set;
    if (has(d, [](const ops::Operation& op) { return ops::is_host_event(op.kind); }))
      return DisturbanceKind::host_event;
    return has(d, kind(OpKind::kvmclock_ctrl)) ? DisturbanceKind::pause : DisturbanceKind::rewrite;
  }

  void find_entries(Disturbance& d) const {
    d.entries.resize(course_.after(d.end()).vcpus.size());
    d.settled = d.end();
    if (!d.resume) return;
    bool undisturbed = true;
    for (std::size_t i = *d.resume; i < course_.moments.size(); ++i) {
      const ops::Operation& op = course_.op(i);
      undisturbed = undisturbed && (op.host != d.host || !disturbs(op, true));
      if (op.host != d.host || !by_guest(op)) continue;
      const auto vcpu = static_cast<std::size_t>(op.vcpu);
      if (vcpu >= d.entries.size() || d.entries[vcpu]) continue;
      d.entries[vcpu] = i;
      if (undisturbed) d.settled = i;
    }
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
  constexpr std::array<std::string_view, 9> kNames{
      "start", "restore", "migration", "reset", "rewrite of the TSC", "hotplug", "clock set", "pause", "host event"};
  return kNames.at(static_cast<std::size_t>(kind));
}

std::vector<Disturbance> disturbances_of(const Course& course) { return Finder(course).find(); }

}  // namespace tscsim::verdict

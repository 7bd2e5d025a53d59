#include "logs/vm_split.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <numeric>
#include <optional>
#include <set>

#include "base/interrupt.h"

namespace tscsim::logs {
namespace {

using ops::TraceKind;

// What one thread did for one VM: its events from one creation to the next.
struct Stretch {
  int pid = -1;
  std::optional<int> tgid;
  std::vector<std::size_t> events;
  bool begins = false;  // with the VM's creation
  std::set<int> vcpus;
  std::set<std::uint64_t> marks;  // offsets and pages that only this VM has
};

class Splitter {
 public:
  explicit Splitter(const TraceLog& log) : log_(log) {
    honoured_ = std::any_of(log.events.begin(), log.events.end(), [](const SeenEvent& seen) {
      return seen.event.kind == TraceKind::write_tsc_offset && seen.event.values[0] != 0;
    });
  }

  Split split() {
    cut_into_stretches();
    group_.resize(stretches_.size());
    std::iota(group_.begin(), group_.end(), std::size_t{0});
    join_by_marks();
    join_by_process();
    join_the_rest();
    return result();
  }

 private:
  const ops::TraceEvent& event(std::size_t index) const { return log_.events[index].event; }

  // ---- stretches ----

  // vCPU 0's first synchronisation, as the VM's only vCPU.
  bool creates_vm(const std::vector<std::size_t>& thread, std::size_t at) const {
    const ops::TraceEvent& write = event(thread[at]);
    if (write.kind != TraceKind::write_tsc_offset || write.vcpu != 0 || write.values[0] != 0) return false;
    if (at + 1 == thread.size()) return false;
    const ops::TraceEvent& track = event(thread[at + 1]);
    constexpr std::size_t kOnline = 1;  // the matched ones are 0; the proposal "clock-v6" counts the vCPU itself
    return track.kind == TraceKind::track_tsc && track.vcpu == 0 && track.values[kOnline] == 1;
  }

  // KVM_CREATE_VM renews the master clock's pair once, for no vCPU.
  bool may_be_creation(std::size_t index) const {
    const ops::TraceEvent& update = event(index);
    constexpr std::size_t kAllMatch = 2;
    return update.kind == TraceKind::update_master_clock && update.values[kAllMatch] == 0;
  }

  void cut_into_stretches() {
    std::map<int, std::vector<std::size_t>> threads;
    for (std::size_t i = 0; i < log_.events.size(); ++i) threads[log_.events[i].task.pid].push_back(i);
    for (const auto& [pid, events] : threads) cut_thread(pid, events);
    std::sort(stretches_.begin(), stretches_.end(),
              [](const Stretch& a, const Stretch& b) { return a.events.front() < b.events.front(); });
  }

  // Where offsets are not honoured, `prev` is always 0, and a single vCPU that is written again looks like another VM's.
  // Elsewhere its offset goes on from the last one.
  bool begins_again(const Stretch& current, const std::vector<std::size_t>& thread, std::size_t at) const {
    if (!creates_vm(thread, at)) return false;
    if (!current.begins) return true;
    return may_be_creation(thread[at - 1]) || current.vcpus.size() > 1 || (honoured_ && last_offset(current) != 0);
  }

  std::uint64_t last_offset(const Stretch& stretch) const {
    const auto last = std::find_if(stretch.events.rbegin(), stretch.events.rend(),
                                   [&](std::size_t index) { return event(index).kind == TraceKind::write_tsc_offset; });
    return last == stretch.events.rend() ? 0 : event(*last).values[1];
  }

  void cut_thread(int pid, const std::vector<std::size_t>& events) {
    Stretch current{pid, {}, {}, false, {}, {}};
    const auto close = [&] {
      if (!current.events.empty()) stretches_.push_back(std::move(current));
      current = Stretch{pid, {}, {}, false, {}, {}};
    };
    for (std::size_t at = 0; at < events.size(); ++at) {
      base::throw_if_interrupted();
      if (begins_again(current, events, at)) {
        std::optional<std::size_t> creation;
        if (at > 0 && may_be_creation(events[at - 1])) creation = events[at - 1];
        if (creation) current.events.pop_back();
        close();
        current.begins = true;
        if (creation) current.events.push_back(*creation);
      }
      add(current, events[at]);
    }
    close();
  }

  void add(Stretch& stretch, std::size_t index) const {
    const SeenEvent& seen = log_.events[index];
    stretch.events.push_back(index);
    if (seen.task.tgid >= 0) stretch.tgid = seen.task.tgid;
    if (ops::tells_vcpu(seen.event.kind)) stretch.vcpus.insert(seen.event.vcpu);
    const auto& v = seen.event.values;
    if (seen.event.kind == TraceKind::write_tsc_offset)
      for (const std::uint64_t offset : {v[0], v[1]})
        if (offset != 0) stretch.marks.insert(offset);
    constexpr std::uint64_t kStable = 1;
    if (seen.event.kind == TraceKind::pvclock_update && (v[5] & kStable) != 0)
      stretch.marks.insert(v[2] * 0x9e3779b97f4a7c15u ^ v[1]);
  }

  // ---- groups ----

  std::size_t root(std::size_t stretch) const {
    while (group_[stretch] != stretch) stretch = group_[stretch];
    return stretch;
  }

  // Of the groups that two stretches are in, together: at most one creation, one process.
  bool may_join(std::size_t a, std::size_t b) const {
    base::throw_if_interrupted();
    int creations = 0;
    std::set<int> processes;
    for (std::size_t i = 0; i < stretches_.size(); ++i) {
      if (root(i) != root(a) && root(i) != root(b)) continue;
      creations += stretches_[i].begins ? 1 : 0;
      if (stretches_[i].tgid) processes.insert(*stretches_[i].tgid);
    }
    return creations <= 1 && processes.size() <= 1;
  }

  void join(std::size_t a, std::size_t b) { group_[std::max(root(a), root(b))] = std::min(root(a), root(b)); }

  void join_by_marks() {
    std::map<std::uint64_t, std::size_t> first;
    for (std::size_t i = 0; i < stretches_.size(); ++i)
      for (const std::uint64_t mark : stretches_[i].marks) {
        const auto [found, added] = first.emplace(mark, i);
        if (!added && root(found->second) != root(i) && may_join(found->second, i)) join(found->second, i);
        found->second = i;  // the latest: another VM may have been given the same offset since
      }
  }

  // To the process's VM that began last before.
  void join_by_process() {
    for (std::size_t i = 0; i < stretches_.size(); ++i) {
      if (!stretches_[i].tgid) continue;
      std::optional<std::size_t> best;
      base::throw_if_interrupted();
      for (std::size_t k = 0; k < stretches_.size(); ++k) {
        const bool fits = stretches_[k].tgid == stretches_[i].tgid && root(k) != root(i) && may_join(i, k);
        if (fits && (!best || stretches_[k].events.front() <= stretches_[i].events.back())) best = k;
      }
      if (best) join(*best, i);
    }
  }

  std::set<int> vcpus_of_group(std::size_t stretch) const {
    base::throw_if_interrupted();
    std::set<int> vcpus;
    for (std::size_t i = 0; i < stretches_.size(); ++i)
      if (root(i) == root(stretch)) vcpus.insert(stretches_[i].vcpus.begin(), stretches_[i].vcpus.end());
    return vcpus;
  }

  bool share_vcpus(std::size_t a, std::size_t b) const {
    const std::set<int> of_a = vcpus_of_group(a), of_b = vcpus_of_group(b);
    return std::any_of(of_a.begin(), of_a.end(), [&](int vcpu) { return of_b.count(vcpu) != 0; });
  }

  bool stands_alone(std::size_t stretch) const {
    base::throw_if_interrupted();
    const std::size_t mine = root(stretch);
    for (std::size_t i = 0; i < stretches_.size(); ++i)
      if (i != stretch && root(i) == mine) return false;
    return true;
  }

  bool is_candidate(std::size_t i, std::size_t k) const {
    return root(k) != root(i) && stretches_[k].pid != stretches_[i].pid && !vcpus_of_group(k).empty() &&
           may_join(i, k) && !share_vcpus(i, k);
  }

  // A VMM's first thread creates the VM, others their vCPUs a little later.
  std::optional<std::size_t> created_next(std::size_t i) const {
    if (!stretches_[i].vcpus.empty() || !may_be_creation(stretches_[i].events.front())) return std::nullopt;
    for (std::size_t k = i + 1; k < stretches_.size(); ++k)
      if (stretches_[k].begins && !may_be_creation(stretches_[k].events.front()) && paired_.count(k) == 0 &&
          is_candidate(i, k))
        return k;
    return std::nullopt;
  }

  std::optional<std::size_t> nearest_by_number(std::size_t i) const {
    std::optional<std::size_t> nearest;
    const auto distance = [&](std::size_t k) { return std::abs(stretches_[k].pid - stretches_[i].pid); };
    for (std::size_t k = 0; k < stretches_.size(); ++k)
      if (is_candidate(i, k) && (!nearest || distance(k) < distance(*nearest))) nearest = k;
    return nearest;
  }

  void join_the_rest() {
    for (std::size_t i = 0; i < stretches_.size(); ++i) {
      if (!stands_alone(i) || stretches_[i].tgid) continue;
      const auto created = created_next(i);
      const auto other = created ? created : nearest_by_number(i);
      if (!other) continue;
      if (created) paired_.insert(*created);
      const Task& task = log_.events[stretches_[i].events.front()].task;
      assumed_.push_back(fmt::format("thread {} ({}) goes with thread {}, {}", task.pid, task.comm,
                                     stretches_[*other].pid,
                                     created ? "which created the next vCPU 0" : "the nearest by number"));
      join(*other, i);
    }
  }

  // ---- result ----

  Split result() const {
    std::map<std::size_t, SplitVm> by_root;
    for (std::size_t i = 0; i < stretches_.size(); ++i) {
      SplitVm& vm = by_root[root(i)];
      vm.events.insert(vm.events.end(), stretches_[i].events.begin(), stretches_[i].events.end());
      vm.created_here = vm.created_here || stretches_[i].begins;
    }
    Split split;
    for (auto& [unused, vm] : by_root) {
      std::sort(vm.events.begin(), vm.events.end());
      name_tasks(vm);
      split.vms.push_back(std::move(vm));
    }
    std::sort(split.vms.begin(), split.vms.end(),
              [](const SplitVm& a, const SplitVm& b) { return a.events.front() < b.events.front(); });
    if (split.vms.size() > 1 || !assumed_.empty()) say_how(split);
    return split;
  }

  void name_tasks(SplitVm& vm) const {
    std::set<int> seen;
    for (const std::size_t index : vm.events)
      if (seen.insert(log_.events[index].task.pid).second) vm.tasks.push_back(log_.events[index].task);
  }

  void say_how(Split& split) const {
    const bool processes =
        std::all_of(stretches_.begin(), stretches_.end(), [](const Stretch& s) { return s.tgid.has_value(); });
    if (processes) split.assumptions.push_back("VMs are told apart by process (tgid)");
    else
      split.assumptions.push_back(
          "VMs are told apart by the TSC offsets and pages that threads have in common; the log has no process ids "
          "(tracefs: echo 1 > options/record-tgid; perf script -F +pid,tid)");
    split.assumptions.insert(split.assumptions.end(), assumed_.begin(), assumed_.end());
  }

  const TraceLog& log_;
  bool honoured_ = false;
  std::vector<Stretch> stretches_;
  std::vector<std::size_t> group_;
  std::set<std::size_t> paired_;  // beginnings whose VM's creation was found on another thread
  std::vector<std::string> assumed_;
};

}  // namespace

Split split_by_vm(const TraceLog& log) { return Splitter(log).split(); }

}  // namespace tscsim::logs

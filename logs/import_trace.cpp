#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>

#include "logs/import.h"
#include "logs/trace_log.h"
#include "logs/vm_split.h"

namespace tscsim::logs {
namespace {

using ops::TraceKind;

std::string task_text(const Task& task) { return fmt::format("{}-{}", task.comm, task.pid); }

// The most common rate among the pages: the host's, unless the guest's TSC is scaled.
std::uint32_t page_khz(const TraceLog& log) {
  std::map<std::uint32_t, std::size_t> counts;
  for (const SeenEvent& seen : log.events)
    if (seen.event.kind == TraceKind::pvclock_update)
      ++counts[khz_of_page(seen.event.values[3], static_cast<std::int64_t>(seen.event.values[4]))];
  counts.erase(0);
  const auto most =
      std::max_element(counts.begin(), counts.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == counts.end() ? 0 : most->first;
}

class Importer {
 public:
  Importer(TraceLog log, std::string source, const ImportOptions& options)
      : log_(std::move(log)), split_(split_by_vm(log_)), source_(std::move(source)), options_(options) {}

  Import take() {
    khz_ = options_.host_khz;
    if (khz_ == 0 && log_.cycles) {
      khz_ = page_khz(log_);
      assume_rate();
    }
    for (const SplitVm& vm : split_.vms) result_.vms.push_back(import(vm));
    result_.assumptions.insert(result_.assumptions.begin(), split_.assumptions.begin(), split_.assumptions.end());
    state_facts();
    result_.problems = std::move(log_.problems);
    return std::move(result_);
  }

 private:
  void assume_rate() {
    const std::string what = "time stamps without a decimal point are the host's TSC (trace_clock x86-tsc)";
    if (khz_ == 0)
      return result_.assumptions.push_back(what + "; its rate is not known, so that times are in cycles (--tsc-khz)");
    result_.assumptions.push_back(fmt::format(
        "{}; its rate is that of the kvmclock pages, {} kHz: true unless the guest's TSC is scaled (--tsc-khz)", what,
        khz_));
  }

  std::int64_t time_ns(std::uint64_t stamp) const {
    if (!log_.cycles) return static_cast<std::int64_t>(stamp);
    if (khz_ == 0) return 0;
    const std::uint64_t first = log_.events.front().stamp;
    const bool back = stamp < first;
    const auto ns = static_cast<unsigned __int128>(back ? first - stamp : stamp - first) * 1'000'000 / khz_;
    const auto since = static_cast<std::int64_t>(std::min<unsigned __int128>(ns, INT64_MAX));
    return back ? -since : since;
  }

  ops::Entry entry_of(const SeenEvent& seen) const {
    ops::Entry entry;
    entry.op.kind = ops::OpKind::observed;
    entry.op.at_ns = time_ns(seen.stamp);
    entry.pcpu = seen.pcpu;
    if (log_.cycles) entry.bracket.tsc = {seen.stamp, seen.stamp};
    entry.note = fmt::format("{}:{} {}", log_.name, seen.line, task_text(seen.task));
    entry.traced = {seen.event};
    return entry;
  }

  // Nobody knows whose events were lost, so the gap is in every VM's recording.
  ops::Entry gap_of(const Loss& loss) const {
    ops::Entry gap;
    gap.op.kind = ops::OpKind::observed;
    gap.pcpu = std::max(loss.pcpu, 0);
    if (loss.before > 0) gap.op.at_ns = time_ns(log_.events[loss.before - 1].stamp);
    gap.note = fmt::format("{}:{} {} lost{}", log_.name, loss.line,
                           loss.events == 0 ? "events were" : fmt::format("{} events were", loss.events),
                           loss.pcpu < 0 ? "" : fmt::format(" on pCPU {}", loss.pcpu));
    return gap;
  }

  ops::Header header_of(std::size_t number) const {
    ops::Header header;
    header.scenario = split_.vms.size() == 1 ? log_.name : fmt::format("{} VM {}", log_.name, number);
    header.scenario_hash = log_.hash;
    header.profile.target = source_;
    header.profile.kernel = log_.kernel;
    header.profile.host_khz = khz_;
    header.profile.pcpus = log_.pcpus;
    if (log_.cycles) header.zero_tsc = log_.events.front().stamp;
    return header;
  }

  ImportedVm import(const SplitVm& vm) const {
    ImportedVm out;
    const std::size_t number = result_.vms.size() + 1;
    out.recording.header = header_of(number);
    auto loss = log_.losses.begin();
    for (const std::size_t index : vm.events) {
      for (; loss != log_.losses.end() && loss->before <= index; ++loss) out.recording.entries.push_back(gap_of(*loss));
      out.recording.entries.push_back(entry_of(log_.events[index]));
    }
    for (; loss != log_.losses.end(); ++loss) out.recording.entries.push_back(gap_of(*loss));
    std::vector<std::string> tasks;
    for (const Task& task : vm.tasks)
      if (tasks.size() < 8) tasks.push_back(task_text(task));
    if (vm.tasks.size() > tasks.size()) tasks.push_back(fmt::format("{} more", vm.tasks.size() - tasks.size()));
    out.title = fmt::format("VM {}: {}, {}", number, fmt::join(tasks, ", "),
                            vm.created_here ? "from its creation on" : "its creation is not in the log");
    return out;
  }

  void state_facts() {
    std::uint64_t others = 0;
    for (const auto& [unused, count] : log_.passed_over) others += count;
    result_.facts.push_back(
        fmt::format("{} events of KVM's clocks, stamped {}, on {} pCPUs; {} other events passed over",
                    log_.events.size(), log_.cycles ? "in cycles" : "in seconds", log_.pcpus, others));
    for (const Loss& loss : log_.losses) {  // a damaged number is no small one
      const std::uint64_t events = std::max<std::uint64_t>(loss.events, 1);
      result_.lost_events = events > UINT64_MAX - result_.lost_events ? UINT64_MAX : result_.lost_events + events;
    }
    if (!log_.losses.empty())
      result_.facts.push_back(
          fmt::format("the recorder lost {} events or more, at {} {}: nothing is concluded across these gaps",
                      result_.lost_events, log_.losses.size(), log_.losses.size() == 1 ? "place" : "places"));
  }

  TraceLog log_;
  Split split_;
  std::string source_;
  const ImportOptions& options_;
  std::uint32_t khz_ = 0;
  Import result_;
};

}  // namespace

std::uint32_t khz_of_page(std::uint64_t mul, std::int64_t shift) {
  if (mul == 0 || mul > UINT32_MAX || shift < -31 || shift > 31) return 0;
  unsigned __int128 khz = static_cast<unsigned __int128>(1'000'000) << 32;
  if (shift < 0) khz <<= -shift;
  else khz >>= shift;
  khz = (khz + mul / 2) / mul;
  return khz > UINT32_MAX ? 0 : static_cast<std::uint32_t>(khz);
}

Import import_trace(std::istream& in, const std::string& name, const std::string& source,
                    const ImportOptions& options) {
  return Importer(read_trace_log(in, name), source, options).take();
}

}  // namespace tscsim::logs

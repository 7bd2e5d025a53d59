#include "logs/trace_log.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <numeric>

#include "logs/event_text.h"
#include "logs/trace_line.h"
#include "ops/recording.h"

namespace tscsim::logs {
namespace {

constexpr std::string_view kRecordMend =
    "record them: trace-cmd record -e kvm:kvm_write_tsc_offset -e kvm:kvm_track_tsc -e kvm:kvm_update_master_clock "
    "-e kvm:kvm_pvclock_update";

class Reader {
 public:
  Reader(std::istream& in, const std::string& name) : text_(in, name) { log_.name = text_.name(); }

  TraceLog read() {
    while (text_.next()) take(text_.line());
    if (log_.events.empty()) refuse();
    log_.hash = ops::content_hash(kept_lines_);
    return std::move(log_);
  }

 private:
  void take(std::string_view line) {
    if (line.find_first_not_of(" \t") == std::string_view::npos) return;
    if (line.front() == '#') return take_head(line);
    if (const auto loss = read_loss(line))
      log_.losses.push_back({log_.events.size(), loss->events, loss->cpu, text_.number()});
    else if (const auto parts = split_trace_line(line)) take_event(line, *parts);
    else take_strange(line);
  }

  // "# entries-in-buffer/entries-written: 578/113952   #P:2", "# os release : 6.1.0-44-amd64".
  void take_head(std::string_view line) {
    constexpr std::string_view kEntries = "entries-in-buffer/entries-written: ", kRelease = "# os release : ";
    if (line.starts_with(kRelease)) log_.kernel = line.substr(kRelease.size());
    const std::size_t at = line.find(kEntries);
    if (at == std::string_view::npos) return;
    const char* const end = line.data() + line.size();
    std::uint64_t kept = 0, written = 0;
    const auto slash = std::from_chars(line.data() + at + kEntries.size(), end, kept);
    if (slash.ec != std::errc{} || slash.ptr == end || *slash.ptr != '/') return;
    const auto last = std::from_chars(slash.ptr + 1, end, written);
    if (last.ec == std::errc{} && written > kept)
      log_.losses.push_back({log_.events.size(), written - kept, -1, text_.number()});
  }

  void take_event(std::string_view line, const TraceLine& parts) {
    const auto kind = ops::trace_kind_from(parts.event);
    if (!kind) {
      ++log_.passed_over[std::string(parts.event)];
      return;
    }
    // Without a line end, the last number may lack digits.
    if (text_.is_cut() && !line.ends_with('}'))
      return add_problem(line, line.size(), "expected the end of the line, found the end of the file");
    SeenEvent seen;
    if (const auto fault = read_event_text(*kind, parts.text, seen.event))
      return add_problem(line, static_cast<std::size_t>(parts.text.data() - line.data()) + fault->at,
                         fmt::format("{}: {}", parts.event, fault->expected));
    if (!log_.events.empty() && parts.stamp.cycles != log_.cycles)
      return add_problem(line, 0,
                         log_.cycles ? "expected a time stamp in cycles, as on the lines before"
                                     : "expected a time stamp in seconds, as on the lines before");
    log_.cycles = parts.stamp.cycles;
    if (log_.cycles) seen.event.tsc = parts.stamp.value;
    seen.task = {std::string(parts.comm), parts.pid, parts.tgid};
    seen.pcpu = parts.cpu;
    seen.stamp = parts.stamp.value;
    seen.line = text_.number();
    log_.pcpus = std::max(log_.pcpus, parts.cpu + 1);
    log_.events.push_back(std::move(seen));
    kept_lines_ += line;
    kept_lines_ += '\n';
  }

  // A line of another form is no fault (a note, a prompt) unless it names one of the events; the last line may be cut.
  void take_strange(std::string_view line) {
    if (first_strange_.empty()) first_strange_ = std::string(line.substr(0, 200));
    for (std::size_t kind = 0; kind < ops::kTraceKinds; ++kind) {
      const std::string_view name = ops::name_of(static_cast<ops::TraceKind>(kind));
      if (line.find(name) == std::string_view::npos) continue;
      return add_problem(
          line, 0,
          fmt::format("{}: expected 'TASK-PID [CPU] FLAGS TIME: {}: ...' (trace-cmd report without -l)", name, name));
    }
    if (text_.is_cut() && line.find('[') != std::string_view::npos)
      add_problem(line, 0, "the last line is not complete");
  }

  void add_problem(std::string_view line, std::size_t at, const std::string& message) {
    const bool cut = text_.is_cut();
    const char* const mend = cut ? "the log is cut there; what is before it was taken" : "the line was left out";
    log_.problems.add({{text_.name(), text_.number(), static_cast<int>(at) + 1}, message, mend, std::string(line), 1});
  }

  std::string events_there_were() const {
    std::vector<std::pair<std::uint64_t, std::string>> by_count;
    for (const auto& [name, count] : log_.passed_over) by_count.emplace_back(count, name);
    std::stable_sort(by_count.begin(), by_count.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
    std::vector<std::string> words;
    for (const auto& [count, name] : by_count)
      if (words.size() < 5) words.push_back(fmt::format("{} {}", count, name));
    if (by_count.size() > words.size()) words.push_back(fmt::format("{} other names", by_count.size() - words.size()));
    return fmt::format("{}", fmt::join(words, ", "));
  }

  [[noreturn]] void refuse() const {
    if (log_.problems.count != 0) throw ops::InputError(log_.problems.kept);
    const ops::Place place{text_.name(), text_.number(), 0};
    std::string message = text_.number() == 0 ? "the log is empty" : "the log holds no event";
    std::string mend(kRecordMend);
    if (!log_.passed_over.empty()) {
      message = fmt::format("expected events of KVM's clocks, found none of them, but {}", events_there_were());
    } else if (first_strange_.find("ioctl(") != std::string::npos) {
      message = "expected a trace, found a log of strace";
      mend = "tscsim import strace " + text_.name();
    } else if (!first_strange_.empty()) {
      message = "expected lines 'TASK-PID [CPU] FLAGS TIME: EVENT: ...', found none, but such as this";
      mend = "give the text of tracefs' `trace`, of `trace-cmd report` (without -l) or of `perf script`";
    }
    throw ops::InputError(ops::Diagnostic{place, message, mend, first_strange_, 1});
  }

  LogText text_;
  TraceLog log_;
  std::string kept_lines_;
  std::string first_strange_;
};

}  // namespace

TraceLog read_trace_log(std::istream& in, const std::string& name) { return Reader(in, name).read(); }

}  // namespace tscsim::logs

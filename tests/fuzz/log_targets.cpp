// Logs of other recorders: ftrace, perf, strace; whole, and by the line.
#include <array>
#include <sstream>

#include "logs/event_text.h"
#include "logs/explain.h"
#include "logs/explain_text.h"
#include "logs/import.h"
#include "logs/strace_line.h"
#include "logs/trace_line.h"
#include "seeds.h"
#include "target.h"

namespace tscsim::fuzz {
namespace {

// What `tscsim import` says about it.
void tell(const logs::Import& import) {
  for (const logs::ImportedVm& vm : import.vms) {
    const logs::Explanation seen = logs::explain(vm.recording);
    for (const logs::Finding& finding : seen.findings) logs::moment_text(vm.recording, finding.entry);
    for (const logs::MasterClockPhase& phase : seen.master_clock) logs::moment_text(vm.recording, phase.since);
    logs::why_master_clock_off(seen);
    // What is imported can be kept and read again.
    std::istringstream again(text_of(vm.recording));
    promise(ops::read_json_lines(again, "import") == vm.recording, "an imported recording is read as it was written");
  }
}

void run_trace(std::string_view input, const char* source) {
  refuses_or_runs([&] {
    std::istringstream in{std::string(input)};
    tell(logs::import_trace(in, "LOG", source, {}));
  });
}
void run_ftrace(std::string_view input) { run_trace(input, "ftrace"); }
void run_perf(std::string_view input) { run_trace(input, "perf"); }

void run_strace(std::string_view input) {
  refuses_or_runs([&] {
    std::istringstream in{std::string(input)};
    tell(logs::import_strace(in, "LOG", {}));
  });
}

void run_trace_line(std::string_view input) {
  logs::read_loss(input);
  const auto line = logs::split_trace_line(input);
  if (!line) return;
  const auto kind = ops::trace_kind_from(line->event);
  ops::TraceEvent event;
  if (kind)
    if (const auto fault = logs::read_event_text(*kind, line->text, event))
      promise(fault->at <= line->text.size(), "a fault lies in the text");
}

void run_strace_line(std::string_view input) { logs::split_strace_line(input); }

bool is_strace(const std::string& text) { return text.find("ioctl(") != std::string::npos; }

std::vector<std::string> log_pieces(const std::string& source, bool strace, std::size_t lines) {
  std::vector<std::string> all;
  for (const std::string& text : texts_below(source + "/tests/logs", ".txt", 1 << 20)) {
    if (is_strace(text) != strace) continue;
    for (std::string& piece : pieces(text, lines)) {
      if (lines == 1) piece.pop_back();
      all.push_back(std::move(piece));
    }
  }
  return all;
}
std::vector<std::string> trace_seeds(const std::string& source) { return log_pieces(source, false, 30); }
std::vector<std::string> strace_seeds(const std::string& source) { return log_pieces(source, true, 30); }
std::vector<std::string> trace_line_seeds(const std::string& source) { return log_pieces(source, false, 1); }
std::vector<std::string> strace_line_seeds(const std::string& source) { return log_pieces(source, true, 1); }

constexpr std::array kTargets = {
    Target{"ftrace", "a log of ftrace or trace-cmd, imported, explained, written and read again", run_ftrace,
           trace_seeds, Form::text, 6000},
    Target{"perf", "the same of perf script", run_perf, trace_seeds, Form::text, 6000},
    Target{"strace", "a log of strace -f, likewise", run_strace, strace_seeds, Form::text, 6000},
    Target{"trace-line", "one line of a trace", run_trace_line, trace_line_seeds, Form::text, 300},
    Target{"strace-line", "one line of strace", run_strace_line, strace_line_seeds, Form::text, 300},
};

}  // namespace

std::span<const Target> log_targets() { return kTargets; }

}  // namespace tscsim::fuzz

// tscsim trace: records what a VMM that is not ours does to its guests' clocks.
#include <fmt/format.h>

#include <cstring>
#include <filesystem>
#include <iostream>
#include <sstream>

#include "base/resources.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/session.h"
#include "cli/text.h"
#include "kvm_backend/host_clocks.h"
#include "kvm_backend/probe.h"
#include "ops/error.h"
#include "storage/files.h"
#include "storage/recordings.h"
#include "tracer/recorder.h"

namespace tscsim::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kExample = "tscsim trace -o qemu.jsonl -- qemu-system-x86_64 -accel kvm -display none";
constexpr const char* kLabExample =
    "tscsim trace --on lab:6.12 -o qemu.jsonl -- qemu-system-x86_64 -accel kvm -display none";

void notice(const std::string& text) { std::cerr << "tscsim: " << text << "\n"; }

tracer::Way way_for(const Arguments& arguments, const fs::path& program) {
  const std::string with = arguments.text("with");
  if (with == "shim") return tracer::Way::shim;
  if (with == "ptrace" || arguments.has("pid")) return tracer::Way::ptrace;
  if (with != "auto")
    throw UsageError(
        fmt::format("--with is auto, shim or ptrace, not '{}'{}", with, suggestion(with, {"auto", "shim", "ptrace"})));
  return tracer::can_preload(program) ? tracer::Way::shim : tracer::Way::ptrace;
}

tracer::Order order_from(const Arguments& arguments) {
  tracer::Order order;
  order.command = arguments.positional;
  order.output_to_stderr = arguments.json();
  order.shim = base::companion("libtscsim-trace.so");
  order.notice = notice;
  order.interrupted = &interrupt_flag();
  if (arguments.has("pid")) order.pid = static_cast<pid_t>(arguments.number("pid"));
  if (order.command.empty() == (order.pid == 0))
    throw UsageError(
        fmt::format("'trace' needs a command behind --, or the --pid of a process\nexample: {}", kExample));
  return order;
}

void check_way(const Arguments& arguments, const fs::path& program) {
  if (arguments.text("with") != "shim") return;
  if (arguments.has("pid"))
    throw UsageError("nothing can be preloaded into a process that runs already; leave --with out");
  if (!program.empty() && !tracer::can_preload(program))
    notice(fmt::format(
        "nothing can be preloaded into {}, which is static or runs with other rights: only what it starts is seen",
        program.string()));
}

std::string command_name(const tracer::Order& order) {
  return order.command.empty() ? fmt::format("process {}", order.pid) : order.command.front();
}

std::string end_text(const tracer::CommandEnd& end) {
  if (!end.known) return "runs on";
  if (end.signal != 0) return fmt::format("was killed by signal {} ({})", end.signal, ::strsignal(end.signal));
  return fmt::format("ended with status {}", end.status);
}

struct Traced {
  tracer::Witnessed witnessed;
  std::vector<ops::Recording> recordings;
  tracer::Way way{};
};

Traced trace(const Arguments& arguments, const tracer::Order& order) {
  Traced traced;
  const fs::path program = order.command.empty() ? fs::path() : tracer::find_program(order.command.front());
  check_way(arguments, program);
  tracer::Circumstances circumstances;
  circumstances.profile = kvm_backend::probe_target();
  circumstances.suspended_ns = kvm_backend::HostClocks().suspended_ns();
  traced.way = way_for(arguments, program);
  traced.witnessed = traced.way == tracer::Way::shim ? tracer::record_by_shim(order) : tracer::record_by_ptrace(order);
  circumstances.cut = traced.witnessed.cut;
  traced.recordings = tracer::assemble(traced.witnessed.seen, circumstances);
  for (ops::Recording& recording : traced.recordings) recording.header.tool_version = TSCSIM_VERSION;
  return traced;
}

const char* name_of(tracer::Way way) { return way == tracer::Way::shim ? "shim" : "ptrace"; }

void report_text(const Arguments& arguments, const tracer::Order& order, const Traced& traced) {
  const std::string others = tracer::others_text(traced.witnessed.seen);
  if (!others.empty()) notice("counted only: " + others);
  notice(fmt::format("{} {}", command_name(order), end_text(traced.witnessed.end)));
  for (const ops::Recording& recording : traced.recordings)
    notice(fmt::format("recorded by {}: a VM of {}, {} operations{}", name_of(traced.way), recording.header.scenario,
                       recording.entries.size(), recording.cut.empty() ? "" : "; cut: " + recording.cut));
  if (traced.recordings.empty()) notice("no VM was created, so that there is nothing to keep");
  else notice("written to " + arguments.text("output"));
}

void report_json(const Arguments& arguments, const Traced& traced) {
  const tracer::CommandEnd& end = traced.witnessed.end;
  Json vms = Json::array();
  for (const ops::Recording& recording : traced.recordings)
    vms.push_back({{"operations", recording.entries.size()},
                   {"cut", recording.cut},
                   {"fingerprint", ops::fingerprint(recording)}});
  print({{"command", "trace"},
         {"summary",
          {{"with", name_of(traced.way)},
           {"vms", traced.recordings.size()},
           {"command_runs_on", !end.known},
           {"command_status", end.status},
           {"command_signal", end.signal}}},
         {"file", traced.recordings.empty() ? "" : arguments.text("output")},
         {"vms", vms},
         {"counted", tracer::others_text(traced.witnessed.seen)}});
}

int status_of(const Traced& traced) {
  if (base::interrupted()) return interrupted_status();
  const tracer::CommandEnd& end = traced.witnessed.end;
  const bool ended_well = !end.known || (end.status == 0 && end.signal == 0);
  return ended_well && !traced.recordings.empty() ? kAllHeld : kFailed;
}

// ---- in the lab: this program goes along, records there, and what it wrote comes back behind a line of its own.

constexpr std::string_view kMarker = "\n--- tscsim: the recording ---\n";

// The command with its program by an absolute path, since the machine's folder is another one. Throws UsageError, before
// anything boots, when there is no such program here to bring along.
std::vector<std::string> command_there(const std::vector<std::string>& command) {
  std::vector<std::string> there = command;
  if (there.front() == "sh") return there;  // the lab's own
  const fs::path program = tracer::find_program(there.front());
  if (program.empty())
    throw UsageError(fmt::format(
        "there is no program '{}' here to bring into the lab\n  mend: give the path of a program, or the name of one that is in PATH",
        there.front()));
  if (there.front().find('/') != std::string::npos) there.front() = fs::absolute(program).lexically_normal().string();
  return there;
}

std::string command_inside(const Arguments& arguments, const fs::path& tscsim) {
  std::string text = fmt::format("{} trace --with {} -o /tmp/recording.jsonl --", in_shell_quotes(tscsim.string()),
                                 arguments.text("with"));
  for (const std::string& word : command_there(arguments.positional)) text += " " + in_shell_quotes(word);
  return fmt::format("{}; status=$?; printf {}; cat /tmp/recording.jsonl; (exit $status)", text,
                     in_shell_quotes(std::string(kMarker)));
}

std::vector<std::string> to_bring(const Arguments& arguments, const fs::path& tscsim) {
  std::vector<std::string> names = brought(arguments);
  names.push_back(tscsim.string());
  names.push_back(base::companion("libtscsim-trace.so").string());
  const std::string& program = arguments.positional.front();
  if (program != "sh") names.push_back(program);
  return names;
}

int run_in_lab(const Arguments& arguments) {
  namespace lab = kvm_backend::lab;
  if (arguments.positional.empty())
    throw UsageError(fmt::format("'trace --on lab:...' needs a command behind --\nexample: {}", kLabExample));
  if (arguments.has("pid"))
    throw UsageError("a process of this machine cannot be attached to in the lab; leave --pid or --on out");
  const lab::LabTarget target = lab_target_named(arguments.text("on"));
  const fs::path tscsim = fs::read_symlink("/proc/self/exe");
  const lab::CommandEnd end = lab::command_in_lab(target, command_inside(arguments, tscsim),
                                                  lab_options(target, arguments), to_bring(arguments, tscsim));
  const std::size_t marker = end.output.rfind(kMarker);
  (arguments.json() ? std::cerr : std::cout) << end.output.substr(0, marker) << std::flush;
  std::vector<ops::Recording> recordings;
  if (marker != std::string::npos && marker + kMarker.size() < end.output.size() &&
      end.output[marker + kMarker.size()] == '{') {
    std::istringstream lines(end.output.substr(marker + kMarker.size()));
    recordings = ops::read_all_json_lines(lines, "lab:" + target.name);
  }
  for (ops::Recording& recording : recordings) recording.header.profile.target = "lab:" + target.name;
  if (!recordings.empty()) storage::write_recordings(arguments.text("output"), recordings);
  if (arguments.json())
    print({{"command", "trace"},
           {"target", "lab:" + target.name},
           {"file", recordings.empty() ? "" : arguments.text("output")},
           {"vms", recordings.size()},
           {"status", end.status}});
  else notice(recordings.empty() ? "nothing was recorded" : "written to " + arguments.text("output"));
  return end.status;
}

int run(const Arguments& arguments) {
  if (arguments.text("on") != "native") return run_in_lab(arguments);
  const tracer::Order order = order_from(arguments);
  storage::require_folder_of(arguments.text("output"));
  const Traced traced = trace(arguments, order);
  if (!traced.recordings.empty()) storage::write_recordings(arguments.text("output"), traced.recordings);
  if (arguments.json()) report_json(arguments, traced);
  else report_text(arguments, order, traced);
  return status_of(traced);
}

}  // namespace

Command trace_command() {
  return {
      "trace",
      "[-- COMMAND...]",
      "record the time-related KVM calls of a VMM that is not ours: its recording works like any other",
      kExample,
      [](OptionList& options) {
        options.text("output,o", "FILE", "where the recording goes, one for each VM; FILE.xz is compressed",
                     "trace.jsonl");
        options.text(
            "with", "WAY",
            "shim: a library preloaded into the command; ptrace: for static programs; auto: what the program allows",
            "auto");
        options.text("on", "TARGET",
                     "native, or lab:6.12, ...: the command runs there, brought along with its libraries", "native");
        options.number("pid", "N", "attach to a process that runs already");
        options.flag("noisy", "in the lab: time is this machine's, as on a real host, and does not count instructions");
        add_bring_option(options);
      },
      run};
}

}  // namespace tscsim::cli

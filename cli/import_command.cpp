// tscsim import: what ftrace, perf or strace recorded of somebody's VM, as recordings, and what it says about the VM's clocks.
#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "cli/commands.h"
#include "cli/text.h"
#include "logs/explain.h"
#include "logs/explain_text.h"
#include "logs/import.h"
#include "storage/files.h"
#include "storage/recordings.h"

namespace tscsim::cli {
namespace {

const std::vector<std::string> kSources = {"ftrace", "perf", "strace"};

std::ifstream opened(const std::string& path) {
  const auto refuse = [&](const std::string& what, const std::string& mend) {
    throw ops::InputError(ops::Diagnostic{{path, 0, 0}, what, mend, "", 1});
  };
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) refuse("is a folder; a log is a file", "");
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  if (!in) refuse(std::string("cannot be read: ") + std::strerror(errno), "");
  return in;
}

logs::Import import_log(const std::string& source, const std::string& path, const Arguments& arguments) {
  logs::ImportOptions options;
  options.host_khz = static_cast<std::uint32_t>(arguments.number("tsc-khz"));
  std::ifstream in = opened(path);
  logs::Import import =
      source == "strace" ? logs::import_strace(in, path, options) : logs::import_trace(in, path, source, options);
  for (logs::ImportedVm& vm : import.vms) vm.recording.header.tool_version = TSCSIM_VERSION;
  return import;
}

// What is missing goes to standard error: the recording is as good as what is left.
void warn(const logs::Import& import) {
  for (const ops::Diagnostic& problem : import.problems.kept) std::cerr << ops::to_text(problem) << "\n";
  if (import.problems.count > import.problems.kept.size())
    std::cerr << fmt::format("and {} more lines that were left out\n",
                             import.problems.count - import.problems.kept.size());
  if (import.partial())
    std::cerr << fmt::format(
        "notice: the log was imported in part: {} lines left out, {} events lost by the recorder\n",
        import.problems.count, import.lost_events);
}

std::string vcpu_line(const logs::VcpuSummary& vcpu) {
  std::string text = fmt::format("  vCPU {:<3}", vcpu.vcpu);
  text += vcpu.offset ? fmt::format(" offset {}", logs::signed_text(*vcpu.offset)) : " offset not seen";
  if (vcpu.in_generation)
    text += *vcpu.in_generation ? ", in the current generation" : ", not in the current generation";
  if (vcpu.pages != 0) text += fmt::format("; {} page{} at {} kHz", vcpu.pages, vcpu.pages == 1 ? "" : "s", vcpu.khz);
  if (vcpu.steps != 0)
    text +=
        fmt::format(", steps from {} to {}", logs::ns_text(vcpu.least_step_ns), logs::ns_text(vcpu.greatest_step_ns));
  return text + "\n";
}

std::string phase_line(const logs::MasterClockPhase& phase, const ops::Recording& recording) {
  return fmt::format("    {:<4} {}{}: {}\n", phase.on ? "on" : "off", phase.since_before ? "seen " : "",
                     logs::moment_text(recording, phase.since), phase.why);
}

std::string finding_lines(const logs::Finding& finding, const ops::Recording& recording) {
  std::string text = fmt::format(
      "  {}  {}{}\n    {}\n", finding.id, logs::moment_text(recording, finding.entry),
      finding.until ? ", until " + logs::moment_text(recording, *finding.until).substr(3) : "", finding.text);
  if (!finding.rule.empty()) text += fmt::format("    rule: {}\n", finding.rule);
  if (!finding.cure.empty()) text += fmt::format("    cure: {}\n", finding.cure);
  return text;
}

void print_text(const logs::Import& import, const std::string& path) {
  std::cout << path << "\n";
  for (const std::string& fact : import.facts) std::cout << "  holds    " << fact << "\n";
  for (const std::string& assumption : import.assumptions) std::cout << "  assumed  " << assumption << "\n";
  for (const logs::ImportedVm& vm : import.vms) {
    const logs::Explanation explanation = logs::explain(vm.recording);
    std::cout << "\n" << vm.title << "\n";
    for (const logs::VcpuSummary& vcpu : explanation.vcpus) std::cout << vcpu_line(vcpu);
    if (!explanation.master_clock.empty()) std::cout << "  master clock\n";
    for (const logs::MasterClockPhase& phase : explanation.master_clock) std::cout << phase_line(phase, vm.recording);
    for (const logs::Finding& finding : explanation.findings) std::cout << finding_lines(finding, vm.recording);
    if (explanation.findings.empty()) std::cout << "  nothing to report\n";
    for (const std::string& what : explanation.undecided) std::cout << "  not judged: " << what << "\n";
  }
}

Json phase_json(const logs::MasterClockPhase& phase, const ops::Recording& recording) {
  Json json = {{"on", phase.on}};
  if (phase.cause) json["cause"] = logs::name_of(*phase.cause);
  json["since"] = phase.since;
  json["since_before"] = phase.since_before;
  json["when"] = logs::moment_text(recording, phase.since);
  if (phase.decided_by) json["decided_by"] = *phase.decided_by;
  json["outside"] = phase.outside;
  json["why"] = phase.why;
  return json;
}

Json finding_json(const logs::Finding& finding, const ops::Recording& recording) {
  Json json = {{"id", finding.id}, {"entry", finding.entry}, {"when", logs::moment_text(recording, finding.entry)}};
  if (finding.until) json["until"] = *finding.until;
  json["vcpus"] = finding.vcpus;
  if (finding.cycles) json["cycles"] = std::to_string(*finding.cycles);
  if (finding.ns) json["ns"] = std::to_string(*finding.ns);
  json["text"] = finding.text;
  json["rule"] = finding.rule;
  json["cure"] = finding.cure;
  return json;
}

Json vcpu_json(const logs::VcpuSummary& vcpu) {
  Json json = {{"vcpu", vcpu.vcpu}};
  if (vcpu.offset) json["offset"] = std::to_string(*vcpu.offset);
  if (vcpu.in_generation) json["in_generation"] = *vcpu.in_generation;
  json["khz"] = vcpu.khz;
  json["pages"] = vcpu.pages;
  json["steps"] = vcpu.steps;
  if (vcpu.steps != 0) json["step_ns"] = {std::to_string(vcpu.least_step_ns), std::to_string(vcpu.greatest_step_ns)};
  return json;
}

Json vm_json(const logs::ImportedVm& vm) {
  const logs::Explanation explanation = logs::explain(vm.recording);
  Json json = {{"title", vm.title},
               {"entries", vm.recording.entries.size()},
               {"fingerprint", ops::fingerprint(vm.recording)},
               {"from_creation", explanation.from_creation},
               {"gaps", explanation.gaps}};
  json["vcpus"] = Json::array();
  for (const logs::VcpuSummary& vcpu : explanation.vcpus) json["vcpus"].push_back(vcpu_json(vcpu));
  json["master_clock"] = Json::array();
  for (const logs::MasterClockPhase& phase : explanation.master_clock)
    json["master_clock"].push_back(phase_json(phase, vm.recording));
  json["undecided"] = explanation.undecided;
  json["findings"] = Json::array();
  for (const logs::Finding& finding : explanation.findings)
    json["findings"].push_back(finding_json(finding, vm.recording));
  return json;
}

Json import_json(const logs::Import& import, const std::string& path) {
  Json json = {{"log", path},
               {"partial", import.partial()},
               {"lines_left_out", import.problems.count},
               {"events_lost", import.lost_events}};
  json["problems"] = Json::array();
  for (const ops::Diagnostic& problem : import.problems.kept)
    json["problems"].push_back(
        {{"line", problem.place.line}, {"column", problem.place.column}, {"message", problem.message}});
  json["facts"] = import.facts;
  json["assumptions"] = import.assumptions;
  json["vms"] = Json::array();
  for (const logs::ImportedVm& vm : import.vms) json["vms"].push_back(vm_json(vm));
  return json;
}

void check_usage(const Arguments& arguments) {
  const std::string& source = arguments.positional.front();
  if (std::find(kSources.begin(), kSources.end(), source) == kSources.end())
    throw UsageError(
        fmt::format("cannot import '{}'{}", source, suggestion(source, kSources, "only ftrace, perf and strace")));
  if (arguments.positional.size() < 2) throw UsageError(fmt::format("'import {}' needs the log", source));
  if (arguments.number("tsc-khz") > UINT32_MAX) throw UsageError("'import': --tsc-khz is a rate in kHz, below 2^32");
  if (arguments.has("output")) storage::require_folder_of(arguments.text("output"));
}

int run(const Arguments& arguments) {
  check_usage(arguments);
  std::vector<ops::Recording> recordings;
  Json documents = Json::array();
  bool partial = false;
  for (std::size_t i = 1; i < arguments.positional.size(); ++i) {
    const std::string& path = arguments.positional[i];
    const logs::Import import = import_log(arguments.positional.front(), path, arguments);
    warn(import);
    partial = partial || import.partial();
    for (const logs::ImportedVm& vm : import.vms) recordings.push_back(vm.recording);
    if (arguments.json()) documents.push_back(import_json(import, path));
    else print_text(import, path);
  }
  if (arguments.has("output")) storage::write_recordings(arguments.text("output"), recordings);
  if (arguments.json())
    print({{"command", "import"},
           {"summary", {{"recordings", recordings.size()}, {"partial", partial}}},
           {"logs", documents}});
  return kAllHeld;
}

constexpr const char* kDetails =
    "to record, each EVENT of kvm_write_tsc_offset, kvm_track_tsc, kvm_update_master_clock, kvm_pvclock_update:\n"
    "  trace-cmd record -C x86-tsc -e kvm:EVENT... COMMAND; trace-cmd report > LOG\n"
    "  cd /sys/kernel/tracing; echo x86-tsc > trace_clock; echo 1 > options/record-tgid;\n"
    "    echo 1 > events/kvm/EVENT/enable; cat trace_pipe > LOG\n"
    "  perf record -a -e kvm:EVENT,...; perf script --header --ns -F comm,pid,tid,cpu,time,event,trace > LOG\n"
    "  strace -f -y -ttt -T -e trace=ioctl -o LOG COMMAND   (shows no MSR values: order and time alone are judged)\n\n"
    "Exit status: 0 when there is a recording, of a part of the log too (a notice says so); 2 when nothing could be used.\n";

void add_options(OptionList& options) {
  options.text("output,o", "REC", "write the recordings here, one for each VM");
  options.number("tsc-khz", "KHZ",
                 "rate of the host's TSC, for traces with trace_clock x86-tsc; without it the kvmclock pages' rate", 0);
}

}  // namespace

Command import_command() {
  return {"import",
          "ftrace|perf|strace LOG...",
          "what others recorded of a VM: recordings, and what happened to its clocks and why",
          "tscsim import ftrace LOG -o rec.jsonl",
          add_options,
          run,
          kDetails};
}

}  // namespace tscsim::cli

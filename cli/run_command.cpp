// tscsim run: replay on the model, print the timeline and the verdicts.
#include <fmt/format.h>

#include <iostream>
#include <utility>

#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/session.h"
#include "cli/text.h"
#include "ops/operation_text.h"

namespace tscsim::cli {
namespace {

// The steps whose entries a recording holds, in order; probes belong to no step.
std::vector<const ops::Step*> steps_of(const ops::Program& program) {
  std::vector<const ops::Step*> steps;
  for (const auto* part : {&program.setup, &program.timeline})
    for (const ops::Step& step : *part) steps.push_back(&step);
  return steps;
}

// What the guest's kernel found meanwhile.
void print_guest_events(const ops::Entry& entry) {
  for (const ops::GuestEvent& event : entry.guest)
    std::cout << fmt::format("  {:>8}    guest, vcpu {}: {}\n", time_text(event.at_ns), event.vcpu,
                             guest_event_text(event));
}

// One line for what was done and what came of it, and one for the rules that led there.
void print_entry(const ops::Entry& entry, const ops::Header& header, const std::string& when,
                 const std::string& capture) {
  print_guest_events(entry);
  const std::string host = header.hosts() == 1 ? "" : header.host(entry.op.host).name + ": ";
  std::string line = fmt::format("  {:>8}  {}{}", when, host, ops::action_text(entry.op));
  const std::string outcome = outcome_text(entry, capture);
  if (!outcome.empty()) line = fmt::format("{:<48} {}", line, outcome);
  std::cout << line << "\n";
  if (!entry.note.empty() && entry.supported)
    std::cout << fmt::format("  {:>8}    by {}\n", "", first_line(entry.note));
}

// "qemu/migrate, line 12" above the steps that come from there.
std::string heading_of(const ops::Step* step) {
  return step == nullptr || step->procedure.empty() ? ""
                                                    : fmt::format("{}, line {}", step->procedure, step->used_at.line);
}

void print_text(const scenarios::Scenario& scenario, const ops::Recording& recording,
                const std::vector<scenarios::Verdict>& verdicts, bool probes) {
  const ops::Header& header = recording.header;
  std::cout << fmt::format("{}: {}\n", scenarios::label(scenario), scenario.meta.title);
  for (int host = 0; host < header.hosts(); ++host) {
    const ops::TargetProfile& profile = header.host(host).profile;
    std::cout << fmt::format("  {}on the model: Linux {}, {}, TSC {} kHz{}\n",
                             header.hosts() == 1 ? "" : header.host(host).name + " ", profile.kernel, profile.vendor,
                             number_text(profile.host_khz), profile.tsc_scaling ? ", scaling" : "");
  }
  std::cout << "\n";
  const std::vector<const ops::Step*> steps = steps_of(scenario.program);
  std::size_t done = 0;
  std::string heading;
  for (const ops::Entry& entry : recording.entries) {
    if (entry.op.probe) {
      if (probes) print_entry(entry, header, "probe", "");
      continue;
    }
    const bool setup = done < scenario.program.setup.size();
    const ops::Step* step = done < steps.size() ? steps[done] : nullptr;
    ++done;
    const std::string above = std::exchange(heading, heading_of(step));
    if (above != heading) std::cout << (heading.empty() ? "\n" : fmt::format("\n            {}\n", heading));
    print_entry(entry, header, setup ? "set-up" : time_text(entry.op.at_ns), step ? step->capture : "");
  }
  std::cout << "\n" << verdict_lines(verdicts, false);
  if (verdicts.empty()) std::cout << "  nothing is expected\n";
  std::cout << fmt::format("  fingerprint {}\n", ops::fingerprint(recording));
}

Json entry_json(const ops::Entry& entry, const ops::Header& header) {
  Json fields = Json::object();
  for (std::size_t i = 0; i < entry.outcome.count; ++i)
    fields[std::string(ops::name_of(entry.outcome.fields[i].field))] = std::to_string(entry.outcome.fields[i].value);
  Json json = {{"at_ns", entry.op.at_ns},
               {"operation", ops::action_text(entry.op)},
               {"supported", entry.supported},
               {"error", entry.outcome.error},
               {"outcome", fields},
               {"rules", entry.note}};
  if (header.hosts() > 1) json["host"] = header.host(entry.op.host).name;
  for (const ops::GuestEvent& event : entry.guest)
    json["guest"].push_back({{"at_ns", event.at_ns},
                             {"vcpu", event.vcpu},
                             {"event", ops::name_of(event.kind)},
                             {"value", std::to_string(event.value)}});
  return json;
}

// The runs of all files so far.
struct Replay {
  int runs = 0, nothing_expected = 0;
  Tally total;
  Json documents = Json::array();
};

Json document(const scenarios::Scenario& scenario, const ops::Recording& recording,
              const std::vector<scenarios::Verdict>& verdicts, bool probes) {
  Json timeline = Json::array();
  for (const ops::Entry& entry : recording.entries)
    if (!entry.op.probe || probes) timeline.push_back(entry_json(entry, recording.header));
  return {{"name", scenarios::label(scenario)},
          {"kernel", recording.header.profile.kernel},
          {"fingerprint", ops::fingerprint(recording)},
          {"timeline", timeline},
          {"expectations", verdicts_json(verdicts)}};
}

void replay(const scenarios::Scenario& scenario, const Arguments& arguments, Replay& so_far) {
  const ops::Recording recording = run_on_model(scenario, arguments);
  const auto verdicts = scenarios::evaluate(scenario, recording);
  const Tally one = tally(verdicts);
  so_far.total.failed += one.failed + one.unsure;
  so_far.total.held += one.held;
  so_far.total.not_run += one.not_run;
  if (verdicts.empty()) ++so_far.nothing_expected;
  if (arguments.json()) {
    so_far.documents.push_back(document(scenario, recording, verdicts, arguments.has("probes")));
    return;
  }
  if (so_far.runs++ != 0) std::cout << "\n";
  print_text(scenario, recording, verdicts, arguments.has("probes"));
}

int run(const Arguments& arguments) {
  Replay replayed;
  const std::vector<std::string> files = scenario_files(arguments.positional);
  check_model_options(arguments);
  require_replacements(files, arguments);
  const bool complete = done_before_interrupt([&] {
    for (const std::string& file : files)
      for (const scenarios::Scenario& scenario : load_for_model(file, arguments)) replay(scenario, arguments, replayed);
  });
  if (arguments.json()) {
    Json object = {{"command", "run"},
                   {"summary",
                    {{"held", replayed.total.held},
                     {"failed", replayed.total.failed},
                     {"not_run", replayed.total.not_run},
                     {"nothing_expected", replayed.nothing_expected}}},
                   {"scenarios", replayed.documents}};
    if (!complete) object["interrupted"] = true;
    print(object);
  }
  if (!complete) return interrupted_status();
  if (replayed.total.failed != 0) return kFailed;
  return replayed.total.held == 0 ? kNothingChecked : kAllHeld;
}

}  // namespace

Command run_command() {
  return {"run",
          "FILE...",
          "replay scenarios on the model; print the timeline and the expectations' verdicts",
          "tscsim run scenarios/thread/boot-writes-zero.yaml --kernel 5.10",
          [](OptionList& options) {
            add_model_options(options);
            options.flag("probes", "show the state read back after each step too");
          },
          run};
}

}  // namespace tscsim::cli

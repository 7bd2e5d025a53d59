// tscsim verdict: what a pause, restore or migration does to the guest's clocks, why, and the cure.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <iostream>
#include <set>

#include "cli/commands.h"
#include "cli/judged.h"
#include "cli/text.h"
#include "logs/explain.h"
#include "logs/explain_text.h"
#include "verdict/report.h"

namespace tscsim::cli {
namespace {

constexpr std::string_view kMasterClockOff = "master-clock-off", kOffsetsDiffer = "offsets-differ";

std::string answer(const std::string& question, const verdict::Course& course, const Arguments& arguments) {
  if (question == kMasterClockOff) return verdict::why_master_clock_off(course);
  if (question == kOffsetsDiffer) return verdict::why_offsets_differ(course);
  if (arguments.has("line")) return verdict::verdict_line(course) + "\n";
  return verdict::verdict_text(course, {arguments.has("all")});
}

void check_question(const std::string& question) {
  const std::vector<std::string> known{std::string(kMasterClockOff), std::string(kOffsetsDiffer)};
  if (question.empty() || question == known[0] || question == known[1]) return;
  throw UsageError("--why does not answer '" + question + "'" +
                   suggestion(question, known, "it answers master-clock-off and offsets-differ"));
}

// Of a recording that was made from outside: what its events say.
std::string seen_text(const ops::Recording& recording) {
  const logs::Explanation seen = logs::explain(recording);
  std::string text = recording.header.scenario + "\n  seen from outside: by its events alone\n\n";
  if (const logs::MasterClockPhase* off = logs::why_master_clock_off(seen))
    text += fmt::format("master clock off: {}\n", off->why);
  for (const logs::Finding& finding : seen.findings) {
    text += fmt::format("{} {}\n  {}\n", finding.id, logs::moment_text(recording, finding.entry), finding.text);
    if (!finding.rule.empty()) text += fmt::format("  rule: {}\n", finding.rule);
    if (!finding.cure.empty()) text += fmt::format("  cure: {}\n", finding.cure);
  }
  for (const std::string& open : seen.undecided) text += fmt::format("not judged: {}\n", open);
  return text;
}

std::string seen_line(const ops::Recording& recording) {
  std::set<std::string> ids;
  for (const logs::Finding& finding : logs::explain(recording).findings) ids.insert(finding.id);
  return fmt::format("{}: seen from outside: {}", recording.header.scenario,
                     ids.empty() ? "nothing" : fmt::format("{}", fmt::join(ids, ", ")));
}

// Which recording it is, where that is not plain: of several files or of several VMs.
std::string heading(const JudgedFile& where, const Arguments& arguments) {
  if (is_scenario(where.file)) return {};
  const std::string vm = where.vms == 1 ? "" : fmt::format(", VM {} of {}", where.vm, where.vms);
  if (arguments.has("line")) return where.file + vm + ": ";
  if (where.vms == 1 && arguments.positional.size() == 1) return {};
  return where.file + vm + "\n";
}

Json seen_json(const JudgedFile& where, const ops::Recording& recording) {
  const logs::Explanation seen = logs::explain(recording);
  Json findings = Json::array();
  for (const logs::Finding& finding : seen.findings)
    findings.push_back({{"id", finding.id},
                        {"entry", finding.entry + 1},
                        {"text", finding.text},
                        {"rule", finding.rule},
                        {"cure", finding.cure}});
  Json json = {{"name", recording.header.scenario},
               {"file", where.file},
               {"vm", where.vm},
               {"observed", true},
               {"findings", findings},
               {"not_judged", seen.undecided}};
  if (const logs::MasterClockPhase* off = logs::why_master_clock_off(seen)) json["master_clock_off"] = off->why;
  return json;
}

int run(const Arguments& arguments) {
  check_question(arguments.text("why"));
  Json documents = Json::array();
  bool departed = false, first = true;
  const bool lines = arguments.has("line");
  const auto judge = [&](const JudgedFile& where, const verdict::Course& course) {
    departed = departed || course.departure.has_value();
    if (arguments.json()) {
      documents.push_back(Json::parse(verdict::verdict_json(course)));
      documents.back()["file"] = where.file;
      documents.back()["vm"] = where.vm;
      if (arguments.has("why")) documents.back()["why"] = answer(arguments.text("why"), course, arguments);
      return;
    }
    std::cout << (first || lines ? "" : "\n") << heading(where, arguments)
              << answer(arguments.text("why"), course, arguments);
    first = false;
  };
  judge_all(arguments, {judge, [&](const JudgedFile& where, const ops::Recording& recording) {
                          if (arguments.json()) documents.push_back(seen_json(where, recording));
                          else if (lines) std::cout << heading(where, arguments) << seen_line(recording) << "\n";
                          else std::cout << (first ? "" : "\n") << heading(where, arguments) << seen_text(recording);
                          first = false;
                        }});
  if (arguments.json())
    print({{"command", "verdict"}, {"summary", {{"count", documents.size()}}}, {"verdicts", documents}});
  return departed ? kFailed : kAllHeld;
}

}  // namespace

Command verdict_command() {
  return {
      "verdict",
      "FILE|RECORDING...",
      "what happened to the guest's clocks, in one screen: steps, losses, skew, the rule and the operation, the cure",
      "tscsim verdict scenarios/vmm/cloud-hypervisor/interleaved-restore.yaml",
      [](OptionList& options) {
        add_model_options(options);
        options.text("why", "QUESTION",
                     "only walk back to the operation that decided: master-clock-off or offsets-differ");
        options.flag("all", "every disturbance in full, not the worst alone");
        options.flag("line", "one line for each: the worst disturbance, and lint's findings by name");
      },
      run};
}

}  // namespace tscsim::cli

// tscsim list and explain: what there is, what it is, where it comes from.
#include <fmt/format.h>

#include <filesystem>
#include <iostream>

#include "cli/commands.h"
#include "cli/guest_text.h"
#include "cli/kernel_option.h"
#include "cli/kernel_text.h"
#include "cli/names.h"
#include "cli/pages.h"
#include "cli/session.h"
#include "cli/text.h"
#include "logs/explain.h"
#include "model/kvm/rules.h"
#include "model/kvm/sync_policy.h"
#include "ops/error.h"
#include "ops/kernel_release.h"
#include "ops/operation.h"
#include "ops/spec_citation.h"
#include "scenarios/metrics.h"
#include "scenarios/procedure_library.h"
#include "verdict/findings/finding.h"

namespace tscsim::cli {
namespace {

struct Item {
  std::string kind;
  std::string name;
  std::string line;     // for list
  std::string details;  // for explain
};

std::vector<Item> scenario_items(const Arguments&) {
  std::vector<Item> items;
  for (const std::string& file : scenarios::find_scenarios(scenarios::library_folder())) {
    const scenarios::Scenario s = scenarios::load_scenario(file);
    items.push_back(
        {"scenario", s.meta.name, s.meta.title,
         fmt::format("{}\n\n{}\nsource: {}\nfile: {}\n", s.meta.title, s.meta.story, s.meta.source,
                     std::filesystem::path(file).lexically_relative(scenarios::library_folder()).string())});
  }
  return items;
}

std::vector<Item> kernel_items(const Arguments&) {
  std::vector<Item> items;
  for (const model::Change& change : model::changes())
    items.push_back({"kernel", std::string(title_of(change)),
                     fmt::format("{}: {} {}", name_of(change.subject), change.sentence, source_text(change)), ""});
  for (const model::KnownProposal& proposal : model::known_proposals())
    items.push_back({"kernel", std::string(proposal.kernel),
                     fmt::format("never merged: {} ({})", proposal.changed, proposal.source), ""});
  return items;
}

std::vector<Item> guest_items(const Arguments&) {
  std::vector<Item> items;
  for (const model::guest::GuestChange& change : model::guest::guest_changes())
    items.push_back({"guest", fmt::format("guest-{}", change.version),
                     fmt::format("{}: {} {}{}", name_of(change.subject), change.sentence, source_text(change),
                                 change.not_in.empty() ? "" : "; since " + boundary_text(change)),
                     ""});
  return items;
}

std::string spelling(const model::PolicyInfo& policy) {
  if (policy.parameters.empty()) return "not said in parameters: C++ of its own\n";
  ops::HeuristicParameters parameters;
  ops::split_heuristic(policy.parameters).apply(parameters);
  return fmt::format("parameters: {}\n", ops::to_text(parameters));
}

std::string example_value(const ops::HeuristicParameter& parameter) {
  if (parameter.name == "window") return "500ms";
  const auto last = parameter.values.rfind('|');
  return std::string(parameter.values.substr(last + 1));
}

std::vector<Item> heuristic_items(const Arguments&) {
  std::vector<Item> items;
  for (const model::PolicyInfo& policy : model::sync_policies())
    items.push_back(
        {"heuristic", std::string(policy.name), std::string(policy.description),
         fmt::format("synchronises: {}\nsource: {}\n{}", policy.description, policy.source, spelling(policy))});
  return items;
}

std::vector<Item> parameter_items(const Arguments&) {
  std::vector<Item> items;
  for (const ops::HeuristicParameter& parameter : ops::heuristic_parameters())
    items.push_back({"parameter", std::string(parameter.name),
                     fmt::format("{}: {}", parameter.values, parameter.meaning),
                     fmt::format("of a heuristic: {}\n{}\nexample: --heuristic 'base=window,{}={}'\n", parameter.values,
                                 parameter.meaning, parameter.name, example_value(parameter))});
  return items;
}

std::vector<Item> operation_items(const Arguments&) {
  std::vector<Item> items;
  for (std::size_t i = 0; i < ops::kOpKinds; ++i) {
    const auto kind = static_cast<ops::OpKind>(i);
    items.push_back({"operation", std::string(ops::name_of(kind)), std::string(ops::describe(kind)),
                     fmt::format("{}\n", ops::describe(kind))});
  }
  return items;
}

std::vector<Item> metric_items(const Arguments&) {
  std::vector<Item> items;
  for (const scenarios::Metric& metric : scenarios::metrics())
    items.push_back({"metric", std::string(metric.name), std::string(metric.text),
                     fmt::format("{}\nexample: {}\n", metric.text, metric.example)});
  return items;
}

std::vector<Item> finding_items(const Arguments&) {
  std::vector<Item> items;
  for (const verdict::FindingInfo& finding : verdict::all_findings())
    items.push_back({"finding", std::string(finding.id), std::string(finding.explanation),
                     fmt::format("{}: {}\nconsequence: {}\ncure: {}\nseen in: {}\nsource: {}\n", name_of(finding.level),
                                 finding.explanation, finding.consequence, finding.cure,
                                 finding.seen_in.empty() ? "-" : finding.seen_in,
                                 ops::spec_citation(ops::kVmmSpec, fmt::format("14, {}", finding.source)))});
  return items;
}

std::vector<Item> rule_items(const Arguments&) {
  std::vector<Item> items;
  for (std::size_t i = 0; i < static_cast<std::size_t>(model::Rule::count); ++i) {
    const model::RuleInfo& rule = model::info(static_cast<model::Rule>(i));
    items.push_back({"rule", std::string(rule.name), std::string(rule.sentence),
                     fmt::format("{}\nsource: {}\n", rule.sentence, ops::spec_citation(ops::kKvmSpec, rule.spec))});
  }
  return items;
}

std::vector<Item> items_of(const std::string& kind, const std::vector<Name>& names) {
  std::vector<Item> items;
  for (const Name& name : names) items.push_back({kind, name.name, name.line, name.details});
  return items;
}

// What an imported log can show, beside what lint can find in operations.
std::vector<Item> log_finding_items(const Arguments&) {
  std::vector<Item> items;
  for (const logs::FindingInfo& finding : logs::finding_ids()) {
    const std::string meaning(finding.meaning);
    items.push_back(
        {"log finding", std::string(finding.id), meaning, "in a log of KVM's events or calls: " + meaning + "\n"});
  }
  return items;
}

std::vector<Item> guest_event_items(const Arguments&) {
  std::vector<Item> items;
  for (std::size_t i = 0; i < ops::kGuestEventKinds; ++i) {
    const auto kind = static_cast<ops::GuestEventKind>(i);
    const std::string text(ops::describe(kind));
    items.push_back({"guest event", std::string(name_of(kind)), text, text + "\n"});
  }
  return items;
}

std::vector<Item> word_items(const Arguments&) { return items_of("word", output_words()); }
std::vector<Item> error_items(const Arguments&) { return items_of("error", clock_errors()); }
std::vector<Item> defect_items(const Arguments&) { return items_of("defect", known_defects()); }

std::string parameters_text(const scenarios::Procedure& procedure) {
  std::string text = procedure.parameters.empty() ? "" : "\nparameters\n";
  for (const scenarios::ProcedureParameter& parameter : procedure.parameters)
    text += fmt::format("  {:<14} {:>10}  {}{}\n", parameter.name, parameter.value, parameter.means,
                        parameter.origin.empty() ? "" : fmt::format(" ({})", parameter.origin));
  return text;
}

std::string procedure_text(const scenarios::Procedure& procedure) {
  std::string text = fmt::format("{}\nfor {}; versions: {}; facts of {}\n", procedure.title, name_of(procedure.kind),
                                 procedure.versions, procedure.facts);
  if (!procedure.of.empty()) text += fmt::format("goes on from: {}\n", fmt::join(procedure.of, ", "));
  if (!procedure.story.empty()) text += fmt::format("\n{}\n", procedure.story);
  text += parameters_text(procedure) + "\n" + procedure.steps_text + "\nsources\n";
  for (const std::string& source : procedure.sources) text += fmt::format("  {}\n", source);
  return text;
}

// The shipped ones, and those of --procedures.
std::vector<Item> procedure_items(const Arguments& arguments) {
  scenarios::ProcedureLibrary library("", parse_options(arguments));
  std::vector<Item> items;
  for (const std::string& name : library.names()) {
    const scenarios::Procedure* procedure = library.find(name);
    items.push_back({"procedure", name, fmt::format("for {}: {}", name_of(procedure->kind), procedure->title),
                     procedure_text(*procedure)});
  }
  return items;
}

// In the order in which explain looks: those that read files come last.
using Lister = std::vector<Item> (*)(const Arguments&);
const std::vector<std::pair<std::string, Lister>>& subjects() {
  static const std::vector<std::pair<std::string, Lister>> all = {{"kernels", kernel_items},
                                                                  {"guests", guest_items},
                                                                  {"heuristics", heuristic_items},
                                                                  {"parameters", parameter_items},
                                                                  {"operations", operation_items},
                                                                  {"metrics", metric_items},
                                                                  {"rules", rule_items},
                                                                  {"findings", finding_items},
                                                                  {"log-findings", log_finding_items},
                                                                  {"guest-events", guest_event_items},
                                                                  {"words", word_items},
                                                                  {"errors", error_items},
                                                                  {"defects", defect_items},
                                                                  {"procedures", procedure_items},
                                                                  {"scenarios", scenario_items}};
  return all;
}

std::vector<std::string> subject_names() {
  std::vector<std::string> names;
  for (const auto& [name, lister] : subjects()) names.push_back(name);
  return names;
}

int run_list(const Arguments& arguments) {
  const std::string& wanted = arguments.positional.front();
  for (const auto& [name, lister] : subjects()) {
    if (name != wanted) continue;
    const std::vector<Item> items = lister(arguments);
    Json list = Json::array();
    for (const Item& item : items) {
      list.push_back({{"name", item.name}, {"description", item.line}});
      if (!arguments.json()) std::cout << fmt::format("{:<44} {}\n", item.name, item.line);
    }
    if (arguments.json()) print({{"command", "list"}, {"summary", {{"count", items.size()}}}, {name, list}});
    return kAllHeld;
  }
  const std::string all = fmt::format("one of {}", fmt::join(subject_names(), ", "));
  throw UsageError(fmt::format("cannot list '{}'{}", wanted, suggestion(wanted, subject_names(), all)));
}

int say(const Item& item, const Arguments& arguments) {
  if (arguments.json())
    print({{"command", "explain"}, {"summary", {{"kind", item.kind}, {"name", item.name}}}, {"text", item.details}});
  else std::cout << fmt::format("{} {}\n{}", item.kind, item.name, item.details);
  return kAllHeld;
}

// Of a word that is almost a kernel's or a guest's version.
std::string nearest_kernel(const std::string& wanted) {
  constexpr std::string_view kGuest = "guest-";
  const bool guest = wanted.starts_with(kGuest);
  const std::string word = wanted.substr(guest ? kGuest.size() : 0);
  const std::size_t begin = word.find_first_not_of(" v");
  if (begin == std::string::npos || word[begin] < '0' || word[begin] > '9') return "";
  const std::string near = ops::nearest_kernel_release(word);
  return near.empty() ? "" : (guest ? std::string(kGuest) : "") + near;
}

int run_explain(const Arguments& arguments) {
  std::string wanted = fmt::format("{}", fmt::join(arguments.positional, " "));
  // As lists write the version that is not released yet.
  if (const auto queued = wanted.find(" (queued)"); queued != std::string::npos) wanted.resize(queued);
  std::vector<std::string> names;
  if (const auto version = model::KernelVersion::parse_modelled(wanted); version && model::has_era(*version)) {
    notice_newer_kernel(wanted);
    return say({"kernel", wanted, "", kernel_text(wanted, *version)}, arguments);
  }
  if (const auto version = guest_kernel(wanted)) {
    notice_newer_guest(version->major, version->minor);
    return say({"guest", wanted, "", guest_text(wanted, *version)}, arguments);
  }
  for (const auto& [subject, lister] : subjects()) {
    for (const Item& item : lister(arguments)) {
      if (item.name == wanted || (item.kind == "word" && same_word(wanted, item.name))) return say(item, arguments);
      names.push_back(item.name);
    }
  }
  if (const auto text = cited_text(wanted)) return say({"place", wanted, "", *text}, arguments);
  if (const std::string near = nearest_kernel(wanted); !near.empty())
    throw UsageError(fmt::format("nothing is called '{}'; did you mean '{}'?", wanted, near));
  throw UsageError(fmt::format("nothing is called '{}'{}", wanted, suggestion(wanted, names, "see 'tscsim list'")));
}

}  // namespace

Command list_command() {
  return {"list",
          "scenarios|kernels|guests|heuristics|parameters|operations|metrics|procedures|rules|findings|log-findings|"
          "guest-events|words|errors|defects",
          "what there is",
          "tscsim list kernels",
          add_procedure_options,
          run_list};
}

Command explain_command() {
  return {
      "explain",
      "NAME...",
      "a scenario, kernel, guest-6.8, heuristic, its parameters, operation, metric, procedure, rule, finding, word of "
      "the output, E7, K36 or a place in docs/spec/, and where it comes from",
      "tscsim explain qemu/migrate",
      add_procedure_options,
      run_explain};
}

}  // namespace tscsim::cli

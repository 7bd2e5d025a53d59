// tscsim list and explain: what there is, what it is, where it comes from.
#include <fmt/format.h>

#include <filesystem>
#include <iostream>

#include "cli/commands.h"
#include "cli/session.h"
#include "cli/text.h"
#include "model/kvm/era.h"
#include "model/kvm/rules.h"
#include "model/kvm/sync_policy.h"
#include "ops/error.h"
#include "ops/operation.h"
#include "scenarios/metrics.h"

namespace tscsim::cli {
namespace {

struct Item {
  std::string kind;
  std::string name;
  std::string line;     // for list
  std::string details;  // for explain
};

std::vector<Item> scenario_items() {
  std::vector<Item> items;
  for (const std::string& file : scenarios::find_scenarios(library_folder())) {
    const scenarios::Scenario s = scenarios::load_scenario(file);
    items.push_back({"scenario", s.meta.name, s.meta.title,
                     fmt::format("{}\n\n{}\nsource: {}\nfile: {}\n", s.meta.title, s.meta.story, s.meta.source,
                                 std::filesystem::path(file).lexically_relative(library_folder()).string())});
  }
  return items;
}

std::string era_text(const model::Era& era) {
  const auto yes = [](bool b) { return b ? "yes" : "no"; };
  std::string text;
  text += fmt::format("  TSC writes: rules of era {}, heuristic {}\n", era.sync_era, era.heuristic);
  text += fmt::format("  guest writes of IA32_TSC go through the heuristic: {}\n", yes(era.guest_writes == ops::GuestWrites::join));
  text += fmt::format("  TSC offset attribute: {}\n", yes(era.offset_attribute));
  text += fmt::format("  KVM_GET_CLOCK tells realtime and host TSC, KVM_SET_CLOCK takes flags: {}\n", yes(era.clock_flags_accepted));
  text += fmt::format("  a guest write of TSC_ADJUST refreshes its kvmclock page: {}\n", yes(era.guest_adjust_requests_update));
  text += fmt::format("  KVM_SET_TSC_KHZ on the VM: {}{}\n", yes(era.vm_tsc_khz),
                      era.vm_tsc_khz_refused_after_vcpu ? ", refused once a vCPU exists" : "");
  text += fmt::format("  KVM_SET_CLOCK is exact at the master pair: {}\n",
                      yes(era.set_clock == model::SetClock::anchored_at_master_pair));
  text += fmt::format("  other vCPUs' pages follow: {}\n", era.global_update == model::GlobalUpdate::delayed
                                                              ? "after 100 ms, and every 300 s"
                                                              : era.global_update == model::GlobalUpdate::immediate ? "at once" : "never");
  return text;
}

std::vector<Item> kernel_items() {
  std::vector<Item> items;
  for (const model::KnownKernel& kernel : model::known_kernels())
    items.push_back({"kernel", std::string(kernel.version), std::string(kernel.changed), ""});
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

std::vector<Item> heuristic_items() {
  std::vector<Item> items;
  for (const model::PolicyInfo& policy : model::sync_policies())
    items.push_back({"heuristic", std::string(policy.name), std::string(policy.description),
                     fmt::format("synchronises: {}\nsource: {}\n{}", policy.description, policy.source, spelling(policy))});
  return items;
}

std::vector<Item> parameter_items() {
  std::vector<Item> items;
  for (const ops::HeuristicParameter& parameter : ops::heuristic_parameters())
    items.push_back({"parameter", std::string(parameter.name), fmt::format("{}: {}", parameter.values, parameter.meaning),
                     fmt::format("of a heuristic: {}\n{}\nexample: --heuristic 'base=window,{}={}'\n", parameter.values,
                                 parameter.meaning, parameter.name, example_value(parameter))});
  return items;
}

std::vector<Item> operation_items() {
  std::vector<Item> items;
  for (std::size_t i = 0; i < ops::kOpKinds; ++i) {
    const auto kind = static_cast<ops::OpKind>(i);
    items.push_back({"operation", std::string(ops::name_of(kind)), std::string(ops::describe(kind)),
                     fmt::format("{}\n", ops::describe(kind))});
  }
  return items;
}

std::vector<Item> metric_items() {
  std::vector<Item> items;
  for (const scenarios::Metric& metric : scenarios::metrics())
    items.push_back({"metric", std::string(metric.name), std::string(metric.text),
                     fmt::format("{}\nexample: {}\n", metric.text, metric.example)});
  return items;
}

std::vector<Item> rule_items() {
  std::vector<Item> items;
  for (std::size_t i = 0; i < static_cast<std::size_t>(model::Rule::count); ++i) {
    const model::RuleInfo& rule = model::info(static_cast<model::Rule>(i));
    items.push_back({"rule", std::string(rule.name), std::string(rule.sentence),
                     fmt::format("{}\nsource: kvm-timekeeping.md section {}\n", rule.sentence, rule.spec)});
  }
  return items;
}

using Lister = std::vector<Item> (*)();
const std::vector<std::pair<std::string, Lister>>& subjects() {
  static const std::vector<std::pair<std::string, Lister>> all = {
      {"scenarios", scenario_items}, {"kernels", kernel_items}, {"heuristics", heuristic_items}, {"parameters", parameter_items},
      {"operations", operation_items}, {"metrics", metric_items}, {"rules", rule_items}};
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
    const std::vector<Item> items = lister();
    Json list = Json::array();
    for (const Item& item : items) {
      list.push_back({{"name", item.name}, {"description", item.line}});
      if (!arguments.json()) std::cout << fmt::format("{:<44} {}\n", item.name, item.line);
    }
    if (arguments.json()) print({{"command", "list"}, {"summary", {{"count", items.size()}}}, {name, list}});
    return kAllHeld;
  }
  const std::string near = ops::nearest_word(wanted, subject_names());
  throw UsageError(fmt::format("cannot list '{}'; {}", wanted,
                               near.empty() ? fmt::format("one of {}", fmt::join(subject_names(), ", "))
                                            : fmt::format("did you mean '{}'?", near)));
}

int say(const Item& item, const Arguments& arguments) {
  if (arguments.json())
    print({{"command", "explain"}, {"summary", {{"kind", item.kind}, {"name", item.name}}}, {"text", item.details}});
  else
    std::cout << fmt::format("{} {}\n{}", item.kind, item.name, item.details);
  return kAllHeld;
}

int run_explain(const Arguments& arguments) {
  const std::string& wanted = arguments.positional.front();
  std::vector<std::string> names;
  if (const auto version = model::KernelVersion::parse(wanted); version && version->at_least(3, 4)) {
    std::string details;
    for (const model::KnownKernel& kernel : model::known_kernels())
      if (kernel.version == wanted) details = fmt::format("{}\n", kernel.changed);
    return say({"kernel", wanted, "", details + era_text(model::era_for(*version))}, arguments);
  }
  for (const auto& [subject, lister] : subjects()) {
    for (const Item& item : lister()) {
      if (item.name == wanted) return say(item, arguments);
      names.push_back(item.name);
    }
  }
  const std::string near = ops::nearest_word(wanted, names);
  throw UsageError(fmt::format("nothing is called '{}'{}", wanted,
                               near.empty() ? "; see 'tscsim list'" : fmt::format("; did you mean '{}'?", near)));
}

}  // namespace

Command list_command() {
  return {"list", "scenarios|kernels|heuristics|parameters|operations|metrics|rules", "what there is", "tscsim list kernels",
          [](po::options_description&) {}, run_list};
}

Command explain_command() {
  return {"explain", "NAME", "a scenario, kernel, heuristic, its parameters, operation, metric or rule, and where it comes from",
          "tscsim explain window-after-user-write", [](po::options_description&) {}, run_explain};
}

}  // namespace tscsim::cli

#include "scenarios/procedure_alone.h"

#include <filesystem>
#include <utility>

#include "ops/error.h"
#include "scenarios/files.h"
#include "scenarios/procedure_library.h"
#include "scenarios/yaml_tree.h"

namespace tscsim::scenarios {
namespace {

const YamlNode* member(const YamlNode& node, const std::string& key) {
  for (const YamlMember& item : node.members)
    if (item.key.text == key) return &item.value;
  return nullptr;
}

// The folder and the name by which the library finds the file: a name of several parts is the end of the path.
std::pair<std::string, std::string> folder_and_name(const std::string& path) {
  const std::string file = std::filesystem::absolute(path).lexically_normal().string();
  const YamlNode tree = parse_yaml(read_bounded(path), path);
  const YamlNode* name = member(tree, "name");
  const std::string end = name == nullptr ? "" : "/" + name->text + ".yaml";
  if (!end.empty() && file.ends_with(end)) return {file.substr(0, file.size() - end.size()), name->text};
  return {"", file};
}

std::string use_of(const Procedure& procedure, const std::string& with, const std::string& at,
                   const std::string& roles) {
  const std::string word(name_of(procedure.kind));
  return "  - {at: " + at + ", " + word + ": {with: " + with + roles + "}}\n";
}

std::string roles_of(const Procedure& procedure) {
  if (procedure.kind == ProcedureKind::migrate) return ", from: a, to: b";
  if (procedure.kind != ProcedureKind::restore) return "";
  // Without a VM of its own it goes on in the one that is there.
  return procedure.steps_text.find("create_vm") == std::string::npos ? ", to: a" : ", to: b";
}

std::string timeline_of(const Procedure& procedure, const std::string& with, ProcedureLibrary& library) {
  if (procedure.kind == ProcedureKind::start) return use_of(procedure, with, "0 s", "");
  // The guest's next tick lies far ahead, so that it matters whether the VMM brings it along.
  std::string text =
      "  - {at: 0 s, vcpu: all, set_lapic: {timer: tsc_deadline}}\n"
      "  - {at: 0 s, vcpu: all, wrmsr: {IA32_TSC_DEADLINE: 90 min}}\n"
      "  - {at: 0 s, vcpu: all, run: }\n";
  const Procedure* before = procedure.of.empty() ? nullptr : library.find(procedure.of.front());
  if (before != nullptr) text += use_of(*before, procedure.of.front(), "5 s", ", as: before");
  text += use_of(procedure, with, before == nullptr ? "5 s" : "1 min",
                 roles_of(procedure) + (before == nullptr ? "" : ", of: before"));
  return text + "  - {at: 1 h, vcpu: all, run: }\n";
}

}  // namespace

bool is_procedure_file(const std::string& path) {
  try {
    return member(parse_yaml(read_bounded(path), path), "steps") != nullptr;
  } catch (const ops::InputError&) {
    return false;
  }
}

Scenario scenario_of_procedure(const std::string& path, const ParseOptions& options) {
  const auto [folder, name] = folder_and_name(path);
  ParseOptions with_folder = options;
  if (!folder.empty()) with_folder.procedure_folders.insert(with_folder.procedure_folders.begin(), folder);
  ProcedureLibrary library("", with_folder);
  const Procedure& procedure = *library.find(name);
  const std::string text = "name: " + std::filesystem::path(procedure.name).filename().string() +
                           "\ntitle: The procedure " + procedure.name + " by itself\nsource: " + path +
                           "\nhosts: {a: {}, b: {}}\nvm: {vcpus: 2, kvmclock: on, irqchip: on}\ntimeline:\n" +
                           timeline_of(procedure, name, library);
  Scenario scenario = parse_scenario(text, "", with_folder);
  scenario.meta.name = procedure.name;
  return scenario;
}

}  // namespace tscsim::scenarios

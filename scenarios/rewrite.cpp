#include "scenarios/rewrite.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <filesystem>

#include "scenarios/overrides.h"
#include "scenarios/yaml_edit.h"

namespace tscsim::scenarios {
namespace {

using Kind = YamlNode::Kind;

YamlNode& made_member(YamlNode& node, const std::string& key) {
  if (node.is(Kind::null)) node.kind = Kind::mapping;
  if (YamlNode* found = member(node, key)) return *found;
  node.members.push_back({scalar(key), {}});
  return node.members.back().value;
}

void drop(YamlNode& node, const std::string& key) {
  std::erase_if(node.members, [&](const YamlMember& one) { return one.key.text == key; });
}

// The list of steps stands line by line, everything within a line is written in one.
void emit(YAML::Emitter& out, const YamlNode& node, int depth) {
  switch (node.kind) {
    case Kind::null:
      out << YAML::Null;
      return;
    case Kind::scalar:
      if (node.quoted) out << YAML::DoubleQuoted;
      out << node.text;
      return;
    case Kind::sequence:
      if (depth > 1) out << YAML::Flow;
      out << YAML::BeginSeq;
      for (const YamlNode& item : node.items) emit(out, item, depth + 1);
      out << YAML::EndSeq;
      return;
    case Kind::mapping:
      if (depth > 0) out << YAML::Flow;
      out << YAML::BeginMap;
      for (const YamlMember& one : node.members) {
        out << YAML::Key << one.key.text << YAML::Value;
        emit(out, one.value, depth + 1);
      }
      out << YAML::EndMap;
  }
}

// The names that replacements give; a path is made absolute, because the new file stands elsewhere. An argument that a procedure
// does not know is passed over by the parser only while it stands in the place of another.
void name_procedures(YamlNode& root, ProcedureLibrary& procedures, const std::string& file) {
  constexpr std::string_view kOwn[] = {"with", "as", "of", "on", "from", "to"};
  for (const WrittenUse& use : written_uses(root, procedures)) {
    const bool path = use.used.starts_with('.');
    use.with->text = path ? std::filesystem::absolute(std::filesystem::path(file).parent_path() / use.used)
                                .lexically_normal()
                                .string()
                          : use.used;
    std::erase_if(use.arguments->members, [&](const YamlMember& argument) {
      return use.procedure->find(argument.key.text) == nullptr &&
             std::find(std::begin(kOwn), std::end(kOwn), argument.key.text) == std::end(kOwn);
    });
  }
}

void set_kernel(YamlNode& root, const std::string& kernel) {
  drop(root, "kernels");
  if (YamlNode* hosts = member(root, "hosts")) {
    for (YamlMember& host : hosts->members) made_member(host.value, "kernel") = scalar(kernel);
    return;
  }
  made_member(made_member(root, "host"), "kernel") = scalar(kernel);
}

}  // namespace

std::string rewritten(std::string_view text, const std::string& file, const Rewrite& rewrite) {
  YamlNode root = parse_yaml(text, file);
  ProcedureLibrary procedures(file, rewrite.options);
  apply_overrides(root, rewrite.options.overrides, procedures, file);
  name_procedures(root, procedures, file);
  if (!rewrite.kernel.empty()) set_kernel(root, rewrite.kernel);
  if (!rewrite.heuristic.empty()) made_member(made_member(root, "vm"), "heuristic") = scalar(rewrite.heuristic);
  for (const char* key : {"story", "expect", "since", "sweep"}) drop(root, key);
  made_member(root, "name") = scalar(rewrite.name);
  made_member(root, "title") = scalar(rewrite.title);
  made_member(root, "source") = scalar(rewrite.source);
  if (!rewrite.expect.empty()) {
    YamlNode& expect = made_member(root, "expect");
    expect.kind = Kind::sequence;
    for (const auto& [metric, value] : rewrite.expect) {
      YamlNode item;
      YamlNode& body = made_member(item, metric);
      if (!metric.ends_with("skew")) made_member(body, "of") = scalar("all");
      made_member(body, "is") = scalar(value);
      expect.items.push_back(item);
    }
  }
  YAML::Emitter out;
  emit(out, root, 0);
  return std::string(out.c_str()) + "\n";
}

}  // namespace tscsim::scenarios

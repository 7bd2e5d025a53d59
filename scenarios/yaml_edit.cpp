#include "scenarios/yaml_edit.h"

#include <map>

namespace tscsim::scenarios {

YamlNode scalar(std::string text) {
  YamlNode node;
  node.kind = YamlNode::Kind::scalar;
  node.text = std::move(text);
  return node;
}

YamlNode* member(YamlNode& node, const std::string& key) {
  for (YamlMember& one : node.members)
    if (one.key.text == key) return &one.value;
  return nullptr;
}

std::vector<WrittenUse> written_uses(YamlNode& root, ProcedureLibrary& procedures) {
  std::vector<WrittenUse> uses;
  YamlNode* timeline = member(root, "timeline");
  if (timeline == nullptr) return uses;
  std::map<std::string, int> of_kind;
  for (YamlNode& line : timeline->items)
    for (YamlMember& one : line.members) {
      const auto kind = procedure_kind_from(one.key.text);
      YamlNode* with = kind ? member(one.value, "with") : nullptr;
      if (with == nullptr) continue;
      const std::string counted = one.key.text + std::to_string(++of_kind[one.key.text]);
      const YamlNode* as = member(one.value, "as");
      const std::string used = procedures.replaced(with->text, *kind);
      if (const Procedure* procedure = procedures.find(used))
        uses.push_back({as != nullptr ? as->text : counted, &one.value, with, used, procedure});
    }
  return uses;
}

}  // namespace tscsim::scenarios

// Changes to the tree of a scenario file, for what gives it other values or writes it anew.
#pragma once

#include <string>
#include <vector>

#include "scenarios/procedure_library.h"
#include "scenarios/yaml_tree.h"

namespace tscsim::scenarios {

YamlNode scalar(std::string text);

YamlNode* member(YamlNode& node, const std::string& key);  // nullptr when there is none

// A line of the timeline that uses a procedure: `migrate: {with: ...}`.
struct WrittenUse {
  std::string name;  // "migrate2", or what `as` says
  YamlNode* arguments = nullptr;
  YamlNode* with = nullptr;
  std::string used;  // its name, with replacements
  const Procedure* procedure = nullptr;
};

// Those whose procedure is found. The pointers are into the tree.
std::vector<WrittenUse> written_uses(YamlNode& root, ProcedureLibrary& procedures);

}  // namespace tscsim::scenarios

// Where procedure files are found, and what a command line puts in their place.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "scenarios/procedure.h"
#include "scenarios/scenario.h"

namespace tscsim::scenarios {

class ProcedureLibrary {
 public:
  // `scenario_file` is the file that uses procedures; a name that begins with '.' is a path from its folder.
  ProcedureLibrary(std::string scenario_file, ParseOptions options);

  // Null when there is none of this name; ops::InputError when the file is at fault. "./my-vmm.yaml" from the scenario's
  // folder; else NAME.yaml in a folder of the options, in `procedures/` beside the scenario, or among the shipped ones.
  const Procedure* find(const std::string& name);

  // What is used where a scenario says `name` for `kind`; `name` itself when nothing replaces it.
  std::string replaced(const std::string& name, ProcedureKind kind);

  std::vector<std::string> names() const;              // all that can be used by name, sorted
  const std::string& texts() const { return texts_; }  // of all files read, for the scenario's hash

 private:
  std::vector<std::string> folders() const;

  std::string beside_;  // the scenario's folder, empty or with a slash at the end
  ParseOptions options_;
  std::map<std::string, std::unique_ptr<Procedure>> read_;
  std::string texts_;
};

}  // namespace tscsim::scenarios

// What was not passed in the last `tscsim check` of each scenario, for `check --failed`. It is kept in the user's cache
// folder; where there is none, or it cannot be written, nothing is kept.
#pragma once

#include <set>
#include <string>
#include <utility>

namespace tscsim::cli {

// A file by its absolute path, and a scenario's label in it; an empty label: the file could not be read.
using ScenarioInFile = std::pair<std::string, std::string>;
using ScenariosInFiles = std::set<ScenarioInFile>;

ScenarioInFile scenario_in_file(const std::string& file, const std::string& label);

// Empty also when there was no run.
ScenariosInFiles last_failed();

// Of those that were `checked` only the `failed` ones are kept from now on.
void keep_failed(const ScenariosInFiles& checked, const ScenariosInFiles& failed);

}  // namespace tscsim::cli

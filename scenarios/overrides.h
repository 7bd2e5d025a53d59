// Values of a scenario file that somebody else gives: what a sweep varies. A scalar is named by
//
//   downtime              a parameter of the procedures that the timeline uses, of all that have it
//   migrate2.downtime     of one use: its `as`, or its kind and which of that kind it is
//   hosts.b.realtime_error, host.uptime, vm.vcpus, ...   a path of keys from the top; the last ones need not be in the file
//   timeline.2.at         the second item of a list
//   17:at, 17:set_msr.IA32_TSC                           a key that stands on a line of the file, and a path from there
#pragma once

#include <string>
#include <vector>

#include "scenarios/procedure_library.h"
#include "scenarios/scenario.h"
#include "scenarios/yaml_tree.h"

namespace tscsim::scenarios {

// Throws ops::InputError when a name fits nothing. That a value fits its key is for the parser to say.
void apply_overrides(YamlNode& root, const std::vector<Override>& overrides, ProcedureLibrary& procedures,
                     const std::string& file);

}  // namespace tscsim::scenarios

// The commands of tscsim; each file of that name holds one or two.
#pragma once

#include "cli/arguments.h"

namespace tscsim::cli {

Command run_command();
Command check_command();
Command compare_command();
Command crosscheck_command();
Command record_command();
Command verify_command();
Command trace_command();
Command hunt_command();
Command export_command();
Command import_command();
Command doctor_command();
Command lab_command();
Command guest_pauses_command();
Command stats_command();
Command verdict_command();
Command lint_command();
Command sweep_command();
Command merge_command();
Command evaluate_command();
Command list_command();
Command explain_command();
Command completion_command();
Command manual_command();

// All of them, in the order in which --help lists them.
const std::vector<Command>& all_commands();

}  // namespace tscsim::cli

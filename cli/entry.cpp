#include "cli/entry.h"

#include <fmt/format.h>

#include <iostream>

#include "base/resources.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "ops/error.h"
#include "ops/executor.h"

namespace tscsim::cli {
namespace {
sweep::Ranks* ranks_of_process = nullptr;
}

sweep::Ranks* other_ranks() { return ranks_of_process; }

const std::vector<Command>& all_commands() {
  static const std::vector<Command> commands = {
      run_command(),     check_command(),      crosscheck_command(), record_command(),       verify_command(),
      trace_command(),   hunt_command(),       export_command(),     import_command(),       doctor_command(),
      lab_command(),     verdict_command(),    stats_command(),      lint_command(),         compare_command(),
      sweep_command(),   merge_command(),      evaluate_command(),   guest_pauses_command(), list_command(),
      explain_command(), completion_command(), manual_command()};
  return commands;
}

int run_tscsim(int argc, const char* const* argv, sweep::Ranks* ranks) {
  ranks_of_process = ranks;
  try {
    cli::handle_interrupts();
    const int status = dispatch(all_commands(), argc, argv);
    std::cout.flush();
    if (!std::cout) throw cli::UsageError("standard output cannot be written");
    return status;
  } catch (const cli::UsageError& error) {
    std::cerr << "tscsim: " << error.what() << "\n";
    return cli::kBadUsage;
  } catch (const ops::InputError& error) {
    std::cerr << error.what() << "\n";
    return cli::kBadUsage;
  } catch (const base::ResourceMissing& error) {
    std::cerr << "tscsim: " << error.what() << "\n";
    return cli::kNotAvailable;
  } catch (const ops::TargetError& error) {
    std::cerr << "tscsim: " << error.what() << "\n";
    return cli::kNotAvailable;
  } catch (const base::Interrupted&) {
    std::cerr << "tscsim: interrupted\n";
    return cli::kInterrupted;
  } catch (const ops::Interrupted&) {
    std::cerr << "tscsim: interrupted\n";
    return cli::kInterrupted;
  } catch (const std::exception& error) {
    std::cerr << "tscsim: internal error: " << error.what() << "\n";
    return cli::kBadUsage;
  }
}

}  // namespace tscsim::cli

#include "cli/entry.h"

#include <fmt/format.h>

#include <iostream>

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

int run_tscsim(int argc, const char* const* argv, sweep::Ranks* ranks) {
  ranks_of_process = ranks;
  try {
    cli::handle_interrupts();
    const int status = cli::dispatch(
        {cli::run_command(),     cli::check_command(),  cli::crosscheck_command(), cli::record_command(),
         cli::verify_command(),  cli::trace_command(),  cli::hunt_command(),       cli::export_command(),
         cli::import_command(),  cli::doctor_command(), cli::lab_command(),        cli::guest_pauses_command(),
         cli::verdict_command(), cli::stats_command(),  cli::lint_command(),       cli::compare_command(),
         cli::sweep_command(),   cli::merge_command(),  cli::evaluate_command(),   cli::list_command(),
         cli::explain_command()},
        argc, argv);
    std::cout.flush();
    if (!std::cout) throw cli::UsageError("standard output cannot be written");
    return status;
  } catch (const cli::UsageError& error) {
    std::cerr << "tscsim: " << error.what() << "\n";
    return cli::kBadUsage;
  } catch (const ops::InputError& error) {
    std::cerr << error.what() << "\n";
    return cli::kBadUsage;
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

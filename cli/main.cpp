// Prints what the library throws, and turns it into the exit status.
#include <fmt/format.h>

#include <iostream>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "ops/error.h"
#include "ops/executor.h"

int main(int argc, char** argv) {
  using namespace tscsim;
  try {
    cli::handle_interrupts();
    const int status = cli::dispatch({cli::run_command(), cli::check_command(), cli::compare_command(), cli::crosscheck_command(),
                                      cli::record_command(), cli::verify_command(), cli::trace_command(), cli::hunt_command(),
                                      cli::export_command(), cli::import_command(), cli::doctor_command(), cli::lab_command(), cli::guest_pauses_command(), cli::verdict_command(), cli::stats_command(),
                                      cli::lint_command(), cli::list_command(),
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
  } catch (const ops::Interrupted&) {
    std::cerr << "tscsim: interrupted\n";
    return cli::kInterrupted;
  } catch (const std::exception& error) {
    std::cerr << "tscsim: internal error: " << error.what() << "\n";
    return cli::kBadUsage;
  }
}

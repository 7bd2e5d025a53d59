#include "cli/judged.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "cli/kernel_option.h"
#include "scenarios/procedure_alone.h"
#include "storage/recordings.h"

namespace tscsim::cli {

bool is_scenario(const std::string& path) {
  // A shipped scenario can be named without its path, where there is no file of that name.
  std::error_code ignored;
  const bool is_name = path.find_first_of("./") == std::string::npos && !std::filesystem::exists(path, ignored);
  return is_name || path.ends_with(".yaml") || path.ends_with(".yml");
}

// A procedure is judged by the plainest scenario that uses it.
static std::vector<scenarios::Scenario> scenarios_in(const std::string& file, const Arguments& arguments) {
  if (!scenarios::is_procedure_file(file)) return load_for_model(file, arguments);
  return for_model(scenarios::scenario_of_procedure(file, parse_options(arguments)), arguments);
}

static std::vector<std::string> scenarios_of(const std::vector<std::string>& paths) {
  std::vector<std::string> files;
  for (const std::string& path : paths)
    if (is_scenario(path) || std::filesystem::is_directory(path))
      for (const std::string& file : scenario_files({path})) files.push_back(file);
  return files;
}

void require_scenarios_for_model_options(const std::vector<std::string>& paths, const Arguments& arguments) {
  const bool any = std::any_of(paths.begin(), paths.end(), [](const std::string& path) {
    return is_scenario(path) || std::filesystem::is_directory(path);
  });
  if (any) return;
  for (const char* option : {"kernel", "heuristic", "procedure"})
    if (arguments.has(option))
      throw UsageError(
          fmt::format("--{} is for scenarios, and there are only recordings: what they say is done", option));
}

// One line for the header, one for each entry, one for the end.
static void judge_recordings(const std::string& path, const Judges& judges) {
  std::vector<ops::Recording> recordings = storage::read_recordings(path);
  JudgedFile where{path, 1, 1, recordings.size()};
  for (ops::Recording& recording : recordings) {
    const std::size_t lines = recording.entries.size() + 2;
    notice_newer_kernels(recording.header);
    if (ops::is_observed(recording)) judges.observed(where, recording);
    else judges.course(where, verdict::follow(std::move(recording)));
    where.header_line += lines;
    ++where.vm;
  }
}

void judge_all(const Arguments& arguments, const Judges& judges) {
  require_scenarios_for_model_options(arguments.positional, arguments);
  check_model_options(arguments);
  require_replacements(scenarios_of(arguments.positional), arguments);
  for (const std::string& path : arguments.positional) {
    if (!is_scenario(path) && !std::filesystem::is_directory(path)) {
      judge_recordings(path, judges);
      continue;
    }
    for (const std::string& file : scenario_files({path})) {
      for (const scenarios::Scenario& scenario : scenarios_in(file, arguments)) {
        verdict::Course course = verdict::follow(scenario.program, arguments.number("seed"));
        course.recording.header.scenario = scenarios::label(scenario);
        judges.course({file}, course);
      }
    }
  }
}

}  // namespace tscsim::cli

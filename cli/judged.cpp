#include "cli/judged.h"

#include <filesystem>
#include <vector>

#include "scenarios/procedure_alone.h"
#include "storage/recordings.h"

namespace tscsim::cli {

bool is_scenario(const std::string& path) { return path.ends_with(".yaml") || path.ends_with(".yml"); }

// A procedure is judged by the plainest scenario that uses it.
static std::vector<scenarios::Scenario> scenarios_in(const std::string& file, const Arguments& arguments) {
  if (!scenarios::is_procedure_file(file)) return load_for_model(file, arguments);
  return {with_model_options(scenarios::scenario_of_procedure(file, parse_options(arguments)), arguments)};
}

// One line for the header, one for each entry, one for the end.
static void judge_recordings(const std::string& path, const Judges& judges) {
  std::vector<ops::Recording> recordings = storage::read_recordings(path);
  JudgedFile where{path, 1, 1, recordings.size()};
  for (ops::Recording& recording : recordings) {
    const std::size_t lines = recording.entries.size() + 2;
    if (ops::is_observed(recording)) judges.observed(where, recording);
    else judges.course(where, verdict::follow(std::move(recording)));
    where.header_line += lines;
    ++where.vm;
  }
}

void judge_all(const Arguments& arguments, const Judges& judges) {
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

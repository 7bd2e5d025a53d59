// tscsim hunt: random operation lists against real KVM, or properties on the model.
#include <fmt/format.h>

#include <filesystem>
#include <iostream>

#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/keeper.h"
#include "cli/kernel_option.h"
#include "cli/progress.h"
#include "cli/session.h"
#include "cli/text.h"
#include "hunt/hunt.h"
#include "hunt/properties.h"
#include "ops/error.h"
#include "storage/files.h"
#include "storage/recordings.h"

namespace tscsim::cli {
namespace {

constexpr const char* kFolder = "found";

std::string keep(const hunt::Draft& draft) {
  std::filesystem::create_directories(kFolder);
  const std::string path = fmt::format("{}/{}.yaml", kFolder, draft.name);
  storage::write_file(path, hunt::to_yaml(draft));
  return path;
}

hunt::Options options_of(const Arguments& arguments) {
  hunt::Options options;
  options.seed = arguments.number("seed");
  options.runs = arguments.number("runs");
  if (options.runs == 0) throw UsageError("--runs 0: at least one");
  options.first = arguments.number("first");
  return options;
}

int hunt_on_model(const Arguments& arguments) {
  const hunt::Property* property = hunt::find_property(arguments.text("property"));
  if (property == nullptr) {
    std::vector<std::string> names;
    for (const hunt::Property& known : hunt::properties()) names.emplace_back(known.name);
    throw UsageError(
        fmt::format("unknown property '{}'; one of {}", arguments.text("property"), fmt::join(names, ", ")));
  }
  const hunt::Options options = options_of(arguments);
  const std::string kernel = one_kernel_of(arguments);
  check_model(kernel, arguments.text("heuristic"));
  Progress progress("runs", 0, options.runs);
  const auto find =
      hunt::hunt_property(*property, {kernel, arguments.text("heuristic")}, options, [&](std::uint64_t runs) {
        throw_if_interrupted();
        progress.show(runs);
      });
  progress.finish();
  const std::string path = find ? keep(find->draft) : "";
  if (arguments.json())
    print({{"command", "hunt"},
           {"summary", {{"runs", options.runs}, {"violations", find ? 1 : 0}}},
           {"property", property->name},
           {"violation", find ? find->violation : ""},
           {"scenario", path}});
  else if (find)
    std::cout << fmt::format("{} does not hold: {}\n  kept   {}\n  again  tscsim run {} --probes\n", property->name,
                             find->violation, path, path);
  else std::cout << fmt::format("{} holds in {} runs: {}\n", property->name, options.runs, property->sentence);
  return find ? kFailed : kAllHeld;
}

Json summary_json(const hunt::Tally& tally) {
  Json object = {{"runs", tally.runs}, {"operations", tally.operations}};
  for (std::size_t v = 0; v < crosscheck::kVerdicts; ++v)
    object[std::string(crosscheck::name_of(static_cast<crosscheck::Verdict>(v)))] = tally.observations[v];
  return object;
}

struct Kept {
  std::string scenario, recording;  // paths; no recording when the target died
};

std::string find_text(const hunt::Find& find, const Kept& kept, const std::string& on) {
  std::string text = fmt::format("{} {}\n{}\n  kept      {} {}\n  again     tscsim crosscheck {} --on {}\n",
                                 find.recording ? "MISMATCH" : "DIED", find.name, find.explanation, kept.scenario,
                                 kept.recording, kept.scenario, on);
  if (find.recording) text += fmt::format("  recorded  tscsim verify {}\n", kept.recording);
  return text;
}

int hunt_on_target(const Arguments& arguments) {
  hunt::Options options = options_of(arguments);
  const auto targets = targets_of(arguments.text("on"));
  if (targets.size() != 1) throw UsageError("'hunt' runs on one target");
  Target& target = *targets.front();
  RecordingKeeper keeper(arguments);
  const ops::TargetProfile profile = target.profile(arguments);
  options.batch = target.batch();
  const auto run_batch = [&](const std::vector<scenarios::Scenario>& batch) {
    throw_if_interrupted();
    std::vector<hunt::Execution> runs;
    target.run(batch, arguments, [&](std::size_t, const Ran& ran) {
      if (!ran.begun) throw ops::TargetError(ran.failure);  // no find: the program has not done it
      if (ran.recording) keeper.add(*ran.recording);
      runs.push_back({ran.recording, ran.failure});
    });
    return runs;
  };
  Json finds = Json::array();
  // A find is kept at once, and again, smaller, when it is shrunk: an interrupt in between loses nothing.
  const auto keep_find = [](const hunt::Find& find) {
    Kept kept{keep(find.draft), ""};
    if (!find.recording) return kept;
    kept.recording = fmt::format("{}/{}.jsonl", kFolder, find.name);
    storage::write_recordings(kept.recording, {&*find.recording, 1});
    return kept;
  };
  const auto spotted = [&](const hunt::Find& find) {
    std::cerr << fmt::format("{}: {}, kept in {}\n", find.name,
                             find.recording ? "a mismatch, which is now made smaller" : "the target died of it",
                             keep_find(find).scenario);
  };
  const auto found = [&](const hunt::Find& find) {
    const Kept kept = keep_find(find);
    finds.push_back({{"scenario", kept.scenario}, {"recording", kept.recording}, {"explanation", find.explanation}});
    if (!arguments.json()) std::cout << find_text(find, kept, arguments.text("on")) << std::flush;
  };
  Progress progress("runs", 0, options.runs);
  const hunt::Outcome outcome =
      hunt::hunt(options, hunt::ground_of(profile), run_batch,
                 {[&](const hunt::Tally& tally) { progress.show(tally.runs); }, spotted, found});
  progress.finish();
  keeper.save();
  if (arguments.json())
    print(
        {{"command", "hunt"}, {"summary", summary_json(outcome.tally)}, {"target", profile.target}, {"finds", finds}});
  else
    std::cout << fmt::format("{}: {} runs, {} operations, {} mismatches in {} exact and {} bracketed observations\n",
                             profile.target, outcome.tally.runs, outcome.tally.operations, outcome.finds.size(),
                             outcome.tally.observations[0], outcome.tally.observations[1]);
  return outcome.finds.empty() ? kAllHeld : kFailed;
}

int run(const Arguments& arguments) {
  return arguments.has("property") ? hunt_on_model(arguments) : hunt_on_target(arguments);
}

}  // namespace

Command hunt_command() {
  return {"hunt",
          "",
          "random operation lists against real KVM, or a property on the model; what is found is shrunk and kept",
          "tscsim hunt --on native --runs 200 --seed 1",
          [](OptionList& options) {
            options.text("on", "TARGET", "the real KVM to compare with", "native");
            options.text("property", "NAME", "on the model alone: a property that must hold");
            options.number("runs", "N", "how many operation lists", 100);
            options.number("first", "N", "number of the first one, to go on or to see one again", 0);
            options.number("seed", "S", "what the lists depend on", 1);
            options.text("kernel", "VERSION", "with --property: the modelled kernel");
            options.text("heuristic", "NAME|PARAMETERS", "with --property: its synchronisation policy");
            add_keep_option(options);
            add_lab_options(options);
          },
          run};
}

}  // namespace tscsim::cli

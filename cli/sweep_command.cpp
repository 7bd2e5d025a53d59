// tscsim sweep: many runs of one scenario with values drawn anew for each; tscsim merge: the shards of one sweep put together.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <set>

#include "base/resources.h"
#include "cli/commands.h"
#include "cli/entry.h"
#include "cli/interrupt.h"
#include "cli/kernel_option.h"
#include "cli/progress.h"
#include "cli/session.h"
#include "cli/sweep_report.h"
#include "scenarios/files.h"
#include "sweep/pool.h"

namespace tscsim::cli {
namespace {

constexpr std::uint64_t kMostRuns = 1'000'000'000'000;
constexpr std::uint64_t kBatch = 16'384;  // of runs of a compiled scenario: some hundredths of a second
constexpr std::uint64_t kSlowBatch = 64;  // of runs that are read one by one

struct Shard {
  std::uint64_t index = 0, of = 1;
};

Shard shard_of(const Arguments& arguments) {
  if (!arguments.has("shard")) return {};
  const std::string text = arguments.text("shard");
  const std::size_t slash = text.find('/');
  const auto number = [&](const std::string& part) -> std::uint64_t {
    if (part.empty() || part.size() > 6 || part.find_first_not_of("0123456789") != std::string::npos)
      throw UsageError(fmt::format("--shard {}: write it as in '--shard 0/4'", text));
    return std::stoull(part);
  };
  if (slash == std::string::npos) throw UsageError(fmt::format("--shard {}: write it as in '--shard 0/4'", text));
  const Shard shard{number(text.substr(0, slash)), number(text.substr(slash + 1))};
  if (shard.index >= shard.of)
    throw UsageError(fmt::format("--shard {}: shards are counted from 0, so of {} the last is {}", text, shard.of,
                                 shard.of == 0 ? 0 : shard.of - 1));
  return shard;
}

std::string stem_of(const std::string& file) { return std::filesystem::path(file).stem().string(); }

// What the file says under 'sweep' holds for names that the command line does not give.
void add_file_variations(sweep::SubjectSpec& spec) {
  const scenarios::Scenario scenario = scenarios::parse_scenario(spec.text, spec.file, spec.options);
  for (sweep::Variation& variation : sweep::variations_of(scenario.sweep, spec.file)) {
    const auto given = std::find_if(spec.variations.begin(), spec.variations.end(),
                                    [&](const auto& one) { return one.name == variation.name; });
    if (given == spec.variations.end()) spec.variations.push_back(std::move(variation));
  }
}

// Each is a column of the database, and names do not tell capitals apart there.
void refuse_equal_names(const sweep::SubjectSpec& spec) {
  std::set<std::string> seen{"run", "fate"};
  const auto take = [&](std::string name) {
    const std::string written = name;
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (!seen.insert(name).second)
      throw UsageError(
          fmt::format("'{0}' names two columns; give a quantity another name, as in --show 'other = {0}'", written));
  };
  for (const sweep::Variation& variation : spec.variations) take(variation.name);
  for (const sweep::Quantity& quantity : spec.quantities) take(quantity.name());
}

sweep::SubjectSpec spec_of(const Arguments& arguments) {
  if (arguments.positional.size() != 1) throw UsageError("'sweep' takes one scenario file");
  check_model_options(arguments);
  require_replacements(arguments.positional, arguments);
  notice_newer_kernels_in(arguments.positional, arguments);
  sweep::SubjectSpec spec;
  spec.file = arguments.positional.front();
  spec.text = scenarios::read_bounded(spec.file);
  spec.options = parse_options(arguments);
  spec.kernel = one_kernel_of(arguments);
  spec.heuristic = arguments.text("heuristic");
  spec.seed = arguments.number("seed");
  try {
    for (const std::string& text : arguments.texts("vary")) {
      spec.variations.push_back(sweep::parse_variation(text));
      const auto twice = std::find_if(spec.variations.begin(), spec.variations.end() - 1,
                                      [&](const auto& one) { return one.name == spec.variations.back().name; });
      if (twice != spec.variations.end() - 1) throw UsageError(fmt::format("--vary: '{}' varies twice", twice->name));
    }
    for (const std::string& text : arguments.texts("show")) spec.quantities.push_back(sweep::Quantity::parse(text));
  } catch (const std::invalid_argument& error) {
    throw UsageError(error.what());
  }
  add_file_variations(spec);
  refuse_equal_names(spec);
  if (spec.variations.empty())
    throw UsageError("nothing varies; say what does, as in --vary 'downtime=uniform(100 ms, 2 s)'");
  if (spec.quantities.empty()) spec.quantities = sweep::all_metrics();
  return spec;
}

std::uint64_t runs_of(const Arguments& arguments, const sweep::SubjectSpec& spec) {
  std::uint64_t points = 1;
  bool grid = false;
  for (const sweep::Variation& variation : spec.variations)
    if (const std::uint64_t one = variation.distribution.grid_points(); one != 0) {
      grid = true;
      points = points > kMostRuns / one ? kMostRuns : points * one;
    }
  const std::uint64_t runs = arguments.has("runs") ? arguments.number("runs") : grid ? points : 10'000;
  if (runs == 0 || runs > kMostRuns) throw UsageError(fmt::format("--runs {}: from 1 to 10^12", runs));
  return runs;
}

sweep::Inputs inputs_of(const Arguments& arguments, const sweep::Subject& subject) {
  const sweep::SubjectSpec& spec = subject.spec();
  const Shard shard = shard_of(arguments);
  sweep::Inputs in;
  in.tool_version = TSCSIM_VERSION;
  in.scenario = std::filesystem::path(spec.file).filename().string();
  in.scenario_text = spec.text;
  in.scenario_hash = subject.scenario_hash();
  in.procedures = arguments.texts("procedure");
  in.kernel = spec.kernel;
  in.heuristic = spec.heuristic;
  in.seed = spec.seed;
  in.runs = runs_of(arguments, spec);
  in.batch = subject.compiled_once() ? kBatch : kSlowBatch;
  in.worst = arguments.number("worst");
  const std::string keep = arguments.text("keep");
  if (keep != "aggregates" && keep != "runs") throw UsageError(fmt::format("--keep {}: 'aggregates' or 'runs'", keep));
  in.keep = keep == "runs" ? sweep::Keep::runs : sweep::Keep::aggregates;
  for (const sweep::Variation& variation : spec.variations)
    in.variations.push_back(variation.name + "=" + variation.distribution.source());
  for (const sweep::Quantity& quantity : spec.quantities) in.quantities.push_back(quantity.text());
  in.shard = shard.index;
  in.shards = shard.of;
  return in;
}

std::string shortened(const std::string& text) { return text.size() <= 60 ? text : text.substr(0, 57) + "..."; }

// The first input in which two sweeps differ.
void refuse_other_inputs(const std::string& path, const sweep::Inputs& there, const sweep::Inputs& here) {
  const auto theirs = there.named();
  for (const auto& [name, value] : here.named())
    if (theirs.at(name) != value)
      throw UsageError(fmt::format(
          "{} is another sweep: its {} is '{}', here it is '{}'\n  next: repeat its options, or name another file with --db",
          path, name, shortened(theirs.at(name)), shortened(value)));
}

sweep::Database database_for(const Arguments& arguments, const std::string& path, const sweep::Inputs& inputs) {
  std::error_code ignored;
  const bool there = std::filesystem::exists(path, ignored);
  if (there && !arguments.has("resume"))
    throw UsageError(
        fmt::format("{} is there already\n  next: --resume goes on with it; --db names another file", path));
  if (!there) return sweep::Database::create(path, inputs);
  sweep::Database database = sweep::Database::open(path);
  refuse_other_inputs(path, database.inputs(), inputs);
  return database;
}

void report(const Arguments& arguments, const sweep::Database& database, const sweep::Subject& subject,
            const std::string& folder) {
  const auto worst = write_worst_runs(database, subject, folder);
  if (arguments.json()) {
    Json json = {{"command", "sweep"}};
    json.update(sweep_json(database, worst));
    print(json);
  } else {
    print_sweep(database, worst, !arguments.has("no-histograms"));
  }
}

// mpirun starts tscsim; what talks to the other ranks is a program of its own, so that no other command has to load MPI.
void become_a_rank() {
  const char* size = std::getenv("OMPI_COMM_WORLD_SIZE");
  if (other_ranks() != nullptr || size == nullptr) return;
  std::string program;
  try {
    program = base::companion("tscsim-mpi").string();
  } catch (const base::ResourceMissing&) {
    throw UsageError(
        "mpirun has started this, and tscsim was built without MPI\n  next: install libopenmpi-dev and build again, or use --shard and 'tscsim merge'");
  }
  std::vector<std::string> words;
  std::ifstream line("/proc/self/cmdline", std::ios::binary);
  for (std::string word; std::getline(line, word, '\0');) words.push_back(word);
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  ::execv(program.c_str(), argv.data());
  throw std::runtime_error(fmt::format("{} cannot be started", program));
}

int run(const Arguments& arguments) {
  become_a_rank();
  const sweep::Subject subject(spec_of(arguments));
  const sweep::Inputs inputs = inputs_of(arguments, subject);
  const unsigned threads = threads_of(arguments);
  const std::string path = arguments.has("db") ? arguments.text("db") : stem_of(inputs.scenario) + ".sweep.db";
  if (!subject.compiled_once())
    std::cerr << fmt::format("each run is read and compiled for itself, some thousands of them a second: {}\n",
                             subject.slow());
  sweep::Ranks* const ranks = other_ranks();
  if (ranks != nullptr && ranks->rank() != 0) {
    sweep::run_sweep_on_ranks(subject, inputs, nullptr, *ranks, threads, &interrupt_flag(), {});
    return kAllHeld;
  }
  sweep::Database database = database_for(arguments, path, inputs);
  const std::uint64_t all = inputs.shards == 1 ? inputs.runs : inputs.own_batches() * inputs.batch;
  Progress progress("runs", std::min(database.batches_done() * inputs.batch, all), all);
  const auto committed = [&](std::uint64_t batches) { progress.show(std::min(batches * inputs.batch, all)); };
  const bool complete = ranks != nullptr ? sweep::run_sweep_on_ranks(subject, inputs, &database, *ranks, threads,
                                                                     &interrupt_flag(), committed)
                                         : sweep::run_sweep(subject, database, threads, &interrupt_flag(), committed);
  progress.finish();
  database.close();
  if (!complete) {
    base::interrupted();  // heard
    std::cerr << fmt::format("interrupted; {} holds what was done, and the same command with --resume goes on\n", path);
    return kInterrupted;
  }
  report(arguments, database, subject, stem_of(path) + ".worst");
  return kAllHeld;
}

int merge(const Arguments& arguments) {
  if (arguments.positional.size() < 2)
    throw UsageError("'merge' takes the file to make and the shards, OUT.db SHARD.db...");
  const std::string& out = arguments.positional.front();
  std::vector<sweep::Database> shards;
  for (auto path = arguments.positional.begin() + 1; path != arguments.positional.end(); ++path) {
    shards.push_back(sweep::Database::open(*path, false));
    const sweep::Inputs& in = shards.back().inputs();
    sweep::Inputs expected = shards.front().inputs();
    expected.shard = in.shard;
    refuse_other_inputs(*path, in, expected);
    if (!shards.back().complete())
      throw UsageError(fmt::format("{} is not complete: {} of {} batches\n  next: run it again with --resume", *path,
                                   shards.back().batches_done(), in.own_batches()));
    for (auto other = arguments.positional.begin() + 1; other != path; ++other)
      if (shards[static_cast<std::size_t>(other - arguments.positional.begin() - 1)].inputs().shard == in.shard)
        throw UsageError(fmt::format("{} and {} are the same shard, {}/{}", *other, *path, in.shard, in.shards));
  }
  sweep::Inputs whole = shards.front().inputs();
  if (shards.size() != whole.shards)
    throw UsageError(fmt::format("{} of {} shards are given", shards.size(), whole.shards));
  whole.shard = 0;
  whole.shards = 1;
  sweep::Database merged = sweep::Database::create(out, whole);
  sweep::Aggregate all(whole.quantities.size(), whole.worst);
  for (const sweep::Database& shard : shards) {
    all.add(shard.total());
    if (whole.keep == sweep::Keep::runs) shard.each_row([&](const sweep::Row& row) { all.rows.push_back(row); });
  }
  merged.commit(all, whole.batches());
  merged.close();
  if (arguments.json()) {
    Json json = {{"command", "merge"}};
    json.update(sweep_json(merged, {}));
    print(json);
  } else {
    print_sweep(merged, {}, true);
  }
  return kAllHeld;
}

// As main() expects them.
template <class Work>
int with_errors(Work work) {
  try {
    return work();
  } catch (const UsageError&) {
    throw;
  } catch (const ops::InputError&) {
    throw;
  } catch (const ops::Interrupted&) {
    throw;
  } catch (const std::runtime_error& error) {  // of a database
    throw UsageError(error.what());
  }
}

}  // namespace

Command sweep_command() {
  return {
      "sweep",
      "FILE",
      "many runs of one scenario, with values drawn anew for each",
      "tscsim sweep scenarios/sweeps/live-migration.yaml --vary 'downtime=uniform(100 ms, 2 s)' --runs 100000",
      [](OptionList& options) {
        options.texts("vary", "NAME=DISTRIBUTION", "what varies and how; may be repeated");
        options.number("runs", "N", "how many; the points of the grids, else 10000");
        options.texts(
            "show", "QUANTITY",
            "what is kept of each run: a metric, or an expression over captures such as 'lost = before - after'; may be repeated; else the metrics");
        options.text("db", "FILE", "SQLite file of the results (=SCENARIO.sweep.db)");
        options.flag("resume", "go on with a sweep that was interrupted or killed; begin it when there is none");
        options.text("keep", "aggregates|runs", "runs: a row of each run, too", "aggregates");
        options.number("worst", "N", "runs kept of each quantity as scenario files", 3);
        options.text("shard", "I/N", "only the batches of part I of N, from 0; 'tscsim merge' puts parts together");
        options.flag("no-histograms", "text without them");
        add_threads_option(options);
        add_model_options(options);
      },
      [](const Arguments& arguments) { return with_errors([&] { return run(arguments); }); },
      R"(distributions, of integers in ns, kHz, ppb or plain:
  uniform(A, B)  normal(MEAN, SD[, LOW, HIGH])  exponential(MEAN[, LOW, HIGH])  choice(A, B, ...)
  grid(FROM, TO, STEP)  empirical(FILE)

names:
  downtime                  a parameter of the procedures that the scenario uses (tscsim explain PROCEDURE)
  migrate2.downtime         of one use alone
  hosts.b.realtime_error    a key of the file, from the top
  timeline.2.at             of the second step
  17:at                     a key on line 17
)"};
}

Command merge_command() {
  return {"merge",
          "OUT.db SHARD.db...",
          "put the shards of a sweep together",
          "tscsim merge all.db part0.db part1.db",
          [](OptionList&) {},
          [](const Arguments& arguments) { return with_errors([&] { return merge(arguments); }); }};
}

}  // namespace tscsim::cli

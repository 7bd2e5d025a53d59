#include "cli/sweep_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <iostream>

#include "ops/operation.h"
#include "scenarios/rewrite.h"
#include "scenarios/units.h"
#include "storage/files.h"

namespace tscsim::cli {
namespace {

using scenarios::grouped;
using sweep::QuantityAggregate;

constexpr std::array<std::pair<std::uint32_t, const char*>, 6> kPercentiles{
    {{10'000, "p1"}, {100'000, "p10"}, {500'000, "p50"}, {900'000, "p90"}, {990'000, "p99"}, {1'000'000, "greatest"}}};
constexpr std::size_t kBars = 12;

const char* name_of(sweep::Fate fate) {
  return fate == sweep::Fate::ran ? "ran" : fate == sweep::Fate::refused ? "refused by the parser" : "failed";
}

// Exact where rows are kept or the bucket holds one value; otherwise the bucket's end that is farther from 0.
struct Percentile {
  std::int64_t value = 0;
  bool exact = false;
};

Percentile percentile(const sweep::Database& database, std::size_t quantity, std::uint32_t share_ppm) {
  if (const auto exact = database.exact_percentile(quantity, share_ppm)) return {*exact, true};
  const QuantityAggregate& one = database.total().of[quantity];
  if (share_ppm == 1'000'000) return {one.greatest, true};
  const sweep::Bucket found = *one.percentile(share_ppm);
  return {found.low < 0 ? found.low : found.high, found.low == found.high};
}

std::string mean_text(const QuantityAggregate& one) {
  const ops::Wide tenths = one.sum * 10 / static_cast<ops::Wide>(one.runs);
  const ops::Wide size = tenths < 0 ? -tenths : tenths;
  return fmt::format("{}{}.{}", tenths < 0 ? "-" : "", grouped(static_cast<std::int64_t>(size / 10)),
                     static_cast<int>(size % 10));
}

void print_quantity(const sweep::Database& database, std::size_t i, const std::string& name, const std::string& unit) {
  const QuantityAggregate& one = database.total().of[i];
  std::cout << fmt::format("\n{}{}\n", name, unit.empty() ? "" : ", " + unit);
  if (one.without != 0)
    std::cout << fmt::format("  {} runs have none\n", grouped(static_cast<std::int64_t>(one.without)));
  if (one.outside != 0)
    std::cout << fmt::format("  {} runs: beyond 64 bits\n", grouped(static_cast<std::int64_t>(one.outside)));
  if (one.runs == 0) return;
  std::string line = fmt::format("  least {}, mean {}", grouped(one.least), mean_text(one));
  bool exact = true;
  for (const auto& [share, word] : kPercentiles) {
    const Percentile found = percentile(database, i, share);
    exact = exact && found.exact;
    line += fmt::format(", {} {}{}", word, found.exact ? "" : "~", grouped(found.value));
  }
  std::cout << line << (exact ? "\n" : "   (~: within 1/64)\n");
}

// Neighbouring buckets are joined until few bars are left.
void print_histogram(const QuantityAggregate& one) {
  if (one.runs == 0) return;
  struct Bar {
    std::int64_t low = 0, high = 0;
    std::uint64_t runs = 0;
  };
  std::vector<Bar> bars;
  const std::size_t joined = (one.histogram.size() + kBars - 1) / kBars;
  std::size_t seen = 0;
  for (const auto& [number, runs] : one.histogram) {
    const sweep::Bucket is = sweep::bucket(number);
    if (seen++ % joined == 0) bars.push_back({is.low, is.high, 0});
    bars.back().high = is.high;
    bars.back().runs += runs;
  }
  bars.front().low = std::max(bars.front().low, one.least);
  bars.back().high = std::min(bars.back().high, one.greatest);
  const auto most =
      std::max_element(bars.begin(), bars.end(), [](const Bar& a, const Bar& b) { return a.runs < b.runs; })->runs;
  for (const Bar& bar : bars)
    std::cout << fmt::format("  {:>22} .. {:<22} {:>11} {}\n", grouped(bar.low), grouped(bar.high),
                             grouped(static_cast<std::int64_t>(bar.runs)),
                             std::string(static_cast<std::size_t>((bar.runs * 40 + most - 1) / most), '#'));
}

}  // namespace

std::vector<std::vector<std::string>> write_worst_runs(const sweep::Database& database, const sweep::Subject& subject,
                                                       const std::string& folder) {
  std::vector<std::vector<std::string>> paths(database.total().of.size());
  const auto& quantities = subject.spec().quantities;
  for (std::size_t i = 0; i < quantities.size(); ++i) {
    int place = 0;
    for (const sweep::WorstRun& worst : database.total().of[i].worst) {
      std::vector<std::int64_t> drawn;
      subject.draw(worst.run, drawn);
      std::string stem = fmt::format("{}-{}", quantities[i].name(), ++place), values;
      for (char& c : stem)
        if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '_') c = '-';
      scenarios::Rewrite rewrite{stem,
                                 "",
                                 fmt::format("run {} of a sweep of {}, seed {}", worst.run, database.inputs().scenario,
                                             database.inputs().seed),
                                 subject.spec().options,
                                 subject.spec().kernel,
                                 subject.spec().heuristic,
                                 {}};
      for (std::size_t v = 0; v < drawn.size(); ++v) {
        const sweep::Variation& variation = subject.spec().variations[v];
        rewrite.options.overrides.push_back({variation.name, variation.distribution.written(drawn[v])});
        values +=
            fmt::format("{}{} {}", v == 0 ? " with " : ", ", variation.name, variation.distribution.written(drawn[v]));
      }
      rewrite.title = fmt::format("{} is {}{}", quantities[i].text(), worst.value, values);
      const bool judged = quantities[i].is_metric() && quantities[i].unit() != "on";
      if (judged)
        rewrite.expect.push_back(
            {quantities[i].text(), fmt::format("{}{}", worst.value, quantities[i].unit() == "ns" ? " ns" : "")});
      std::filesystem::create_directories(folder);
      paths[i].push_back(folder + "/" + stem + ".yaml");
      storage::write_file(paths[i].back(), scenarios::rewritten(subject.spec().text, subject.spec().file, rewrite));
    }
  }
  return paths;
}

void print_sweep(const sweep::Database& database, const std::vector<std::vector<std::string>>& worst, bool histograms) {
  const sweep::Inputs& inputs = database.inputs();
  const std::uint64_t done = std::min(inputs.runs, database.batches_done() * inputs.batch);
  std::cout << fmt::format(
      "{}: {} runs{}{}\n", inputs.scenario, grouped(static_cast<std::int64_t>(done)),
      inputs.shards > 1 ? fmt::format(" at most, shard {} of {}", inputs.shard, inputs.shards) : "",
      database.complete() ? "" : fmt::format(" of {}", grouped(static_cast<std::int64_t>(inputs.runs))));
  for (const std::string& variation : inputs.variations) std::cout << "  " << variation << "\n";
  for (const auto& [fate, count] : database.total().fates)
    if (fate != sweep::Fate::ran)
      std::cout << fmt::format("  {} runs {}, the first is run {}: {}\n",
                               grouped(static_cast<std::int64_t>(count.runs)), name_of(fate), count.first,
                               count.example);
  for (std::size_t i = 0; i < inputs.quantities.size(); ++i) {
    const sweep::Quantity quantity = sweep::Quantity::parse(inputs.quantities[i]);
    print_quantity(database, i, quantity.text(), quantity.unit());
    if (histograms) print_histogram(database.total().of[i]);
    if (i < worst.size() && !worst[i].empty()) std::cout << fmt::format("  worst: tscsim run {}\n", worst[i].front());
  }
}

Json sweep_json(const sweep::Database& database, const std::vector<std::vector<std::string>>& worst) {
  const sweep::Inputs& inputs = database.inputs();
  Json quantities = Json::array();
  for (std::size_t i = 0; i < inputs.quantities.size(); ++i) {
    const sweep::Quantity quantity = sweep::Quantity::parse(inputs.quantities[i]);
    const QuantityAggregate& one = database.total().of[i];
    Json item = {{"name", quantity.name()},
                 {"unit", quantity.unit()},
                 {"runs", one.runs},
                 {"without", one.without},
                 {"outside", one.outside}};
    if (one.runs != 0) {
      item["least"] = one.least;
      item["mean"] = static_cast<double>(one.sum) / static_cast<double>(one.runs);
      for (const auto& [share, word] : kPercentiles) {
        const Percentile found = percentile(database, i, share);
        item[word] = {{"value", found.value}, {"exact", found.exact}};
      }
    }
    item["histogram"] = Json::array();
    for (const auto& [number, runs] : one.histogram)
      item["histogram"].push_back({sweep::bucket(number).low, sweep::bucket(number).high, runs});
    item["worst"] = Json::array();
    for (std::size_t place = 0; place < one.worst.size(); ++place)
      item["worst"].push_back({{"run", one.worst[place].run},
                               {"value", one.worst[place].value},
                               {"scenario", i < worst.size() && place < worst[i].size() ? worst[i][place] : ""}});
    quantities.push_back(std::move(item));
  }
  Json fates = Json::object();
  for (const auto& [fate, count] : database.total().fates)
    fates[name_of(fate)] = {{"runs", count.runs}, {"first", count.first}, {"example", count.example}};
  return {{"scenario", inputs.scenario},     {"runs", inputs.runs},
          {"complete", database.complete()}, {"seed", inputs.seed},
          {"variations", inputs.variations}, {"fates", fates},
          {"quantities", quantities}};
}

}  // namespace tscsim::cli

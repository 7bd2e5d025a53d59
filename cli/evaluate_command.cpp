// tscsim evaluate: every heuristic over situations in which it is known what was meant.
#include <fmt/format.h>

#include <algorithm>
#include <iostream>

#include "cli/commands.h"
#include "cli/csv.h"
#include "cli/interrupt.h"
#include "cli/kernel_option.h"
#include "cli/progress.h"
#include "cli/session.h"
#include "cli/text.h"
#include "model/kvm/era.h"
#include "scenarios/units.h"
#include "sweep/evaluation.h"

namespace tscsim::cli {
namespace {

using sweep::Cell;
using sweep::Policy;
using sweep::Situation;
using sweep::Told;
using Meant = scenarios::SweepSpec::Meant;

struct Scorecard {
  std::vector<Situation> situations;
  std::vector<Policy> policies;
  std::vector<std::vector<Cell>> cells;  // of each policy, each situation

  Cell sum(std::size_t policy, Meant meant) const {
    std::vector<const Cell*> of;
    for (std::size_t s = 0; s < situations.size(); ++s)
      if (situations[s].sweep.meant == meant) of.push_back(&cells[policy][s]);
    return sweep::sum_of(of);
  }
};

std::string percent(std::uint64_t part, std::uint64_t whole) {
  if (whole == 0) return "-";
  const std::uint64_t hundredths = (part * 10'000 + whole / 2) / whole;
  // Not 0 and not all are not to look like it.
  if (part != 0 && hundredths == 0) return "<0.01 %";
  if (part != whole && hundredths == 10'000) return ">99.99 %";
  return fmt::format("{}.{:02} %", hundredths / 100, hundredths % 100);
}

std::string bound(const sweep::QuantityAggregate& one, std::uint32_t share_ppm) {
  const auto found = one.percentile(share_ppm);
  return found ? scenarios::grouped(found->high) : "-";
}

std::string size_of_greatest(const sweep::QuantityAggregate& one) {
  return one.runs == 0 ? "-" : scenarios::grouped(std::max(one.greatest, -std::max(one.least, -INT64_MAX)));
}

std::uint64_t judged(const Cell& cell) { return cell.of(Told::error).runs + cell.of(Told::error).outside; }

const std::vector<std::string>& headings() {
  static const std::vector<std::string> all{"policy",   "missed",   "false",           "skew p50",
                                            "skew p99", "skew max", "master clock on", "greatest kvmclock step"};
  return all;
}

// Times in ns: the situations' TSCs count one a nanosecond.
std::vector<std::string> row(const Scorecard& card, std::size_t policy) {
  const Cell together = card.sum(policy, Meant::together), apart = card.sum(policy, Meant::apart);
  const sweep::QuantityAggregate& skew = together.of(Told::error);
  const sweep::QuantityAggregate& master = together.of(Told::master_clock);
  return {card.policies[policy].label,
          percent(together.wrong(), judged(together)),
          percent(apart.wrong(), judged(apart)),
          bound(skew, 500'000),
          bound(skew, 990'000),
          skew.runs == 0 ? "-" : scenarios::grouped(skew.greatest),
          percent(static_cast<std::uint64_t>(master.sum), master.runs),
          size_of_greatest(together.of(Told::kvmclock_jump))};
}

void print_table(const std::vector<std::vector<std::string>>& rows, bool markdown) {
  std::vector<std::size_t> widths(rows.front().size());
  for (const auto& one : rows)
    for (std::size_t i = 0; i < one.size(); ++i) widths[i] = std::max(widths[i], one[i].size());
  for (std::size_t r = 0; r < rows.size(); ++r) {
    std::string line = markdown ? "|" : "";
    for (std::size_t i = 0; i < rows[r].size(); ++i) {
      const std::string cell =
          i == 0 ? fmt::format("{:<{}}", rows[r][i], widths[i]) : fmt::format("{:>{}}", rows[r][i], widths[i]);
      line += markdown ? " " + cell + " |" : (i == 0 ? "" : "  ") + cell;
    }
    std::cout << line << "\n";
    if (r != 0 || !markdown) continue;
    std::cout << "|";
    for (std::size_t i = 0; i < widths.size(); ++i) std::cout << (i == 0 ? "---|" : "---:|");
    std::cout << "\n";
  }
}

void print_scores(const Scorecard& card, bool markdown) {
  std::vector<std::vector<std::string>> rows{headings()};
  for (std::size_t policy = 0; policy < card.policies.size(); ++policy) rows.push_back(row(card, policy));
  print_table(rows, markdown);
  std::cout << "\n";
  rows = {{"situation, runs that went wrong"}};
  for (const Policy& policy : card.policies) rows.front().push_back(policy.label);
  for (std::size_t s = 0; s < card.situations.size(); ++s) {
    rows.push_back({card.situations[s].name});
    for (std::size_t policy = 0; policy < card.policies.size(); ++policy) {
      const Cell& cell = card.cells[policy][s];
      rows.back().push_back(cell.impossible.empty() ? percent(cell.wrong(), judged(cell)) : "not possible");
    }
  }
  print_table(rows, markdown);
}

void print_csv(const Scorecard& card) {
  print_csv_line({"policy", "kernel", "heuristic", "situation", "meant", "runs", "wrong", "error_p50", "error_p99",
                  "error_least", "error_greatest", "master_clock_on", "kvmclock_jump_least", "kvmclock_jump_greatest"});
  for (std::size_t policy = 0; policy < card.policies.size(); ++policy)
    for (std::size_t s = 0; s < card.situations.size(); ++s) {
      const Cell& cell = card.cells[policy][s];
      const sweep::QuantityAggregate &error = cell.of(Told::error), &master = cell.of(Told::master_clock),
                                     &jump = cell.of(Told::kvmclock_jump);
      const auto edge = [](const sweep::QuantityAggregate& of, std::int64_t value) {
        return of.runs == 0 ? "" : std::to_string(value);
      };
      const auto share = [&](std::uint32_t ppm) {
        return error.percentile(ppm) ? std::to_string(error.percentile(ppm)->high) : "";
      };
      print_csv_line({card.policies[policy].label, card.policies[policy].kernel, card.policies[policy].heuristic,
                      card.situations[s].name, card.situations[s].sweep.meant == Meant::together ? "together" : "apart",
                      std::to_string(judged(cell)), std::to_string(cell.wrong()), share(500'000), share(990'000),
                      edge(error, error.least), edge(error, error.greatest),
                      edge(master, static_cast<std::int64_t>(master.sum)), edge(jump, jump.least),
                      edge(jump, jump.greatest)});
    }
}

Json scores_json(const Scorecard& card, const sweep::Trial& trial) {
  Json policies = Json::array();
  for (std::size_t policy = 0; policy < card.policies.size(); ++policy) {
    Json situations = Json::array();
    for (std::size_t s = 0; s < card.situations.size(); ++s) {
      const Cell& cell = card.cells[policy][s];
      situations.push_back({{"name", card.situations[s].name},
                            {"meant", card.situations[s].sweep.meant == Meant::together ? "together" : "apart"},
                            {"runs", judged(cell)},
                            {"wrong", cell.wrong()},
                            {"impossible", cell.impossible}});
    }
    const std::vector<std::string> texts = row(card, policy);
    Json one = {{"policy", card.policies[policy].label},
                {"kernel", card.policies[policy].kernel},
                {"heuristic", card.policies[policy].heuristic}};
    for (std::size_t i = 1; i < texts.size(); ++i) one[headings()[i]] = texts[i];
    one["situations"] = std::move(situations);
    policies.push_back(std::move(one));
  }
  return {{"command", "evaluate"}, {"runs", trial.runs}, {"seed", trial.seed}, {"policies", policies}};
}

std::vector<Policy> policies_of(const Arguments& arguments) {
  std::vector<std::string> kernels = kernels_of(arguments);
  if (kernels.empty()) kernels.emplace_back(model::kNewestKernel);
  std::vector<Policy> own;
  for (const std::string& kernel : kernels) {
    for (const std::string& heuristic : arguments.texts("heuristic"))
      own.push_back({kernel + " " + heuristic, kernel, heuristic});
    if (!arguments.has("heuristic") && arguments.has("kernel")) own.push_back({kernel, kernel, ""});
  }
  std::vector<Policy> all = arguments.has("only") ? std::vector<Policy>{} : sweep::known_policies();
  if (arguments.has("only") && own.empty())
    throw UsageError("--only leaves no policy; name one with --kernel or --heuristic");
  all.insert(all.end(), own.begin(), own.end());
  for (const Policy& policy : own) check_model(policy.kernel, policy.heuristic);
  return all;
}

int run(const Arguments& arguments) {
  Scorecard card;
  const std::vector<std::string> paths = arguments.positional.empty()
                                             ? std::vector<std::string>{scenarios::library_folder() + "/evaluation"}
                                             : arguments.positional;
  const std::vector<std::string> files = scenario_files(paths);
  require_replacements(files, arguments);
  notice_newer_kernels_in(files, arguments);
  for (const std::string& file : files)
    card.situations.push_back(sweep::load_situation(file, parse_options(arguments)));
  card.policies = policies_of(arguments);
  const sweep::Trial trial{arguments.number("runs"), arguments.number("seed"), threads_of(arguments),
                           &interrupt_flag()};
  if (trial.runs == 0) throw UsageError("--runs 0: at least one");
  Progress progress("trials", 0, card.policies.size() * card.situations.size());
  std::uint64_t done = 0;
  for (const Policy& policy : card.policies) {
    card.cells.emplace_back();
    for (const Situation& situation : card.situations) {
      throw_if_interrupted();
      Cell cell;
      try {
        auto made = sweep::judge(situation, policy, trial);
        if (!made) throw ops::Interrupted();
        cell = std::move(*made);
      } catch (const ops::InputError& error) {  // parameters of a heuristic that this kernel does not have
        cell.impossible = error.diagnostics().empty() ? error.what() : error.diagnostics().front().message;
      }
      card.cells.back().push_back(std::move(cell));
      progress.show(++done);
    }
  }
  progress.finish();
  const std::string format = arguments.text("format");
  if (arguments.json()) print(scores_json(card, trial));
  else if (format == "csv") print_csv(card);
  else print_scores(card, format == "markdown");
  return kAllHeld;
}

}  // namespace

Command evaluate_command() {
  return {"evaluate",
          "[PATH...]",
          "heuristics on trial, over situations in which it is known what was meant",
          "tscsim evaluate --heuristic 'window=100ms' --runs 20000",
          [](OptionList& options) {
            options.number("runs", "N", "of each situation under each policy", 10'000);
            options.number("seed", "N", "of the draws", 1);
            options.text("kernel", "VERSION[,...]", "on which --heuristic stands; alone, a policy of its own");
            options.texts("heuristic", "NAME|PARAMETERS", "a policy of yours, beside the known ones; may be repeated");
            options.flag("only", "without the known ones");
            add_threads_option(options);
            add_procedure_options(options);
          },
          run,
          R"(columns:
  missed   of the runs in which the TSCs were meant to be equal, those in which they are not
  false    of the runs in which a value was meant as it is, those in which the guest got another one
  skew     between the TSCs that were meant to be equal, ns
situations are scenarios with 'sweep: {meant: together}' or 'sweep: {meant: apart, error: ...}' (docs/evaluation.md)
)",
          {"text", "json", "csv", "markdown"}};
}

}  // namespace tscsim::cli

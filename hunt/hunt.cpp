#include "hunt/hunt.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "hunt/shrink.h"
#include "ops/error.h"

namespace tscsim::hunt {
namespace {

void count(const ops::Recording& recording, const crosscheck::Result& result, Tally& tally) {
  ++tally.runs;
  tally.operations += static_cast<std::uint64_t>(std::count_if(recording.entries.begin(), recording.entries.end(),
                                                               [](const ops::Entry& e) { return !e.op.probe; }));
  for (std::size_t v = 0; v < crosscheck::kVerdicts; ++v)
    tally.observations[v] += result.count(static_cast<crosscheck::Verdict>(v));
}

std::optional<Find> disagreement(const Draft& draft, const ops::Recording& recording,
                                 const crosscheck::Result& result) {
  if (result.mismatches.empty()) return std::nullopt;
  return Find{draft.name, draft, recording, result.mismatches.front().explanation};
}

// A draft from which too much was cut (a capture that is used later) is no scenario any more.
std::optional<scenarios::Scenario> scenario_of(const Draft& draft) {
  try {
    return to_scenario(draft);
  } catch (const ops::InputError&) {
    return std::nullopt;
  }
}

std::optional<Find> examine(const Draft& draft, const Execution& run, Tally& tally) {
  if (!run.failure.empty()) {
    ++tally.runs;
    return Find{draft.name, draft, std::nullopt, run.failure};
  }
  if (!run.recording) throw ops::TargetError(fmt::format("{} cannot be run; the grammar wrote it wrongly", draft.name));
  const crosscheck::Result result = crosscheck::check(*run.recording);
  count(*run.recording, result, tally);
  return disagreement(draft, *run.recording, result);
}

class FindShrinker {
 public:
  explicit FindShrinker(const RunAll& run_all) : run_all_(run_all) {}

  Find run(const Find& find, int attempts) {
    const Draft small =
        shrink(find.draft, attempts, [&](const std::vector<Draft>& drafts) { return still_fail(drafts); });
    const auto seen = failing_.find(to_yaml(small));
    return seen == failing_.end() ? find : seen->second;
  }

 private:
  std::vector<bool> still_fail(const std::vector<Draft>& drafts) {
    std::vector<bool> answers(drafts.size(), false);
    std::vector<scenarios::Scenario> batch;
    std::vector<std::size_t> position;
    for (std::size_t i = 0; i < drafts.size(); ++i) {
      if (auto scenario = scenario_of(drafts[i])) {
        batch.push_back(std::move(*scenario));
        position.push_back(i);
      }
    }
    const std::vector<Execution> runs = run_all_(batch);
    for (std::size_t i = 0; i < runs.size(); ++i) {
      if (!runs[i].recording) continue;
      const Draft& draft = drafts[position[i]];
      auto find = disagreement(draft, *runs[i].recording, crosscheck::check(*runs[i].recording));
      answers[position[i]] = find.has_value();
      if (find) failing_.insert_or_assign(to_yaml(draft), std::move(*find));
    }
    return answers;
  }

  const RunAll& run_all_;
  std::map<std::string, Find> failing_;  // by scenario text
};

}  // namespace

Draft draft_of_run(const Options& options, const Ground& ground, std::uint64_t number) {
  sim::Stream random(options.seed, fmt::format("hunt run {}", number));
  return random_draft(fmt::format("hunt-{}-{}", options.seed, number), ground, random);
}

Outcome hunt(const Options& options, const Ground& ground, const RunAll& run_all, const Observer& observer) {
  Outcome outcome;
  for (std::uint64_t done = 0; done < options.runs && outcome.finds.size() < options.most_finds;) {
    std::vector<Draft> drafts;
    std::vector<scenarios::Scenario> batch;
    for (; done < options.runs && drafts.size() < options.batch; ++done) {
      drafts.push_back(draft_of_run(options, ground, options.first + done));
      batch.push_back(to_scenario(drafts.back()));
    }
    const std::vector<Execution> runs = run_all(batch);
    std::vector<Find> spotted;
    for (std::size_t i = 0; i < runs.size(); ++i) {
      if (auto find = examine(drafts[i], runs[i], outcome.tally)) {
        observer.spotted(*find);
        spotted.push_back(std::move(*find));
      }
    }
    observer.progress(outcome.tally);
    for (const Find& find : spotted) {
      if (outcome.finds.size() >= options.most_finds) break;
      // To shrink what a target dies of takes one death an attempt: that is left to a person.
      outcome.finds.push_back(find.recording ? FindShrinker(run_all).run(find, options.shrink_attempts) : find);
      observer.found(outcome.finds.back());
    }
  }
  return outcome;
}

}  // namespace tscsim::hunt

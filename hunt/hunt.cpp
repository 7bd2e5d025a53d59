#include "hunt/hunt.h"

#include <fmt/format.h>

#include <algorithm>

#include "ops/error.h"

namespace tscsim::hunt {
namespace {

void count(const ops::Recording& recording, const crosscheck::Result& result, Tally& tally) {
  ++tally.runs;
  tally.operations += static_cast<std::uint64_t>(std::count_if(
      recording.entries.begin(), recording.entries.end(), [](const ops::Entry& e) { return !e.op.probe; }));
  for (std::size_t v = 0; v < crosscheck::kVerdicts; ++v)
    tally.observations[v] += result.count(static_cast<crosscheck::Verdict>(v));
}

// Runs one draft; the find, when the model disagrees.
std::optional<Find> disagreement(const Draft& draft, const RunAll& run_all) {
  const std::vector<ops::Recording> recordings = run_all({to_scenario(draft)});
  const crosscheck::Result result = crosscheck::check(recordings.front());
  if (result.mismatches.empty()) return std::nullopt;
  return Find{draft.name, draft, recordings.front(), result.mismatches.front().explanation};
}

// A draft from which too much was cut is no scenario any more: it does not show the mismatch.
std::optional<Find> try_draft(const Draft& draft, const RunAll& run_all) {
  try {
    return disagreement(draft, run_all);
  } catch (const ops::InputError&) {
    return std::nullopt;
  }
}

Find shrunk(const Find& find, int attempts, const RunAll& run_all) {
  Find best = find;
  shrink(find.draft, attempts, [&](const Draft& candidate) {
    auto smaller = try_draft(candidate, run_all);
    if (!smaller) return false;
    best = std::move(*smaller);
    return true;
  });
  return best;
}

}  // namespace

Draft draft_of_run(const Options& options, const Ground& ground, std::uint64_t number) {
  sim::Stream random(options.seed, fmt::format("hunt run {}", number));
  return random_draft(fmt::format("hunt-{}-{}", options.seed, number), ground, random);
}

Draft shrink(Draft draft, int attempts, const std::function<bool(const Draft&)>& still_fails) {
  const auto accept = [&](const Draft& candidate) {
    if (attempts-- <= 0 || !still_fails(candidate)) return false;
    draft = candidate;
    return true;
  };
  // Blocks of steps, large ones first; then single ones again until nothing more can go.
  for (std::size_t block = std::max<std::size_t>(draft.steps.size() / 2, 1); attempts > 0;) {
    bool removed = false;
    for (std::size_t start = 0; start < draft.steps.size() && attempts > 0;) {
      Draft candidate = draft;
      const auto first = candidate.steps.begin() + static_cast<std::ptrdiff_t>(start);
      const auto last = candidate.steps.begin() +
                        static_cast<std::ptrdiff_t>(std::min(start + block, candidate.steps.size()));
      candidate.steps.erase(first, last);
      if (!candidate.steps.empty() && accept(candidate)) removed = true;
      else start += block;
    }
    if (block == 1 && !removed) break;
    if (block > 1) block /= 2;
  }
  while (draft.vcpus > 1) {
    Draft candidate = draft;
    --candidate.vcpus;
    if (!accept(candidate)) break;
  }
  for (std::size_t i = 0; i < draft.steps.size(); ++i) {
    if (draft.steps[i].gap_ns == 0) continue;
    Draft candidate = draft;
    candidate.steps[i].gap_ns = 0;
    accept(candidate);
  }
  return draft;
}

Outcome hunt(const Options& options, const Ground& ground, const RunAll& run_all,
             const std::function<void(const Tally&)>& progress, const std::function<void(const Find&)>& found) {
  Outcome outcome;
  for (std::uint64_t done = 0; done < options.runs && outcome.finds.size() < options.most_finds;) {
    std::vector<Draft> drafts;
    std::vector<scenarios::Scenario> batch;
    for (; done < options.runs && drafts.size() < options.batch; ++done) {
      drafts.push_back(draft_of_run(options, ground, options.first + done));
      batch.push_back(to_scenario(drafts.back()));
    }
    const std::vector<ops::Recording> recordings = run_all(batch);
    for (std::size_t i = 0; i < recordings.size(); ++i) {
      const crosscheck::Result result = crosscheck::check(recordings[i]);
      count(recordings[i], result, outcome.tally);
      if (result.mismatches.empty() || outcome.finds.size() >= options.most_finds) continue;
      const Find find{drafts[i].name, drafts[i], recordings[i], result.mismatches.front().explanation};
      outcome.finds.push_back(shrunk(find, options.shrink_attempts, run_all));
      found(outcome.finds.back());
    }
    progress(outcome.tally);
  }
  return outcome;
}

}  // namespace tscsim::hunt

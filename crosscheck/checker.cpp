#include "crosscheck/checker.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "crosscheck/hypothesis.h"
#include "ops/error.h"

namespace tscsim::crosscheck {
namespace {

// More histories than this are never followed at once. Dropping some can turn a pass into a mismatch, never the reverse.
constexpr std::size_t kMaxHypotheses = 256;

struct Advanced {
  std::vector<Hypothesis> survivors;
  std::vector<Hypothesis> failed;
};

// Executes one entry under every answer to the questions it raises.
void explore(const Hypothesis& start, const ops::Entry& entry, std::size_t index, Advanced& result) {
  std::vector<std::vector<bool>> scripts{{}};
  while (!scripts.empty()) {
    Hypothesis next = start;
    next.space.oracle() = {};
    next.space.oracle().script = scripts.back();
    const std::size_t scripted = scripts.back().size();
    scripts.pop_back();
    const bool possible = advance(next, entry, index);
    const witness::Oracle oracle = next.space.oracle();
    for (std::size_t i = scripted; i < oracle.answers.size(); ++i) {
      std::vector<bool> other(oracle.answers.begin(), oracle.answers.begin() + static_cast<std::ptrdiff_t>(i));
      other.push_back(!oracle.answers[i]);
      scripts.push_back(std::move(other));
    }
    for (std::size_t i = 0; i < oracle.answers.size(); ++i)
      next.answers.push_back({index, oracle.questions[i], oracle.answers[i]});
    (possible ? result.survivors : result.failed).push_back(std::move(next));
  }
}

void drop_duplicates(std::vector<Hypothesis>& hypotheses) {
  std::set<std::string> seen;
  std::erase_if(hypotheses, [&](const Hypothesis& h) { return !seen.insert(digest(h)).second; });
  if (hypotheses.size() > kMaxHypotheses) hypotheses.erase(hypotheses.begin() + kMaxHypotheses, hypotheses.end());
}

// Questions of the machine (not about delayed work) that the surviving histories answer differently.
void add_undecided(const std::vector<Hypothesis>& survivors, Result& result) {
  std::set<std::pair<std::size_t, std::string>> open;
  const auto answered = [](const Hypothesis& h, const Answer& a) {
    return std::find_if(h.answers.begin(), h.answers.end(), [&](const Answer& other) {
      return other.entry == a.entry && other.question == a.question;
    });
  };
  for (const Answer& answer : survivors.front().answers) {
    if (answer.question.starts_with("delayed:")) continue;
    for (const Hypothesis& other : survivors) {
      const auto same = answered(other, answer);
      if (same == other.answers.end() || same->answer != answer.answer) open.insert({answer.entry, answer.question});
    }
  }
  for (const auto& [entry, question] : open)
    result.observations.push_back({entry, question, Verdict::undecided, 0, 0, 0});
}

void require_operations(const ops::Recording& recording) {
  if (!ops::is_observed(recording)) return;
  throw ops::InputError(ops::Diagnostic{
      {},
      fmt::format("the recording of '{}' was made from outside ({}): what was asked of KVM is not known, so nothing can be verified",
                  recording.header.scenario, recording.header.profile.target),
      "'tscsim import' explains what it shows",
      "",
      1});
}

}  // namespace

std::string_view name_of(Verdict verdict) {
  constexpr std::array<std::string_view, kVerdicts> kNames = {"exact", "bracketed", "undecided", "mismatch",
                                                              "unsupported"};
  return kNames[static_cast<std::size_t>(verdict)];
}

std::size_t Result::count(Verdict verdict) const {
  return static_cast<std::size_t>(std::count_if(observations.begin(), observations.end(),
                                                [&](const Observation& o) { return o.verdict == verdict; }));
}

Result check(const ops::Recording& recording) {
  require_operations(recording);
  Result result;
  std::vector<Hypothesis> hypotheses;
  hypotheses.emplace_back(recording.header);

  for (std::size_t i = 0; i < recording.entries.size(); ++i) {
    Advanced advanced;
    for (const Hypothesis& hypothesis : hypotheses) explore(hypothesis, recording.entries[i], i, advanced);
    drop_duplicates(advanced.survivors);
    if (advanced.survivors.empty()) {
      // The history that explains most of the entry is the one to show.
      const auto best = std::max_element(
          advanced.failed.begin(), advanced.failed.end(),
          [](const Hypothesis& a, const Hypothesis& b) { return a.observations.size() < b.observations.size(); });
      result.observations = best->observations;
      result.mismatches.push_back({i, best->failure});
      result.unchecked_entries = recording.entries.size() - i - 1;
      return result;
    }
    hypotheses = std::move(advanced.survivors);
  }
  result.observations = hypotheses.front().observations;
  add_undecided(hypotheses, result);
  return result;
}

}  // namespace tscsim::crosscheck

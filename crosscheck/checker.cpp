#include "crosscheck/checker.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/interrupt.h"
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

// Executes one entry under every answer to the questions it raises. False when there are too many, those before included:
// on a host whose TSC is unstable each of a guest's exits changes its offset, and what a long run was made of can be told
// in more ways than anybody can wait for.
bool explore(const Hypothesis& start, const ops::Entry& entry, std::size_t index, std::size_t most,
             std::size_t& histories, Advanced& result) {
  std::vector<std::vector<bool>> scripts{{}};
  while (!scripts.empty()) {
    if (++histories > most) return false;
    base::throw_if_interrupted();
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
  return true;
}

void drop_duplicates(std::vector<Hypothesis>& hypotheses) {
  std::set<std::string> seen;
  std::erase_if(hypotheses, [&](const Hypothesis& h) { return !seen.insert(digest(h)).second; });
  if (hypotheses.size() > kMaxHypotheses) hypotheses.erase(hypotheses.begin() + kMaxHypotheses, hypotheses.end());
}

// Executes entries in this order. Without survivors, the entry that none survived is `stopped_at`; with too many histories the
// entry that has them, and the survivors are those before it.
struct Followed {
  Advanced result;
  std::size_t stopped_at = 0;
  bool too_many = false;
};
Followed follow(std::vector<Hypothesis> hypotheses, const ops::Recording& recording, const Limits& limits,
                const std::vector<std::size_t>& order) {
  for (const std::size_t i : order) {
    Advanced advanced;
    std::size_t histories = 0;
    const std::size_t most = limits.histories + limits.each * hypotheses.size();
    for (const Hypothesis& hypothesis : hypotheses)
      if (!explore(hypothesis, recording.entries[i], i, most, histories, advanced))
        return {{std::move(hypotheses), {}}, i, true};
    drop_duplicates(advanced.survivors);
    if (advanced.survivors.empty()) return {std::move(advanced), i, false};
    hypotheses = std::move(advanced.survivors);
  }
  return {{std::move(hypotheses), {}}, 0, false};
}

// The entries of one call of a VMM, from `begin` on: they share a thread and a bracket.
std::size_t end_of_call(const ops::Recording& recording, std::size_t begin) {
  const auto& entries = recording.entries;
  std::size_t end = begin + 1;
  while (end < entries.size() && entries[begin].thread != 0 && entries[end].thread == entries[begin].thread &&
         entries[end].bracket == entries[begin].bracket)
    ++end;
  return end;
}

// Calls of two threads at the same time: which came first in the kernel is not known. Not so KVM_RUN, which does what it
// was asked for when it begins and then lasts.
bool overlap(const ops::Entry& a, const ops::Entry& b) {
  const bool runs = a.op.kind == ops::OpKind::run || b.op.kind == ops::OpKind::run;
  return !runs && a.thread != 0 && b.thread != 0 && a.thread != b.thread && a.op.host == b.op.host &&
         b.bracket.base_ns.lo < a.bracket.base_ns.hi && b.bracket.base_ns.hi != 0;
}

// The next call, or the next two in both orders. `next` becomes the entry after them.
Followed follow_next(std::vector<Hypothesis> hypotheses, const ops::Recording& recording, const Limits& limits,
                     std::size_t& next) {
  const std::size_t first = next, second = end_of_call(recording, first);
  std::vector<std::size_t> order;
  for (std::size_t i = first; i < second; ++i) order.push_back(i);
  next = second;
  if (second == recording.entries.size() || !overlap(recording.entries[first], recording.entries[second]))
    return follow(std::move(hypotheses), recording, limits, order);
  next = end_of_call(recording, second);
  for (std::size_t i = second; i < next; ++i) order.push_back(i);
  Followed as_begun = follow(hypotheses, recording, limits, order);
  if (as_begun.too_many) return as_begun;
  std::rotate(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(second - first), order.end());
  Followed other = follow(std::move(hypotheses), recording, limits, order);
  if (other.too_many) return other;
  for (Hypothesis& h : as_begun.result.survivors) h.answers.push_back({first, kOrderQuestion, true});
  for (Hypothesis& h : other.result.survivors) h.answers.push_back({first, kOrderQuestion, false});
  if (as_begun.result.survivors.empty() && other.result.survivors.empty()) return as_begun;
  for (Hypothesis& h : other.result.survivors) as_begun.result.survivors.push_back(std::move(h));
  drop_duplicates(as_begun.result.survivors);
  return as_begun;
}

// Questions of the machine (not about delayed work) that the surviving histories answer differently.
void add_undecided(const std::vector<Hypothesis>& survivors, Result& result) {
  std::set<std::pair<std::size_t, std::string>> open;
  const auto answered = [](const Hypothesis& h, const Answer& a) {
    return std::find_if(h.answers.begin(), h.answers.end(),
                        [&](const Answer& other) { return other.entry == a.entry && other.question == a.question; });
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

void tell(const std::vector<Hypothesis>& survivors, Result& result) {
  result.observations = survivors.front().observations;
  result.order = survivors.front().order;
  result.answers = survivors.front().answers;
  add_undecided(survivors, result);
}

void require_operations(const ops::Recording& recording) {
  if (!ops::is_observed(recording)) return;
  throw ops::InputError(ops::Diagnostic{
      {},
      fmt::format(
          "the recording of '{}' was made from outside ({}): what was asked of KVM is not known, so nothing can be verified",
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

Result check(const ops::Recording& recording, const Limits& limits) {
  require_operations(recording);
  Result result;
  std::vector<Hypothesis> hypotheses;
  hypotheses.emplace_back(recording);

  for (std::size_t next = 0; next < recording.entries.size();) {
    auto [advanced, stopped_at, too_many] = follow_next(std::move(hypotheses), recording, limits, next);
    if (too_many) {
      tell(advanced.survivors, result);
      result.observations.push_back({stopped_at, "which of too many histories", Verdict::undecided, 0, 0, 0});
      result.unchecked_entries = recording.entries.size() - stopped_at;
      return result;
    }
    if (advanced.survivors.empty()) {
      // The history that explains most of the entry is the one to show.
      const auto best = std::max_element(
          advanced.failed.begin(), advanced.failed.end(),
          [](const Hypothesis& a, const Hypothesis& b) { return a.observations.size() < b.observations.size(); });
      result.observations = best->observations;
      result.order = best->order;
      result.answers = best->answers;
      result.mismatches.push_back({stopped_at, best->failure});
      result.unchecked_entries = recording.entries.size() - stopped_at - 1;
      return result;
    }
    hypotheses = std::move(advanced.survivors);
  }
  tell(hypotheses, result);
  return result;
}

}  // namespace tscsim::crosscheck

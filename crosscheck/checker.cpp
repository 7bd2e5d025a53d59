#include "crosscheck/checker.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <set>

#include "base/interrupt.h"
#include "crosscheck/hypothesis.h"
#include "crosscheck/state.h"
#include "ops/error.h"

namespace tscsim::crosscheck {
namespace {

// More histories than this are never followed at once. None is dropped: where there are more, nothing is decided.
constexpr std::size_t kMaxHypotheses = 1024;

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

// Which histories go on. One that explains all of a recording is enough to agree, so that it is looked for first among few: of
// those with equal states one, although what is known of their readings may differ, and never more than kFew. When all
// of these are contradicted nothing is said; then all are followed.
enum class Keep { few, all };
constexpr std::size_t kFew = 256;

void drop_duplicates(std::vector<Hypothesis>& hypotheses, Keep keep) {
  if (hypotheses.size() < 2) return;
  std::set<std::string> seen;
  std::erase_if(hypotheses,
                [&](Hypothesis& h) { return !seen.insert(keep == Keep::all ? digest(h) : state_digest(h)).second; });
  if (keep == Keep::few && hypotheses.size() > kFew)
    hypotheses.erase(hypotheses.begin() + static_cast<std::ptrdiff_t>(kFew), hypotheses.end());
}

// What came of some entries. Without survivors, the entry that none survived is `stopped_at`; with too many histories the
// entry that has them, and the survivors are those before it.
struct Followed {
  Advanced result;
  std::size_t stopped_at = 0;
  bool too_many = false;
};

Followed follow(std::vector<Hypothesis> hypotheses, const ops::Recording& recording, const Limits& limits, Keep keep,
                std::size_t index) {
  Advanced advanced;
  std::size_t histories = 0;
  const std::size_t most = limits.histories + limits.each * hypotheses.size();
  for (const Hypothesis& hypothesis : hypotheses)
    if (!explore(hypothesis, recording.entries[index], index, most, histories, advanced))
      return {{std::move(hypotheses), {}}, index, true};
  drop_duplicates(advanced.survivors, keep);
  const bool too_many = advanced.survivors.size() > kMaxHypotheses;
  if (too_many) return {{std::move(hypotheses), {}}, index, true};
  return {std::move(advanced), index, false};
}

// Calls of two threads at the same time: which came first in the kernel is not known. Not so KVM_RUN, which does what it
// was asked for when it begins and then lasts.
bool overlap(const ops::Entry& a, const ops::Entry& b) {
  const bool runs = a.op.kind == ops::OpKind::run || b.op.kind == ops::OpKind::run;
  return !runs && a.thread != 0 && b.thread != 0 && a.thread != b.thread && a.op.host == b.op.host &&
         b.bracket.base_ns.lo < a.bracket.base_ns.hi && b.bracket.base_ns.hi != 0;
}

// `first` made what `second` is called on: its descriptor comes from there, however the brackets lie. vCPUs are numbered in
// the order in which they are made. A host's next VM comes after all calls on the one before.
bool makes_what(const ops::Entry& first, const ops::Entry& second) {
  if (first.op.host != second.op.host || ops::is_host_event(first.op.kind) || ops::is_host_event(second.op.kind))
    return false;
  if (first.op.kind == ops::OpKind::create_vm || second.op.kind == ops::OpKind::create_vm) return true;
  return first.op.kind == ops::OpKind::create_vcpu &&
         (second.op.kind == ops::OpKind::create_vcpu || second.op.vcpu == first.op.vcpu);
}

// Entries of a group, in the order of the recording: the later one may have come first.
bool may_turn(const ops::Entry& a, const ops::Entry& b) { return overlap(a, b) && !makes_what(a, b); }

// The MSRs of one call of a VMM are entries of their own, and share a thread and a bracket.
bool of_one_call(const ops::Entry& a, const ops::Entry& b) {
  return a.thread != 0 && a.thread == b.thread && a.bracket == b.bracket;
}

// Entries from `begin` on whose order is not known: each overlaps one before it, or is of the same call as the one before.
std::size_t end_of_group(const ops::Recording& recording, std::size_t begin) {
  const auto& entries = recording.entries;
  std::size_t end = begin + 1;
  const auto belongs = [&](const ops::Entry& entry) {
    for (std::size_t i = begin; i < end; ++i)
      if (overlap(entries[i], entry)) return true;
    return of_one_call(entries[end - 1], entry);
  };
  while (end < entries.size() && belongs(entries[end])) ++end;
  return end;
}

// Every order of a group that its brackets allow. Histories that have the same entries behind them are compared: of equal ones
// one goes on.
class Orders {
 public:
  Orders(const ops::Recording& recording, const Limits& limits, Keep keep, std::size_t begin, std::size_t end)
      : recording_(recording), limits_(limits), keep_(keep), begin_(begin), size_(end - begin) {}

  Followed follow_all(std::vector<Hypothesis> start) {
    std::map<Done, std::vector<Hypothesis>> level;
    std::vector<Hypothesis> before = start;
    level.emplace(Done(size_), std::move(start));
    for (std::size_t done = 0; done < size_; ++done) {
      std::map<Done, std::vector<Hypothesis>> next;
      for (const auto& [entries, hypotheses] : level)
        if (!take_each(entries, hypotheses, next)) return {{std::move(before), {}}, begin_, true};
      if (next.empty()) return std::move(*as_begun_);
      level = std::move(next);
    }
    return {{std::move(level.begin()->second), {}}, 0, false};
  }

 private:
  using Done = std::vector<bool>;
  const ops::Entry& entry(std::size_t i) const { return recording_.entries[begin_ + i]; }

  bool may_come(const Done& done, std::size_t next) const {
    if (done[next]) return false;
    for (std::size_t i = 0; i < next; ++i)
      if (!done[i] && !may_turn(entry(i), entry(next))) return false;
    return !vcpu_is_taken(done, next);
  }

  // A call holds its vCPU until it is done (vcpu->mutex); on what is the VM's, those on different vCPUs may take turns.
  bool vcpu_is_taken(const Done& done, std::size_t next) const {
    for (std::size_t i = 0; i < size_; ++i) {
      if (!done[i] || entry(i).op.vcpu == ops::kVm || entry(i).op.vcpu != entry(next).op.vcpu) continue;
      if (of_one_call(entry(i), entry(next))) continue;
      for (std::size_t rest = i + 1; rest < size_; ++rest)
        if (!done[rest] && of_one_call(entry(i), entry(rest))) return true;
    }
    return false;
  }

  // False when there are too many histories.
  bool take_each(const Done& done, const std::vector<Hypothesis>& hypotheses,
                 std::map<Done, std::vector<Hypothesis>>& result) {
    for (std::size_t next = 0; next < size_; ++next) {
      if (!may_come(done, next)) continue;
      followed_ += hypotheses.size();
      if (followed_ > size_ * kMaxHypotheses) return false;
      Followed followed = follow(hypotheses, recording_, limits_, keep_, begin_ + next);
      if (followed.too_many) return false;
      if (followed.result.survivors.empty()) {
        const bool in_order =
            std::is_sorted(done.begin(), done.end(), std::greater<>()) && !done[next] && (next == 0 || done[next - 1]);
        if (in_order || !as_begun_) as_begun_ = std::move(followed);
        continue;
      }
      note_order(done, next, followed.result.survivors);
      Done with = done;
      with[next] = true;
      std::vector<Hypothesis>& all = result[with];
      for (Hypothesis& h : followed.result.survivors) all.push_back(std::move(h));
      drop_duplicates(all, keep_);
      if (all.size() > kMaxHypotheses) return false;
    }
    return true;
  }

  // Whether it came before all that began later.
  void note_order(const Done& done, std::size_t next, std::vector<Hypothesis>& survivors) const {
    bool open = false, first = true;
    for (std::size_t i = next + 1; i < size_; ++i) {
      if (!may_turn(entry(next), entry(i))) continue;
      open = true;
      first = first && !done[i];
    }
    if (!open) return;
    for (Hypothesis& h : survivors) h.answers.push_back({begin_ + next, kOrderQuestion, first});
  }

  const ops::Recording& recording_;
  const Limits& limits_;
  Keep keep_;
  std::size_t begin_;
  std::size_t size_;
  std::size_t followed_ = 0;
  std::optional<Followed> as_begun_;  // how the entries in the order of their beginnings were contradicted
};

// The next entry, or the next ones in every order that may be. `next` becomes the one after them.
Followed follow_next(std::vector<Hypothesis> hypotheses, const ops::Recording& recording, const Limits& limits,
                     Keep keep, std::size_t& next) {
  const std::size_t begin = next;
  next = end_of_group(recording, begin);
  if (next == begin + 1) return follow(std::move(hypotheses), recording, limits, keep, begin);
  return Orders(recording, limits, keep, begin, next).follow_all(std::move(hypotheses));
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
  result.inferred = survivors.front().inferred;
  add_undecided(survivors, result);
}

// What tells the history that is shown from the one that it is most like.
std::string others_text(std::vector<Hypothesis>& failed, Hypothesis& shown) {
  if (failed.size() < 2) return "";
  std::vector<std::string> least;
  for (Hypothesis& other : failed) {
    if (&other == &shown) continue;
    std::vector<std::string> lines = state_diff(shown, other);
    if (least.empty() || (!lines.empty() && lines.size() < least.size())) least = std::move(lines);
  }
  constexpr std::size_t kMostLines = 3;
  std::string text = fmt::format("\n  {:<9} {} other {} been followed up to here, and {} contradicted, too", "others",
                                 failed.size() - 1, failed.size() == 2 ? "history has" : "histories have",
                                 failed.size() == 2 ? "is" : "are");
  for (std::size_t i = 0; i < std::min(least.size(), kMostLines); ++i)
    text += fmt::format("\n  {:<9} {}", "", least[i]);
  if (least.size() > kMostLines) text += fmt::format("\n  {:<9} and {} more members", "", least.size() - kMostLines);
  return text;
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

namespace {

Result check_keeping(Keep keep, const ops::Recording& recording, const Limits& limits) {
  Result result;
  std::vector<Hypothesis> hypotheses;
  hypotheses.emplace_back(recording);

  for (std::size_t next = 0; next < recording.entries.size();) {
    auto [advanced, stopped_at, too_many] = follow_next(std::move(hypotheses), recording, limits, keep, next);
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
      result.inferred = best->inferred;
      result.mismatches.push_back({stopped_at, best->failure + others_text(advanced.failed, *best)});
      result.unchecked_entries = recording.entries.size() - stopped_at - 1;
      return result;
    }
    hypotheses = std::move(advanced.survivors);
  }
  tell(hypotheses, result);
  return result;
}

}  // namespace

Result check(const ops::Recording& recording, const Limits& limits) {
  require_operations(recording);
  Result among_few = check_keeping(Keep::few, recording, limits);
  if (among_few.mismatches.empty()) return among_few;
  return check_keeping(Keep::all, recording, limits);
}

}  // namespace tscsim::crosscheck

#include "hunt/shrink.h"

#include <algorithm>

namespace tscsim::hunt {
namespace {

// One way to make a draft smaller. Steps are emptied, not erased, so that the ways of one round can be combined.
using Cut = std::function<void(Draft&)>;

Draft without_empty_steps(Draft draft) {
  std::int64_t carried_ns = 0;
  for (DraftStep& step : draft.steps) {
    step.gap_ns += carried_ns;
    carried_ns = step.body.empty() ? step.gap_ns : 0;
  }
  std::erase_if(draft.steps, [](const DraftStep& step) { return step.body.empty(); });
  return draft;
}

class Shrinker {
 public:
  Shrinker(Draft draft, int attempts, const StillFail& still_fail)
      : draft_(std::move(draft)), attempts_(attempts), still_fail_(still_fail) {}

  Draft run() {
    for (std::size_t block = std::max<std::size_t>(draft_.steps.size() / 2, 1);;) {
      const bool smaller = apply(cuts_of_steps(block));
      if (block == 1 && !smaller) break;
      if (block > 1) block /= 2;
    }
    while (apply(cuts_of_vcpus())) continue;
    apply(cuts_of_gaps());
    return draft_;
  }

 private:
  std::vector<Cut> cuts_of_steps(std::size_t block) const {
    std::vector<Cut> cuts;
    if (block >= draft_.steps.size()) return cuts;  // nothing would be left
    for (std::size_t start = 0; start < draft_.steps.size(); start += block)
      cuts.push_back([start, block](Draft& draft) {
        for (std::size_t i = start; i < std::min(start + block, draft.steps.size()); ++i) draft.steps[i].body.clear();
      });
    return cuts;
  }

  std::vector<Cut> cuts_of_vcpus() const {
    if (draft_.vcpus < 2) return {};
    return {[](Draft& draft) { --draft.vcpus; }};
  }

  std::vector<Cut> cuts_of_gaps() const {
    std::vector<Cut> cuts;
    for (std::size_t i = 0; i < draft_.steps.size(); ++i)
      if (draft_.steps[i].gap_ns != 0) cuts.push_back([i](Draft& draft) { draft.steps[i].gap_ns = 0; });
    return cuts;
  }

  Draft with(const std::vector<Cut>& cuts, std::size_t count) const {
    Draft smaller = draft_;
    for (std::size_t i = 0; i < count; ++i) cuts[i](smaller);
    return without_empty_steps(smaller);
  }

  // First each cut alone; then as many as can be of those that may go, together. True when the draft got smaller.
  bool apply(const std::vector<Cut>& cuts) {
    std::vector<Draft> alone;
    for (const Cut& cut : cuts) alone.push_back(with({cut}, 1));
    const std::vector<bool> fails = ask(alone);
    std::vector<Cut> possible;
    for (std::size_t i = 0; i < fails.size(); ++i)
      if (fails[i]) possible.push_back(cuts[i]);
    if (possible.empty()) return false;
    std::vector<Draft> together;
    for (std::size_t count = 2; count <= possible.size(); ++count) {
      together.push_back(with(possible, count));
      if (together.back().steps.empty()) together.pop_back();
    }
    const std::vector<bool> fail_together = ask(together);
    std::size_t most = 1;
    for (std::size_t i = 0; i < fail_together.size(); ++i)
      if (fail_together[i]) most = i + 2;
    draft_ = with(possible, most);
    return true;
  }

  // Cut short when the attempts are used up.
  std::vector<bool> ask(std::vector<Draft> drafts) {
    drafts.resize(std::min(drafts.size(), static_cast<std::size_t>(std::max(attempts_, 0))));
    attempts_ -= static_cast<int>(drafts.size());
    return drafts.empty() ? std::vector<bool>() : still_fail_(drafts);
  }

  Draft draft_;
  int attempts_;
  const StillFail& still_fail_;
};

}  // namespace

Draft shrink(Draft draft, int attempts, const StillFail& still_fail) {
  return Shrinker(std::move(draft), attempts, still_fail).run();
}

}  // namespace tscsim::hunt

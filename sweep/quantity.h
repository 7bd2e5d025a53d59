// What is told of each run: a metric, or an expression over the scenario's captures.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/world/runner.h"
#include "ops/expression.h"

namespace tscsim::sweep {

// One value of one run; none where the run had none (nothing to compare, a reading that failed).
using Seen = std::optional<ops::Wide>;

class Quantity {
 public:
  // "kvmclock_jump", "master_clock" (1 on, 0 off, on the last host that was asked), or an expression such as "after.tsc" or
  // "after - before - 1 s"; "lost = before - after" gives it a name. Throws std::invalid_argument.
  static Quantity parse(const std::string& text);

  const std::string& name() const { return name_; }
  const std::string& text() const { return text_; }  // parse(text()) gives it again
  std::string unit() const;
  bool is_metric() const { return !expression_; }

  // Adds what has to be captured for it.
  void request(model::RunRequest& request);
  // `hosts`: how many the scenario has.
  Seen of(const model::Runner& runner, const model::RunMetrics& metrics, std::size_t hosts) const;

 private:
  enum class Metric : std::uint8_t { tsc_jump, tsc_skew, kvmclock_jump, kvmclock_skew, master_clock };
  struct Load {
    std::string what;  // "after.tsc"
    std::size_t capture = 0;
  };
  Seen evaluate(const model::Runner& runner) const;

  std::string name_, text_;
  Metric metric_{};
  std::optional<ops::Expression> expression_;
  std::vector<Load> loads_;  // in the order of the expression's code
};

// The five metrics.
std::vector<Quantity> all_metrics();

}  // namespace tscsim::sweep

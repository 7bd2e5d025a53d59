#include "sweep/quantity.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <stdexcept>

#include "ops/text.h"

namespace tscsim::sweep {
namespace {

using Code = ops::Expression::Code;

constexpr std::array<std::string_view, 5> kMetrics{"tsc_jump", "tsc_skew", "kvmclock_jump", "kvmclock_skew",
                                                   "master_clock"};
constexpr std::size_t kDeepest = 16;

template <class T>
Seen widened(const std::optional<T>& value) {
  return value ? Seen(static_cast<ops::Wide>(*value)) : std::nullopt;
}

}  // namespace

Quantity Quantity::parse(const std::string& given) {
  Quantity made;
  made.text_ = ops::trimmed(given);
  const std::size_t equals = made.text_.find('=');
  const std::string what = equals == std::string::npos
                               ? made.text_
                               : std::string(ops::trimmed(std::string_view(made.text_).substr(equals + 1)));
  made.name_ = equals == std::string::npos ? made.text_
                                           : std::string(ops::trimmed(std::string_view(made.text_).substr(0, equals)));
  if (made.name_.empty() || what.empty())
    throw std::invalid_argument(fmt::format("'{}' is no quantity; write a metric, or 'lost = before - after'", given));
  const auto metric = std::find(kMetrics.begin(), kMetrics.end(), what);
  if (metric != kMetrics.end()) {
    made.metric_ = static_cast<Metric>(metric - kMetrics.begin());
    return made;
  }
  try {
    made.expression_ = ops::Expression::parse(what, ops::Unit::ns);
  } catch (const ops::ExpressionError& error) {
    throw std::invalid_argument(
        fmt::format("'{}' is neither one of {} nor an expression: {}", what, fmt::join(kMetrics, ", "), error.what()));
  }
  std::size_t depth = 0;
  for (const auto& instruction : made.expression_->code()) {
    if (instruction.code >= Code::to_cycles)
      throw std::invalid_argument(fmt::format("'{}': conversions between cycles and ns cannot be swept", what));
    depth += 1 - static_cast<std::size_t>(ops::Expression::taken_by(instruction.code));
    if (depth > kDeepest) throw std::invalid_argument(fmt::format("'{}' is nested too deeply", what));
  }
  return made;
}

std::string Quantity::unit() const {
  if (expression_) return "";
  if (metric_ == Metric::master_clock) return "on";
  return metric_ <= Metric::tsc_skew ? "cycles" : "ns";
}

void Quantity::request(model::RunRequest& request) {
  if (!expression_) {
    request.metrics = true;
    return;
  }
  loads_.clear();
  for (const auto& instruction : expression_->code()) {
    if (instruction.code != Code::load) continue;
    const std::string what = instruction.name + (instruction.field.empty() ? "" : "." + instruction.field);
    auto known = std::find(request.captures.begin(), request.captures.end(), what);
    loads_.push_back({what, static_cast<std::size_t>(known - request.captures.begin())});
    if (known == request.captures.end()) request.captures.push_back(what);
  }
}

Seen Quantity::evaluate(const model::Runner& runner) const {
  std::array<ops::Wide, kDeepest> stack{};
  std::size_t depth = 0, load = 0;
  for (const auto& instruction : expression_->code()) {
    if (instruction.code == Code::push) {
      stack[depth++] = instruction.number;
    } else if (instruction.code == Code::load) {
      const auto value = runner.captured(loads_[load++].capture);
      if (!value) return std::nullopt;
      stack[depth++] = *value;
    } else if (instruction.code == Code::negate) {
      stack[depth - 1] = -stack[depth - 1];
    } else {
      --depth;
      try {
        stack[depth - 1] =
            ops::Expression::combine(instruction.code, stack[depth - 1], stack[depth], 0, instruction.offset);
      } catch (const ops::ExpressionError&) {  // a division by zero, an overflow
        return std::nullopt;
      }
    }
  }
  return stack[0];
}

Seen Quantity::of(const model::Runner& runner, const model::RunMetrics& metrics, std::size_t hosts) const {
  if (expression_) return evaluate(runner);
  switch (metric_) {
    case Metric::tsc_jump:
      return widened(metrics.tsc_jump);
    case Metric::tsc_skew:
      return widened(metrics.tsc_skew);
    case Metric::kvmclock_jump:
      return widened(metrics.kvmclock_jump);
    case Metric::kvmclock_skew:
      return widened(metrics.kvmclock_skew);
    case Metric::master_clock:
      for (std::size_t host = hosts; host-- > 0;)
        if (const auto on = runner.master_clock(host)) return Seen(*on ? 1 : 0);
  }
  return std::nullopt;
}

std::vector<Quantity> all_metrics() {
  std::vector<Quantity> all;
  for (const std::string_view name : kMetrics) all.push_back(Quantity::parse(std::string(name)));
  return all;
}

}  // namespace tscsim::sweep

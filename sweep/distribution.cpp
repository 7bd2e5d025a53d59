#include "sweep/distribution.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <optional>
#include <stdexcept>

#include "ops/error.h"
#include "ops/recording.h"
#include "ops/text.h"
#include "scenarios/units.h"
#include "sim/wide.h"
#include "sweep/exact_samples.h"

namespace tscsim::sweep {
namespace {

// So that a mean and many standard deviations are within 64 bits.
constexpr std::int64_t kMost = std::int64_t{1} << 56;

constexpr std::array<std::string_view, 6> kShapes{"uniform", "normal", "exponential", "choice", "grid", "empirical"};

std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> parts;
  for (std::size_t from = 0;;) {
    const std::size_t comma = text.find(',', from);
    parts.push_back(ops::trimmed(text.substr(from, comma == std::string_view::npos ? comma : comma - from)));
    if (comma == std::string_view::npos) return parts;
    from = comma + 1;
  }
}

struct Value {
  std::int64_t value = 0;
  Unit unit{};
};

Value value_of(std::string_view text) {
  if (const auto number = scenarios::parse_integer(text, INT64_MIN, INT64_MAX); number.value)
    return {*number.value, Unit::number};
  if (const auto ratio = scenarios::parse_ratio_ppb(text); ratio.value) return {*ratio.value, Unit::ppb};
  if (const auto rate = scenarios::parse_frequency_khz(text); rate.value) return {*rate.value, Unit::khz};
  const auto time = scenarios::parse_duration_ns(text);
  if (time.value) return {*time.value, Unit::ns};
  throw std::invalid_argument(
      fmt::format("expected a value such as '5 ms', '2.1 GHz', '3 ppm' or '7', found '{}'", text));
}

// All of one unit.
std::vector<std::int64_t> values_of(const std::vector<std::string_view>& texts, Unit& unit) {
  std::vector<std::int64_t> values;
  for (const std::string_view text : texts) {
    const Value one = value_of(text);
    if (!values.empty() && one.unit != unit)
      throw std::invalid_argument(
          fmt::format("'{}' is in {} where the values before it are in {}", text, name_of(one.unit), name_of(unit)));
    unit = one.unit;
    values.push_back(one.value);
  }
  return values;
}

// So many draws anew are cheaper than to ask how much the bounds leave.
constexpr int kTries = 1024;

// scale * sample, to the nearest.
std::int64_t scaled(std::int64_t scale, const Sample& sample) {
  const sim::U128 part = sim::mul(static_cast<std::uint64_t>(scale), sample.fraction) + (std::uint64_t{1} << 63);
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(scale) * sample.whole +
                                   static_cast<std::uint64_t>(part >> 64));
}

}  // namespace

std::string_view name_of(Unit unit) {
  static constexpr std::array<std::string_view, 4> kNames{"ns", "kHz", "ppb", "numbers"};
  return kNames[static_cast<std::size_t>(unit)];
}

Distribution Distribution::parse(std::string_view text, const std::filesystem::path& folder) {
  text = ops::trimmed(text);
  const std::size_t open = text.find('(');
  if (open == std::string_view::npos || text.back() != ')')
    throw std::invalid_argument(fmt::format("expected a distribution such as 'uniform(1 ms, 5 ms)', found '{}'", text));
  const std::string word(ops::trimmed(text.substr(0, open)));
  const auto shape = std::find(kShapes.begin(), kShapes.end(), word);
  if (shape == kShapes.end()) {
    const std::string near = ops::nearest_word(word, {kShapes.begin(), kShapes.end()});
    throw std::invalid_argument(fmt::format("unknown distribution '{}'; {}", word,
                                            near.empty() ? fmt::format("there are {}", fmt::join(kShapes, ", "))
                                                         : fmt::format("did you mean '{}'?", near)));
  }
  Distribution made;
  made.shape_ = static_cast<Shape>(shape - kShapes.begin());
  made.source_ = text;
  const std::vector<std::string_view> parts = split(text.substr(open + 1, text.size() - open - 2));
  if (made.shape_ == Shape::empirical) {
    if (parts.size() != 1 || parts.front().empty()) throw std::invalid_argument("empirical() takes a file");
    made.read_values((folder / parts.front()).string());
  } else {
    made.arguments_ = values_of(parts, made.unit_);
  }
  made.check();
  const auto bounds = [&](std::size_t low, std::size_t high) {
    if (made.arguments_.size() > low) made.low_ = made.arguments_[low];
    if (made.arguments_.size() > high) made.high_ = made.arguments_[high];
    if (made.low_ > made.high_)
      throw std::invalid_argument(fmt::format("the bounds of '{}' leave nothing between them", text));
  };
  if (made.shape_ == Shape::normal) bounds(2, 3);
  if (made.shape_ == Shape::exponential) {
    bounds(1, 2);
    made.low_ = std::max<std::int64_t>(made.arguments_.size() > 1 ? made.low_ : 0, -kMost);
  }
  if (made.shape_ == Shape::grid)
    made.points_ = static_cast<std::uint64_t>((made.arguments_[1] - made.arguments_[0]) / made.arguments_[2]) + 1;
  // What is drawn anew must not be nearly everything.
  if (made.shape_ == Shape::normal && (made.low_ > made.arguments_[0] + made.arguments_[1] * 4 ||
                                       made.high_ < made.arguments_[0] - made.arguments_[1] * 4))
    throw std::invalid_argument(
        fmt::format("the bounds of '{}' are more than 4 standard deviations from its mean", text));
  return made;
}

void Distribution::check() const {
  const auto count = [&](std::size_t least, std::size_t most, const char* what) {
    if (arguments_.size() < least || arguments_.size() > most)
      throw std::invalid_argument(fmt::format("'{}': it takes {}", source_, what));
  };
  for (const std::int64_t value : arguments_)
    if (value < -kMost || value > kMost)
      throw std::invalid_argument(fmt::format("'{}': {} is beyond 2^56", source_, value));
  const auto refuse = [&](bool wrong, const char* what) {
    if (wrong) throw std::invalid_argument(fmt::format("'{}': {}", source_, what));
  };
  switch (shape_) {
    case Shape::uniform:
      count(2, 2, "the least and the greatest value");
      refuse(arguments_[0] > arguments_[1], "the least value is above the greatest");
      break;
    case Shape::normal:
      count(2, 4, "the mean, the standard deviation and, if wanted, bounds");
      refuse(arguments_[1] < 0, "a standard deviation is not negative");
      break;
    case Shape::exponential:
      count(1, 3, "the mean and, if wanted, the least and the greatest value");
      refuse(arguments_[0] <= 0, "the mean of an exponential distribution is above 0");
      refuse(arguments_.size() > 2 && arguments_[2] - arguments_[1] < arguments_[0] / 16,
             "hardly any value lies below the upper bound");
      break;
    case Shape::grid:
      count(3, 3, "from, to and step");
      refuse(arguments_[2] <= 0, "the step is not above 0");
      refuse(arguments_[0] > arguments_[1], "'from' is above 'to'");
      break;
    default:
      count(1, std::size_t{1} << 24, "at least one value");
  }
}

void Distribution::read_values(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::invalid_argument(fmt::format("'{}' cannot be read", path));
  std::string all;
  int number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    const std::string_view text = ops::trimmed(std::string_view(line).substr(0, line.find('#')));
    if (text.empty()) continue;
    try {
      const Value one = value_of(text);
      if (!arguments_.empty() && one.unit != unit_)
        throw std::invalid_argument(
            fmt::format("'{}' is in {} where the lines above are in {}", text, name_of(one.unit), name_of(unit_)));
      unit_ = one.unit;
      arguments_.push_back(one.value);
    } catch (const std::invalid_argument& error) {
      throw std::invalid_argument(fmt::format("{}:{}: {}", path, number, error.what()));
    }
    all += std::to_string(arguments_.back()) + "\n";
  }
  source_ += " " + ops::content_hash(all);
}

std::int64_t Distribution::unbounded(sim::Stream& stream) const {
  if (shape_ == Shape::exponential) return low_ + scaled(arguments_[0], exponential(stream));
  const std::int64_t from_mean = scaled(arguments_[1], half_normal(stream));
  return arguments_[0] + ((stream.next() & 1) != 0 ? from_mean : -from_mean);
}

std::int64_t Distribution::draw(sim::Stream& stream, std::uint64_t run) const {
  switch (shape_) {
    case Shape::uniform:
      return stream.uniform(arguments_[0], arguments_[1]);
    case Shape::grid:
      return arguments_[0] + arguments_[2] * static_cast<std::int64_t>(run / stride_ % points_);
    case Shape::choice:
    case Shape::empirical:
      return arguments_[static_cast<std::size_t>(stream.uniform(0, static_cast<std::int64_t>(arguments_.size()) - 1))];
    default:
      break;
  }
  const auto inside = [this](std::int64_t value) { return value >= low_ && value <= high_; };
  for (int i = 0; i < kTries; ++i)
    if (const std::int64_t value = unbounded(stream); inside(value)) return value;
  for (;;)
    if (const std::int64_t value = shape_ == Shape::normal ? within_bounds(stream) : unbounded(stream); inside(value))
      return value;
}

// A normal variable between bounds that leave little of it: either the bounds are close together, or they leave a tail. The
// value is a candidate; the caller takes the first within the bounds, of which there is one in a few hundred at the least.
std::int64_t Distribution::within_bounds(sim::Stream& stream) const {
  constexpr std::int64_t kFar = std::int64_t{1} << 60;  // beyond any that is drawn
  const std::int64_t mean = arguments_[0], deviation = arguments_[1];
  const std::int64_t low = low_ < -kFar ? -kFar : low_ - mean, high = high_ > kFar ? kFar : high_ - mean;
  if (high - low <= deviation) return mean + normal_between(stream, deviation, low, high);
  // A tail, on one side: around the mean, bounds so far apart would leave enough to draw from.
  const std::int64_t nearest = low > 0 ? low : high < 0 ? -high : 0;
  const auto whole_deviations = static_cast<std::uint64_t>(std::max<std::int64_t>(nearest - 1, 0) / deviation);
  if (whole_deviations == 0) return unbounded(stream);
  const std::int64_t away = scaled(deviation, half_normal_from(stream, whole_deviations));
  return mean + (low > 0 ? away : -away);
}

std::int64_t Distribution::typical() const {
  switch (shape_) {
    case Shape::uniform:
      return arguments_[0] + (arguments_[1] - arguments_[0]) / 2;
    case Shape::grid:
      return arguments_[0] + arguments_[2] * static_cast<std::int64_t>(points_ / 2);
    case Shape::normal:
      return std::clamp(arguments_[0], low_, high_);
    case Shape::exponential:
      return std::min(low_ + arguments_[0], high_);
    default: {
      std::vector<std::int64_t> sorted = arguments_;
      std::nth_element(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2), sorted.end());
      return sorted[sorted.size() / 2];
    }
  }
}

std::string Distribution::written(std::int64_t value) const {
  return unit_ == Unit::number ? std::to_string(value) : fmt::format("{} {}", value, name_of(unit_));
}

}  // namespace tscsim::sweep

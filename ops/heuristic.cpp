#include "ops/heuristic.h"

#include <algorithm>
#include <array>
#include <vector>

#include "ops/error.h"
#include "ops/expression.h"
#include "ops/text.h"

namespace tscsim::ops {
namespace {

std::string in_quotes(std::string_view text) { return "'" + std::string(text) + "'"; }

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(separator, begin), text.size());
    parts.emplace_back(trimmed(text.substr(begin, end - begin)));
    begin = end + 1;
  }
  return parts;
}

// A parameter whose value is one of a few words: the enumerators in their order.
template <class Value, Value HeuristicParameters::*member>
struct Words {
  static void set(HeuristicParameters& parameters, std::size_t word) { parameters.*member = static_cast<Value>(word); }
  static std::size_t get(const HeuristicParameters& parameters) { return static_cast<std::size_t>(parameters.*member); }
};

struct Parameter {
  HeuristicParameter info;
  void (*set)(HeuristicParameters&, std::size_t);  // null: the window
  std::size_t (*get)(const HeuristicParameters&);
};

template <class Value, Value HeuristicParameters::*member>
constexpr Parameter words(HeuristicParameter info) {
  return {info, Words<Value, member>::set, Words<Value, member>::get};
}

using P = HeuristicParameters;
constexpr std::array kParameters = {
    Parameter{{"window", "DURATION|unbounded",
               "how far the value may lie from where it is expected, either way; 0 s: no value joins"},
              nullptr,
              nullptr},
    words<WindowCompare, &P::compare>(
        {"compare", "host_time|host_time_us|elapsed_tsc",
         "expected is the anchor's value plus the host's time since (in cycles, or in rounded microseconds as before "
         "4.12), or what a vCPU with the anchor's offset reads now"}),
    words<WindowAnchor, &P::anchor>({"anchor", "last_write|generation",
                                     "from where the window is measured: the last write, joined or not, or the write "
                                     "that started the generation"}),
    words<ZeroRule, &P::zero_write>({"zero_write", "joins|value|own_generation",
                                     "a host write of 0: always joins, is a value like any other, or never joins"}),
    words<ZeroRule, &P::creation>(
        {"creation", "joins|value|own_generation", "the write of 0 that the creation of a vCPU implies"}),
    words<bool, &P::after_user_write>(
        {"after_user_write", "no|yes", "yes: values are compared only once user space has set a TSC"}),
    words<GuestWrites, &P::guest_writes>(
        {"guest_writes", "kernel|adjust|join",
         "a guest's own write moves offset and TSC_ADJUST, or goes through the heuristic as a host's does"}),
    words<UnstableJoin, &P::unstable_host>(
        {"unstable_host", "kernel|adds_elapsed|adds_thousandth|takes_offset|own_generation",
         "a join on a host whose TSC is unstable: the value moved on by the elapsed time, or by a thousandth of it (the "
         "defect before 4.12), the generation's offset as on a stable host, or no join at all"}),
    words<JoinedWrite, &P::joined_write>(
        {"joined_write", "kernel|as_written|on_the_line",
         "what is kept of a write that joins, for the next comparison: the value as written, or the generation's own "
         "value at that time"}),
};

constexpr std::array<HeuristicParameter, kParameters.size()> infos() {
  std::array<HeuristicParameter, kParameters.size()> result{};
  for (std::size_t i = 0; i < kParameters.size(); ++i) result[i] = kParameters[i].info;
  return result;
}
constexpr auto kInfos = infos();

std::string did_you_mean(const std::string& word, const std::vector<std::string>& words) {
  const std::string near = nearest_word(word, words);
  if (!near.empty()) return "did you mean " + in_quotes(near) + "?";
  std::string all = "one of ";
  for (const std::string& each : words) all += (&each == &words.front() ? "" : ", ") + each;
  return all;
}

std::optional<HeuristicError> set_window(HeuristicParameters& parameters, std::string_view value) {
  if (value == "unbounded") {
    parameters.window_ns = kUnboundedWindow;
    return std::nullopt;
  }
  const HeuristicError wrong{"window: expected a duration with a unit or 'unbounded', found " + in_quotes(value),
                             "write such as 'window=500ms'"};
  try {
    const auto ns = parse_duration(value);
    if (!ns) return wrong;
    if (*ns < 0)
      return HeuristicError{"window: " + in_quotes(value) + " is negative",
                            "a window reaches either way from where the value is expected"};
    parameters.window_ns = static_cast<std::uint64_t>(*ns);
    return std::nullopt;
  } catch (const ExpressionError& error) {
    return HeuristicError{std::string("window: ") + error.what(), error.mend.empty() ? wrong.mend : error.mend};
  }
}

std::string window_text(std::uint64_t ns) {
  if (ns == kUnboundedWindow) return "unbounded";
  if (ns == 0) return "0s";
  static constexpr std::pair<std::uint64_t, const char*> kUnits[] = {
      {1'000'000'000, "s"}, {1'000'000, "ms"}, {1'000, "us"}, {1, "ns"}};
  const auto* unit =
      std::find_if(std::begin(kUnits), std::end(kUnits), [&](const auto& u) { return ns % u.first == 0; });
  return std::to_string(ns / unit->first) + unit->second;
}

std::string value_text(const Parameter& parameter, const HeuristicParameters& parameters) {
  if (parameter.get == nullptr) return window_text(parameters.window_ns);
  return split(parameter.info.values, '|')[parameter.get(parameters)];
}

}  // namespace

std::span<const HeuristicParameter> heuristic_parameters() { return kInfos; }

std::optional<HeuristicError> set_parameter(HeuristicParameters& parameters, std::string_view name,
                                            std::string_view value) {
  const auto* found =
      std::find_if(kParameters.begin(), kParameters.end(), [&](const Parameter& p) { return p.info.name == name; });
  if (found == kParameters.end()) {
    std::vector<std::string> names{std::string(kHeuristicBase)};
    for (const Parameter& parameter : kParameters) names.emplace_back(parameter.info.name);
    return HeuristicError{"unknown parameter " + in_quotes(name) + " of a heuristic",
                          did_you_mean(std::string(name), names), true};
  }
  if (found->set == nullptr) return set_window(parameters, value);
  const std::vector<std::string> words = split(found->info.values, '|');
  const auto word = std::find(words.begin(), words.end(), value);
  if (word == words.end())
    return HeuristicError{std::string(name) + ": unknown value " + in_quotes(value),
                          did_you_mean(std::string(value), words)};
  found->set(parameters, static_cast<std::size_t>(word - words.begin()));
  return std::nullopt;
}

std::string to_text(const HeuristicParameters& parameters) {
  std::string text;
  for (const Parameter& parameter : kParameters)
    text += (text.empty() ? "" : ",") + std::string(parameter.info.name) + "=" + value_text(parameter, parameters);
  return text;
}

HeuristicText split_heuristic(std::string_view text) {
  HeuristicText result;
  if (text.find('=') == std::string_view::npos) {
    result.base = std::string(trimmed(text));
    return result;
  }
  for (const std::string& part : split(text, ',')) {
    const auto equals = part.find('=');
    if (equals != std::string::npos && trimmed(std::string_view(part).substr(0, equals)) == kHeuristicBase)
      result.base = std::string(trimmed(std::string_view(part).substr(equals + 1)));
    else result.assignments += (result.assignments.empty() ? "" : ",") + part;
  }
  return result;
}

std::optional<HeuristicError> HeuristicText::apply(HeuristicParameters& parameters) const {
  if (assignments.empty()) return std::nullopt;
  std::vector<std::string> seen;
  for (const std::string& part : split(assignments, ',')) {
    const auto equals = part.find('=');
    if (equals == std::string::npos)
      return HeuristicError{"expected 'parameter=value', found " + in_quotes(part),
                            "write such as 'window=500ms,zero_write=value'"};
    const std::string name(trimmed(std::string_view(part).substr(0, equals)));
    if (std::find(seen.begin(), seen.end(), name) != seen.end())
      return HeuristicError{"parameter " + in_quotes(name) + " is given twice", "give it once"};
    if (auto error = set_parameter(parameters, name, trimmed(std::string_view(part).substr(equals + 1)))) return error;
    seen.push_back(name);
  }
  return std::nullopt;
}

}  // namespace tscsim::ops

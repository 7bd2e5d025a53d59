#include "crosscheck/state.h"

#include <fmt/format.h>

#include <map>

#include "crosscheck/state_text.h"
#include "witness/spelling.h"

namespace tscsim::crosscheck {
namespace {

// What is known of a reading, or the number.
std::string value_text(const WitnessSpace& space, const Witness& value) {
  const witness::Interval seen = space.interval(value);
  if (seen.full) return "not known";
  return seen.is_point() ? fmt::format("{}", seen.lo) : fmt::format("{} .. {}", seen.lo, seen.hi());
}
template <class Value>
std::string value_text(const WitnessSpace&, const Value& value) {
  if constexpr (std::is_enum_v<Value>) return fmt::format("{}", static_cast<std::int64_t>(value));
  else return fmt::format("{}", value);
}

template <class Leaf>
void walk(Hypothesis& hypothesis, Leaf leaf) {
  StateWalk<Leaf, true> walk(std::move(leaf));
  walk.inside("hosts", hypothesis.hosts);
  walk.inside("guest_writes", hypothesis.guest_writes);
}

std::map<std::string, std::string> leaves(Hypothesis& hypothesis) {
  const WitnessSpace::Scope scope(hypothesis.space);
  std::map<std::string, std::string> found;
  walk(hypothesis,
       [&](const std::string& path, const auto& value) { found[path] = value_text(hypothesis.space, value); });
  return found;
}

// Every member of the state, readings under names of `spelling`.
std::string spelled(Hypothesis& hypothesis, witness::Spelling& spelling) {
  std::string text;
  const auto leaf = [&](const std::string&, const auto& value) {
    if constexpr (std::same_as<std::remove_cvref_t<decltype(value)>, Witness>) text += spelling.of(value);
    else text += value_text(hypothesis.space, value) + ",";
  };
  StateWalk<decltype(leaf), false> walk(leaf);
  walk.walk(hypothesis.hosts);
  walk.walk(hypothesis.guest_writes);
  return text;
}

}  // namespace

std::string digest(Hypothesis& hypothesis) {
  const WitnessSpace::Scope scope(hypothesis.space);
  witness::Spelling spelling(hypothesis.space);
  const std::string state = spelled(hypothesis, spelling);  // names the readings, before what is known of them
  return state + spelling.knowledge();
}

std::string state_digest(Hypothesis& hypothesis) {
  const WitnessSpace::Scope scope(hypothesis.space);
  witness::Spelling spelling(hypothesis.space);
  return spelled(hypothesis, spelling);
}

std::vector<std::string> state_diff(Hypothesis& here, Hypothesis& there) {
  const std::map<std::string, std::string> ours = leaves(here), theirs = leaves(there);
  std::vector<std::string> lines;
  for (const auto& [path, value] : ours) {
    const auto other = theirs.find(path);
    if (other == theirs.end()) lines.push_back(fmt::format("{}: {}, there nothing", path, value));
    else if (other->second != value) lines.push_back(fmt::format("{}: {}, there {}", path, value, other->second));
  }
  for (const auto& [path, value] : theirs)
    if (!ours.contains(path)) lines.push_back(fmt::format("{}: nothing, there {}", path, value));
  return lines;
}

}  // namespace tscsim::crosscheck

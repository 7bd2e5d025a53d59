// Each reader checks the node's kind first, so that a mapping where a number belongs is said in those words.
#include "scenarios/reader.h"

#include <algorithm>
#include <limits>

#include "scenarios/units.h"

namespace tscsim::scenarios {
namespace {

using Kind = YamlNode::Kind;

bool is_identifier(const std::string& text) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  if (text.empty() || !letter(text.front())) return false;
  return std::all_of(text.begin(), text.end(), [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

template <class T>
std::optional<T> take(Diagnostics& diagnostics, const YamlNode& node, const Parsed<T>& parsed) {
  if (!parsed.value) diagnostics.add(node, parsed.message, parsed.mend);
  return parsed.value;
}

// The parsers of units speak for scalars; other nodes are named as what they are.
std::string unit_text(const YamlNode& node) { return node.is(Kind::scalar) ? node.text : std::string{}; }

}  // namespace

Fields::Fields(Diagnostics& diagnostics, const YamlNode& node, const std::string& what,
               const std::vector<std::string>& known) {
  if (!node.is(Kind::mapping)) {
    diagnostics.add(node, "expected " + what + " as a mapping, found " + found_text(node));
    return;
  }
  valid_ = true;
  for (const auto& [key, value] : node.members) {
    if (!key.is(Kind::scalar)) {
      diagnostics.add(key, "expected a word as key of " + what + ", found " + found_text(key));
      continue;
    }
    if (!known.empty() && std::find(known.begin(), known.end(), key.text) == known.end()) {
      diagnostics.add_unknown(key, "key", known, " in " + what);
      continue;
    }
    const auto [entry, added] = entries_.try_emplace(key.text, Entry{&key, &value});
    if (added) keys_.push_back(key.text);
    if (!added)
      diagnostics.add_clash(key, "'" + key.text + "' is given twice", "first given",
                            diagnostics.place(*entry->second.key), "remove one of the two");
  }
}

const YamlNode* Fields::find(const std::string& key) const {
  const auto entry = entries_.find(key);
  return entry == entries_.end() ? nullptr : entry->second.value;
}

const YamlNode* Fields::key(const std::string& key) const {
  const auto entry = entries_.find(key);
  return entry == entries_.end() ? nullptr : entry->second.key;
}

std::optional<std::string> Reader::text(const YamlNode& node, const std::string& what) {
  if (node.is(Kind::scalar)) return node.text;
  diagnostics_.add(node, "expected " + what + ", found " + found_text(node));
  return std::nullopt;
}

std::optional<std::string> Reader::word(const YamlNode& node, const std::string& what,
                                        const std::vector<std::string>& words) {
  if (!node.is(Kind::scalar)) {
    text(node, what);
    return std::nullopt;
  }
  if (std::find(words.begin(), words.end(), node.text) != words.end()) return node.text;
  diagnostics_.add_unknown(node, what, words);
  return std::nullopt;
}

std::optional<bool> Reader::on_off(const YamlNode& node) {
  const auto found = word(node, "state", {"on", "off"});
  return found ? std::optional(*found == "on") : std::nullopt;
}

std::optional<bool> Reader::truth(const YamlNode& node) {
  const auto found = word(node, "truth value", {"true", "false"});
  return found ? std::optional(*found == "true") : std::nullopt;
}

std::optional<std::int64_t> Reader::duration_ns(const YamlNode& node) {
  if (!node.is(Kind::scalar)) {
    text(node, "a duration such as '400 ms'");
    return std::nullopt;
  }
  return take(diagnostics_, node, parse_duration_ns(unit_text(node)));
}

std::optional<std::int64_t> Reader::instant_ns(const YamlNode& node) {
  const auto ns = duration_ns(node);
  if (!ns || *ns >= 0) return ns;
  diagnostics_.add(node, found_text(node) + " is negative", "write a duration from 0 ns on");
  return std::nullopt;
}

std::optional<std::uint32_t> Reader::frequency_khz(const YamlNode& node) {
  if (!node.is(Kind::scalar)) {
    text(node, "a frequency such as '2.6 GHz'");
    return std::nullopt;
  }
  return take(diagnostics_, node, parse_frequency_khz(unit_text(node)));
}

std::optional<std::int64_t> Reader::ratio_ppb(const YamlNode& node) {
  if (!node.is(Kind::scalar)) {
    text(node, "a ratio such as '3 ppm'");
    return std::nullopt;
  }
  return take(diagnostics_, node, parse_ratio_ppb(unit_text(node)));
}

std::optional<std::int64_t> Reader::integer(const YamlNode& node, std::int64_t min, std::int64_t max) {
  if (!node.is(Kind::scalar)) {
    text(node, "a whole number");
    return std::nullopt;
  }
  return take(diagnostics_, node, parse_integer(unit_text(node), min, max));
}

std::optional<std::string> Reader::capture_name(const YamlNode& node) {
  if (!node.is(Kind::scalar)) {
    text(node, "a name to capture into");
    return std::nullopt;
  }
  const bool taken = node.text == "cycles" || node.text == "ns";
  if (is_identifier(node.text) && !taken) return node.text;
  diagnostics_.add(node, "expected a name to capture into, found " + found_text(node),
                   taken ? "this is the name of a function" : "use letters, digits and '_', a letter first");
  return std::nullopt;
}

std::optional<std::string> Reader::host_name(const YamlNode& node) {
  if (is_identifier(node.text)) return node.text;
  diagnostics_.add(node, "expected a host's name, found " + found_text(node),
                   "use letters, digits and '_', a letter first");
  return std::nullopt;
}

bool Reader::check_load(const YamlNode& node, const Load& load, const std::vector<Capture>& captures) {
  const Capture* capture = find_capture(captures, load.name);
  if (!capture) {
    const std::string nearest = ops::nearest_word(load.name, names_of(captures));
    diagnostics_.add(
        node, "nothing is captured as '" + load.name + "' here",
        nearest.empty() ? "capture it first, as in 'rdtsc: " + load.name + "'" : "did you mean '" + nearest + "'?",
        load.offset, load.name.size());
    return false;
  }
  const auto field = capture_field(*capture, load.field);
  if (!field) {
    std::vector<std::string> fields;
    for (const ops::Field known : fields_of(capture->kind)) fields.emplace_back(ops::name_of(known));
    std::string all;
    for (const std::string& known : fields) all += (all.empty() ? "" : ", ") + known;
    const std::string nearest = ops::nearest_word(load.field, fields);
    diagnostics_.add(
        node,
        "'" + load.name + "' (" + std::string(ops::name_of(capture->kind)) + ") has no field '" + load.field + "'",
        nearest.empty() ? "use one of " + all : "did you mean '" + nearest + "'?", load.offset, load.name.size());
    return false;
  }
  const Quantity quantity = quantity_of(capture->kind, capture->msr, *field);
  const std::string name = load.name + (load.field.empty() ? "" : "." + load.field);
  const bool in_cycles = load.context == ops::Unit::cycles;
  if (in_cycles ? !counts_ns(quantity) : !counts_cycles(quantity)) return true;
  diagnostics_.add(node,
                   "'" + name + "' counts " + (in_cycles ? "nanoseconds" : "cycles") + " where " +
                       (in_cycles ? "cycles" : "nanoseconds") + " are needed",
                   std::string("write '") + (in_cycles ? "cycles" : "ns") + "(" + name + ")'", load.offset,
                   name.size());
  return false;
}

std::optional<ops::Expression> Reader::expression(const YamlNode& node, ops::Unit unit, bool plain,
                                                  const std::vector<Capture>& captures) {
  if (!text(node, "a number or an expression")) return std::nullopt;
  try {
    ops::Expression parsed = ops::Expression::parse(node.text, unit);
    bool good = true;
    for (const Load& load : loads_of(parsed, unit)) good = check_load(node, load, captures) && good;
    if (!good) return std::nullopt;
    if (plain && parsed.needs_rate()) {
      diagnostics_.add(node, "expected a number without a unit, found " + found_text(node));
      return std::nullopt;
    }
    const std::optional<ops::Wide> constant = parsed.as_constant();
    const bool bare = !node.text.empty() && node.text.find_first_not_of("-_0123456789") == std::string::npos;
    if (unit == ops::Unit::ns && !plain && bare && constant && *constant != 0)
      return take(diagnostics_, node, parse_duration_ns(node.text)) ? std::optional(parsed) : std::nullopt;
    constexpr ops::Wide kMax = std::numeric_limits<std::uint64_t>::max();
    constexpr ops::Wide kMin = std::numeric_limits<std::int64_t>::min();
    if (constant && (*constant > kMax || *constant < kMin)) {
      diagnostics_.add(node, found_text(node) + " does not fit 64 bits", "the greatest is 2^64 - 1");
      return std::nullopt;
    }
    return parsed;
  } catch (const ops::ExpressionError& error) {
    diagnostics_.add(node, found_text(node) + ": " + error.what(), error.mend, error.offset, 1);
    return std::nullopt;
  }
}

const Capture* find_capture(const std::vector<Capture>& captures, const std::string& name) {
  const auto found = std::find_if(captures.begin(), captures.end(), [&](const Capture& c) { return c.name == name; });
  return found == captures.end() ? nullptr : &*found;
}

std::vector<std::string> names_of(const std::vector<Capture>& captures) {
  std::vector<std::string> names;
  for (const Capture& capture : captures) names.push_back(capture.name);
  return names;
}

}  // namespace tscsim::scenarios

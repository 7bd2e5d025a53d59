// Reads a procedure file. Its steps are kept as they are: what they mean is known only where the procedure is used.
#include <algorithm>
#include <array>
#include <set>

#include "ops/text.h"
#include "scenarios/procedure.h"
#include "scenarios/reader.h"
#include "scenarios/timeline_words.h"
#include "scenarios/units.h"

namespace tscsim::scenarios {
namespace {

using Kind = YamlNode::Kind;

constexpr std::array<std::string_view, 7> kKinds{"start",   "pause",   "reset",  "snapshot",
                                                 "restore", "migrate", "hotplug"};

// Words that have a meaning of their own where a parameter's name could stand.
const std::set<std::string> kReserved{"all", "new",  "begin", "end", "turn", "source", "destination", "on",
                                      "off", "from", "to",    "as",  "of",   "with",   "cycles",      "ns",
                                      "us",  "ms",   "s",     "min", "h",    "d"};

class ProcedureParser {
 public:
  ProcedureParser(std::string_view text, const std::string& file, const std::string& name)
      : diagnostics_(file, text), reader_(diagnostics_) {
    out_.name = name;
    out_.file = file;
    out_.text = std::string(text);
  }

  Procedure parse() {
    const YamlNode root = parse_yaml(out_.text, out_.file);
    const Fields fields(
        diagnostics_, root, "a procedure",
        {"name", "title", "kind", "versions", "facts", "sources", "story", "of", "parameters", "steps"});
    if (!fields.valid()) diagnostics_.throw_if_any();
    for (const char* key : {"name", "title", "kind", "versions", "facts", "sources", "steps"})
      if (!fields.find(key)) diagnostics_.add(root, std::string("this procedure has no '") + key + "'", mend_of(key));
    read_head(fields);
    if (const YamlNode* node = fields.find("parameters")) read_parameters(*node);
    if (const YamlNode* node = fields.find("steps")) read_steps(*node);
    diagnostics_.throw_if_any();
    return std::move(out_);
  }

 private:
  std::string mend_of(const std::string& key) const {
    if (key == "name") return "add 'name: " + out_.name + "'";
    if (key == "kind") return "add such as 'kind: migrate'";
    if (key == "versions") return "add 'versions: any', or such as 'versions: 2.9 to 4.1'";
    if (key == "facts") return "add the date of what you know, such as 'facts: 2026-08'";
    if (key == "sources") return "add a list of where the steps come from";
    if (key == "steps") return "add 'steps:' with a list of steps";
    return "add 'title: ' and what it is in one line";
  }

  void read_head(const Fields& fields) {
    const auto read = [&](const char* key) {
      const YamlNode* node = fields.find(key);
      return node ? std::string(ops::trimmed(reader_.text(*node, std::string("a text as ") + key).value_or("")))
                  : std::string{};
    };
    const std::string name = read("name");
    if (!name.empty() && name != out_.name)
      diagnostics_.add(*fields.find("name"), "the name '" + name + "' is not the file's, '" + out_.name + "'",
                       "write 'name: " + out_.name + "', or rename the file");
    out_.title = read("title");
    out_.versions = read("versions");
    out_.facts = read("facts");
    out_.story = read("story");
    if (const YamlNode* node = fields.find("kind"))
      if (const auto word = reader_.word(*node, "kind", procedure_words())) out_.kind = *procedure_kind_from(*word);
    out_.sources = read_texts(fields.find("sources"), "sources");
    out_.of = read_texts(fields.find("of"), "of");
    if (out_.kind == ProcedureKind::restore && out_.of.empty() && fields.find("kind"))
      diagnostics_.add(*fields.find("kind"), "a restore has no 'of'",
                       "name the snapshot that it reads, such as 'of: [firecracker/snapshot]'");
  }

  std::vector<std::string> read_texts(const YamlNode* node, const std::string& key) {
    std::vector<std::string> texts;
    if (!node) return texts;
    if (!node->is(Kind::sequence) || node->items.empty()) {
      diagnostics_.add(*node, "expected " + key + " as a list of texts, found " + found_text(*node),
                       "write '" + key + ": [...]'");
      return texts;
    }
    for (const YamlNode& item : node->items)
      if (const auto text = reader_.text(item, "a text in " + key)) texts.emplace_back(ops::trimmed(*text));
    return texts;
  }

  void read_parameters(const YamlNode& node) {
    const Fields fields(diagnostics_, node, "parameters", {});
    if (!fields.valid()) return;
    for (const std::string& name : fields.keys()) read_parameter(*fields.key(name), *fields.find(name));
  }

  void read_parameter(const YamlNode& key, const YamlNode& node) {
    const auto name = reader_.capture_name(key);
    if (!name) return;
    if (kReserved.count(*name) != 0 || find_word(*name) || ops::msr_from(*name))
      diagnostics_.add(key, "'" + *name + "' has a meaning of its own in a step", "call the parameter something else");
    const Fields fields(diagnostics_, node, "the parameter '" + *name + "'", {"default", "means", "origin"});
    if (!fields.valid()) return;
    ProcedureParameter parameter;
    parameter.name = *name;
    for (const char* word : {"default", "means"})
      if (!fields.find(word))
        diagnostics_.add(node, "the parameter '" + *name + "' has no '" + word + "'",
                         std::string("write '") + *name + ": {default: 5 ms, means: what it is}'");
    if (const YamlNode* text = fields.find("means")) parameter.means = reader_.text(*text, "a sentence").value_or("");
    if (const YamlNode* text = fields.find("origin")) parameter.origin = reader_.text(*text, "a text").value_or("");
    if (const YamlNode* value = fields.find("default")) read_default(*value, parameter);
    out_.parameters.push_back(std::move(parameter));
  }

  void read_default(const YamlNode& node, ProcedureParameter& parameter) {
    if (!node.is(Kind::scalar)) {
      reader_.text(node, "a value such as '5 ms', '2 GHz' or '1'");
      return;
    }
    parameter.value = node.text;
    using Counts = ProcedureParameter::Counts;
    if (node.text.find("Hz") != std::string::npos) {
      parameter.counts = Counts::rate;
      reader_.frequency_khz(node);
    } else if (node.text.find_first_not_of("-_0123456789") == std::string::npos) {
      parameter.counts = Counts::number;
      reader_.integer(node, INT64_MIN, INT64_MAX);
    } else {
      parameter.counts = Counts::time;
      reader_.duration_ns(node);
    }
  }

  void read_steps(const YamlNode& node) {
    if (!node.is(Kind::sequence) || node.items.empty()) {
      diagnostics_.add(node, "expected steps as a list, found " + found_text(node),
                       "write each step as '- {at: begin, vcpu: all, get_msr: IA32_TSC, as: tsc}'");
      return;
    }
    for (const YamlNode& item : node.items) check_step(item, false);
    out_.steps = node.items;
    out_.steps_text = text_from(node.line);
  }

  // Only the words; their operands are read where the procedure is used.
  void check_step(const YamlNode& node, bool in_turn) {
    const Fields fields(diagnostics_, node, "a step of a procedure", procedure_step_keys());
    if (!fields.valid()) return;
    const YamlNode* each = fields.find("each_vcpu");
    if (each && in_turn)
      diagnostics_.add(*fields.key("each_vcpu"), "'each_vcpu' inside of 'each_vcpu'",
                       "write the steps one after the other");
    if (!fields.find("at") && !in_turn)
      diagnostics_.add(node, "this step has no 'at'", "add 'at: begin' or 'at: end + 1 ms'");
    if (!each || in_turn) return;
    if (!each->is(Kind::sequence) || each->items.empty()) {
      diagnostics_.add(*each, "expected each_vcpu as a list of steps, found " + found_text(*each),
                       "write 'each_vcpu: [{create_vcpu: }, ...]'");
      return;
    }
    for (const YamlNode& item : each->items) check_step(item, true);
  }

  // The rest of the file from a line on; steps stand last by custom, and another key ends them.
  std::string text_from(int line) const {
    std::string text;
    for (int at = line;; ++at) {
      const std::string next = diagnostics_.source_line(at);
      const bool key = !next.empty() && next.front() != ' ' && next.front() != '-' && next.front() != '#';
      if (key || (next.empty() && diagnostics_.source_line(at + 1).empty())) break;
      text += next + "\n";
    }
    return text;
  }

  Diagnostics diagnostics_;
  Reader reader_;
  Procedure out_;
};

}  // namespace

std::string_view name_of(ProcedureKind kind) { return kKinds[static_cast<std::size_t>(kind)]; }

std::optional<ProcedureKind> procedure_kind_from(std::string_view word) {
  const auto found = std::find(kKinds.begin(), kKinds.end(), word);
  if (found == kKinds.end()) return std::nullopt;
  return static_cast<ProcedureKind>(found - kKinds.begin());
}

const ProcedureParameter* Procedure::find(const std::string& parameter) const {
  const auto found =
      std::find_if(parameters.begin(), parameters.end(), [&](const auto& p) { return p.name == parameter; });
  return found == parameters.end() ? nullptr : &*found;
}

std::vector<std::string> procedure_step_keys() {
  std::vector<std::string> keys{"at",    "instant",  "on",      "vcpu",      "gap",   "as",
                                "fails", "may_fail", "only_if", "each_vcpu", "thread"};
  for (const std::string& word : words()) keys.push_back(word);
  return keys;
}

Procedure parse_procedure(std::string_view text, const std::string& file, const std::string& name) {
  return ProcedureParser(text, file, name).parse();
}

}  // namespace tscsim::scenarios

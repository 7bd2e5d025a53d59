#include "scenarios/overrides.h"

#include <algorithm>
#include <charconv>
#include <sstream>

#include "ops/error.h"
#include "scenarios/yaml_edit.h"

namespace tscsim::scenarios {
namespace {

using Kind = YamlNode::Kind;

std::vector<std::string> parts_of(const std::string& path) {
  std::vector<std::string> parts;
  std::istringstream in(path);
  for (std::string part; std::getline(in, part, '.');) parts.push_back(part);
  return parts;
}

class Overrides {
 public:
  Overrides(YamlNode& root, ProcedureLibrary& procedures, const std::string& file)
      : root_(root), procedures_(procedures), file_(file) {}

  void apply(const Override& given) {
    const std::size_t colon = given.name.find(':');
    if (colon != std::string::npos) return at_line(given, colon);
    const std::vector<std::string> parts = parts_of(given.name);
    if (parts.empty()) fail(given.name, "the name is empty");
    const std::vector<WrittenUse> uses = written_uses(root_, procedures_);
    if (parts.size() == 1) return in_uses(given, uses);
    for (const WrittenUse& use : uses)
      if (parts.size() == 2 && use.name == parts[0] && use.procedure->find(parts[1]))
        return set(*use.arguments, {parts[1]}, given);
    set(root_, parts, given);
  }

 private:
  [[noreturn]] void fail(const std::string& name, const std::string& why,
                         const std::string& mend = "see 'tscsim sweep --help'") const {
    throw ops::InputError(
        ops::Diagnostic{{file_, 0, 0}, "'" + name + "' cannot be given a value: " + why, mend, {}, 1});
  }

  void in_uses(const Override& given, const std::vector<WrittenUse>& uses) const {
    bool found = false;
    std::string known;
    for (const WrittenUse& use : uses) {
      for (const ProcedureParameter& parameter : use.procedure->parameters)
        known += (known.empty() ? "" : ", ") + parameter.name;
      if (use.procedure->find(given.name) == nullptr) continue;
      found = true;
      set(*use.arguments, {given.name}, given);
    }
    if (!found)
      fail(given.name, "no procedure of this scenario has such a parameter",
           known.empty() ? "name a key by its path, as in 'host.uptime', or by its line, as in '17:at'"
                         : "there are " + known);
  }

  void at_line(const Override& given, std::size_t colon) {
    int line = 0;
    const char* const end = given.name.data() + colon;
    if (std::from_chars(given.name.data(), end, line).ptr != end || line <= 0)
      fail(given.name, "before ':' stands no line number");
    const std::vector<std::string> parts = parts_of(given.name.substr(colon + 1));
    YamlNode* const holder = parts.empty() ? nullptr : holder_on(root_, line, parts.front());
    if (holder == nullptr)
      fail(given.name, "line " + std::to_string(line) + " has no key '" + (parts.empty() ? "" : parts.front()) + "'",
           "name a key that stands there, as in '17:at'");
    set(*holder, parts, given);
  }

  // The mapping that has `key` on that line.
  static YamlNode* holder_on(YamlNode& node, int line, const std::string& key) {
    for (YamlMember& one : node.members) {
      if (one.key.line == line && one.key.text == key) return &node;
      if (YamlNode* found = holder_on(one.value, line, key)) return found;
    }
    for (YamlNode& item : node.items)
      if (YamlNode* found = holder_on(item, line, key)) return found;
    return nullptr;
  }

  YamlNode& item_of(YamlNode& list, const std::string& part, const Override& given) const {
    std::size_t number = 0;
    const char* const end = part.data() + part.size();
    if (std::from_chars(part.data(), end, number).ptr != end || number == 0 || number > list.items.size())
      fail(given.name,
           "'" + part + "' stands where one of " + std::to_string(list.items.size()) +
               " items of a list is counted, from 1",
           "name it as in 'timeline.2.at'");
    return list.items[number - 1];
  }

  void set(YamlNode& from, const std::vector<std::string>& parts, const Override& given) const {
    YamlNode* node = &from;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      if (node->is(Kind::sequence)) {
        node = &item_of(*node, parts[i], given);
        continue;
      }
      if (node->is(Kind::null)) node->kind = Kind::mapping;
      if (!node->is(Kind::mapping)) fail(given.name, "above '" + parts[i] + "' stands " + found_text(*node));
      YamlNode* next = member(*node, parts[i]);
      if (next == nullptr) {
        YamlNode key = scalar(parts[i]), value;
        key.line = value.line = node->line;
        key.column = value.column = node->column;
        node->members.push_back({key, value});
        next = &node->members.back().value;
      }
      node = next;
    }
    if (node->is(Kind::mapping) || node->is(Kind::sequence))
      fail(given.name, "it is " + found_text(*node) + ", not one value");
    node->kind = Kind::scalar;
    node->quoted = false;
    node->text = given.value;
  }

  YamlNode& root_;
  ProcedureLibrary& procedures_;
  const std::string& file_;
};

}  // namespace

void apply_overrides(YamlNode& root, const std::vector<Override>& overrides, ProcedureLibrary& procedures,
                     const std::string& file) {
  Overrides on(root, procedures, file);
  for (const Override& given : overrides) on.apply(given);
}

}  // namespace tscsim::scenarios

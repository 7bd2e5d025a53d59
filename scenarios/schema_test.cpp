// The JSON Schema that editors use must know the language that the parser knows. The validator below is for
// the part of draft-07 that the schema uses, and refuses keywords outside of it, so that none is silently
// ignored.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <regex>
#include <set>

#include "ops/heuristic.h"
#include "scenarios/metrics.h"
#include "scenarios/procedure.h"
#include "scenarios/scenario.h"
#include "scenarios/test_files.h"
#include "scenarios/yaml_tree.h"

namespace tscsim::scenarios {
namespace {

using nlohmann::json;

// YAML 1.2 core schema, as an editor reads a file.
json to_json(const YamlNode& node) {
  static const std::regex kInteger("[-+]?[0-9]+"), kNumber("[-+]?([0-9]+\\.[0-9]*|\\.[0-9]+)");
  switch (node.kind) {
    case YamlNode::Kind::null:
      return nullptr;
    case YamlNode::Kind::sequence: {
      json out = json::array();
      for (const YamlNode& item : node.items) out.push_back(to_json(item));
      return out;
    }
    case YamlNode::Kind::mapping: {
      json out = json::object();
      for (const auto& [key, value] : node.members) out[key.text] = to_json(value);
      return out;
    }
    case YamlNode::Kind::scalar:
      break;
  }
  if (node.quoted) return node.text;
  if (node.text == "true" || node.text == "false") return node.text == "true";
  if (node.text.size() < 19 && std::regex_match(node.text, kInteger)) return std::stoll(node.text);
  if (std::regex_match(node.text, kNumber)) return std::stod(node.text);
  return node.text;
}

class Validator {
 public:
  // `other` is the schema that "scenario.schema.json#..." refers to.
  explicit Validator(json schema, json other = {}) : root_(std::move(schema)), other_(std::move(other)) {}

  // Empty when `value` is valid, else where and why not.
  std::string check(const json& value) const { return check(value, root_, "$"); }

 private:
  static bool has_type(const json& value, const std::string& type) {
    if (type == "object") return value.is_object();
    if (type == "array") return value.is_array();
    if (type == "string") return value.is_string();
    if (type == "boolean") return value.is_boolean();
    if (type == "null") return value.is_null();
    if (type == "integer") return value.is_number_integer();
    if (type == "number") return value.is_number();
    throw std::logic_error("unknown type " + type);
  }

  const json& resolve(const std::string& reference) const {
    const std::size_t hash = reference.find("#/definitions/");
    const std::string file = reference.substr(0, hash);
    if (hash == std::string::npos || (!file.empty() && file != "scenario.schema.json"))
      throw std::logic_error("reference " + reference);
    return (file.empty() ? root_ : other_).at(json::json_pointer(reference.substr(hash + 1)));
  }
  // Inside the other schema a reference is one of that schema.
  Validator at_home(const std::string& reference) const { return reference.front() == '#' ? *this : Validator(other_); }

  std::string check(const json& value, const json& schema, const std::string& where) const {
    if (schema.is_boolean()) return schema.get<bool>() ? "" : where + " is not allowed";
    for (const auto& [keyword, argument] : schema.items()) {
      const std::string fault = check_keyword(value, schema, keyword, argument, where);
      if (!fault.empty()) return fault;
    }
    return {};
  }

  std::string check_keyword(const json& value, const json& schema, const std::string& keyword, const json& argument,
                            const std::string& where) const {
    const std::string fault = where + ": " + keyword;
    const bool object = value.is_object(), array = value.is_array();
    const auto size_below = [&](const json& bound) { return value.size() < bound.get<std::size_t>(); };
    const auto size_above = [&](const json& bound) { return value.size() > bound.get<std::size_t>(); };
    if (keyword == "$schema" || keyword == "title" || keyword == "description" || keyword == "definitions") return {};
    if (keyword == "$ref") return at_home(argument).check(value, resolve(argument), where);
    if (keyword == "type") return has_type(value, argument) ? "" : fault + " " + argument.dump();
    if (keyword == "enum") return std::find(argument.begin(), argument.end(), value) != argument.end() ? "" : fault;
    if (keyword == "const") return value == argument ? "" : fault;
    if (keyword == "pattern")
      return !value.is_string() || std::regex_search(value.get<std::string>(), std::regex(argument.get<std::string>()))
                 ? ""
                 : fault + " " + argument.dump();
    if (keyword == "minimum") return !value.is_number() || value >= argument ? "" : fault;
    if (keyword == "maximum") return !value.is_number() || value <= argument ? "" : fault;
    if (keyword == "minItems") return array && size_below(argument) ? fault : "";
    if (keyword == "maxItems") return array && size_above(argument) ? fault : "";
    if (keyword == "minProperties") return object && size_below(argument) ? fault : "";
    if (keyword == "maxProperties") return object && size_above(argument) ? fault : "";
    if (keyword == "required") {
      for (const json& name : argument)
        if (object && !value.contains(name.get<std::string>())) return fault + " " + name.dump();
      return {};
    }
    if (keyword == "items") return array ? check_items(value, argument, where) : "";
    if (keyword == "properties") return object ? check_properties(value, argument, where) : "";
    if (keyword == "patternProperties") return object ? check_patterns(value, argument, where) : "";
    if (keyword == "additionalProperties") return object ? check_additional(value, schema, argument, where) : "";
    if (keyword == "anyOf" || keyword == "oneOf") {
      const std::size_t matches = count_matches(value, argument, where);
      return matches == 1 || (keyword == "anyOf" && matches > 1) ? "" : fault + " matches " + std::to_string(matches);
    }
    throw std::logic_error("the validator does not know '" + keyword + "' at " + where);
  }

  std::string check_items(const json& value, const json& schema, const std::string& where) const {
    for (std::size_t i = 0; i < value.size(); ++i) {
      const std::string fault = check(value[i], schema, where + "[" + std::to_string(i) + "]");
      if (!fault.empty()) return fault;
    }
    return {};
  }

  std::string check_properties(const json& value, const json& properties, const std::string& where) const {
    for (const auto& [name, schema] : properties.items())
      if (value.contains(name)) {
        const std::string fault = check(value[name], schema, where + "." + name);
        if (!fault.empty()) return fault;
      }
    return {};
  }

  std::string check_patterns(const json& value, const json& patterns, const std::string& where) const {
    for (const auto& [pattern, schema] : patterns.items())
      for (const auto& [name, member] : value.items()) {
        if (!std::regex_search(name, std::regex(pattern))) continue;
        const std::string fault = check(member, schema, where + "." + name);
        if (!fault.empty()) return fault;
      }
    return {};
  }

  static bool matches_pattern(const std::string& name, const json& patterns) {
    for (const auto& [pattern, schema] : patterns.items())
      if (std::regex_search(name, std::regex(pattern))) return true;
    return false;
  }

  std::string check_additional(const json& value, const json& schema, const json& additional,
                               const std::string& where) const {
    for (const auto& [name, member] : value.items()) {
      if (schema.contains("properties") && schema["properties"].contains(name)) continue;
      if (schema.contains("patternProperties") && matches_pattern(name, schema["patternProperties"])) continue;
      const std::string fault = check(member, additional, where + "." + name);
      if (!fault.empty()) return fault;
    }
    return {};
  }

  std::size_t count_matches(const json& value, const json& schemas, const std::string& where) const {
    return static_cast<std::size_t>(std::count_if(
        schemas.begin(), schemas.end(), [&](const json& schema) { return check(value, schema, where).empty(); }));
  }

  json root_, other_;
};

const Validator& scenario_schema() {
  static const Validator validator(json::parse(read_text(source_path("scenario.schema.json"))));
  return validator;
}

const Validator& procedure_schema() {
  static const Validator validator(json::parse(read_text(source_path("procedure.schema.json"))),
                                   json::parse(read_text(source_path("scenario.schema.json"))));
  return validator;
}

std::string check_text(const std::string& text) { return scenario_schema().check(to_json(parse_yaml(text, "t.yaml"))); }

TEST(Schema, AcceptsEveryShippedScenario) {
  for (const std::string& path : find_scenarios(source_path(""))) EXPECT_EQ(check_text(read_text(path)), "") << path;
}

// What an editor can see without knowing captures and vCPUs.
TEST(Schema, RefusesWhatTheParserRefuses) {
  for (const char* name : {"bare-duration", "unknown-key", "several-errors", "wrong-units", "bad-hosts",
                           "not-a-mapping", "missing-parts", "wrong-shapes", "bad-steps", "bad-samples",
                           "bad-expectations", "bad-heuristic", "kernels", "by-kernel", "procedure-bad-lines"}) {
    const std::string text = read_text(source_path("refused/" + std::string(name) + ".yaml"));
    EXPECT_NE(check_text(text), "") << name;
  }
}

TEST(Schema, AcceptsEveryWordOfTheLanguage) {
  for (const std::string name : {"every-word.yaml", "by-kernel.yaml", "every-procedure.yaml"}) {
    const std::string text = read_text(source_path("testdata/" + name));
    EXPECT_NO_THROW(parse_scenario(text, name)) << name;
    EXPECT_EQ(check_text(text), "") << name;
  }
}

// every-word.yaml lives up to its name, so that the test above covers the schema.
TEST(Schema, KnowsNoWordThatTheParserDoesNot) {
  const json schema = json::parse(read_text(source_path("scenario.schema.json")));
  const json sample = to_json(parse_yaml(read_text(source_path("testdata/every-word.yaml")), "t"));
  const auto used = [](const json& list) {
    std::set<std::string> keys;
    for (const json& item : list)
      for (const auto& [key, value] : item.items()) keys.insert(key);
    return keys;
  };
  const auto expect_all = [](const json& properties, const std::set<std::string>& keys) {
    for (const auto& [key, value] : properties.items()) EXPECT_TRUE(keys.contains(key)) << key;
  };
  std::set<std::string> words = used(sample["timeline"]);
  words.merge(used(to_json(parse_yaml(read_text(source_path("testdata/every-procedure.yaml")), "t"))["timeline"]));
  expect_all(schema["definitions"]["step"]["properties"], words);
  expect_all(schema["definitions"]["expectation"]["properties"], used(sample["expect"]));
  expect_all(schema["definitions"]["host"]["properties"], used(json::array({sample["hosts"]["a"]})));
  expect_all(schema["definitions"]["heuristic"]["properties"], used(json::array({sample["vm"]["heuristic"]})));
  for (const Metric& metric : metrics())
    EXPECT_TRUE(schema["definitions"]["expectation"]["properties"].contains(metric.name)) << metric.name;
}

TEST(ProcedureSchema, AcceptsEveryShippedProcedure) {
  for (const char* folder : {"procedures", "testdata/procedures"})
    for (const std::string& path : find_scenarios(source_path(folder)))
      EXPECT_EQ(procedure_schema().check(to_json(parse_yaml(read_text(path), "t.yaml"))), "") << path;
}

TEST(ProcedureSchema, RefusesWhatTheParserRefuses) {
  EXPECT_NE(
      procedure_schema().check(to_json(parse_yaml(read_text(source_path("refused/procedures/broken.yaml")), "t"))), "");
}

TEST(ProcedureSchema, KnowsTheKeysOfAStep) {
  const json schema = json::parse(read_text(source_path("procedure.schema.json")));
  std::set<std::string> known;
  for (const auto& [key, value] : schema["definitions"]["step"]["properties"].items()) known.insert(key);
  const std::vector<std::string> keys = procedure_step_keys();
  EXPECT_EQ(known, std::set<std::string>(keys.begin(), keys.end()));
}

TEST(Schema, KnowsTheParametersOfAHeuristic) {
  const json schema = json::parse(read_text(source_path("scenario.schema.json")));
  const json& properties = schema["definitions"]["heuristic"]["properties"];
  EXPECT_EQ(properties.size(), ops::heuristic_parameters().size() + 1) << "and base";
  for (const ops::HeuristicParameter& parameter : ops::heuristic_parameters()) {
    ASSERT_TRUE(properties.contains(parameter.name)) << parameter.name;
    std::string words;
    for (const json& word : properties[std::string(parameter.name)].value("enum", json::array()))
      words += (words.empty() ? "" : "|") + word.get<std::string>();
    EXPECT_EQ(words, parameter.name == "window" ? "" : parameter.values) << parameter.name;
  }
}

TEST(Schema, ValidatorRefusesUnknownKeywords) {
  EXPECT_THROW(Validator(json{{"uniqueItems", true}}).check(json::array()), std::logic_error);
  EXPECT_NE(Validator(json{{"type", "string"}}).check(5), "");
  EXPECT_NE(Validator(json{{"oneOf", {{{"type", "integer"}}, {{"minimum", 3}}}}}).check(5), "");
  EXPECT_NE(Validator(json{{"patternProperties", {{"^a", false}}}}).check({{"ab", 1}}), "");
}

}  // namespace
}  // namespace tscsim::scenarios

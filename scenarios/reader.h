// Reads values out of YAML nodes; whatever is wrong goes to the diagnostics, and the caller goes on.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ops/expression.h"
#include "scenarios/captures.h"
#include "scenarios/diagnostics.h"
#include "scenarios/yaml_tree.h"

namespace tscsim::scenarios {

// A mapping whose keys are words of the language. Reports other keys and keys given twice.
class Fields {
 public:
  // `what` completes "unknown key in ..."; an empty `known` accepts every scalar key.
  Fields(Diagnostics& diagnostics, const YamlNode& node, const std::string& what,
         const std::vector<std::string>& known);

  const YamlNode* find(const std::string& key) const;
  const YamlNode* key(const std::string& key) const;              // the key's own node
  const std::vector<std::string>& keys() const { return keys_; }  // in the order of the file
  bool valid() const { return valid_; }                           // it is a mapping

 private:
  struct Entry {
    const YamlNode* key;
    const YamlNode* value;
  };
  std::map<std::string, Entry> entries_;
  std::vector<std::string> keys_;
  bool valid_ = false;
};

class Reader {
 public:
  explicit Reader(Diagnostics& diagnostics) : diagnostics_(diagnostics) {}
  Diagnostics& diagnostics() { return diagnostics_; }

  std::optional<std::string> text(const YamlNode& node, const std::string& what);
  std::optional<std::string> word(const YamlNode& node, const std::string& what, const std::vector<std::string>& words);
  std::optional<bool> on_off(const YamlNode& node);
  std::optional<bool> truth(const YamlNode& node);
  std::optional<std::int64_t> duration_ns(const YamlNode& node);
  std::optional<std::int64_t> instant_ns(const YamlNode& node);  // a duration that is not negative
  std::optional<std::uint32_t> frequency_khz(const YamlNode& node);
  std::optional<std::int64_t> ratio_ppb(const YamlNode& node);
  std::optional<std::int64_t> integer(const YamlNode& node, std::int64_t min, std::int64_t max);
  std::optional<std::string> capture_name(const YamlNode& node);
  std::optional<std::string> host_name(const YamlNode& node);

  // An expression whose names are in `captures` and whose parts count what `unit` says. With `plain`, the
  // value is a bare number and a duration is an error. In ns a bare number other than 0 is an error.
  std::optional<ops::Expression> expression(const YamlNode& node, ops::Unit unit, bool plain,
                                            const std::vector<Capture>& captures);

 private:
  bool check_load(const YamlNode& node, const Load& load, const std::vector<Capture>& captures);

  Diagnostics& diagnostics_;
};

const Capture* find_capture(const std::vector<Capture>& captures, const std::string& name);
std::vector<std::string> names_of(const std::vector<Capture>& captures);

}  // namespace tscsim::scenarios

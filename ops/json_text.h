// What the project's JSON texts (recordings, programs) have in common: 64-bit quantities as decimal strings,
// one fixed order of members, and a reader that refuses what it does not know. For the sources of ops/ only.
#pragma once

#include <charconv>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "ops/operation.h"
#include "ops/recording.h"

namespace tscsim::ops::json_text {

using Json = nlohmann::ordered_json;

Json decimal(std::uint64_t value);
Json decimal(std::int64_t value);

Json operation_json(const Operation& op);
Operation read_operation(const Json& json);  // throws LineError

// What is wrong with a line, without its place.
struct LineError {
  std::string message;
  std::string mend;
};

[[noreturn]] void fail(std::string message, std::string mend = {});

std::string in_quotes(std::string_view text);

// One JSON object whose members are all taken; where it stands is in its name.
class Members {
 public:
  Members(const Json& json, std::string name) : json_(json), name_(std::move(name)) {
    if (!json.is_object()) fail(name_ + ": expected an object, found " + json.type_name());
  }

  // Refuses members that were not asked for.
  void only(std::initializer_list<std::string_view> known) const {
    for (const auto& [key, value] : json_.items()) {
      bool wanted = false;
      for (std::string_view word : known) wanted = wanted || word == key;
      if (!wanted) fail(name_ + ": unknown member " + in_quotes(key));
    }
  }

  bool has(const char* key) const { return json_.contains(key); }

  const Json& at(const char* key) const {
    const auto found = json_.find(key);
    if (found == json_.end()) fail(name_ + ": member " + in_quotes(key) + " is missing");
    return *found;
  }

  void read(const char* key, std::string& out) const {
    const Json& value = at(key);
    if (!value.is_string()) wrong(key, "text");
    out = value.get<std::string>();
  }

  void read(const char* key, bool& out) const {
    const Json& value = at(key);
    if (!value.is_boolean()) wrong(key, "true or false");
    out = value.get<bool>();
  }

  template <class Int>
  void read_small(const char* key, Int& out) const {  // JSON number that fits 32 bits
    const Json& value = at(key);
    const auto in_range = [&value] {
      if (!value.is_number_integer()) return false;
      if (value.is_number_unsigned() && value.get<std::uint64_t>() > std::numeric_limits<Int>::max()) return false;
      return value.get<std::int64_t>() >= std::numeric_limits<Int>::min();
    };
    if (!in_range()) wrong(key, "an integer within range");
    out = static_cast<Int>(value.get<std::int64_t>());
  }

  template <class Int>
  void read_decimal(const char* key, Int& out) const {
    if (!parse_decimal(at(key), out)) wrong(key, "a 64-bit integer as a decimal string");
  }

  void read(const char* key, Range& out) const {
    const Json& value = at(key);
    const bool good =
        value.is_array() && value.size() == 2 && parse_decimal(value[0], out.lo) && parse_decimal(value[1], out.hi);
    if (!good) wrong(key, "two 64-bit integers as decimal strings");
    if (out.lo > out.hi) fail(name_ + ": " + in_quotes(key) + " ends before it begins");
  }

 private:
  template <class Int>
  static bool parse_decimal(const Json& value, Int& out) {
    if (!value.is_string()) return false;
    const auto& text = value.get_ref<const std::string&>();
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    return error == std::errc{} && end == text.data() + text.size() && std::to_string(out) == text;
  }

  [[noreturn]] void wrong(const char* key, const char* expected) const {
    std::string found = at(key).dump(-1, ' ', false, Json::error_handler_t::replace).substr(0, 40);
    fail(name_ + ": member " + in_quotes(key) + ": expected " + expected + ", found " + found);
  }

  const Json& json_;
  std::string name_;
};

// Strict JSON: no duplicate members (the last would silently win), no deep nesting. Throws LineError.
Json parse_strictly(const std::string& line, int nesting_limit);

}  // namespace tscsim::ops::json_text

// Any state whose members are enumerated (model/members.h), told leaf by leaf.
#pragma once

#include <algorithm>
#include <concepts>
#include <numeric>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "model/members.h"
#include "ops/recording.h"
#include "witness/witness.h"

namespace tscsim::crosscheck {

template <class T>
concept Listed = requires(const T& values) {
  values.begin();
  values.size();
};

// Calls `leaf(path, value)` for each number, flag and witness in a state, in the order of its members. How long a list is, and
// whether an optional value is there, are leaves, too. `leaf` may change what it is given, where the state is not const; a
// list's length and an optional's presence come as numbers of their own. Without `kPaths` every path is empty.
template <class Leaf, bool kPaths>
class StateWalk {
 public:
  explicit StateWalk(Leaf leaf) : leaf_(std::move(leaf)) {}

  template <class Value>
  void walk(Value& value) {
    using Plain = std::remove_cvref_t<Value>;
    if constexpr (requires { value.state(); }) walk(value.state());
    else if constexpr (std::same_as<Plain, witness::Witness> || std::is_arithmetic_v<Plain> || std::is_enum_v<Plain>)
      leaf_(path_, value);
    else if constexpr (requires { value.has_value(); }) walk_optional(value);
    else if constexpr (Listed<Value>) walk_list(value);
    else if constexpr (model::Enumerated<Plain>) Plain::each_member(value, step());
    else if constexpr (requires { value.first; }) walk_pair(value);
    else walk_range(value);
  }

  // `value` is the member of this name.
  template <class Value>
  void inside(const char* name, Value& value) {
    const std::size_t length = path_.size();
    if constexpr (kPaths) path_ += path_.empty() || *name == '[' ? name : std::string(".") + name;
    walk(value);
    path_.resize(length);
  }

 private:
  auto step() {
    return [this](const char* name, auto& member) { inside(name, member); };
  }
  template <class Value>
  void walk_pair(Value& value) {
    inside("first", value.first);
    inside("second", value.second);
  }
  template <class Value>
  void walk_optional(Value& value) {
    bool there = value.has_value();
    inside("has_value", there);
    if (value) walk(*value);
  }
  template <class Value>
  void walk_list(Value& values) {
    std::size_t size = values.size(), index = 0;
    inside("size", size);
    if constexpr (requires { values.front().second; }) return walk_pages(values);
    for (auto& value : values) {
      std::string place;
      if constexpr (kPaths) place = "[" + std::to_string(index++) + "]";
      inside(kPaths ? place.c_str() : "", value);
    }
  }
  // What lies at an address: in which order the addresses were written first is no part of the state.
  template <class Pages>
  void walk_pages(Pages& pages) {
    std::vector<std::size_t> order(pages.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(),
              [&](std::size_t a, std::size_t b) { return pages[a].first < pages[b].first; });
    for (const std::size_t at : order) {
      std::string place;
      if constexpr (kPaths) place = "[" + std::to_string(pages[at].first) + "]";
      inside(kPaths ? place.c_str() : "", pages[at]);
    }
  }
  template <class Value>
  void walk_range(Value& value) {
    static_assert(std::same_as<std::remove_cv_t<Value>, ops::Range>, "enumerate the members of this type");
    auto& [lo, hi] = value;
    inside("lo", lo);
    inside("hi", hi);
  }

  Leaf leaf_;
  std::string path_;
};

}  // namespace tscsim::crosscheck

// A YAML text as a small tree of our own, in which every node knows where it stands.
//
// The tree is built from yaml-cpp's events, so that hostile input is refused while it is read: aliases never
// expand, nesting stops at a bound, and nothing larger than a scenario can reasonably be is parsed at all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ops/error.h"

namespace tscsim::scenarios {

inline constexpr std::size_t kMaxFileBytes = std::size_t{1} << 20;
inline constexpr int kMaxDepth = 64;

struct YamlMember;

struct YamlNode {
  enum class Kind : std::uint8_t { null, scalar, sequence, mapping };
  Kind kind = Kind::null;
  bool quoted = false;              // a quoted or block scalar: never a number, `on` or null
  int line = 0;                     // both count from 1
  int column = 0;                   // in bytes
  std::string text;                 // scalars
  std::vector<YamlNode> items;      // sequences
  std::vector<YamlMember> members;  // mappings, in the order of the file

  bool is(Kind wanted) const { return kind == wanted; }
};

struct YamlMember {
  YamlNode key;
  YamlNode value;
};

// Throws ops::InputError with one diagnostic: malformed YAML, too large, too deep, an anchor, alias or tag,
// more than one document. An empty text is a null node.
YamlNode parse_yaml(std::string_view text, const std::string& file);

// What a message calls the node: "'400'", "a mapping", "a sequence", "nothing".
std::string found_text(const YamlNode& node);

}  // namespace tscsim::scenarios

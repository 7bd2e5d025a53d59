// Collects what is wrong with one file, so that a user sees all faults at once, in the order of their places.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "ops/error.h"

namespace tscsim::scenarios {

struct YamlNode;

class Diagnostics {
 public:
  static constexpr std::size_t kMaxErrors = 50;  // beyond these a list helps nobody

  Diagnostics(std::string file, std::string_view text);

  const std::string& file() const { return file_; }
  std::string source_line(int line) const;  // without its newline; empty if there is none
  ops::Place place(const YamlNode& node) const;

  // The text of `node` is underlined; with `offset` and `length` a part of it (bytes, one-line plain scalars
  // only).
  void add(const YamlNode& node, std::string message, std::string mend = {}, std::size_t offset = 0,
           std::size_t length = 0);
  // Two places clash; `first` is named with the verb ("first captured at ...").
  void add_clash(const YamlNode& node, const std::string& message, const std::string& verb, const ops::Place& first,
                 std::string mend);
  void add(ops::Diagnostic diagnostic);
  // What is wrong in another file, which this one uses at `used_at`; both places are shown.
  void add_used(ops::Diagnostic diagnostic, const ops::Place& used_at);

  // "unknown WHAT 'word'" and `where`, with the nearest of `words` or, failing that, all of them.
  void add_unknown(const YamlNode& node, const std::string& what, const std::vector<std::string>& words,
                   const std::string& where = {});

  bool empty() const { return found_.empty(); }
  std::size_t size() const { return found_.size(); }
  void throw_if_any() const;  // ops::InputError, sorted by place
  std::vector<ops::Diagnostic> all() const;

 private:
  std::string file_;
  std::vector<std::string> lines_;
  struct Found {
    ops::Diagnostic diagnostic;
    ops::Place at;  // in this file
  };
  std::vector<Found> found_;
};

}  // namespace tscsim::scenarios

// Text that another program wrote, line by line. It may be cut, damaged, or not text at all, so the reader promises
// little: each line with its number, none longer than a limit, and a refusal of files that are known to be binary.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

#include "ops/error.h"

namespace tscsim::logs {

class LogText {
 public:
  // Throws ops::InputError when the stream begins as a file that is not text.
  LogText(std::istream& in, std::string name);

  bool next();  // the next line, as UTF-8; false at the end
  std::string_view line() const { return line_; }
  int number() const { return number_; }
  bool is_cut() const { return cut_; }  // the line has no end: the file stops in it
  const std::string& name() const { return name_; }

 private:
  bool read_line();

  std::istream& in_;
  std::string name_;
  std::string line_;
  int number_ = 0;
  bool cut_ = false;
  bool first_is_read_ = false;
};

// What is wrong with a log, in the order of its lines; the first few, and how many there are.
struct Problems {
  static constexpr std::size_t kKept = 5;
  std::vector<ops::Diagnostic> kept;
  std::size_t count = 0;
  void add(ops::Diagnostic problem) {
    if (++count <= kKept) kept.push_back(std::move(problem));
  }
};

}  // namespace tscsim::logs

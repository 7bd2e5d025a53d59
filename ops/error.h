// Errors that a user can mend. Library code throws them or collects them; only main() prints and exits.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

namespace tscsim::ops {

// Where in which file; line and column count from 1, 0 means unknown.
struct Place {
  std::string file;
  int line = 0;
  int column = 0;
  friend bool operator==(const Place&, const Place&) = default;
};

// What is wrong and how to mend it; printed as "file:line:column: error: message", the source line with a caret
// where there is one, and "  mend: ...".
struct Diagnostic {
  Place place;
  std::string message;      // "expected a duration with a unit, found '400'"
  std::string mend;         // "write '400 ms', '400 us' or '400 ns'"; may be empty
  std::string source_line;  // may be empty
  int length = 1;           // of the underlined text
};

std::string to_text(const Diagnostic& diagnostic);

// Bad input (exit status 2).
class InputError : public std::runtime_error {
 public:
  explicit InputError(std::vector<Diagnostic> diagnostics);
  explicit InputError(Diagnostic diagnostic);
  const std::vector<Diagnostic>& diagnostics() const { return diagnostics_; }

 private:
  std::vector<Diagnostic> diagnostics_;
};

// The target cannot be used here: no /dev/kvm, no permission (exit status 3).
class TargetError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The nearest word of `words` within a small edit distance, or empty.
std::string nearest_word(const std::string& word, const std::vector<std::string>& words);

}  // namespace tscsim::ops

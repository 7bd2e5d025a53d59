// The command line: one table of commands, each with its options, positional arguments, an example and a function.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace tscsim::cli {

// Exit statuses of tscsim; the worst of several things that happened is reported.
enum ExitStatus : int {
  kAllHeld = 0,
  kFailed = 1,          // an expectation or a cross-check failed
  kBadUsage = 2,        // bad usage or bad input
  kNotAvailable = 3,    // a target could not be used
  kNothingChecked = 4,  // nothing was expected, or nothing of it could be looked at: that is no pass
  kInterrupted = 130,
};

// Wrong words on the command line.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// "; did you mean 'check'?", or "; " and `otherwise` when no word is near; nothing when that is empty, too.
std::string suggestion(const std::string& word, const std::vector<std::string>& words,
                       const std::string& otherwise = "");

enum class OptionKind { flag, text, texts, number };

struct Option {
  OptionKind kind = OptionKind::flag;
  std::string name;        // "output", or "output,o" with a letter
  std::string value_name;  // "FILE"; nothing for a flag
  std::string help;
  std::string default_text = {};  // nothing: no default
};

// The options of a command, in the order in which --help shows them.
class OptionList {
 public:
  void flag(std::string name, std::string help);
  void text(std::string name, std::string value_name, std::string help, std::string default_text = {});
  // Can be given several times.
  void texts(std::string name, std::string value_name, std::string help);
  // From 0 to 2^64 - 1.
  void number(std::string name, std::string value_name, std::string help,
              std::optional<std::uint64_t> default_number = {});

  const std::vector<Option>& all() const { return options_; }

 private:
  std::vector<Option> options_;
};

// What was given, or else the default. An option that has neither is not there.
struct Arguments {
  std::map<std::string, std::vector<std::string>> given;  // by the option's long name
  std::vector<std::string> positional;

  bool has(const std::string& option) const { return given.count(option) != 0; }
  std::string text(const std::string& option) const { return has(option) ? given.at(option).front() : ""; }
  std::vector<std::string> texts(const std::string& option) const {
    return has(option) ? given.at(option) : std::vector<std::string>{};
  }
  std::uint64_t number(const std::string& option) const { return std::stoull(text(option)); }
  bool json() const { return text("format") == "json"; }
};

struct Command {
  std::string name;
  std::string positional;  // "FILE...", "[PATH...]", "NAME", or ""
  std::string summary;
  std::string example;
  std::function<void(OptionList&)> options;
  std::function<int(const Arguments&)> run;
  std::string details = {};  // for --help, after the example
  std::vector<std::string> formats = {"text", "json"};
};

// Its options and those that every command has, --format and --help.
OptionList options_of(const Command& command);

// Parses argv[1..] and runs the command. Prints help; throws UsageError and what the command throws.
int dispatch(const std::vector<Command>& commands, int argc, const char* const* argv);

}  // namespace tscsim::cli

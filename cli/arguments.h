// The command line: one table of commands, each with its options, positional arguments, an example and a function.
#pragma once

#include <boost/program_options.hpp>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

namespace tscsim::cli {

namespace po = boost::program_options;

// Exit statuses of tscsim; the worst of several things that happened is reported.
enum ExitStatus : int {
  kAllHeld = 0,
  kFailed = 1,        // an expectation or a cross-check failed
  kBadUsage = 2,      // bad usage or bad input
  kNotAvailable = 3,  // a target could not be used
  kInterrupted = 130,
};

// Wrong words on the command line.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// "; did you mean 'check'?", or "; " and `otherwise` when no word is near; nothing when that is empty, too.
std::string suggestion(const std::string& word, const std::vector<std::string>& words, const std::string& otherwise = "");

struct Arguments {
  po::variables_map values;
  std::vector<std::string> positional;

  bool has(const std::string& option) const { return values.count(option) != 0; }
  std::string text(const std::string& option) const { return has(option) ? values[option].as<std::string>() : ""; }
  // Of an option that can be given several times.
  std::vector<std::string> texts(const std::string& option) const {
    return has(option) ? values[option].as<std::vector<std::string>>() : std::vector<std::string>{};
  }
  std::uint64_t number(const std::string& option) const { return values[option].as<std::uint64_t>(); }
  bool json() const { return text("format") == "json"; }
};

struct Command {
  std::string name;
  std::string positional;  // "FILE...", "[PATH...]", "NAME", or ""
  std::string summary;
  std::string example;
  std::function<void(po::options_description&)> options;
  std::function<int(const Arguments&)> run;
  std::string details = {};  // for --help, after the example
};

// Parses argv[1..] and runs the command. Prints help; throws UsageError and what the command throws.
int dispatch(const std::vector<Command>& commands, int argc, const char* const* argv);

}  // namespace tscsim::cli

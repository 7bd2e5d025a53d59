// JUnit XML, as CI systems read it.
#pragma once

#include <string>
#include <vector>

namespace tscsim::cli {

// A failure is a thing that was checked and is not so; an error is a thing that could not be checked, and should have been.
enum class JunitState { passed, failure, error, skipped };

struct JunitCase {
  std::string suite;  // "check", "crosscheck native"
  std::string name;   // made unique in the report by "#2", where two of a suite have the same
  JunitState state = JunitState::passed;
  std::string type = {};  // of a failure or an error, one word: "expectation", "disagree", "input", "target"
  std::string text = {};  // what went wrong, or why it was skipped
  std::string file = {};  // the scenario or recording; empty: not said
};

// `notices`: what was said of the run as a whole, for the report's <system-err>.
std::string junit_xml(const std::string& name, const std::vector<JunitCase>& cases,
                      const std::vector<std::string>& notices);

}  // namespace tscsim::cli

// JUnit XML, as CI systems read it.
#pragma once

#include <string>
#include <vector>

namespace tscsim::cli {

struct JunitCase {
  std::string suite;  // "check", "crosscheck native"
  std::string name;
  std::string failure;  // empty: passed
  std::string skipped;  // reason; empty: not skipped
};

std::string junit_xml(const std::string& name, const std::vector<JunitCase>& cases);

}  // namespace tscsim::cli

// What the tests of this room share: files of the source tree.
#pragma once

#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>

namespace tscsim::scenarios {

inline std::string source_path(const std::string& below_scenarios) {
  return std::string(TSCSIM_SOURCE_DIR) + "/scenarios/" + below_scenarios;
}

inline std::string read_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("cannot open " + path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

}  // namespace tscsim::scenarios

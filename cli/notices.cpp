#include "cli/notices.h"

#include <algorithm>
#include <iostream>

namespace tscsim::cli {

namespace {
// Of the process, as its standard error is. Only the main thread says anything.
std::vector<std::string> said;
}  // namespace

void notice(const std::string& text) {
  if (std::find(said.begin(), said.end(), text) != said.end()) return;
  said.push_back(text);
  std::cerr << "notice: " << text << "\n" << std::flush;
}

const std::vector<std::string>& notices() { return said; }

}  // namespace tscsim::cli

#include "cli/junit.h"

#include <fmt/format.h>

#include <algorithm>

namespace tscsim::cli {
namespace {

std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      default:
        result += (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t') ? ' ' : c;
    }
  }
  return result;
}

}  // namespace

std::string junit_xml(const std::string& name, const std::vector<JunitCase>& cases) {
  const auto failures =
      std::count_if(cases.begin(), cases.end(), [](const JunitCase& c) { return !c.failure.empty(); });
  const auto skipped = std::count_if(cases.begin(), cases.end(), [](const JunitCase& c) { return !c.skipped.empty(); });
  std::string xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
  xml += fmt::format("<testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" skipped=\"{}\">\n", escaped(name),
                     cases.size(), failures, skipped);
  for (const JunitCase& c : cases) {
    xml += fmt::format("  <testcase classname=\"{}\" name=\"{}\"", escaped(c.suite), escaped(c.name));
    if (!c.failure.empty()) xml += fmt::format("><failure>{}</failure></testcase>\n", escaped(c.failure));
    else if (!c.skipped.empty()) xml += fmt::format("><skipped message=\"{}\"/></testcase>\n", escaped(c.skipped));
    else xml += "/>\n";
  }
  return xml + "</testsuite>\n";
}

}  // namespace tscsim::cli

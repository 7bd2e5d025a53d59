#include "cli/junit.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

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

// Names as they are reported: reports are merged and compared by class and name.
std::vector<std::string> unique_names(const std::vector<JunitCase>& cases) {
  std::set<std::pair<std::string, std::string>> taken;
  std::vector<std::string> names;
  for (const JunitCase& c : cases) {
    std::string name = c.name;
    for (int number = 2; !taken.emplace(c.suite, name).second; ++number) name = fmt::format("{} #{}", c.name, number);
    names.push_back(name);
  }
  return names;
}

std::string outcome_xml(const JunitCase& c) {
  const auto element = [&](const char* tag) {
    const std::string message = c.text.substr(0, c.text.find('\n'));
    return fmt::format("<{0} type=\"{1}\" message=\"{2}\">{3}</{0}>", tag, escaped(c.type), escaped(message),
                       escaped(c.text));
  };
  switch (c.state) {
    case JunitState::failure:
      return element("failure");
    case JunitState::error:
      return element("error");
    case JunitState::skipped:
      return fmt::format("<skipped message=\"{}\"/>", escaped(c.text));
    case JunitState::passed:
      break;
  }
  return "";
}

}  // namespace

std::string junit_xml(const std::string& name, const std::vector<JunitCase>& cases,
                      const std::vector<std::string>& notices) {
  const auto count = [&](JunitState state) {
    return std::count_if(cases.begin(), cases.end(), [state](const JunitCase& c) { return c.state == state; });
  };
  std::string xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
  xml +=
      fmt::format("<testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\">\n", escaped(name),
                  cases.size(), count(JunitState::failure), count(JunitState::error), count(JunitState::skipped));
  const std::vector<std::string> names = unique_names(cases);
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const JunitCase& c = cases[i];
    xml += fmt::format("  <testcase classname=\"{}\" name=\"{}\"", escaped(c.suite), escaped(names[i]));
    if (!c.file.empty()) xml += fmt::format(" file=\"{}\"", escaped(c.file));
    const std::string outcome = outcome_xml(c);
    xml += outcome.empty() ? "/>\n" : fmt::format(">{}</testcase>\n", outcome);
  }
  if (!notices.empty())
    xml += fmt::format("  <system-err>{}</system-err>\n", escaped(fmt::format("{}", fmt::join(notices, "\n"))));
  return xml + "</testsuite>\n";
}

}  // namespace tscsim::cli

// Reads standard input: is it exactly one JSON object, and has its member `summary` the members named as
// arguments? A word NAME=TEXT demands a value too (as JSON: passed=1).
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>

int main(int argc, char** argv) {
  const std::string text((std::istreambuf_iterator<char>(std::cin)), std::istreambuf_iterator<char>());
  const auto document = nlohmann::json::parse(text, nullptr, false);  // all of it: what follows is an error
  if (!document.is_object()) {
    std::cout << "not one JSON object: " << text.substr(0, 200) << "\n";
    return 1;
  }
  if (!document.contains("summary") || !document["summary"].is_object()) {
    std::cout << "no member 'summary' that is an object\n";
    return 1;
  }
  int wrong = 0;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const auto equals = word.find('=');
    const std::string name = word.substr(0, equals);
    const auto& summary = document["summary"];
    const bool there = summary.contains(name);
    const bool right = there && (equals == std::string::npos || summary[name].dump() == word.substr(equals + 1));
    if (right) continue;
    std::cout << "summary: expected " << word << ", found " << (there ? summary[name].dump() : "nothing") << "\n";
    ++wrong;
  }
  return wrong == 0 ? 0 : 1;
}

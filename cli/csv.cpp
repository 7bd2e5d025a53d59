#include "cli/csv.h"

#include <iostream>

namespace tscsim::cli {
namespace {

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

}  // namespace

void print_csv_line(const std::vector<std::string>& fields) {
  for (std::size_t i = 0; i < fields.size(); ++i) std::cout << (i == 0 ? "" : ",") << csv_field(fields[i]);
  std::cout << "\n";
}

}  // namespace tscsim::cli

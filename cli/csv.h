// Comma-separated values (RFC 4180).
#pragma once

#include <string>
#include <vector>

namespace tscsim::cli {

// A line on standard output.
void print_csv_line(const std::vector<std::string>& fields);

}  // namespace tscsim::cli

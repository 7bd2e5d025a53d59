// What a sweep found, as text or JSON, and its worst runs as files.
#pragma once

#include <string>

#include "cli/text.h"
#include "sweep/database.h"
#include "sweep/subject.h"

namespace tscsim::cli {

// Writes the worst runs into `folder`; returns their paths by quantity and place.
std::vector<std::vector<std::string>> write_worst_runs(const sweep::Database& database, const sweep::Subject& subject,
                                                       const std::string& folder);

void print_sweep(const sweep::Database& database, const std::vector<std::vector<std::string>>& worst, bool histograms);
Json sweep_json(const sweep::Database& database, const std::vector<std::vector<std::string>>& worst);

}  // namespace tscsim::cli

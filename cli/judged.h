// What verdict and lint judge: scenarios, run on the model, and recordings.
#pragma once

#include <functional>
#include <string>

#include "cli/session.h"
#include "verdict/course.h"

namespace tscsim::cli {

// Calls `judge` for each scenario (once for each of its kernels) and each recording of the paths, in order. `file` is the
// path as reports show it.
void for_each_course(const Arguments& arguments,
                     const std::function<void(const std::string& file, const verdict::Course& course)>& judge);

bool is_scenario(const std::string& path);

}  // namespace tscsim::cli

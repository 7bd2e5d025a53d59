// What verdict and lint judge: scenarios and procedures, run on the model, and recordings.
#pragma once

#include <functional>
#include <string>

#include "cli/session.h"
#include "verdict/course.h"

namespace tscsim::cli {

// Where what is judged stands. A file may hold the recordings of several VMs, one after the other.
struct JudgedFile {
  std::string file;             // the path as reports show it
  std::size_t header_line = 1;  // of the recording
  std::size_t vm = 1, vms = 1;  // which recording of how many
};

struct Judges {
  std::function<void(const JudgedFile& where, const verdict::Course& course)> course;
  // A recording that was made from outside: there are no operations to follow.
  std::function<void(const JudgedFile& where, const ops::Recording& recording)> observed;
};

// Each scenario (once for each of its kernels), each procedure and each recording of the paths, in order.
void judge_all(const Arguments& arguments, const Judges& judges);

bool is_scenario(const std::string& path);

// Throws UsageError for --kernel, --heuristic or --procedure where all paths are recordings, which they cannot change.
void require_scenarios_for_model_options(const std::vector<std::string>& paths, const Arguments& arguments);

}  // namespace tscsim::cli

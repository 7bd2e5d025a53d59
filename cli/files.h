// Output files appear complete under their name, or not at all.
#pragma once

#include <string>

#include "ops/recording.h"

namespace tscsim::cli {

// Writes beside `path` and renames. Throws InputError when that cannot be done.
void write_file(const std::string& path, const std::string& content);

void write_recording(const std::string& path, const ops::Recording& recording);
ops::Recording read_recording(const std::string& path);

}  // namespace tscsim::cli

// Output files appear complete under their name, or not at all.
#pragma once

#include <string>

namespace tscsim::storage {

// Throws InputError when there is no folder to hold `path`: asked before a long run rather than after it.
void require_folder_of(const std::string& path);

// Writes beside `path` and renames; a device or a pipe is written to as it is. Throws InputError when that cannot be
// done.
void write_file(const std::string& path, const std::string& content);

}  // namespace tscsim::storage

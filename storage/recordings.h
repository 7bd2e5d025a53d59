// Recordings in files. A name that ends in .xz is compressed; a file may hold many recordings, one after the other.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "ops/linux_recording.h"
#include "ops/recording.h"

namespace tscsim::storage {

// Throws ops::InputError naming the file (and the line): it cannot be read, is not what it should be, is cut.
std::vector<ops::Recording> read_recordings(const std::string& path);

// Complete under its name, or not at all. Throws ops::InputError.
void write_recordings(const std::string& path, std::span<const ops::Recording> recordings);

// The same for recordings of Linux itself, one to a file.
ops::LinuxRecording read_linux_recording(const std::string& path);
void write_linux_recording(const std::string& path, const ops::LinuxRecording& recording);

}  // namespace tscsim::storage

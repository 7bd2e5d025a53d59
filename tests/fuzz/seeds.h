// Seeds are made of what the project ships, each time anew; nothing is stored twice.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ops/recording.h"

namespace tscsim::fuzz {

// The texts of the files below `folder` whose names end so, sorted by path; larger ones are left out.
std::vector<std::string> texts_below(const std::string& folder, std::string_view ending, std::size_t max_bytes);

// Runs of so many lines.
std::vector<std::string> pieces(const std::string& text, std::size_t lines);

// The shipped recordings of KVM, each cut after the first few entries, as far as they fit.
std::vector<ops::Recording> short_recordings(const std::string& source_folder);
std::string text_of(const ops::Recording& recording);

// The shipped recordings of Linux, each cut after so many events.
std::vector<std::string> linux_texts(const std::string& source_folder, std::size_t events);

// The shipped scenarios that are read without an error.
std::vector<std::string> scenario_texts(const std::string& source_folder);

}  // namespace tscsim::fuzz

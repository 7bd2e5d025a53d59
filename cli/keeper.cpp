#include "cli/keeper.h"

#include <exception>
#include <iostream>
#include <utility>

#include "storage/files.h"
#include "storage/recordings.h"

namespace tscsim::cli {

void add_keep_option(OptionList& options) {
  options.text("keep", "FILE", "keep all recordings in one file; .xz compresses");
}

RecordingKeeper::RecordingKeeper(const Arguments& arguments) {
  if (!arguments.has("keep")) return;
  path_ = arguments.text("keep");
  storage::require_folder_of(path_);
}

RecordingKeeper::~RecordingKeeper() {
  if (recordings_.empty()) return;
  try {
    save();
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
  }
}

void RecordingKeeper::add(const ops::Recording& recording) {
  if (!path_.empty()) recordings_.push_back(recording);
}

void RecordingKeeper::save() {
  if (path_.empty()) return;
  const std::vector<ops::Recording> recordings = std::exchange(recordings_, {});
  storage::write_recordings(path_, recordings);
}

}  // namespace tscsim::cli

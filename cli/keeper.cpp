#include "cli/keeper.h"

#include <exception>
#include <iostream>

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
  try {
    save_unsaved();
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
  }
}

void RecordingKeeper::add(const ops::Recording& recording) {
  if (!path_.empty()) recordings_.push_back(recording);
}

void RecordingKeeper::save() {
  if (path_.empty()) return;
  saved_ = recordings_.size();  // should it fail, it is said once
  storage::write_recordings(path_, recordings_);
}

void RecordingKeeper::save_unsaved() {
  if (saved_ != recordings_.size()) save();
}

}  // namespace tscsim::cli

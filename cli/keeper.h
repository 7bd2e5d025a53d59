// --keep FILE: all recordings of a run in one file, also when the run ends before its time.
#pragma once

#include <string>
#include <vector>

#include "cli/arguments.h"
#include "ops/recording.h"

namespace tscsim::cli {

void add_keep_option(OptionList& options);

class RecordingKeeper {
 public:
  // Throws ops::InputError at once when there is no folder for the file.
  explicit RecordingKeeper(const Arguments& arguments);
  // An interrupt or an error between: what was recorded is written, and what prevents that is said.
  ~RecordingKeeper();
  RecordingKeeper(const RecordingKeeper&) = delete;
  RecordingKeeper& operator=(const RecordingKeeper&) = delete;

  void add(const ops::Recording& recording);
  void save();          // throws ops::InputError
  void save_unsaved();  // the same, and nothing where there is nothing new

 private:
  std::string path_;  // empty: nothing is kept
  std::vector<ops::Recording> recordings_;
  std::size_t saved_ = 0;  // of them
};

}  // namespace tscsim::cli

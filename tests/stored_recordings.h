// The recordings of real KVM in tests/recordings: single ones, and archives of a whole run of the shipped scenarios.
#pragma once

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "storage/recordings.h"

namespace tscsim {

struct StoredRecording {
  std::string name;  // "boot-writes-zero-lab-5.10", "amd-6.12:boot-writes-zero"
  bool archived = false;
  ops::Recording recording;
};

// The single ones first, each kind in the order of names.
inline std::vector<StoredRecording> stored_recordings(const std::string& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (const auto extension = entry.path().extension(); extension == ".jsonl" || extension == ".xz")
      files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  std::stable_partition(files.begin(), files.end(), [](const auto& file) { return file.extension() == ".jsonl"; });
  std::vector<StoredRecording> all;
  for (const std::filesystem::path& file : files) {
    const bool archived = file.extension() == ".xz";
    const std::string stem = (archived ? file.stem() : file).stem().string();
    for (ops::Recording& recording : storage::read_recordings(file.string())) {
      std::string name = archived ? stem + ":" + recording.header.scenario : stem;
      all.push_back({std::move(name), archived, std::move(recording)});
    }
  }
  return all;
}

}  // namespace tscsim

#include "seeds.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "ops/error.h"
#include "scenarios/scenario.h"
#include "storage/recordings.h"

namespace tscsim::fuzz {
namespace fs = std::filesystem;

static std::string text_in(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

static std::vector<fs::path> paths_below(const std::string& folder, std::string_view ending) {
  std::vector<fs::path> paths;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_regular_file() && entry.path().string().ends_with(ending)) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  return paths;
}

std::vector<std::string> texts_below(const std::string& folder, std::string_view ending, std::size_t max_bytes) {
  std::vector<std::string> texts;
  for (const fs::path& path : paths_below(folder, ending))
    if (fs::file_size(path) <= max_bytes) texts.push_back(text_in(path));
  return texts;
}

std::vector<std::string> pieces(const std::string& text, std::size_t lines) {
  std::vector<std::string> found;
  std::istringstream in(text);
  std::size_t count = 0;
  for (std::string line; std::getline(in, line); ++count) {
    if (count % lines == 0) found.emplace_back();
    found.back() += line + "\n";
  }
  return found;
}

std::string text_of(const ops::Recording& recording) {
  std::ostringstream text;
  ops::write_json_lines(recording, text);
  return text.str();
}

std::vector<ops::Recording> short_recordings(const std::string& source_folder) {
  constexpr std::size_t kLengths[] = {10, 25};
  std::vector<ops::Recording> all;
  for (const std::string& text : texts_below(source_folder + "/tests/recordings", ".jsonl", 1 << 20)) {
    std::istringstream in(text);
    for (const ops::Recording& whole : ops::read_all_json_lines(in, "seed"))
      for (const std::size_t length : kLengths) {
        if (length >= whole.entries.size()) continue;
        all.push_back(whole);
        all.back().entries.resize(length);
      }
  }
  return all;
}

std::vector<std::string> linux_texts(const std::string& source_folder, std::size_t events) {
  constexpr std::size_t kLogLines = 4;
  std::vector<std::string> texts;
  for (const fs::path& path : paths_below(source_folder + "/tests/recordings/linux", ".jsonl.xz")) {
    ops::LinuxRecording recording = storage::read_linux_recording(path.string());
    recording.events.resize(std::min(recording.events.size(), events));
    for (ops::LinuxEvent& event : recording.events)
      if (auto* look = std::get_if<ops::LinuxLook>(&event)) look->log.resize(std::min(look->log.size(), kLogLines));
    std::ostringstream text;
    ops::write_json_lines(recording, text);
    texts.push_back(text.str());
  }
  return texts;
}

std::vector<std::string> scenario_texts(const std::string& source_folder) {
  constexpr std::size_t kMostBytes = 4000;
  std::vector<std::string> good;
  for (std::string& text : texts_below(source_folder + "/scenarios", ".yaml", kMostBytes)) try {
      scenarios::parse_scenario(text, "-");
      good.push_back(std::move(text));
    } catch (const ops::InputError&) {
    }
  return good;
}

}  // namespace tscsim::fuzz

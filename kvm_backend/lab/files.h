// Whole files, and folders that appear complete or not at all.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace tscsim::kvm_backend::lab {

// Throw ops::TargetError naming the file.
std::string read_file(const std::filesystem::path& path);
void write_file(const std::filesystem::path& path, std::string_view content);

// The last `lines` lines of a file that may be missing, for a report.
std::string tail_of(const std::filesystem::path& path, std::size_t lines);

// A new empty folder beside `path`, which becomes `path` at commit(), replacing what was there. Without
// commit() it goes with all that is in it.
class NewFolder {
 public:
  explicit NewFolder(std::filesystem::path path);
  ~NewFolder();
  NewFolder(const NewFolder&) = delete;
  NewFolder& operator=(const NewFolder&) = delete;
  const std::filesystem::path& path() const { return making_; }
  void commit();

 private:
  std::filesystem::path wanted_, making_;
};

// A folder of our own for the life of this object, in the system's place for temporary files. It
// stays when TSCSIM_LAB_KEEP is set, to look into a boot that went wrong.
class ScratchFolder {
 public:
  ScratchFolder();
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace tscsim::kvm_backend::lab

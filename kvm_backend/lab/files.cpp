#include "kvm_backend/lab/files.h"

#include <unistd.h>

#include <cstdlib>
#include <deque>
#include <fstream>
#include <iterator>

#include "ops/error.h"

namespace tscsim::kvm_backend::lab {

namespace fs = std::filesystem;

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string content{std::istreambuf_iterator<char>(file), {}};
  if (!file) throw ops::TargetError(path.string() + " cannot be read");
  return content;
}

void write_file(const fs::path& path, std::string_view content) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(content.data(), static_cast<std::streamsize>(content.size()));
  file.close();
  if (!file) throw ops::TargetError(path.string() + " cannot be written (is the disk full?)");
}

std::string tail_of(const fs::path& path, std::size_t lines) {
  std::ifstream file(path, std::ios::binary);
  std::deque<std::string> last;
  for (std::string line; std::getline(file, line);) {
    while (!line.empty() && line.back() == '\r') line.pop_back();
    last.push_back(line);
    if (last.size() > lines) last.pop_front();
  }
  std::string text;
  for (const std::string& line : last) text += "  | " + line + "\n";
  return text;
}

NewFolder::NewFolder(fs::path path) : wanted_(std::move(path)), making_(wanted_.string() + ".new") {
  std::error_code error;
  fs::remove_all(making_, error);
  fs::create_directories(making_, error);
  if (error) throw ops::TargetError(making_.string() + " cannot be made: " + error.message());
}

NewFolder::~NewFolder() {
  std::error_code ignored;
  fs::remove_all(making_, ignored);
}

void NewFolder::commit() {
  std::error_code error;
  fs::remove_all(wanted_, error);
  fs::rename(making_, wanted_, error);
  if (error) throw ops::TargetError(wanted_.string() + " cannot be made: " + error.message());
}

ScratchFolder::ScratchFolder() {
  std::string name = (fs::temp_directory_path() / "tscsim-lab-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw ops::TargetError(name + " cannot be made");
  path_ = name;
}

ScratchFolder::~ScratchFolder() {
  if (std::getenv("TSCSIM_LAB_KEEP") != nullptr) return;
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

}  // namespace tscsim::kvm_backend::lab

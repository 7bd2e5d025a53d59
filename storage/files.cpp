#include "storage/files.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "ops/error.h"

namespace tscsim::storage {
namespace {

[[noreturn]] void refuse(const std::string& path, const std::string& what) {
  throw ops::InputError(ops::Diagnostic{{path, 0, 0}, what, "", "", 1});
}

// Renaming onto a device would replace it.
bool is_special(const std::string& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  return std::filesystem::exists(status) && !std::filesystem::is_regular_file(status) &&
         !std::filesystem::is_directory(status);
}

void write_special(const std::string& path, const std::string& content) {
  errno = 0;
  std::ofstream out(path, std::ios::binary);
  out << content;
  out.close();
  if (!out) refuse(path, fmt::format("cannot be written: {}", std::strerror(errno)));
}

}  // namespace

void require_folder_of(const std::string& path) {
  std::error_code ignored;
  const auto folder = std::filesystem::path(path).parent_path();
  if (folder.empty() || std::filesystem::is_directory(folder, ignored)) return;
  throw ops::InputError(ops::Diagnostic{{path, 0, 0},
                                        fmt::format("there is no folder '{}'", folder.string()),
                                        "make the folder, or name another file",
                                        "",
                                        1});
}

void write_file(const std::string& path, const std::string& content) {
  if (is_special(path)) return write_special(path, content);
  const std::string draft = fmt::format("{}.{}.tmp", path, getpid());
  errno = 0;
  std::ofstream out(draft, std::ios::binary | std::ios::trunc);
  out << content;
  out.close();
  if (!out || std::rename(draft.c_str(), path.c_str()) != 0) {
    const std::string why = std::strerror(errno);
    std::remove(draft.c_str());
    refuse(path, fmt::format("cannot be written: {}", why));
  }
}

}  // namespace tscsim::storage

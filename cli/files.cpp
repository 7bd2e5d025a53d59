#include "cli/files.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "ops/error.h"

namespace tscsim::cli {
namespace {

[[noreturn]] void refuse(const std::string& path, const std::string& what) {
  throw ops::InputError(ops::Diagnostic{{path, 0, 0}, what, "", "", 1});
}

}  // namespace

void write_file(const std::string& path, const std::string& content) {
  const std::string draft = fmt::format("{}.{}.tmp", path, getpid());
  std::ofstream out(draft, std::ios::binary | std::ios::trunc);
  out << content;
  out.close();
  if (!out || std::rename(draft.c_str(), path.c_str()) != 0) {
    const std::string why = std::strerror(errno);
    std::remove(draft.c_str());
    refuse(path, fmt::format("cannot be written: {}", why));
  }
}

void write_recording(const std::string& path, const ops::Recording& recording) {
  std::ostringstream text;
  ops::write_json_lines(recording, text);
  write_file(path, text.str());
}

ops::Recording read_recording(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) refuse(path, "is a folder; a recording is a file");
  std::ifstream in(path, std::ios::binary);
  if (!in) refuse(path, fmt::format("cannot be read: {}", std::strerror(errno)));
  return ops::read_json_lines(in, path);
}

}  // namespace tscsim::cli

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "tracer/elf.h"
#include "tracer/recorder.h"

namespace tscsim::tracer {
namespace {

namespace fs = std::filesystem;

bool is_program(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error) && ::access(path.c_str(), X_OK) == 0;
}

bool has_other_rights(const fs::path& program) {
  struct stat info {};
  return ::stat(program.c_str(), &info) == 0 && (info.st_mode & (S_ISUID | S_ISGID)) != 0 && ::geteuid() != 0;
}

// "#!/usr/bin/env python3" is run by /usr/bin/env.
fs::path interpreter_of(const fs::path& program) {
  std::ifstream file(program, std::ios::binary);
  std::string line;
  if (!std::getline(file, line) || line.rfind("#!", 0) != 0) return {};
  std::istringstream words(line.substr(2));
  std::string first;
  words >> first;
  return first;
}

}  // namespace

fs::path find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) return is_program(name) ? fs::path(name) : fs::path();
  const char* const path = std::getenv("PATH");
  std::istringstream folders(path != nullptr ? path : "/usr/bin:/bin");
  for (std::string folder; std::getline(folders, folder, ':');)
    if (const fs::path found = fs::path(folder.empty() ? "." : folder) / name; is_program(found)) return found;
  return {};
}

bool can_preload(const fs::path& program) {
  if (has_other_rights(program)) return false;
  if (const fs::path interpreter = interpreter_of(program); !interpreter.empty())
    return !is_static_elf(interpreter.c_str());
  return !is_static_elf(program.c_str());
}

}  // namespace tscsim::tracer

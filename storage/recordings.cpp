#include "storage/recordings.h"

#include <boost/iostreams/filter/lzma.hpp>
#include <boost/iostreams/filtering_stream.hpp>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "base/interrupt.h"
#include "ops/error.h"
#include "storage/files.h"

namespace tscsim::storage {
namespace {

namespace io = boost::iostreams;

[[noreturn]] void refuse(const std::string& path, const std::string& what, const std::string& mend = "") {
  throw ops::InputError(ops::Diagnostic{{path, 0, 0}, what, mend, "", 1});
}

bool is_compressed(const std::string& path) { return std::filesystem::path(path).extension() == ".xz"; }

std::string unpacked(std::istream& in, const std::string& path) {
  try {
    io::filtering_istream filter;
    filter.push(io::lzma_decompressor());
    filter.push(in);
    filter.exceptions(std::ios_base::badbit);  // the filter's own come through
    std::string text;
    std::vector<char> piece(1 << 20);
    do {
      base::throw_if_interrupted();  // a few bytes may stand for a great many
      filter.read(piece.data(), static_cast<std::streamsize>(piece.size()));
      text.append(piece.data(), static_cast<std::size_t>(filter.gcount()));
    } while (filter);
    io::close(filter);
    return text;
  } catch (const io::lzma_error&) {
    refuse(path, "the file is not in the .xz format, or is cut",
           "take the whole file again from where it was recorded");
  }
}

std::string packed(const std::string& text) {
  std::ostringstream bytes;
  io::filtering_ostream filter;
  filter.push(io::lzma_compressor(io::lzma_params(io::lzma::best_compression)));
  filter.push(bytes);
  filter << text;
  io::close(filter);
  return std::move(bytes).str();
}

std::string content_of(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) refuse(path, "is a folder; a recording is a file");
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  if (!in) refuse(path, std::string("cannot be read: ") + std::strerror(errno));
  if (is_compressed(path)) return unpacked(in, path);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_content(const std::string& path, const std::string& text) {
  write_file(path, is_compressed(path) ? packed(text) : text);
}

}  // namespace

std::vector<ops::Recording> read_recordings(const std::string& path) {
  std::istringstream text(content_of(path));
  return ops::read_all_json_lines(text, path);
}

void write_recordings(const std::string& path, std::span<const ops::Recording> recordings) {
  std::ostringstream text;
  for (const ops::Recording& recording : recordings) ops::write_json_lines(recording, text);
  write_content(path, text.str());
}

ops::LinuxRecording read_linux_recording(const std::string& path) {
  std::istringstream text(content_of(path));
  return ops::read_linux_recording(text, path);
}

void write_linux_recording(const std::string& path, const ops::LinuxRecording& recording) {
  std::ostringstream text;
  ops::write_json_lines(recording, text);
  write_content(path, text.str());
}

}  // namespace tscsim::storage

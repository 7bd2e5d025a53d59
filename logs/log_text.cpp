#include "logs/log_text.h"

#include <algorithm>
#include <array>
#include <istream>

#include "base/interrupt.h"
#include "ops/text.h"

namespace tscsim::logs {
namespace {

constexpr std::size_t kLongestLine = 1 << 16;  // a longer one is shortened: strace prints whole buffers when told to

struct Magic {
  std::string_view bytes;
  std::string_view what;
  std::string_view mend;
};
using namespace std::string_view_literals;
constexpr std::array kMagic = {
    Magic{"\x17\x08\x44tracing"sv, "is a trace.dat of trace-cmd, which is binary",
          "give the text: trace-cmd report FILE > LOG"},
    Magic{"PERFILE2"sv, "is a perf.data, which is binary", "give the text: perf script -i FILE > LOG"},
    Magic{"\xfd"
          "7zXZ\0"sv,
          "is compressed", "unpack it first: xz -d FILE"},
    Magic{"\x1f\x8b"sv, "is compressed", "unpack it first: gzip -d FILE"},
    Magic{"\x28\xb5\x2f\xfd"sv, "is compressed", "unpack it first: zstd -d FILE"},
    Magic{"\x7f"
          "ELF"sv,
          "is a program", "give the text that the recorder wrote"},
};

// A task's name is any bytes; a recording is UTF-8. What is not becomes the replacement character U+FFFD.
std::string as_utf8(std::string text) {
  if (std::all_of(text.begin(), text.end(), [](unsigned char c) { return c < 0x80; })) return text;
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = ops::utf8_length(std::string_view(text).substr(at));
    out += length == 0 ? "\xef\xbf\xbd" : text.substr(at, length);
    at += std::max<std::size_t>(length, 1);
  }
  return out;
}

void refuse_binary(const std::string& line, const std::string& name) {
  for (const Magic& magic : kMagic)
    if (line.starts_with(magic.bytes))
      throw ops::InputError(ops::Diagnostic{{name, 0, 0}, std::string(magic.what), std::string(magic.mend), "", 1});
  if (line.find('\0') != std::string::npos)
    throw ops::InputError(ops::Diagnostic{{name, 1, 0},
                                          "the file is binary: expected text, found a zero byte in the first line",
                                          "give the text that the recorder wrote",
                                          "",
                                          1});
}

}  // namespace

LogText::LogText(std::istream& in, std::string name) : in_(in), name_(as_utf8(std::move(name))) {
  const bool there = read_line();
  refuse_binary(line_, name_);
  line_ = as_utf8(std::move(line_));
  first_is_read_ = there;
}

bool LogText::next() {
  if (first_is_read_) {
    first_is_read_ = false;
    return true;
  }
  if (!read_line()) return false;
  line_ = as_utf8(std::move(line_));
  return true;
}

bool LogText::read_line() {
  base::throw_if_interrupted();
  line_.clear();
  std::streambuf* bytes = in_.rdbuf();
  constexpr int kEnd = std::char_traits<char>::eof();
  int c = bytes->sbumpc();
  if (c == kEnd) return false;
  ++number_;
  for (; c != kEnd && c != '\n'; c = bytes->sbumpc())
    if (line_.size() < kLongestLine) line_.push_back(static_cast<char>(c));
  cut_ = c == kEnd;
  if (!line_.empty() && line_.back() == '\r') line_.pop_back();
  return true;
}

}  // namespace tscsim::logs

#include "kvm_backend/trace_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>

#include "kvm_backend/host_files.h"

namespace tscsim::kvm_backend {
namespace {

constexpr const char* kTracefs = "/sys/kernel/tracing";
constexpr const char* kBufferKib = "64";  // for each CPU; an operation prints a handful of events of some 60 bytes

[[noreturn]] void fail(const std::string& what, int error) {
  throw std::runtime_error("tracefs: " + what + ": " + std::strerror(error));
}

void write_word(const std::string& path, std::string_view word) {
  const OpenResult file = open_file(path.c_str(), O_WRONLY | O_TRUNC);
  if (!file.fd) fail(path, file.error);
  if (::write(file.fd.number(), word.data(), word.size()) < 0) fail(path, errno);
}

std::string text_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail(path, errno);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::size_t number_after(std::string_view line, std::string_view key) {
  const std::size_t at = line.find(key);
  if (at == std::string_view::npos) return 0;
  return static_cast<std::size_t>(std::strtoul(std::string(line.substr(at + key.size())).c_str(), nullptr, 10));
}

// "	field:__u64 next_tsc_offset;	offset:24;	size:8;	signed:0;"
TraceField field_named(const std::string& text, std::string_view name) {
  std::istringstream lines(text);
  const std::string wanted = " " + std::string(name) + ";";
  for (std::string line; std::getline(lines, line);) {
    if (line.find("field:") == std::string::npos || line.find(wanted) == std::string::npos) continue;
    return {number_after(line, "offset:"), number_after(line, "size:"), number_after(line, "signed:") != 0};
  }
  throw std::runtime_error("tracefs: the event has no field '" + std::string(name) + "'");
}

template <class Int>
Int number_at(std::string_view bytes, std::size_t at) {
  Int value{};
  if (at + sizeof value <= bytes.size()) std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

// What the head of a ring buffer event says. Five bits of type, or of length in words, and 27 bits of time.
struct EventHead {
  static constexpr std::uint32_t kPadding = 29, kTimeExtend = 30, kTimeStamp = 31;
  std::uint32_t type = 0;
  std::uint64_t delta = 0;
  std::size_t data = 0;  // where the record begins
  std::size_t next = 0;
};

EventHead head_at(std::string_view page, std::size_t at) {
  const auto word = number_at<std::uint32_t>(page, at);
  const auto more = number_at<std::uint32_t>(page, at + 4);
  EventHead head;
  head.type = word & 31;
  head.delta = word >> 5;
  head.data = at + 4;
  switch (head.type) {
    case EventHead::kTimeExtend:
    case EventHead::kTimeStamp:
      head.delta |= std::uint64_t{more} << 27;
      head.next = at + 8;
      break;
    case 0:  // a long record: its length, with the word that holds it
      head.data = at + 8;
      head.next = at + 4 + more;
      break;
    case EventHead::kPadding:
      head.next = at + 4 + more;
      break;
    default:
      head.next = at + 4 + std::size_t{head.type} * 4;
  }
  if (head.next <= at) head.next = page.size();
  return head;
}

}  // namespace

std::uint64_t TraceField::in(std::string_view record) const {
  std::uint64_t value = 0;
  if (bytes == 0 || bytes > sizeof value || offset + bytes > record.size()) return 0;
  std::memcpy(&value, record.data() + offset, bytes);
  const unsigned unused = 64 - 8 * static_cast<unsigned>(bytes);
  if (is_signed) value = static_cast<std::uint64_t>(static_cast<std::int64_t>(value << unused) >> unused);
  return value;
}

TraceFormat trace_format(ops::TraceKind kind, const std::string& text) {
  TraceFormat format;
  format.id = static_cast<std::uint16_t>(number_after(text, "ID: "));
  if (ops::tells_vcpu(kind)) format.vcpu = field_named(text, "vcpu_id");
  const auto names = ops::trace_values(kind);
  for (std::size_t i = 0; i < names.size(); ++i) format.values[i] = field_named(text, names[i]);
  return format;
}

TracePage trace_page(std::string_view page, const std::array<TraceFormat, ops::kTraceKinds>& formats) {
  constexpr std::size_t kHead = 16;  // time of the first event, then the length and flags
  constexpr std::uint64_t kLengthMask = 0xfffff, kMissedEvents = 1u << 31;
  constexpr std::uint64_t kStampBits = 59;  // an absolute time stamp lacks the bits above
  TracePage result;
  std::uint64_t tsc = number_at<std::uint64_t>(page, 0);
  const auto commit = number_at<std::uint64_t>(page, 8);
  result.lost = (commit & kMissedEvents) != 0;
  const std::size_t end = std::min<std::size_t>(page.size(), kHead + (commit & kLengthMask));
  for (std::size_t at = kHead; at + 4 <= end;) {
    const EventHead head = head_at(page, at);
    at = head.next;
    if (head.type == EventHead::kTimeStamp) tsc = (tsc >> kStampBits << kStampBits) | head.delta;
    else if (head.type != EventHead::kPadding) tsc += head.delta;
    if (head.type >= EventHead::kPadding) continue;
    const std::string_view record = page.substr(head.data, std::min(head.next, end) - head.data);
    const auto id = number_at<std::uint16_t>(record, 0);
    for (std::size_t kind = 0; kind < formats.size(); ++kind) {
      if (formats[kind].id != id) continue;
      ops::TraceEvent event;
      event.kind = static_cast<ops::TraceKind>(kind);
      event.tsc = tsc;
      if (ops::tells_vcpu(event.kind)) event.vcpu = static_cast<std::int32_t>(formats[kind].vcpu.in(record));
      for (std::size_t i = 0; i < event.values.size(); ++i) event.values[i] = formats[kind].values[i].in(record);
      result.events.push_back(event);
    }
  }
  return result;
}

TraceReader::TraceReader()
    : folder_(std::string(kTracefs) + "/instances/tscsim-" + std::to_string(::getpid())),
      page_(static_cast<std::size_t>(::sysconf(_SC_PAGESIZE))) {
  if (::mkdir(folder_.c_str(), 0700) != 0 && errno != EEXIST) fail(folder_, errno);
  write_word(folder_ + "/buffer_size_kb", kBufferKib);
  write_word(folder_ + "/trace_clock", "x86-tsc");
  for (std::size_t kind = 0; kind < ops::kTraceKinds; ++kind) enable(static_cast<ops::TraceKind>(kind));
}

TraceReader::~TraceReader() {
  pipes_.clear();
  ::rmdir(folder_.c_str());
}

void TraceReader::enable(ops::TraceKind kind) {
  const std::string event = folder_ + "/events/kvm/" + std::string(ops::name_of(kind));
  formats_[static_cast<std::size_t>(kind)] = trace_format(kind, text_of(event + "/format"));
  write_word(event + "/enable", "1");
}

const Fd& TraceReader::pipe_of(int cpu) {
  const auto index = static_cast<std::size_t>(cpu);
  if (pipes_.size() <= index) pipes_.resize(index + 1);
  if (!pipes_[index]) {
    const std::string path = folder_ + "/per_cpu/cpu" + std::to_string(cpu) + "/trace_pipe_raw";
    OpenResult file = open_file(path.c_str(), O_RDONLY | O_NONBLOCK);
    if (!file.fd) fail(path, file.error);
    pipes_[index] = std::move(file.fd);
  }
  return pipes_[index];
}

std::vector<ops::TraceEvent> TraceReader::take(int cpu) {
  std::vector<ops::TraceEvent> events;
  const Fd& pipe = pipe_of(cpu);
  for (;;) {
    const ssize_t got = ::read(pipe.number(), page_.data(), page_.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno != EAGAIN) fail("trace_pipe_raw", errno);
    if (got <= 0) return events;
    const TracePage page = trace_page({page_.data(), static_cast<std::size_t>(got)}, formats_);
    if (page.lost) throw std::runtime_error("tracefs: trace events were lost");
    events.insert(events.end(), page.events.begin(), page.events.end());
  }
}

void TraceReader::forget() {
  for (const int cpu : allowed_cpus()) take(cpu);
}

// Kernel: Documentation/trace/ftrace.rst: opening `trace` with O_TRUNC clears the buffers, stamps included.
void TraceReader::reset() {
  const std::string path = folder_ + "/trace";
  if (!open_file(path.c_str(), O_WRONLY | O_TRUNC).fd) throw std::runtime_error(path + " cannot be cleared");
}

}  // namespace tscsim::kvm_backend

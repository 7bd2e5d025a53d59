#include "logs/trace_line.h"

#include <charconv>
#include <string>

#include "ops/text.h"

namespace tscsim::logs {
namespace {

constexpr std::uint64_t kNsPerSecond = 1'000'000'000;
constexpr int kMostCpu = 0xffff;  // more than any kernel is built for

bool is_digit(char c) { return c >= '0' && c <= '9'; }

template <class Int>
std::optional<Int> whole(std::string_view text) {
  Int number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || !is_digit(text.front()) || error != std::errc{} || end != text.data() + text.size())
    return std::nullopt;
  return number;
}

// The first "[012]": a CPU's number has three digits or more.
struct CpuMark {
  std::size_t begin, end;
  int cpu;
};
std::optional<CpuMark> find_cpu(std::string_view line) {
  for (std::size_t open = line.find('['); open != std::string_view::npos; open = line.find('[', open + 1)) {
    const std::size_t close = line.find(']', open);
    if (close == std::string_view::npos) return std::nullopt;
    const auto cpu = whole<int>(line.substr(open + 1, close - open - 1));
    if (cpu && *cpu <= kMostCpu && close - open > 3) return CpuMark{open, close + 1, *cpu};
  }
  return std::nullopt;
}

// "749.708863263" or "1931936271967".
std::optional<TraceStamp> read_stamp(std::string_view text) {
  const std::size_t dot = text.find('.');
  const auto front = whole<std::uint64_t>(text.substr(0, dot));
  if (!front) return std::nullopt;
  if (dot == std::string_view::npos) return TraceStamp{*front, true};
  std::string digits(text.substr(dot + 1));
  // In all, what 63 bits hold: instants are subtracted.
  if (digits.empty() || digits.size() > 9 || *front >= UINT64_MAX / 2 / kNsPerSecond) return std::nullopt;
  digits.resize(9, '0');
  const auto fraction = whole<std::uint64_t>(digits);
  if (!fraction) return std::nullopt;
  return TraceStamp{*front * kNsPerSecond + *fraction, false};
}

// "(  12350)" or "(-------)" at the end.
void take_tgid(std::string_view& task, TraceLine& out) {
  if (task.empty() || task.back() != ')') return;
  const std::size_t open = task.rfind('(');
  if (open == std::string_view::npos) return;
  const std::string_view inside = ops::trimmed(task.substr(open + 1, task.size() - open - 2));
  const auto tgid = whole<int>(inside);
  if (!tgid && inside.find_first_not_of('-') != std::string_view::npos) return;
  if (tgid) out.tgid = *tgid;
  task = ops::trimmed(task.substr(0, open));
}

// perf: "CPU 0/KVM  12631" or "CPU 0/KVM  12628/12631".
bool take_spaced_pid(std::string_view task, TraceLine& out) {
  const std::size_t blank = task.find_last_of(" \t");
  if (blank == std::string_view::npos) return false;
  const std::string_view ids = task.substr(blank + 1);
  const std::size_t slash = ids.find('/');
  const auto last = whole<int>(slash == std::string_view::npos ? ids : ids.substr(slash + 1));
  if (!last) return false;
  if (slash != std::string_view::npos) {
    const auto tgid = whole<int>(ids.substr(0, slash));
    if (!tgid) return false;
    out.tgid = *tgid;
  }
  out.pid = *last;
  out.comm = ops::trimmed(task.substr(0, blank));
  return true;
}

// ftrace: "CPU 0/KVM-12631".
bool take_dashed_pid(std::string_view task, TraceLine& out) {
  const std::size_t dash = task.rfind('-');
  if (dash == std::string_view::npos) return false;
  const auto pid = whole<int>(task.substr(dash + 1));
  if (!pid) return false;
  out.pid = *pid;
  out.comm = ops::trimmed(task.substr(0, dash));
  return true;
}

bool take_task(std::string_view task, TraceLine& out) {
  task = ops::trimmed(task);
  // trace-cmd names the instance first when there is one: "guest1:  CPU 0/KVM-12631".
  const std::size_t instance = task.find(": ");
  if (instance != std::string_view::npos) task = ops::trimmed(task.substr(instance + 1));
  take_tgid(task, out);
  return take_dashed_pid(task, out) || take_spaced_pid(task, out);
}

// " d..1.   749.708863: kvm:kvm_track_tsc: ...". The flags are one word, and not always there.
bool take_rest(std::string_view rest, TraceLine& out) {
  for (int words = 0; words < 2; ++words) {
    rest.remove_prefix(std::min(rest.find_first_not_of(" \t"), rest.size()));
    const std::size_t end = rest.find_first_of(" \t");
    if (end == std::string_view::npos) return false;
    const std::string_view word = rest.substr(0, end);
    rest.remove_prefix(end);
    if (word.back() != ':') continue;
    const auto stamp = read_stamp(word.substr(0, word.size() - 1));
    if (!stamp) return false;
    out.stamp = *stamp;
    rest.remove_prefix(std::min(rest.find_first_not_of(" \t"), rest.size()));
    const std::size_t name_end = std::min(rest.find_first_of(" \t"), rest.size());
    if (name_end < 2 || rest[name_end - 1] != ':') return false;
    out.event = rest.substr(0, name_end - 1);
    out.event.remove_prefix(out.event.rfind(':') + 1);
    out.text = rest.substr(name_end);
    return !out.event.empty();
  }
  return false;
}

std::uint64_t number_in(std::string_view text, std::string_view before) {
  const std::size_t at = text.find(before);
  if (at == std::string_view::npos) return 0;
  const std::string_view rest = text.substr(at + before.size());
  return whole<std::uint64_t>(rest.substr(0, rest.find_first_not_of("0123456789"))).value_or(0);
}

}  // namespace

std::optional<TraceLine> split_trace_line(std::string_view line) {
  const auto mark = find_cpu(line);
  if (!mark) return std::nullopt;
  TraceLine out;
  out.cpu = mark->cpu;
  if (!take_task(line.substr(0, mark->begin), out) || !take_rest(line.substr(mark->end), out)) return std::nullopt;
  return out;
}

std::optional<LossLine> read_loss(std::string_view line) {
  if (line.find("PERF_RECORD_LOST") != std::string_view::npos) {
    const auto mark = find_cpu(line);
    return LossLine{mark ? mark->cpu : -1, number_in(line, " lost ")};
  }
  const std::size_t cpu = line.find("CPU:");
  if (cpu == std::string_view::npos) return std::nullopt;
  const std::string_view rest = line.substr(cpu);
  const bool lost = rest.find("[LOST ") != std::string_view::npos && rest.find("EVENTS]") != std::string_view::npos;
  const bool dropped = rest.find("EVENTS DROPPED]") != std::string_view::npos;
  if (!lost && !dropped) return std::nullopt;
  return LossLine{static_cast<int>(number_in(rest, "CPU:") & kMostCpu), number_in(rest, lost ? "[LOST " : "[")};
}

}  // namespace tscsim::logs

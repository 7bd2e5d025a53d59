#include "logs/event_text.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cstdint>

namespace tscsim::logs {
namespace {

using ops::TraceKind;

constexpr std::string_view kUnparsed = "[FAILED TO PARSE]";  // libtraceevent, before the fields by name
constexpr int kVcpu = -1;

// One number of the text: what stands before it, and which value it is.
struct Piece {
  std::string_view before;
  int value;
};

// Kernel: Linux v6.12 arch/x86/kvm/trace.h, the events' TP_printk.
constexpr std::array kOffsetText = {Piece{"vcpu=", kVcpu}, Piece{" prev=", 0}, Piece{" next=", 1}};
constexpr std::array kTrackText = {Piece{"vcpu_id ", kVcpu}, Piece{" masterclock ", 2}, Piece{" offsetmatched ", 0},
                                   Piece{" nr_online ", 1}, Piece{" hostclock ", 3}};
constexpr std::array kMasterText = {Piece{"masterclock ", 0}, Piece{" hostclock ", 1}, Piece{" offsetmatched ", 2}};
constexpr std::array kPageText = {
    Piece{"vcpu_id ", kVcpu},   Piece{", pvclock { version ", 0}, Piece{", tsc_timestamp ", 1},
    Piece{", system_time ", 2}, Piece{", tsc_to_system_mul ", 3}, Piece{", tsc_shift ", 4},
    Piece{", flags ", 5}};

std::span<const Piece> text_of(TraceKind kind) {
  switch (kind) {
    case TraceKind::write_tsc_offset:
      return kOffsetText;
    case TraceKind::track_tsc:
      return kTrackText;
    case TraceKind::update_master_clock:
      return kMasterText;
    case TraceKind::pvclock_update:
      break;
  }
  return kPageText;
}

std::string_view name_of_value(TraceKind kind, int value) {
  return value == kVcpu ? "vcpu_id" : ops::trace_values(kind)[static_cast<std::size_t>(value)];
}

// How many bits the field has in the record; a number that needs more is not one of these.
int bits_of(std::string_view name) {
  if (name == "use_master_clock" || name == "offset_matched") return 1;
  if (name == "flags" || name == "tsc_shift") return 8;
  const bool wide =
      name == "previous_tsc_offset" || name == "next_tsc_offset" || name == "tsc_timestamp" || name == "system_time";
  return wide ? 64 : name == "vcpu_id" ? 31 : 32;
}

// An unsigned number, decimal or with 0x; `at` moves behind it.
std::optional<std::uint64_t> number_at(std::string_view text, std::size_t& at) {
  const bool hex = text.substr(at).starts_with("0x");
  const char* begin = text.data() + at + (hex ? 2 : 0);
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(begin, text.data() + text.size(), number, hex ? 16 : 10);
  if (error != std::errc{}) return std::nullopt;
  at = static_cast<std::size_t>(end - text.data());
  return number;
}

// -1, or the same byte unsigned, sign-extended.
std::optional<std::uint64_t> shift_at(std::string_view text, std::size_t& at) {
  const bool negative = text.substr(at).starts_with("-");
  std::size_t behind = at + (negative ? 1 : 0);
  const auto number = number_at(text, behind);
  if (!number || *number > (negative ? 128u : 255u)) return std::nullopt;
  at = behind;
  const auto byte = static_cast<std::int8_t>(negative ? -static_cast<int>(*number) : static_cast<int>(*number));
  return static_cast<std::uint64_t>(std::int64_t{byte});
}

// enum vdso_clock_mode. Kernel: Linux v6.12 arch/x86/include/asm/vdso/clocksource.h.
std::optional<std::uint64_t> host_clock_at(std::string_view text, std::size_t& at) {
  constexpr std::array<std::string_view, 2> kNames = {"none", "tsc"};
  for (std::size_t mode = 0; mode < kNames.size(); ++mode) {
    if (!text.substr(at).starts_with(kNames[mode])) continue;
    at += kNames[mode].size();
    return mode;
  }
  return number_at(text, at);
}

std::optional<std::uint64_t> value_at(std::string_view name, std::string_view text, std::size_t& at) {
  if (name == "tsc_shift") return shift_at(text, at);
  std::size_t behind = at;
  const auto number = name == "host_clock" ? host_clock_at(text, behind) : number_at(text, behind);
  const int bits = bits_of(name);
  if (!number || (bits < 64 && (*number >> bits) != 0)) return std::nullopt;
  at = behind;
  return number;
}

void keep(ops::TraceEvent& event, int value, std::uint64_t number) {
  if (value == kVcpu) event.vcpu = static_cast<std::int32_t>(number);
  else event.values[static_cast<std::size_t>(value)] = number;
}

std::optional<TextFault> read_printed(TraceKind kind, std::string_view text, ops::TraceEvent& event) {
  std::size_t at = 0;
  for (const Piece& piece : text_of(kind)) {
    if (!text.substr(at).starts_with(piece.before)) return TextFault{at, fmt::format("expected '{}'", piece.before)};
    at += piece.before.size();
    const std::string_view name = name_of_value(kind, piece.value);
    const auto number = value_at(name, text, at);
    if (!number) return TextFault{at, fmt::format("expected a number, {}", name)};
    keep(event, piece.value, *number);
  }
  const std::string_view end = kind == TraceKind::pvclock_update ? " }" : "";
  const std::size_t last = text.find_last_not_of(" \t");
  if (text.substr(at, last + 1 - at) == end) return std::nullopt;
  return TextFault{at, end.empty() ? "expected the end of the line" : "expected ' }'"};
}

std::optional<TextFault> read_field(TraceKind kind, int value, std::string_view text, ops::TraceEvent& event) {
  const std::string_view name = name_of_value(kind, value);
  const std::string key = fmt::format("{}=", name);
  std::size_t at = text.starts_with(key) ? 0 : text.find(" " + key);
  if (at == std::string_view::npos) return TextFault{text.size(), fmt::format("expected '{}' and a number", key)};
  at = text.find('=', at) + 1;
  const auto number = value_at(name, text, at);
  const bool ends = number && (at == text.size() || text[at] == ' ');
  if (!ends) return TextFault{at, fmt::format("expected a number, {}", name)};
  keep(event, value, *number);
  return std::nullopt;
}

std::optional<TextFault> read_fields(TraceKind kind, std::string_view text, ops::TraceEvent& event) {
  const int values = static_cast<int>(ops::trace_values(kind).size());
  for (int value = ops::tells_vcpu(kind) ? kVcpu : 0; value < values; ++value)
    if (auto fault = read_field(kind, value, text, event)) return fault;
  return std::nullopt;
}

// The record's own names: the first one tells. ("vcpu=" is the printed text of kvm_write_tsc_offset.)
bool is_by_name(TraceKind kind, std::string_view text) {
  if (ops::tells_vcpu(kind)) return text.starts_with("vcpu_id=");
  return text.starts_with("use_master_clock=");
}

}  // namespace

std::optional<TextFault> read_event_text(TraceKind kind, std::string_view text, ops::TraceEvent& event) {
  std::size_t skipped = 0;
  const auto skip_blanks = [&] {
    while (skipped < text.size() && text[skipped] == ' ') ++skipped;
  };
  skip_blanks();
  if (text.substr(skipped).starts_with(kUnparsed)) skipped += kUnparsed.size();
  skip_blanks();
  const std::string_view rest = text.substr(skipped);
  event.kind = kind;
  event.vcpu = -1;
  auto fault = is_by_name(kind, rest) ? read_fields(kind, rest, event) : read_printed(kind, rest, event);
  if (fault) fault->at += skipped;
  return fault;
}

}  // namespace tscsim::logs

#include "cli/text.h"

#include <fmt/format.h>

#include <array>
#include <iostream>

#include "cli/notices.h"
#include "ops/error.h"
#include "scenarios/errno_names.h"

namespace tscsim::cli {

std::string time_text(std::int64_t ns) {
  struct Unit {
    std::int64_t ns;
    const char* name;
  };
  constexpr std::array kUnits = {Unit{1'000'000'000, "s"}, Unit{1'000'000, "ms"}, Unit{1'000, "us"}};
  for (const Unit& unit : kUnits)
    if (ns % unit.ns == 0) return fmt::format("{} {}", ns / unit.ns, unit.name);
  return fmt::format("{} ns", ns);
}

std::string number_text(std::uint64_t value) {
  // Numbers in the upper half are mostly small negative ones: TSC offsets, differences.
  const bool negative = (value >> 63) != 0;
  std::string digits = std::to_string(negative ? 0 - value : value);
  for (std::size_t at = digits.size(); at > 3;) digits.insert(at -= 3, "_");
  return negative ? "-" + digits : digits;
}

std::string guest_event_text(const ops::GuestEvent& event) {
  const auto name = ops::name_of(event.kind);
  if (event.kind == ops::GuestEventKind::clocksource_switched)
    return fmt::format("{} {}", name, ops::name_of(static_cast<ops::GuestClocksource>(event.value)));
  if (event.kind == ops::GuestEventKind::stop_flag_consumed || event.kind == ops::GuestEventKind::watchdog_misled)
    return std::string(name);
  return fmt::format("{} {}", name, number_text(event.value));
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

std::string in_shell_quotes(const std::string& word) {
  std::string text = "'";
  for (const char c : word) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

std::string shell_word(const std::string& word) {
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=:,./@%";
  return word.empty() || word.find_first_not_of(kPlain) != std::string::npos ? in_shell_quotes(word) : word;
}

std::string outcome_text(const ops::Entry& entry, const std::string& capture) {
  if (!entry.supported) return "not supported: " + first_line(entry.note);
  if (entry.outcome.error != 0) return "refused: " + scenarios::errno_name(entry.outcome.error);
  const std::optional<ops::Field> primary = ops::primary_field(entry.op.kind);
  std::string text;
  for (std::size_t i = 0; i < entry.outcome.count; ++i) {
    const auto& [field, value] = entry.outcome.fields[i];
    if (!text.empty()) text += ", ";
    const std::string name = primary == field && !capture.empty() ? capture : std::string(ops::name_of(field));
    text += fmt::format("{} = {}", name, number_text(value));
  }
  return text;
}

std::string verdict_lines(const std::vector<scenarios::Verdict>& verdicts, bool only_bad) {
  std::string text;
  for (const scenarios::Verdict& v : verdicts) {
    if (only_bad && v.state == scenarios::State::held) continue;
    text += fmt::format("  {:<8} {}", scenarios::name_of(v.state), v.text);
    if (v.state != scenarios::State::held && !v.detail.empty())
      text += fmt::format("\n           {}:{}: {}", v.place.file, v.place.line, v.detail);
    text += "\n";
  }
  return text;
}

Json verdicts_json(const std::vector<scenarios::Verdict>& verdicts) {
  Json list = Json::array();
  for (const scenarios::Verdict& v : verdicts)
    list.push_back({{"expectation", v.text},
                    {"line", v.place.line},
                    {"state", scenarios::name_of(v.state)},
                    {"detail", v.detail}});
  return list;
}

void print(const Json& document) {
  Json whole = document;
  if (!notices().empty()) whole["notices"] = notices();
  // A file's name need not be UTF-8.
  std::cout << whole.dump(2, ' ', false, Json::error_handler_t::replace) << "\n";
}

}  // namespace tscsim::cli

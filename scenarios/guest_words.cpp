#include "scenarios/guest_words.h"

#include "ops/operation.h"
#include "scenarios/kernel_groups.h"

namespace tscsim::scenarios {
namespace {

using Kind = YamlNode::Kind;

constexpr std::int64_t kMaxOthers = 64;

template <class Enum>
std::vector<std::string> names_of_all(std::size_t count) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < count; ++i) names.emplace_back(ops::name_of(static_cast<Enum>(i)));
  return names;
}

void read_kernel(Reader& reader, const YamlNode& node, ops::GuestSpec& guest) {
  const auto text = reader.text(node, "a kernel version such as 6.12");
  if (!text) return;
  if (const auto version = major_minor(*text)) {
    guest.major = static_cast<std::uint16_t>(version->major);
    guest.minor = static_cast<std::uint16_t>(version->minor);
  } else {
    reader.diagnostics().add(node, "expected a kernel version of two numbers, found " + found_text(node),
                             kernel_mend(*text, "kernel: 6.12"));
  }
}

void read_number(Reader& reader, const Fields& fields, const char* key, std::int64_t max, auto& out) {
  if (const YamlNode* node = fields.find(key))
    out = static_cast<std::remove_reference_t<decltype(out)>>(reader.integer(*node, 1, max).value_or(1));
}

// As Kconfig has it.
void read_max_skew(Reader& reader, const YamlNode& node, ops::GuestSpec& guest) {
  constexpr std::int64_t kMicrosecond_ns = 1000, kLeast_us = 50, kMost_us = 1000;
  const auto ns = reader.duration_ns(node);
  if (!ns) return;
  const std::int64_t us = *ns / kMicrosecond_ns;
  if (*ns % kMicrosecond_ns == 0 && us >= kLeast_us && us <= kMost_us) {
    guest.watchdog_max_skew_us = static_cast<std::uint16_t>(us);
    return;
  }
  reader.diagnostics().add(
      node, "CONFIG_CLOCKSOURCE_WATCHDOG_MAX_SKEW_US is from 50 us to 1000 us, found " + found_text(node),
      "write whole microseconds between, such as '100 us'");
}

void read_switch(Reader& reader, const Fields& fields, const char* key, bool& out) {
  if (const YamlNode* node = fields.find(key)) out = reader.on_off(*node).value_or(out);
}

}  // namespace

std::vector<std::string> guest_clock_names() { return names_of_all<ops::GuestClock>(ops::kGuestClocks); }

ops::GuestSpec parse_guest(Reader& reader, const YamlNode& node) {
  ops::GuestSpec guest;
  const Fields fields(reader.diagnostics(), node, "guest",
                      {"kernel", "clocksource", "tsc", "invtsc", "tsc_adjust", "kvmclock", "hz", "packages", "online",
                       "watchdog_max_skew"});
  if (const YamlNode* kernel = fields.find("kernel")) read_kernel(reader, *kernel, guest);
  else if (fields.valid()) reader.diagnostics().add(node, "this guest has no 'kernel'", "add 'kernel: 6.12'");
  if (const YamlNode* word = fields.find("clocksource"))
    if (const auto name =
            reader.word(*word, "clocksource", names_of_all<ops::GuestClocksource>(ops::kGuestClocksources)))
      guest.clocksource = *ops::guest_clocksource_from(*name);
  if (const YamlNode* word = fields.find("tsc"))
    if (const auto name = reader.word(*word, "value of 'tsc='", names_of_all<ops::TscOption>(ops::kTscOptions)))
      guest.tsc = *ops::tsc_option_from(*name);
  read_switch(reader, fields, "invtsc", guest.invtsc);
  read_switch(reader, fields, "tsc_adjust", guest.tsc_adjust);
  read_switch(reader, fields, "kvmclock", guest.kvmclock);
  read_number(reader, fields, "hz", 1000, guest.hz);
  read_number(reader, fields, "packages", ops::layout::kMaxVcpus, guest.packages);
  read_number(reader, fields, "online", ops::layout::kMaxVcpus, guest.online);
  if (const YamlNode* skew = fields.find("watchdog_max_skew")) read_max_skew(reader, *skew, guest);
  return guest;
}

std::optional<ClockReading> parse_clock_reading(Reader& reader, const YamlNode& node) {
  const bool named = node.is(Kind::mapping) && node.members.size() == 1;
  if (!named && !node.is(Kind::scalar)) {
    reader.diagnostics().add(node, "expected one clock, found " + found_text(node),
                             "write 'read_clock: {monotonic: a}'");
    return std::nullopt;
  }
  const auto word = reader.word(named ? node.members.front().key : node, "clock", guest_clock_names());
  if (!word) return std::nullopt;
  return ClockReading{*ops::guest_clock_from(*word), named ? &node.members.front().value : nullptr};
}

std::optional<Sharing> parse_sharing(Reader& reader, const YamlNode& node) {
  if (node.is(Kind::scalar)) {
    if (node.text == "off") return Sharing{};
    reader.diagnostics().add(node, "expected 'off' or a slice, found " + found_text(node),
                             "write 'share_pcpus: {slice: 4 ms, others: 1}'");
    return std::nullopt;
  }
  const Fields fields(reader.diagnostics(), node, "share_pcpus", {"slice", "others"});
  const YamlNode* slice = fields.find("slice");
  if (fields.valid() && !slice) reader.diagnostics().add(node, "share_pcpus has no 'slice'", "add 'slice: 4 ms'");
  if (!slice) return std::nullopt;
  Sharing sharing;
  const auto ns = reader.duration_ns(*slice);
  if (ns && *ns <= 0) reader.diagnostics().add(*slice, found_text(*slice) + " is not above 0", "write such as '4 ms'");
  if (const YamlNode* others = fields.find("others"))
    sharing.others = static_cast<std::uint32_t>(reader.integer(*others, 0, kMaxOthers).value_or(0));
  if (!ns || *ns <= 0) return std::nullopt;
  sharing.slice_ns = *ns;
  return sharing;
}

}  // namespace tscsim::scenarios

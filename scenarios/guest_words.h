// The words of a Linux guest: `vm: {guest: {...}}`, and what its steps say. Only the model runs them.
#pragma once

#include <cstdint>
#include <optional>

#include "ops/guest.h"
#include "scenarios/reader.h"

namespace tscsim::scenarios {

ops::GuestSpec parse_guest(Reader& reader, const YamlNode& node);

// `read_clock: {monotonic: a}` or `read_clock: monotonic`; `name` is nullptr where none is given.
struct ClockReading {
  ops::GuestClock clock{};
  const YamlNode* name = nullptr;
};
std::optional<ClockReading> parse_clock_reading(Reader& reader, const YamlNode& node);
std::vector<std::string> guest_clock_names();

// `share_pcpus: {slice: 4 ms, others: 1}` or `off`.
struct Sharing {
  std::int64_t slice_ns = 0;
  std::uint32_t others = 0;
};
std::optional<Sharing> parse_sharing(Reader& reader, const YamlNode& node);

}  // namespace tscsim::scenarios

// Small pieces of text output.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "ops/recording.h"
#include "scenarios/evaluate.h"

namespace tscsim::cli {

using Json = nlohmann::ordered_json;

std::string time_text(std::int64_t ns);        // "400 ms", exact
std::string number_text(std::uint64_t value);  // "2_200_000_000"

// "a = 2_200_000_000" where the outcome was captured as a, "value = ..." where it was not; "refused: EINVAL",
// "not supported: ...".
std::string outcome_text(const ops::Entry& entry, const std::string& capture = {});

std::string first_line(const std::string& text);

// A word of a command line as a POSIX shell reads it: always in quotes, and in quotes only where it needs them.
std::string in_shell_quotes(const std::string& word);
std::string shell_word(const std::string& word);

// "soft_lockup 22", "clocksource_switched tsc"
std::string guest_event_text(const ops::GuestEvent& event);

// One line for each verdict: "held    b is a", with the detail where it did not hold.
std::string verdict_lines(const std::vector<scenarios::Verdict>& verdicts, bool only_bad);

Json verdicts_json(const std::vector<scenarios::Verdict>& verdicts);
void print(const Json& document);  // one JSON object on standard output, with what cli/notices.h holds

}  // namespace tscsim::cli

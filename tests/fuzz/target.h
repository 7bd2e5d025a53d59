// What is fuzzed: each reader of the project as a function of one input, with seeds that the project ships.
//
// A target promises: whatever the input is, run() returns. Bad input is an ops::InputError with words in it, which run()
// takes; everything else that is thrown, and every promise() that does not hold, is a finding.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tscsim::fuzz {

// How the mutator (mutator.h) takes an input apart, besides lines, fields, words and numbers, which all have.
enum class Form : std::uint8_t {
  text,
  recordings,  // the end line tells how many entries there are; it is kept true, mostly
};

struct Target {
  std::string_view name;
  std::string_view what;  // one sentence
  void (*run)(std::string_view input);
  std::vector<std::string> (*seeds)(const std::string& source_folder);
  Form form = Form::text;
  std::size_t max_bytes = 4096;
};

std::span<const Target> targets();
const Target* find_target(std::string_view name);  // nullptr: there is none

// Ends the program with the text when `holds` is false.
void promise(bool holds, const char* what);

// Calls `body`, and takes an InputError that says something.
void refuses_or_runs(const std::function<void()>& body);

// One file for each folder's readers.
std::span<const Target> log_targets();
std::span<const Target> recording_targets();
std::span<const Target> scenario_targets();
std::span<const Target> sweep_targets();
std::span<const Target> lab_targets();
std::span<const Target> judge_targets();
const Target& faulty_target();  // none of targets(): self_target.cpp

}  // namespace tscsim::fuzz

// Words of shipped files are changed at random, and whatever comes of it either is refused or runs to its end: never a crash,
// never a loop without end (the test's time limit), never an exception that is no diagnostic.
//
// What was tried last is in words-tried.txt, in the test's working directory: should the process die, there it is. A longer
// search: TSCSIM_WORDS=100000, from another seed: TSCSIM_WORDS_SEED=7.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "crosscheck/checker.h"
#include "model/world/simulation.h"
#include "ops/error.h"
#include "ops/program.h"
#include "ops/recording.h"
#include "scenarios/evaluate.h"
#include "scenarios/scenario.h"
#include "sim/random.h"
#include "verdict/lint.h"
#include "verdict/report.h"

namespace tscsim {
namespace {

namespace fs = std::filesystem;

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

std::string content_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<fs::path> files_in(const fs::path& folder, const std::string& extension, std::uintmax_t most_bytes) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_regular_file() && entry.path().extension() == extension && entry.file_size() <= most_bytes)
      files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

// The parts of a text: words and numbers at odd places, what is between them at even ones.
std::vector<std::string> parts_of(const std::string& text) {
  const auto is_word = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-' || c == '.';
  };
  std::vector<std::string> parts{""};
  for (const char c : text) {
    if (is_word(c) != (parts.size() % 2 == 0)) parts.emplace_back();
    parts.back() += c;
  }
  return parts;
}

class Changer {
 public:
  Changer(std::uint64_t seed, std::string_view name) : random_(seed, name) {}

  std::string changed(const std::string& text, const std::string& other) {
    std::string result = text;
    const std::int64_t changes = random_.uniform(1, 3);
    for (std::int64_t i = 0; i < changes; ++i)
      result = random_.uniform(0, 4) == 0 ? lines(result) : words(result, other);
    return result;
  }
  std::size_t below(std::size_t end) {
    return static_cast<std::size_t>(random_.uniform(0, static_cast<std::int64_t>(end) - 1));
  }

 private:
  // Another word of this file or of the other one, or a number at a limit of something.
  std::string word(const std::vector<std::string>& here, const std::vector<std::string>& there) {
    static const char* const kLimits[] = {"0",
                                          "-1",
                                          "1",
                                          "63",
                                          "64",
                                          "65",
                                          "255",
                                          "65536",
                                          "2147483647",
                                          "2147483648",
                                          "4294967295",
                                          "9223372036854775807",
                                          "-9223372036854775808",
                                          "18446744073709551615",
                                          "1e9",
                                          "",
                                          "null",
                                          "true",
                                          "all",
                                          "0x280001"};
    const auto& from = random_.uniform(0, 1) == 0 ? here : there;
    if (from.size() < 2 || random_.uniform(0, 2) == 0) return kLimits[below(std::size(kLimits))];
    return from[below(from.size() / 2) * 2 + 1];
  }
  std::string words(const std::string& text, const std::string& other) {
    std::vector<std::string> parts = parts_of(text);
    if (parts.size() < 2) return text;
    parts[below(parts.size() / 2) * 2 + 1] = word(parts, parts_of(other));
    std::string result;
    for (const std::string& part : parts) result += part;
    return result;
  }
  // One line goes, comes twice, or changes places with another.
  std::string lines(const std::string& text) {
    std::vector<std::string> all;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) all.push_back(line + "\n");
    if (all.empty()) return text;
    const auto at = static_cast<std::ptrdiff_t>(below(all.size()));
    switch (random_.uniform(0, 2)) {
      case 0:
        all.erase(all.begin() + at);
        break;
      case 1:
        all.insert(all.begin() + at, all[static_cast<std::size_t>(at)]);
        break;
      default:
        std::swap(all[static_cast<std::size_t>(at)], all[below(all.size())]);
    }
    std::string result;
    for (const std::string& line : all) result += line;
    return result;
  }

  sim::Stream random_;
};

// Long runs are no fault; here they would only take long.
bool is_short(const scenarios::Scenario& scenario) {
  constexpr std::size_t kMostSteps = 500;
  constexpr std::int64_t kLongest_ns = 20'000'000'000;
  const auto& steps = scenario.program.timeline;
  const bool guest = std::any_of(scenario.program.setup.begin(), scenario.program.setup.end(),
                                 [](const ops::Step& step) { return step.op.kind == ops::OpKind::boot_guest; });
  return steps.size() <= kMostSteps && (!guest || steps.empty() || steps.back().op.at_ns <= kLongest_ns);
}

std::size_t judge(const verdict::Course& course) {
  return verdict::verdict_text(course, {true}).size() + verdict::verdict_json(course).size() +
         verdict::lint_text(verdict::lint(course)).size();
}

// False when it was refused.
bool try_scenario(const std::string& text, const std::string& file) {
  try {
    const scenarios::Scenario scenario = scenarios::parse_scenario(text, file);
    if (!is_short(scenario)) return true;
    const verdict::Course course = verdict::follow(scenario.program);
    scenarios::evaluate(scenario, course.recording);
    judge(course);
    return true;
  } catch (const ops::InputError& error) {
    EXPECT_FALSE(error.diagnostics().empty());
    return false;
  }
}

bool try_recording(const std::string& text) {
  try {
    std::istringstream in(text);
    for (ops::Recording& recording : ops::read_all_json_lines(in, "changed.jsonl"))
      if (!ops::is_observed(recording)) judge(verdict::follow(std::move(recording)));
    return true;
  } catch (const ops::InputError& error) {
    EXPECT_FALSE(error.diagnostics().empty());
    return false;
  }
}

// `attempt` is given the changed text and the file's path; it says whether that was taken.
template <class Attempt>
void change_words(const std::vector<fs::path>& files, std::string_view name, std::uint64_t tries, Attempt attempt) {
  ASSERT_FALSE(files.empty());
  Changer changer(number_from("TSCSIM_WORDS_SEED", 1), name);
  std::uint64_t taken = 0;
  tries = number_from("TSCSIM_WORDS", tries);
  for (std::uint64_t i = 0; i < tries; ++i) {
    const fs::path& file = files[changer.below(files.size())];
    const std::string text = changer.changed(content_of(file), content_of(files[changer.below(files.size())]));
    std::ofstream("words-tried.txt") << text << std::flush;
    try {
      if (attempt(text, file.string())) ++taken;
    } catch (const std::exception& error) {
      ADD_FAILURE() << file << ", try " << i << ": " << error.what() << "\n" << text.substr(0, 4000);
    }
  }
  EXPECT_GT(taken, tries / 50) << "nearly all is refused: little is tried";
}

// The rules of recordings know every operation of the library, with its operands.
TEST(Words, TheRecordingOfEachShippedScenarioIsReadBackAsItWas) {
  int tried = 0;
  for (const fs::path& file : files_in(fs::path(TSCSIM_SOURCE_DIR) / "scenarios", ".yaml", 1 << 17)) {
    try {
      for (const scenarios::Scenario& scenario :
           scenarios::for_each_kernel(scenarios::load_scenario(file.string(), {}))) {
        if (!is_short(scenario) || ops::has_linux_guest(scenario.program)) continue;
        const ops::Recording recording = verdict::follow(scenario.program).recording;
        std::stringstream text;
        ops::write_json_lines(recording, text);
        EXPECT_EQ(ops::fingerprint(ops::read_json_lines(text, file.string())), ops::fingerprint(recording)) << file;
        ++tried;
      }
    } catch (const ops::InputError& error) {
      const std::string path = file.string();
      const bool is_meant = path.find("/refused/") != std::string::npos ||
                            path.find("/procedures/") != std::string::npos ||
                            path.find("/testdata/") != std::string::npos;
      EXPECT_TRUE(is_meant) << error.what();
    }
  }
  EXPECT_GT(tried, 300);
}

TEST(Words, ScenariosAreRefusedOrRun) {
  change_words(files_in(fs::path(TSCSIM_SOURCE_DIR) / "scenarios", ".yaml", 1 << 15), "scenarios", 1500, try_scenario);
}

TEST(Words, RecordingsAreRefusedOrJudged) {
  change_words(files_in(fs::path(TSCSIM_SOURCE_DIR) / "tests", ".jsonl", 1 << 17), "recordings", 300,
               [](const std::string& text, const std::string&) { return try_recording(text); });
}

}  // namespace
}  // namespace tscsim

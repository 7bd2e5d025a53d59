// What stock Linux kernels did in the lab while their TSC was moved (tests/recordings/linux), under the model's guest: it derives
// every reading of their clocks and every outcome, and notices when any one of them is changed.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "crosscheck/linux_check.h"
#include "storage/recordings.h"

namespace tscsim {
namespace {

using crosscheck::check_linux;
using crosscheck::LinuxResult;
using crosscheck::Verdict;

struct Stored {
  std::string name;
  ops::LinuxRecording recording;
};

const std::vector<Stored>& stored() {
  static const std::vector<Stored> all = [] {
    std::vector<Stored> found;
    for (const auto& entry : std::filesystem::directory_iterator(TSCSIM_RECORDINGS "/linux"))
      if (entry.path().extension() == ".xz")
        found.push_back({entry.path().stem().stem().string(), storage::read_linux_recording(entry.path().string())});
    std::sort(found.begin(), found.end(), [](const Stored& a, const Stored& b) { return a.name < b.name; });
    return found;
  }();
  return all;
}

std::string mismatches(const LinuxResult& result) {
  std::string text;
  for (const auto& observation : result.observations)
    if (observation.verdict == Verdict::mismatch)
      text += "  event " + std::to_string(observation.event) + ", " + observation.what + ": " + observation.text + "\n";
  return text;
}

TEST(LinuxRecordings, TheModelDerivesWhatLinuxDid) {
  std::map<std::string, std::set<std::string>> kernels;
  std::size_t readings = 0;
  for (const auto& [name, recording] : stored()) {
    const LinuxResult result = check_linux(recording);
    EXPECT_EQ(mismatches(result), "") << name;
    kernels[recording.header.experiment.name].insert(recording.header.package);
    readings += result.count(Verdict::bracketed);
  }
  EXPECT_GE(kernels.size(), 12u);
  for (const auto& [experiment, of] : kernels) EXPECT_GE(of.size(), 3u) << experiment;
  EXPECT_GE(readings, 8000u);
}

bool mismatch(const ops::LinuxRecording& recording) { return check_linux(recording).count(Verdict::mismatch) != 0; }

std::vector<ops::LinuxSample*> samples_of(ops::LinuxRecording& recording) {
  std::vector<ops::LinuxSample*> all;
  for (ops::LinuxEvent& event : recording.events)
    if (auto* sample = std::get_if<ops::LinuxSample>(&event)) all.push_back(sample);
  return all;
}

// Every clock of every sample, moved by a millisecond. Brackets are microseconds wide; a base that is read off by a millisecond
// is no whole tick away.
TEST(LinuxRecordings, AChangedReadingIsAMismatch) {
  constexpr std::uint64_t kMillisecond = 1'000'000;
  for (const auto& [name, recording] : stored()) {
    if (recording.header.experiment.name != "forward-above" && recording.header.experiment.name != "watched-backward")
      continue;
    ops::LinuxRecording changed = recording;
    for (ops::LinuxSample* sample : samples_of(changed)) {
      for (std::size_t clock = 0; clock < sample->clocks.size(); ++clock) {
        if (ops::kLinuxClocks[clock] == "monotonic_coarse" && sample->clocksource != "tsc")
          continue;  // not compared there
        const ops::Range& tsc = sample->clocks[clock].tsc;
        if (tsc.hi - tsc.lo >= changed.header.tsc_khz) continue;  // a tick came in between and took a millisecond
        sample->clocks[clock].ns += kMillisecond;
        EXPECT_TRUE(mismatch(changed)) << name << ": " << ops::kLinuxClocks[clock] << " at " << sample->pm_timer.lo;
        sample->clocks[clock].ns -= kMillisecond;
      }
    }
  }
}

// How fine that is: the smallest change of one reading in the middle of a quiet stretch that is noticed.
TEST(LinuxRecordings, AReadingThatIsOffByTenMicrosecondsIsAMismatch) {
  constexpr std::uint64_t kTenMicroseconds = 10'000;
  for (const auto& [name, recording] : stored()) {
    if (recording.header.experiment.name != "forward-below") continue;
    ops::LinuxRecording changed = recording;
    ops::LinuxSample* last = samples_of(changed).back();
    for (const std::size_t vdso : {0u, 1u, 2u, 3u}) {
      last->clocks[vdso].ns += kTenMicroseconds;
      EXPECT_TRUE(mismatch(changed)) << name << ": " << ops::kLinuxClocks[vdso];
      last->clocks[vdso].ns -= kTenMicroseconds;
    }
  }
}

ops::LinuxLook& last_look(ops::LinuxRecording& recording) {
  ops::LinuxLook* last = nullptr;
  for (ops::LinuxEvent& event : recording.events)
    if (auto* look = std::get_if<ops::LinuxLook>(&event)) last = look;
  return *last;
}

TEST(LinuxRecordings, AnotherOutcomeIsAMismatch) {
  for (const auto& [name, recording] : stored()) {
    ops::LinuxRecording changed = recording;
    std::string& clocksource = last_look(changed).clocksource;
    clocksource = clocksource == "tsc" ? "acpi_pm" : "tsc";
    EXPECT_TRUE(mismatch(changed)) << name << ": clocksource";
  }
}

// The lines of the log on which a verdict rests: one that is missing, one with another number in it.
TEST(LinuxRecordings, AnotherLogIsAMismatch) {
  const char* const words[] = {"tsc: Marking TSC unstable",
                               "skipping watchdog check",
                               "TSC ADJUST differs",
                               "TSC ADJUST compensate",
                               "Measured ",
                               "soft lockup",
                               "wd_nsec: ",
                               "cs_nsec: "};
  std::set<std::string> tried;
  for (const auto& [name, recording] : stored()) {
    for (const char* word : words) {
      ops::LinuxRecording changed = recording;
      bool there = false;
      for (ops::LinuxEvent& event : changed.events) {
        auto* look = std::get_if<ops::LinuxLook>(&event);
        if (look == nullptr) continue;
        for (ops::LinuxLogLine& line : look->log)
          if (const std::size_t at = line.text.find(word); at != std::string::npos) {
            if (std::string(word).find("nsec") == std::string::npos) line.text = "nothing";
            else line.text.insert(at + std::string(word).size(), "9");
            there = true;
          }
      }
      if (!there) continue;
      tried.insert(word);
      EXPECT_TRUE(mismatch(changed)) << name << ": " << word;
    }
  }
  EXPECT_EQ(tried.size(), std::size(words));
}

// The jump's time is not in the CPUs' time.
TEST(LinuxRecordings, OtherCpuTimesAreAMismatch) {
  for (const auto& [name, recording] : stored()) {
    ops::LinuxRecording changed = recording;
    constexpr std::uint64_t kMinute_hundredths = 6000;
    last_look(changed).stat.at("cpu0")[0] += kMinute_hundredths;
    EXPECT_TRUE(mismatch(changed)) << name;
  }
}

// A kernel of another era is not this one.
TEST(LinuxRecordings, TheWrongEraIsAMismatch) {
  const struct {
    const char *experiment, *kernel, *wrong;
  } cases[] = {
      {"forward-above", "5.10", "6.12"},   {"forward-above", "6.12", "6.1.176"}, {"set-time-first", "6.1", "6.12"},
      {"set-time-first", "7.2", "6.6.20"}, {"watched-5s", "6.1", "6.1.20"},      {"watched-5s", "7.2", "6.12"},
      {"watched-1ms", "5.10", "5.10.13"},
  };
  for (const auto& [experiment, kernel, wrong] : cases) {
    const std::string name = std::string(experiment) + "-" + kernel;
    const auto found =
        std::find_if(stored().begin(), stored().end(), [&name](const Stored& s) { return s.name == name; });
    ASSERT_NE(found, stored().end()) << experiment << " " << kernel;
    ops::LinuxRecording changed = found->recording;
    changed.header.kernel = wrong;
    EXPECT_TRUE(mismatch(changed)) << experiment << " of " << kernel << " as " << wrong;
  }
}

}  // namespace
}  // namespace tscsim

#include "ops/linux_recording.h"

#include <gtest/gtest.h>

#include <sstream>

#include "ops/error.h"
#include "ops/recording_rules.h"

namespace tscsim::ops {
namespace {

LinuxRecording small() {
  LinuxRecording recording;
  LinuxHeader& header = recording.header;
  header = {"lab:intel-6.12",
            "Bochs x86 Emulator 3.0",
            "linux-image",
            "6.12.117",
            "tsc=reliable",
            "tsc",
            "0",
            "soft_watchdog=1",
            4'000'000,
            50'000,
            {}};
  LinuxStep jump;
  jump.action = LinuxAction::jump_tsc;
  jump.cpu = 1;
  jump.ns = -1'000'000'000;
  jump.at_tick = true;
  header.experiment = {"backward", "-1 s", {2, true, true, false, "tsc=reliable"}, {jump}};
  LinuxSample sample;
  sample.cpu = 1;
  sample.pm_timer = {5, 9};
  sample.clocksource = "tsc";
  for (std::size_t i = 0; i < sample.clocks.size(); ++i) sample.clocks[i] = {{~std::uint64_t{0} - i, 3}, i};
  LinuxLook look;
  look.tsc = {7, 8};
  look.clocksource = "tsc";
  look.available = "tsc acpi_pm";
  look.stat["cpu0"] = {1, 2, 3, 4, 5, 6, 7, 8};
  look.log = {{12, 4, "a \"line\""}};
  recording.events = {LinuxDone{jump, 5, {10, 1}, {2, 3}, ~std::uint64_t{0}}, sample, look};
  return recording;
}

std::string text_of(const LinuxRecording& recording) {
  std::ostringstream text;
  write_json_lines(recording, text);
  return text.str();
}

LinuxRecording read(const std::string& text) {
  std::istringstream in(text);
  return read_linux_unchecked(in, "file");
}

std::string with(const std::string& found, const std::string& other) {
  std::string text = text_of(small());
  return text.replace(text.find(found), found.size(), other);
}

TEST(LinuxRecording, ReadsWhatItWrites) {
  EXPECT_EQ(read(text_of(small())), small());
  const LinuxExperiment& experiment = small().header.experiment;
  EXPECT_EQ(linux_experiment_from_json(to_json(experiment)), experiment);
}

TEST(LinuxRecording, RefusesWhatIsNotOne) {
  const std::string good = text_of(small());
  const struct {
    std::string text;
    const char* message;
  } cases[] = {
      {good.substr(0, good.rfind("{\"type\":\"linux-end\"}")),
       "file:4: error: the recording is cut: its last line is missing"},
      {good + good, "file:6: error: there is more after the end"},
      {good.substr(good.find('\n') + 1), "file:1: error: expected one header, in the first line"},
      {with("tscsim-linux-1", "tscsim-linux-9"), "file:1: error: the format is 'tscsim-linux-9'"},
      {with("\"pm\":[5,9]", "\"pm\":[5]"), "file:3: error: pm: expected a list of 2, found [5]"},
      {with("\"wrote\"", "\"wrought\""), "file:2: error: step: unknown member 'wrought'"},
      {with("\"do\":\"jump_tsc\"", "\"do\":\"leap\""), "file:1: error: unknown action 'leap'"},
      {with("[12,4,", "[-12,4,"), "file:4: error: log: expected a number from 0 on, found -12"},
  };
  for (const auto& c : cases) {
    try {
      read(c.text);
      ADD_FAILURE() << "accepted: " << c.message;
    } catch (const InputError& error) {
      EXPECT_EQ(std::string(error.what()).rfind(c.message, 0), 0u) << error.what();
    }
  }
}

}  // namespace
}  // namespace tscsim::ops

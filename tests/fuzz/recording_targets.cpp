// The project's own JSON Lines: recordings of KVM, of Linux, and programs.
#include <array>
#include <sstream>

#include "ops/linux_recording.h"
#include "ops/program_json.h"
#include "scenarios/scenario.h"
#include "seeds.h"
#include "target.h"

namespace tscsim::fuzz {
namespace {

void run_recording(std::string_view input) {
  refuses_or_runs([&] {
    std::istringstream in{std::string(input)};
    for (const ops::Recording& recording : ops::read_all_json_lines(in, "REC")) {
      std::istringstream again(text_of(recording));
      promise(ops::read_json_lines(again, "REC") == recording, "a recording is read as it was written");
    }
  });
}

void run_linux_recording(std::string_view input) {
  refuses_or_runs([&] {
    std::istringstream in{std::string(input)};
    const ops::LinuxRecording recording = ops::read_linux_recording(in, "REC");
    std::stringstream again;
    ops::write_json_lines(recording, again);
    promise(ops::read_linux_recording(again, "REC") == recording, "a recording of Linux is read as it was written");
  });
}

void run_program_json(std::string_view input) {
  refuses_or_runs([&] {
    const std::string text = ops::to_json(ops::program_from_json(std::string(input), "PROGRAM"));
    promise(ops::to_json(ops::program_from_json(text, "PROGRAM")) == text, "a program is read as it was written");
  });
}

std::vector<std::string> recording_seeds(const std::string& source) {
  std::vector<std::string> texts;
  for (ops::Recording& recording : short_recordings(source)) {
    recording.entries.resize(std::min<std::size_t>(recording.entries.size(), 12));
    texts.push_back(text_of(recording));
  }
  return texts;
}

std::vector<std::string> linux_seeds(const std::string& source) { return linux_texts(source, 6); }

std::vector<std::string> program_seeds(const std::string& source) {
  std::vector<std::string> texts;
  for (const std::string& text : scenario_texts(source)) {
    std::string program = ops::to_json(scenarios::parse_scenario(text, "-").program);
    if (program.size() <= 6000) texts.push_back(std::move(program));
  }
  return texts;
}

constexpr std::array kTargets = {
    Target{"recording", "a recording of KVM, read, written and read again", run_recording, recording_seeds,
           Form::recordings, 12000},
    Target{"linux-recording", "a recording of Linux, likewise", run_linux_recording, linux_seeds, Form::text, 12000},
    Target{"program", "a program as JSON, likewise", run_program_json, program_seeds, Form::text, 6000},
};

}  // namespace

std::span<const Target> recording_targets() { return kTargets; }

}  // namespace tscsim::fuzz

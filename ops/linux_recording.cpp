#include "ops/linux_recording.h"

#include <algorithm>
#include <istream>
#include <ostream>
#include <sstream>

#include "ops/error.h"
#include "ops/json_text.h"
#include "ops/recording_rules.h"

namespace tscsim::ops {
namespace {

using json_text::fail;
using json_text::in_quotes;
using json_text::Json;
using json_text::LineError;
using json_text::Members;

constexpr const char* kFormat = "tscsim-linux-1";
constexpr int kNesting = 6;

constexpr std::array<std::string_view, static_cast<std::size_t>(LinuxAction::kCount)> kActions = {
    "settle", "sample", "jump_tsc", "adjust_tsc", "offline", "online", "set_time", "look"};

LinuxAction action_named(const std::string& name) {
  const auto found = std::find(kActions.begin(), kActions.end(), name);
  if (found == kActions.end()) fail("unknown action " + in_quotes(name));
  return static_cast<LinuxAction>(found - kActions.begin());
}

// Counters are plain numbers here: lines are many, and every reader of this format has 64 bits.
std::uint64_t number(const Json& json, const char* what) {
  if (!json.is_number_unsigned())
    fail(std::string(what) + ": expected a number from 0 on, found " + json.dump().substr(0, 40));
  return json.get<std::uint64_t>();
}

const Json& list(const Json& json, std::size_t size, const char* what) {
  if (!json.is_array() || json.size() != size)
    fail(std::string(what) + ": expected a list of " + std::to_string(size) + ", found " + json.dump().substr(0, 40));
  return json;
}

Json range_json(const Range& range) { return Json::array({range.lo, range.hi}); }

Range read_range(const Json& json, const char* what) {
  list(json, 2, what);
  const Range range{number(json[0], what), number(json[1], what)};
  return range;
}

Json step_json(const LinuxStep& step) {
  Json json = {{"do", name_of(step.action)}};
  if (step.cpu != 0) json["cpu"] = step.cpu;
  if (step.ns != 0) json["ns"] = json_text::decimal(step.ns);
  if (step.count != 0) json["count"] = step.count;
  if (step.sleeps) json["sleeps"] = true;
  if (step.at_tick) json["at_tick"] = true;
  if (!step.clocksource.empty()) json["clocksource"] = step.clocksource;
  return json;
}

LinuxStep read_step(const Json& json) {
  const Members members(json, "step");
  members.only({"do", "cpu", "ns", "count", "sleeps", "at_tick", "clocksource"});
  LinuxStep step;
  std::string action;
  members.read("do", action);
  step.action = action_named(action);
  if (members.has("cpu")) members.read_small("cpu", step.cpu);
  if (members.has("ns")) members.read_decimal("ns", step.ns);
  if (members.has("count")) members.read_small("count", step.count);
  if (members.has("sleeps")) members.read("sleeps", step.sleeps);
  if (members.has("at_tick")) members.read("at_tick", step.at_tick);
  if (members.has("clocksource")) members.read("clocksource", step.clocksource);
  return step;
}

Json experiment_json(const LinuxExperiment& experiment) {
  const LinuxMachine& machine = experiment.machine;
  Json steps = Json::array();
  for (const LinuxStep& step : experiment.steps) steps.push_back(step_json(step));
  return {{"name", experiment.name},
          {"title", experiment.title},
          {"machine",
           {{"cpus", machine.cpus},
            {"packages", machine.packages},
            {"tsc_adjust", machine.tsc_adjust},
            {"hpet", machine.hpet},
            {"options", machine.options}}},
          {"steps", steps}};
}

LinuxMachine read_machine(const Json& json) {
  const Members members(json, "machine");
  members.only({"cpus", "packages", "tsc_adjust", "hpet", "options"});
  LinuxMachine machine;
  members.read_small("cpus", machine.cpus);
  members.read("packages", machine.packages);
  members.read("tsc_adjust", machine.tsc_adjust);
  members.read("hpet", machine.hpet);
  members.read("options", machine.options);
  return machine;
}

LinuxExperiment read_experiment(const Json& json) {
  const Members members(json, "experiment");
  members.only({"name", "title", "machine", "steps"});
  LinuxExperiment experiment;
  members.read("name", experiment.name);
  members.read("title", experiment.title);
  experiment.machine = read_machine(members.at("machine"));
  if (!members.at("steps").is_array()) fail("experiment: 'steps' is not a list");
  for (const Json& step : members.at("steps")) experiment.steps.push_back(read_step(step));
  return experiment;
}

LinuxHeader read_header(const Json& json) {
  const Members members(json, "header");
  members.only({"type", "format", "target", "emulator", "package", "kernel", "command_line", "cpu_flags", "siblings",
                "detectors", "tick_ns", "tsc_khz", "experiment"});
  std::string format;
  members.read("format", format);
  if (format != kFormat) fail("the format is " + in_quotes(format), std::string("this program reads ") + kFormat);
  LinuxHeader header;
  members.read("target", header.target);
  members.read("emulator", header.emulator);
  members.read("package", header.package);
  members.read("kernel", header.kernel);
  members.read("command_line", header.command_line);
  members.read("cpu_flags", header.cpu_flags);
  members.read("siblings", header.siblings);
  members.read("detectors", header.detectors);
  header.tick_ns = number(members.at("tick_ns"), "tick_ns");
  members.read_small("tsc_khz", header.tsc_khz);
  header.experiment = read_experiment(members.at("experiment"));
  return header;
}

Json event_json(const LinuxDone& done) {
  Json json = {{"type", "step"},
               {"step", step_json(done.step)},
               {"tsc", range_json(done.tsc)},
               {"pm", range_json(done.pm_timer)}};
  if (done.error != 0) json["error"] = done.error;
  if (done.wrote != 0) json["wrote"] = done.wrote;
  return json;
}

Json event_json(const LinuxSample& sample) {
  Json clocks = Json::array();
  for (const LinuxReading& reading : sample.clocks)
    clocks.push_back(Json::array({reading.tsc.lo, reading.ns, reading.tsc.hi}));
  return {{"type", "sample"},
          {"cpu", sample.cpu},
          {"pm", range_json(sample.pm_timer)},
          {"clocksource", sample.clocksource},
          {"clocks", clocks}};
}

Json event_json(const LinuxLook& look) {
  Json stat = Json::object(), log = Json::array();
  for (const auto& [cpu, time] : look.stat) stat[cpu] = time;
  for (const LinuxLogLine& line : look.log) log.push_back(Json::array({line.us, line.priority, line.text}));
  return {{"type", "look"},
          {"tsc", range_json(look.tsc)},
          {"clocksource", look.clocksource},
          {"available", look.available},
          {"stat", stat},
          {"log", log}};
}

LinuxDone read_done(const Json& json) {
  const Members members(json, "step");
  members.only({"type", "step", "tsc", "pm", "error", "wrote"});
  LinuxDone done;
  done.step = read_step(members.at("step"));
  done.tsc = read_range(members.at("tsc"), "tsc");
  done.pm_timer = read_range(members.at("pm"), "pm");
  if (members.has("error")) members.read_small("error", done.error);
  if (members.has("wrote")) done.wrote = number(members.at("wrote"), "wrote");
  return done;
}

LinuxSample read_sample(const Json& json) {
  const Members members(json, "sample");
  members.only({"type", "cpu", "pm", "clocksource", "clocks"});
  LinuxSample sample;
  members.read_small("cpu", sample.cpu);
  sample.pm_timer = read_range(members.at("pm"), "pm");
  members.read("clocksource", sample.clocksource);
  const Json& clocks = list(members.at("clocks"), kLinuxClocks.size(), "clocks");
  for (std::size_t i = 0; i < clocks.size(); ++i) {
    list(clocks[i], 3, "clocks");
    sample.clocks[i] = {{number(clocks[i][0], "clocks"), number(clocks[i][2], "clocks")},
                        number(clocks[i][1], "clocks")};
  }
  return sample;
}

LinuxLogLine read_log_line(const Json& json) {
  list(json, 3, "log");
  if (!json[2].is_string()) fail("log: the third of a line is not text");
  return {number(json[0], "log"), static_cast<int>(number(json[1], "log")), json[2].get<std::string>()};
}

LinuxLook read_look(const Json& json) {
  const Members members(json, "look");
  members.only({"type", "tsc", "clocksource", "available", "stat", "log"});
  LinuxLook look;
  look.tsc = read_range(members.at("tsc"), "tsc");
  members.read("clocksource", look.clocksource);
  members.read("available", look.available);
  if (!members.at("stat").is_object()) fail("look: 'stat' is not an object");
  if (!members.at("log").is_array()) fail("look: 'log' is not a list");
  for (const auto& [cpu, time] : members.at("stat").items()) {
    LinuxCpuTime& row = look.stat[cpu];
    list(time, row.size(), "stat");
    for (std::size_t i = 0; i < row.size(); ++i) row[i] = number(time[i], "stat");
  }
  for (const Json& line : members.at("log")) look.log.push_back(read_log_line(line));
  return look;
}

LinuxEvent read_event(const Json& json, const std::string& type) {
  if (type == "step") return read_done(json);
  if (type == "sample") return read_sample(json);
  if (type == "look") return read_look(json);
  fail("unknown type " + in_quotes(type));
}

[[noreturn]] void refuse(const std::string& name, int line, const std::string& message, const std::string& mend = "") {
  throw InputError(Diagnostic{{name, line, 0}, message, mend, "", 1});
}

std::string line_text(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace

std::string_view name_of(LinuxAction action) { return kActions.at(static_cast<std::size_t>(action)); }

std::string to_json(const LinuxExperiment& experiment) { return line_text(experiment_json(experiment)); }

LinuxExperiment linux_experiment_from_json(const std::string& text) {
  try {
    return read_experiment(json_text::parse_strictly(text, kNesting));
  } catch (const LineError& error) {
    refuse("experiment", 1, error.message, error.mend);
  }
}

std::string to_json(const LinuxHeader& header) {
  return line_text({{"type", "linux"},
                    {"format", kFormat},
                    {"target", header.target},
                    {"emulator", header.emulator},
                    {"package", header.package},
                    {"kernel", header.kernel},
                    {"command_line", header.command_line},
                    {"cpu_flags", header.cpu_flags},
                    {"siblings", header.siblings},
                    {"detectors", header.detectors},
                    {"tick_ns", header.tick_ns},
                    {"tsc_khz", header.tsc_khz},
                    {"experiment", experiment_json(header.experiment)}});
}

std::string to_json(const LinuxEvent& event) {
  return line_text(std::visit([](const auto& what) { return event_json(what); }, event));
}

void write_json_lines(const LinuxRecording& recording, std::ostream& out) {
  out << to_json(recording.header) << "\n";
  for (const LinuxEvent& event : recording.events) out << to_json(event) << "\n";
  out << kLinuxEnd << "\n";
}

namespace {

LinuxRecording read_lines(std::istream& in, const std::string& name, RecordingLines& lines) {
  LinuxRecording recording;
  int number = 0;
  bool ended = false;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (ended) refuse(name, number, "there is more after the end");
    try {
      const Json json = json_text::parse_strictly(line, kNesting);
      std::string type;
      Members(json, "line").read("type", type);
      if ((type == "linux") != (number == 1)) refuse(name, number, "expected one header, in the first line");
      if (type == "linux") {
        recording.header = read_header(json);
        lines.header = number;
      } else if (line == kLinuxEnd) {
        ended = true;
      } else {
        recording.events.push_back(read_event(json, type));
        lines.entries.push_back(number);
      }
    } catch (const LineError& error) {
      refuse(name, number, error.message, error.mend);
    }
  }
  if (!ended) refuse(name, number, "the recording is cut: its last line is missing", "take the whole file again");
  return recording;
}

}  // namespace

LinuxRecording read_linux_unchecked(std::istream& in, const std::string& name) {
  RecordingLines lines;
  return read_lines(in, name, lines);
}

LinuxRecording read_linux_recording(std::istream& in, const std::string& name) {
  RecordingLines lines;
  LinuxRecording recording = read_lines(in, name, lines);
  if (auto faults = faults_of(recording, name, lines); !faults.empty()) throw InputError(std::move(faults));
  return recording;
}

}  // namespace tscsim::ops

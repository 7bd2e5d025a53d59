#include "kvm_backend/lab/heard.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "kvm_backend/lab/protocol.h"

namespace tscsim::kvm_backend::lab {
namespace {

using Json = nlohmann::ordered_json;

ops::Diagnostic diagnostic_from(const Json& line) {
  ops::Diagnostic diagnostic;
  diagnostic.message = line.at("message").get<std::string>();
  diagnostic.mend = line.at("mend").get<std::string>();
  diagnostic.place = {line.at("file").get<std::string>(), line.at("line").get<int>(), line.at("column").get<int>()};
  return diagnostic;
}

class Listener {
 public:
  Heard hear(const std::string& results) {
    std::istringstream lines(results);
    for (std::string line; std::getline(lines, line);)
      if (line.rfind("{\"type\":", 0) == 0) take_if_whole(line);
      else hear_emulator(line);
    return std::move(heard_);
  }

 private:
  // Bochs says more than the results on its standard output: first of all a banner.
  void hear_emulator(const std::string& line) {
    const std::size_t at = line.find("Bochs x86 Emulator");
    if (at != std::string::npos && heard_.emulator.empty()) heard_.emulator = line.substr(at);
  }

  // A line that is not what it should be is the machine's failure, never the user's input.
  void take_if_whole(const std::string& line) {
    const Json json = Json::parse(line, nullptr, false);
    if (json.is_discarded()) return;  // cut by the machine's death
    try {
      take(line, json);
    } catch (const std::exception& error) {
      fail(fmt::format("the machine wrote a line that cannot be read: {}: {}", line.substr(0, 80), error.what()));
    }
  }

  void fail(const std::string& what) {
    heard_.log += "  " + what + "\n";
    if (!heard_.results.empty()) heard_.results.back().failure = what;
  }

  void take(const std::string& line, const Json& json) {
    const std::string type = json.at("type").get<std::string>();
    if (type == "job") heard_.results.emplace_back(), recording_.clear();
    if (type == "header" || type == "entry" || type == "end") recording_ += line + "\n";
    if (type == "end" && !heard_.results.empty()) take_recording();
    if (type == "memory" && !heard_.results.empty())
      heard_.results.back().saved[json.at("host").get<int>()] = read_memory(json.at("lines"));
    if (type == "failed" && !heard_.results.empty()) take_failure(json);
    if (type == "linux" || type == "step" || type == "sample" || type == "look" || type == "linux-end")
      heard_.observed += line + "\n";
    if (type == "doctor")
      for (const Json& f : json.at("findings")) heard_.findings.push_back({f.at("name"), f.at("value"), f.at("note")});
    if (type == "command") heard_.command = {json.at("output").get<std::string>(), json.at("status").get<int>()};
    if (type == "log") heard_.log += "  " + json.at("text").get<std::string>() + "\n";
    if (type == "done") heard_.done = true;
  }

  void take_recording() {
    std::istringstream in(recording_);
    heard_.results.back().recording = ops::read_json_lines(in, "lab");
  }

  void take_failure(const Json& json) {
    if (json.at("kind") == "input") heard_.results.back().wrong_input = diagnostic_from(json);
    else heard_.results.back().failure = json.at("message").get<std::string>();
  }

  Heard heard_;
  std::string recording_;
};

}  // namespace

Heard hear(const std::string& results) { return Listener().hear(results); }

}  // namespace tscsim::kvm_backend::lab

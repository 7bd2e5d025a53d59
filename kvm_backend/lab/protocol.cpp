#include "kvm_backend/lab/protocol.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <sstream>
#include <stdexcept>

#include "ops/error.h"
#include "ops/program_json.h"

namespace tscsim::kvm_backend::lab {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kFormat = "tscsim-jobs-3";

[[noreturn]] void refuse(const std::string& message) {
  throw ops::InputError(ops::Diagnostic{{"jobs", 1, 0}, message, "", "", 1});
}

// The whole text is the number: std::stoull takes the first digit of "elsewhere".
template <class Number>
Number number_in(std::string_view text, int base) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (error != std::errc{} || end != text.data() + text.size())
    throw std::invalid_argument(fmt::format("expected a number, found '{}'", text.substr(0, 40)));
  return number;
}

std::uint64_t address_in(std::string_view text) {
  if (text.starts_with("0x")) text.remove_prefix(2);
  return number_in<std::uint64_t>(text, 16);
}

std::string bytes_in(std::string_view hex) {
  if (hex.size() % 2 != 0) throw std::invalid_argument("expected two digits for each byte of memory");
  std::string bytes;
  for (std::size_t i = 0; i < hex.size(); i += 2)
    bytes += static_cast<char>(number_in<std::uint8_t>(hex.substr(i, 2), 16));
  return bytes;
}

std::string recording_text(const ops::Recording& recording) {
  std::ostringstream text;
  ops::write_json_lines(recording, text);
  return text.str();
}

std::string job_text(const Job& job) {
  const std::string earlier = job.earlier ? recording_text(*job.earlier) : "";
  Json saved = Json::object();
  for (const auto& [host, image] : job.saved) saved[std::to_string(host)] = memory_json(image);
  const Json line = {
      {"host", job.host}, {"earlier_lines", std::count(earlier.begin(), earlier.end(), '\n')}, {"saved", saved}};
  return line.dump() + "\n" + ops::to_json(job.program) + "\n" + earlier;
}

std::string next_lines(std::istringstream& lines, int count) {
  std::string text, line;
  for (int i = 0; i < count && std::getline(lines, line); ++i) text += line + "\n";
  return text;
}

Job read_job(const std::string& line, std::istringstream& lines) {
  const Json json = Json::parse(line);
  Job job;
  job.host = json.at("host").get<int>();
  for (const auto& [host, image] : json.at("saved").items()) job.saved[number_in<int>(host, 10)] = read_memory(image);
  std::string program;
  std::getline(lines, program);
  job.program = ops::program_from_json(program, "jobs");
  if (job.host < 0 || static_cast<std::size_t>(job.host) >= job.program.hosts.size())
    refuse(fmt::format("a job is for host {} of a program of {}", job.host, job.program.hosts.size()));
  const int count = json.at("earlier_lines").get<int>();
  if (count > 0) {
    std::istringstream earlier(next_lines(lines, count));
    job.earlier = ops::read_json_lines(earlier, "jobs");
  }
  const int before = job.earlier ? job.earlier->header.hosts() : 1;
  if (before < job.host)
    refuse(fmt::format("a job is for host {}, and of those before it {} are told of", job.host, before));
  return job;
}

}  // namespace

std::string to_text(const Jobs& jobs) {
  const Json header = {{"format", kFormat},
                       {"target", jobs.target},
                       {"seed", std::to_string(jobs.seed)},
                       {"trace", jobs.trace},
                       {"command", jobs.command},
                       {"doctor", jobs.doctor},
                       {"experiment", jobs.experiment ? ops::to_json(*jobs.experiment) : ""}};
  std::string text = header.dump() + "\n";
  for (const Job& job : jobs.jobs) text += job_text(job);
  return text;
}

Jobs jobs_from_text(const std::string& text) {
  std::istringstream lines(text);
  std::string line;
  std::getline(lines, line);
  Jobs jobs;
  try {
    const auto header = nlohmann::json::parse(line);
    if (header.at("format") != kFormat) refuse("the jobs were written by another version of tscsim");
    jobs.target = header.at("target").get<std::string>();
    jobs.seed = number_in<std::uint64_t>(header.at("seed").get<std::string>(), 10);
    jobs.trace = header.at("trace").get<bool>();
    jobs.command = header.at("command").get<std::string>();
    jobs.doctor = header.at("doctor").get<bool>();
    if (const std::string experiment = header.at("experiment"); !experiment.empty())
      jobs.experiment = ops::linux_experiment_from_json(experiment);
    while (std::getline(lines, line)) jobs.jobs.push_back(read_job(line, lines));
  } catch (const ops::InputError&) {
    throw;
  } catch (const std::exception& error) {
    refuse(std::string("not a list of jobs: ") + error.what());
  }
  return jobs;
}

nlohmann::ordered_json memory_json(const MemoryImage& image) {
  Json lines = Json::array();
  for (const auto& [address, bytes] : image) {
    std::string hex;
    for (const char byte : bytes) hex += fmt::format("{:02x}", static_cast<unsigned char>(byte));
    lines.push_back(Json::array({fmt::format("{:#x}", address), hex}));
  }
  return lines;
}

MemoryImage read_memory(const nlohmann::ordered_json& json) {
  MemoryImage image;
  for (const Json& line : json)
    image.emplace_back(address_in(line.at(0).get<std::string>()), bytes_in(line.at(1).get<std::string>()));
  return image;
}

}  // namespace tscsim::kvm_backend::lab

#include "kvm_backend/lab/protocol.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <sstream>

#include "ops/error.h"
#include "ops/program_json.h"

namespace tscsim::kvm_backend::lab {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kFormat = "tscsim-jobs-3";

[[noreturn]] void refuse(const std::string& message) {
  throw ops::InputError(ops::Diagnostic{{"jobs", 1, 0}, message, "", "", 1});
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
  for (const auto& [host, image] : json.at("saved").items()) job.saved[std::stoi(host)] = read_memory(image);
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
    jobs.seed = std::stoull(header.at("seed").get<std::string>());
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
  for (const Json& line : json) {
    const std::string hex = line.at(1).get<std::string>();
    std::string bytes;
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
      bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
    image.emplace_back(std::stoull(line.at(0).get<std::string>(), nullptr, 16), std::move(bytes));
  }
  return image;
}

}  // namespace tscsim::kvm_backend::lab

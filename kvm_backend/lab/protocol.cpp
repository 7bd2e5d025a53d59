#include "kvm_backend/lab/protocol.h"

#include <nlohmann/json.hpp>
#include <sstream>

#include "ops/error.h"
#include "ops/program_json.h"

namespace tscsim::kvm_backend::lab {
namespace {

constexpr const char* kFormat = "tscsim-jobs-1";

[[noreturn]] void refuse(const std::string& message) {
  throw ops::InputError(ops::Diagnostic{{"jobs", 1, 0}, message, "", "", 1});
}

}  // namespace

std::string to_text(const Jobs& jobs) {
  const nlohmann::ordered_json header = {{"format", kFormat},
                                         {"target", jobs.target},
                                         {"seed", std::to_string(jobs.seed)},
                                         {"trace", jobs.trace},
                                         {"doctor", jobs.doctor}};
  std::string text = header.dump() + "\n";
  for (const ops::Program& program : jobs.programs) text += ops::to_json(program) + "\n";
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
    jobs.doctor = header.at("doctor").get<bool>();
  } catch (const std::exception& error) {
    refuse(std::string("not a list of jobs: ") + error.what());
  }
  while (std::getline(lines, line)) jobs.programs.push_back(ops::program_from_json(line, "jobs"));
  return jobs;
}

}  // namespace tscsim::kvm_backend::lab

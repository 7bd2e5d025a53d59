// What goes into a lab machine, and what comes out.
#include <array>

#include "kvm_backend/lab/heard.h"
#include "kvm_backend/lab/protocol.h"
#include "scenarios/scenario.h"
#include "seeds.h"
#include "target.h"

namespace tscsim::fuzz {
namespace {

namespace lab = kvm_backend::lab;

void run_jobs(std::string_view input) {
  refuses_or_runs([&] {
    const std::string text = lab::to_text(lab::jobs_from_text(std::string(input)));
    promise(lab::to_text(lab::jobs_from_text(text)) == text, "jobs are read as they were written");
  });
}

void run_results(std::string_view input) {
  refuses_or_runs([&] { lab::hear(std::string(input)); });
}

std::vector<std::string> job_seeds(const std::string& source) {
  std::vector<std::string> texts;
  const std::vector<ops::Recording> recordings = short_recordings(source);
  for (const std::string& text : scenario_texts(source)) {
    lab::Jobs jobs;
    jobs.target = "lab:amd-6.12";
    jobs.seed = texts.size();
    jobs.trace = texts.size() % 2 == 0;
    jobs.jobs.resize(1);
    jobs.jobs[0].program = scenarios::parse_scenario(text, "-").program;
    if (texts.size() % 3 == 0) {
      jobs.jobs[0].host = 1;
      jobs.jobs[0].earlier = recordings[texts.size() % recordings.size()];
      jobs.jobs[0].earlier->entries.resize(2);
      jobs.jobs[0].saved[0] = {{0x200000, std::string("\0\xff\x10", 3)}};
    }
    std::string made = lab::to_text(jobs);
    if (made.size() <= 8000) texts.push_back(std::move(made));
  }
  lab::Jobs others;
  others.doctor = true;
  others.command = "uname -a";
  texts.push_back(lab::to_text(others));
  return texts;
}

std::vector<std::string> result_seeds(const std::string& source) {
  std::vector<std::string> texts;
  for (ops::Recording& recording : short_recordings(source)) {
    recording.entries.resize(3);
    texts.push_back(
        "Bochs x86 Emulator 3.0\n{\"type\":\"log\",\"text\":\"booted\"}\n{\"type\":\"job\",\"index\":0}\n" +
        text_of(recording) +
        "{\"type\":\"memory\",\"host\":0,\"lines\":[[\"0x200000\",\"00ff10\"]]}\n"
        "{\"type\":\"job\",\"index\":1}\n{\"type\":\"failed\",\"kind\":\"input\",\"message\":\"m\",\"mend\":\"\","
        "\"file\":\"f\",\"line\":1,\"column\":2}\n{\"type\":\"done\"}\n");
  }
  texts.push_back(
      "{\"type\":\"doctor\",\"findings\":[{\"name\":\"a\",\"value\":\"b\",\"note\":\"c\"}]}\n"
      "{\"type\":\"command\",\"output\":\"x\",\"status\":1}\n{\"type\":\"failed\",\"kind\":\"target\",\"message\":\"m\"}\n");
  return texts;
}

constexpr std::array kTargets = {
    Target{"jobs", "jobs for a lab machine, read, written and read again", run_jobs, job_seeds, Form::text, 8000},
    Target{"results", "what a lab machine says", run_results, result_seeds, Form::text, 6000},
};

}  // namespace

std::span<const Target> lab_targets() { return kTargets; }

}  // namespace tscsim::fuzz

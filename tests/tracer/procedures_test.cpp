// The shipped QEMU procedures against real QEMU 7.2: the same calls in the same order, for every case that was recorded.
// What is not the same is written down in CASE.differences (CASE-lab-6.12.differences) beside the scenario that uses the
// procedure, line for line, so that a difference that comes, or goes, is noticed. With TSCSIM_ACCEPT=1 in the environment these files are written anew.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "model/world/simulation.h"
#include "ops/program.h"
#include "scenarios/scenario.h"
#include "storage/recordings.h"
#include "tracer/sequence.h"

namespace tscsim::tracer {
namespace {

namespace fs = std::filesystem;
using ops::OpKind;

// What moves a guest's clocks, and the reads that a VMM bases its writes on. Not compared: IA32_TSC_ADJUST, whose write by
// the host moves nothing; MSRs that only carry addresses to and fro; the deadline timer and the local APIC; reads of rates.
bool moves_clocks(const ops::Operation& op) {
  switch (op.kind) {
    case OpKind::create_vm:
    case OpKind::create_vcpu:
    case OpKind::set_tsc_khz:
    case OpKind::get_clock:
    case OpKind::set_clock:
    case OpKind::kvmclock_ctrl:
    case OpKind::run:
      return true;
    case OpKind::set_msr:
    case OpKind::get_msr:
      return op.msr == ops::msr::kIa32Tsc;
    default:
      return false;
  }
}

std::vector<fs::path> files(const fs::path& folder, const std::string& extension, const std::string& beginning = "") {
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().extension() == extension && entry.path().filename().string().rfind(beginning, 0) == 0) found.push_back(entry.path());
  std::sort(found.begin(), found.end());
  return found;
}

ops::Recording replayed(const fs::path& scenario) {
  const ops::Program program = scenarios::load_scenario(scenario.string()).program;
  const auto executor = model::simulate(program.hosts, program.heuristic);
  return ops::run_program(program, *executor, 1);
}

// Each VM that was recorded is one host of the scenario.
std::vector<std::string> compared(const ops::Recording& procedure, const fs::path& recording) {
  std::vector<std::string> lines;
  int host = 0;
  for (const ops::Recording& seen : storage::read_recordings(recording.string())) {
    ops::Recording expected = procedure;
    std::erase_if(expected.entries, [&](const ops::Entry& entry) { return entry.op.host != host; });
    for (const std::string& line : differences(expected, seen, moves_clocks))
      lines.push_back(procedure.header.hosts() == 1 ? line : procedure.header.host(host).name + ": " + line);
    ++host;
  }
  return lines;
}

std::string text_of(const fs::path& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST(Procedures, MakeTheCallsThatQemuMakes) {
  const auto scenarios = files(TSCSIM_PROCEDURE_CASES, ".yaml");
  ASSERT_GE(scenarios.size(), 11u);
  for (const fs::path& scenario : scenarios) {
    const std::string name = scenario.stem().string();
    const ops::Recording procedure = replayed(scenario);
    std::size_t recordings = 0;
    for (const std::string place : {"", "-lab-6.12"}) {
      const fs::path recording = fs::path(TSCSIM_RECORDINGS) / ("qemu-" + name + place + ".jsonl");
      const fs::path accepted = scenario.parent_path() / (name + place + ".differences");
      if (!fs::exists(recording)) continue;
      ++recordings;
      std::string text;
      for (const std::string& line : compared(procedure, recording)) text += line + "\n";
      if (std::getenv("TSCSIM_ACCEPT") != nullptr) std::ofstream(accepted) << text;
      EXPECT_EQ(text, text_of(accepted)) << recording;
    }
    EXPECT_GE(recordings, 1u) << "no recording of " << name;
  }
}

// The comparison has teeth: the procedure of another case is not what QEMU did.
TEST(Procedures, AnotherProcedureIsNotTheSame) {
  const fs::path cases = TSCSIM_PROCEDURE_CASES, recordings = TSCSIM_RECORDINGS;
  EXPECT_GT(compared(replayed(cases / "start-2.yaml"), recordings / "qemu-stop-cont.jsonl").size(), 5u);
  EXPECT_GT(compared(replayed(cases / "reset.yaml"), recordings / "qemu-stop-cont.jsonl").size(), 5u);
}

}  // namespace
}  // namespace tscsim::tracer

// The shipped QEMU procedures against real QEMU 7.2: the same calls in the same order, for every case that was recorded.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
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
    if (entry.path().extension() == extension && entry.path().filename().string().rfind(beginning, 0) == 0)
      found.push_back(entry.path());
  std::sort(found.begin(), found.end());
  return found;
}

ops::Recording replayed(const fs::path& scenario) {
  const ops::Program program = scenarios::load_scenario(scenario.string()).program;
  const auto executor = model::simulate(program.hosts, program.heuristic);
  return ops::run_program(program, *executor, 1);
}

ops::Recording of_host(ops::Recording recording, int host) {
  std::erase_if(recording.entries, [&](const ops::Entry& entry) { return entry.op.host != host; });
  recording.header.profile = recording.header.host(host).profile;
  return recording;
}

// Each VM that was recorded is one host of the scenario.
std::vector<std::string> compared(const ops::Recording& procedure, const fs::path& file) {
  const std::vector<ops::Recording> seen = storage::read_recordings(file.string());
  std::vector<ops::Recording> expected;
  for (std::size_t host = 0; host < seen.size(); ++host) expected.push_back(of_host(procedure, static_cast<int>(host)));
  std::vector<std::string> lines;
  std::vector<Pair> before;
  for (std::size_t host = 0; host < seen.size(); ++host) {
    const Pair here{expected[host], seen[host]};
    for (const std::string& line : differences(here, moves_clocks, before))
      lines.push_back(seen.size() == 1 ? line : procedure.header.host(static_cast<int>(host)).name + ": " + line);
    before.push_back(here);
  }
  return lines;
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
      if (!fs::exists(recording)) continue;
      ++recordings;
      EXPECT_THAT(compared(procedure, recording), testing::IsEmpty()) << recording;
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

// Judgements that are known beforehand: of two runs the written value lies within the window of a second in one.
#include "sweep/evaluation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "model/kvm/era.h"
#include "ops/error.h"

namespace tscsim::sweep {
namespace {

// The TSC that was read 1.5 s before, or 0.3 s before, is written.
constexpr const char* kFirstWrite = R"(
name: evaluation-first-write
title: The first TSC that a VMM writes
source: a test
host: {tsc: 1 GHz}
vm: {vcpus: 1, kvmclock: on}
timeline:
  - {at: 0 s, vcpu: 0, run: }
  - {at: 8 s, vcpu: 0, get_msr: IA32_TSC, as: saved}
  - {at: 10 s, vcpu: 0, set_msr: {IA32_TSC: saved}}
  - {at: 10 s, vcpu: 0, get_msr: IA32_TSC, as: got}
  - {at: 10 s, vcpu: 0, run: }
  - {at: 11 s, get_clock: clock}
expect:
  - {clock.clock: {at_least: 0}}
)";
constexpr const char* kMeantApart =
    "sweep: {meant: apart, error: got - saved, vary: {timeline.2.at: 'grid(8500 ms, 9700 ms, 1200 ms)'}}\n";

Situation situation(const std::string& sweep) {
  const std::string path = testing::TempDir() + "evaluation-first-write.yaml";
  std::ofstream(path) << kFirstWrite << sweep;
  return load_situation(path, {});
}

Cell cell_of(const std::string& kernel, const std::string& heuristic = "") {
  const auto cell = judge(situation(kMeantApart), {"", kernel, heuristic}, {.runs = 100});
  if (!cell) throw std::runtime_error("interrupted");
  return *cell;
}

TEST(Evaluation, CountsTheRunsThatAPolicyGetsWrong) {
  const std::string newest(model::kNewestKernel);
  const struct {
    std::string kernel, heuristic;
    std::uint64_t wrong;
  } rows[] = {{"6.7", "", 50},
              {"6.8", "", 0},
              {newest, "never", 0},
              {newest, "always", 100},
              {"6.7", "window=100ms", 0},
              {"6.7", "window=2s", 100}};
  for (const auto& row : rows) {
    const Cell cell = cell_of(row.kernel, row.heuristic);
    EXPECT_EQ(cell.of(Told::error).runs, 100u) << row.kernel << " " << row.heuristic;
    EXPECT_EQ(cell.wrong(), row.wrong) << row.kernel << " " << row.heuristic;
  }
}

// What was absorbed leaves the TSC where it went on to: 300 ms further, at 1 GHz.
TEST(Evaluation, TheErrorIsTheScenariosOwn) {
  const Cell cell = cell_of("6.7");
  EXPECT_EQ(cell.of(Told::error).least, 0);
  EXPECT_EQ(cell.of(Told::error).greatest, 300'000'000);
  EXPECT_EQ(cell.of(Told::master_clock).sum, 100) << "one vCPU always matches";
}

TEST(Evaluation, SumsLeaveOutWhatCouldNotRun) {
  const Cell half = cell_of("6.7"), none = cell_of("6.8");
  Cell impossible = half;
  impossible.impossible = "no such kernel";
  const Cell sum = sum_of({&half, &none, &impossible});
  EXPECT_EQ(sum.of(Told::error).runs, 200u);
  EXPECT_EQ(sum.wrong(), 50u);
}

TEST(Evaluation, ASituationSaysWhatIsMeant) {
  EXPECT_THROW(situation(""), ops::InputError);
  const Situation other = situation("sweep: {meant: apart, error: got - saved, vary: {timeline.2.at: 'sometimes'}}\n");
  EXPECT_THROW(judge(other, {"", "6.8", ""}, {.runs = 1}), ops::InputError);
}

}  // namespace
}  // namespace tscsim::sweep

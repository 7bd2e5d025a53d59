// Who runs with whom, and what a machine's death takes along. The machines are not real: each says what it was given.
#include "kvm_backend/lab/shared_machines.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mutex>

#include "ops/testing.h"

namespace tscsim::kvm_backend::lab {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

constexpr std::uint32_t kFast_khz = 3'000'000, kSlow_khz = 1'000'000;

ops::Program program(const std::string& name, std::uint32_t tsc_khz, int hosts = 1) {
  ops::Program program;
  program.name = name;
  program.hosts.assign(static_cast<std::size_t>(hosts), ops::HostSpec{});
  for (ops::HostSpec& host : program.hosts) {
    host.tsc_khz = tsc_khz;
    host.tsc_khz_written = true;
  }
  return program;
}

// Gives each job a recording under its program's name, dies in those called "deadly", is interrupted in those called
// "last", and does not come up at all where the TSC is the slow one.
class Emulators {
 public:
  Boot boot() {
    return [this](const Jobs& jobs, const MachineSpec& spec) {
      std::vector<std::string> names;
      for (const Job& job : jobs.jobs) names.push_back(job.program.name);
      const std::lock_guard lock(mutex_);
      boots.push_back(names);
      if (spec.tsc_khz == slow_khz) return Booted{{}, "it did not come up"};
      return run(jobs);
    };
  }

  std::vector<std::vector<std::string>> boots;
  std::uint32_t slow_khz = kSlow_khz;

 private:
  static Booted run(const Jobs& jobs) {
    Booted booted;
    for (const Job& job : jobs.jobs) {
      LabResult& result = booted.heard.results.emplace_back();
      if (job.program.name == "deadly") return {std::move(booted.heard), "its kernel died"};
      if (job.program.name == "last") return {std::move(booted.heard), "", true};
      result.recording.emplace();
      result.recording->header.scenario = job.program.name;
    }
    return booted;
  }

  std::mutex mutex_;
};

std::vector<LabResult> run(Emulators& emulators, const std::vector<ops::Program>& programs) {
  const LabTarget target = *find_lab_target("intel-6.12");
  return run_on_shared_machines({{target, default_lab_options(target)}}, programs,
                                [&](const LabPlace&) { return emulators.boot(); });
}

std::vector<std::string> outcomes(const std::vector<LabResult>& results) {
  std::vector<std::string> texts;
  for (const LabResult& result : results)
    if (result.interrupted) texts.push_back(result.recording ? "a recording that is none" : "interrupted");
    else
      texts.push_back(result.recording ? result.recording->header.scenario
                                       : (result.begun ? "begun: " : "not begun: ") + result.failure);
  return texts;
}

TEST(SharedMachines, AnInterruptLeavesWhatWasFinished) {
  Emulators emulators;
  const auto results =
      run(emulators, {program("one", kFast_khz), program("deadly", kFast_khz), program("two", kFast_khz),
                      program("last", kFast_khz), program("never", kFast_khz)});
  EXPECT_THAT(outcomes(results), ElementsAre("one", "begun: its kernel died", "two", "interrupted", "interrupted"));
}

// The second host of "long" never came: half a recording is none, and that of a program of one host is whole.
TEST(SharedMachines, AnInterruptLeavesNoHalfRecording) {
  Emulators emulators;
  const auto results =
      run(emulators, {program("one", kFast_khz), program("long", kFast_khz, 2), program("last", kFast_khz)});
  EXPECT_THAT(outcomes(results), ElementsAre("one", "interrupted", "interrupted"));
  EXPECT_THAT(emulators.boots, SizeIs(1)) << "nothing is booted after an interrupt";
}

TEST(SharedMachines, ProgramsThatAskForTheSameMachineShareIt) {
  Emulators emulators;
  const auto results = run(emulators, {program("a", kFast_khz), program("b", 2'000'000), program("c", kFast_khz)});
  EXPECT_THAT(outcomes(results), ElementsAre("a", "b", "c"));
  EXPECT_THAT(emulators.boots, UnorderedElementsAre(ElementsAre("a", "c"), ElementsAre("b")));
}

TEST(SharedMachines, AProgramThatLeavesTscsApartIsAlone) {
  ops::Program jump = program("jump", kFast_khz);
  jump.timeline = {ops::step(ops::OpKind::jump_host_tsc, 0)};
  jump.timeline.front().op.pcpu = 1;
  Emulators emulators;
  EXPECT_THAT(outcomes(run(emulators, {program("a", kFast_khz), jump, program("c", kFast_khz)})),
              ElementsAre("a", "jump", "c"));
  EXPECT_THAT(emulators.boots, UnorderedElementsAre(ElementsAre("a", "c"), ElementsAre("jump")));
}

TEST(SharedMachines, ABootHasFiftyProgramsAtMost) {
  Emulators emulators;
  run(emulators, std::vector<ops::Program>(120, program("a", kFast_khz)));
  EXPECT_THAT(emulators.boots, UnorderedElementsAre(SizeIs(50), SizeIs(50), SizeIs(20)));
}

TEST(SharedMachines, ADeathTakesOneProgramAndTheRestRunInANewMachine) {
  Emulators emulators;
  const auto results = run(emulators, {program("a", kFast_khz), program("deadly", kFast_khz), program("c", kFast_khz)});
  EXPECT_THAT(outcomes(results), ElementsAre("a", "begun: its kernel died", "c"));
  EXPECT_THAT(emulators.boots, ElementsAre(ElementsAre("a", "deadly", "c"), ElementsAre("c")));
}

TEST(SharedMachines, OneThatDoesNotComeUpTakesItsOwnProgramsOnly) {
  Emulators emulators;
  const auto results = run(emulators, {program("a", kSlow_khz), program("b", kFast_khz), program("c", kSlow_khz)});
  EXPECT_THAT(outcomes(results), ElementsAre("not begun: it did not come up", "b", "not begun: it did not come up"));
}

TEST(SharedMachines, WhoseHostDidNotComeUpIsNotRunOnTheNextOne) {
  Emulators emulators;
  run(emulators, {program("a", kSlow_khz, 2), program("b", kFast_khz, 2)});
  EXPECT_THAT(emulators.boots, UnorderedElementsAre(ElementsAre("a"), ElementsAre("b"), ElementsAre("b")));
}

TEST(SharedMachines, ATargetOfWhichNoMachineComesUpCannotBeHad) {
  Emulators emulators;
  try {
    run(emulators, {program("a", kSlow_khz), program("c", kSlow_khz)});
    FAIL() << "it came up";
  } catch (const ops::TargetError& error) {
    EXPECT_THAT(error.what(), HasSubstr("it did not come up"));
  }
}

// The machine is given one program and tells of so many.
std::vector<LabResult> run_one(std::size_t results) {
  const LabTarget target = *find_lab_target("intel-6.12");
  return run_on_shared_machines({{target, default_lab_options(target)}}, {program("a", kFast_khz)},
                                [&](const LabPlace&) {
                                  return [&](const Jobs&, const MachineSpec&) {
                                    Booted booted;
                                    booted.heard.results.resize(results);
                                    return booted;
                                  };
                                });
}

TEST(SharedMachines, AResultThatHoldsNothingIsAFailure) {
  EXPECT_THAT(outcomes(run_one(1)), ElementsAre(HasSubstr("no result")));
}

TEST(SharedMachines, MoreResultsThanProgramsAreRefused) { EXPECT_THROW(run_one(2), ops::TargetError); }

}  // namespace
}  // namespace tscsim::kvm_backend::lab

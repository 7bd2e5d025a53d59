// Real KVM under emulation. Runs where the emulator and the kernel are in the cache already ('tscsim lab
// fetch'); says what is missing where they are not.
#include "kvm_backend/lab/lab.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <sstream>

#include "kvm_backend/lab/cache.h"
#include "kvm_backend/lab/linux_experiments.h"
#include "ops/error.h"
#include "ops/testing.h"

namespace tscsim::kvm_backend::lab {
namespace {

using ops::step;

ops::Program two_vcpus() {
  ops::Program program;
  program.name = "two-vcpus";
  program.setup = {step(ops::OpKind::create_vm), step(ops::OpKind::create_vcpu, 0, 0),
                   step(ops::OpKind::create_vcpu, 0, 1)};
  ops::Step first = step(ops::OpKind::rdtsc, 0, 0);
  first.capture = "first";
  ops::Step write = step(ops::OpKind::set_msr, 1'000'000, 1);
  write.op.msr = ops::msr::kIa32Tsc;
  write.value = ops::Expression::parse("first + 1 ms", ops::Unit::cycles);
  program.timeline = {first, write, step(ops::OpKind::rdtsc, 2'000'000, 1)};
  return program;
}

// Between two steps the machine sleeps, so that its time is moved on to the next timer again and again.
ops::Program many_naps() {
  ops::Program program = two_vcpus();
  program.name = "many-naps";
  for (int i = 0; i < 50; ++i) program.timeline.push_back(step(ops::OpKind::rdtsc, 3'000'000 + i * 1'100'000, i % 2));
  return program;
}

ops::Program wrong_operand() {
  ops::Program program = two_vcpus();
  program.timeline[1].value = ops::Expression::parse("nothing + 1 ms", ops::Unit::cycles);
  return program;
}

std::string text_of(const ops::Recording& recording) {
  std::ostringstream text;
  ops::write_json_lines(recording, text);
  return text.str();
}

class LabTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    target_ = *find_lab_target(GetParam());
    const Cache cache;
    if (!cache.has_kernel(target_) || !cache.has_emulator(target_.emulator))
      GTEST_SKIP() << "lab:" << target_.name << " is not in " << cache.folder() << "; 'tscsim lab fetch "
                   << target_.name << "' gets it";
    options_ = default_lab_options(target_);
    options_.init = TSCSIM_INIT;
    if (!std::filesystem::exists(options_.init))
      GTEST_SKIP() << "tscsim-init is not built here (sanitizers cannot be linked statically)";
  }
  LabTarget target_;
  LabOptions options_;
};

// Exact mode makes real KVM a golden file; the second program's failure must not disturb the others.
TEST_P(LabTest, TwoBootsGiveTheSameBytes) {
  const std::vector<ops::Program> programs = {two_vcpus(), wrong_operand(), two_vcpus()};
  const auto first = run_in_lab({{target_, options_}}, programs), second = run_in_lab({{target_, options_}}, programs);
  ASSERT_EQ(first.size(), 3u);
  ASSERT_EQ(second.size(), 3u);
  for (const std::size_t i : {0u, 2u}) {
    ASSERT_TRUE(first[i].recording) << first[i].failure;
    EXPECT_EQ(text_of(*first[i].recording), text_of(*second[i].recording));
  }
  EXPECT_EQ(first[0].recording->header.profile.target, "lab:" + target_.name);
  EXPECT_FALSE(first[1].recording);
  ASSERT_TRUE(first[1].wrong_input);
  EXPECT_EQ(first[1].wrong_input->message, "nothing is captured as 'nothing' before this step");
}

class Preload {
 public:
  explicit Preload(const char* library) { ::setenv("LD_PRELOAD", library, 1); }
  ~Preload() { ::unsetenv("LD_PRELOAD"); }
  Preload(const Preload&) = delete;
  Preload& operator=(const Preload&) = delete;
};

// What load does to QEMU now and then, done to it always: its main loop wakes at any moment (restless_main_loop.cpp).
TEST_P(LabTest, WhenTheEmulatorsMainLoopWakesDoesNotMatter) {
#ifdef TSCSIM_RESTLESS_MAIN_LOOP
  if (target_.emulator != Emulator::qemu) return;  // Bochs has one thread
  const std::vector<ops::Program> programs = {many_naps()};
  const auto calm = run_in_lab({{target_, options_}}, programs);
  const Preload preload(TSCSIM_RESTLESS_MAIN_LOOP);
  const auto restless = run_in_lab({{target_, options_}}, programs);
  ASSERT_TRUE(calm.at(0).recording) << calm[0].failure;
  ASSERT_TRUE(restless.at(0).recording) << restless[0].failure;
  EXPECT_EQ(text_of(*calm[0].recording), text_of(*restless[0].recording));
#endif
}

TEST_P(LabTest, AMachineThatDoesNotEndIsStoppedAndReported) {
  options_.machine.limit = std::chrono::milliseconds(100);
  try {
    doctor_in_lab(target_, options_);
    FAIL() << "it ended in 0.1 s";
  } catch (const ops::TargetError& error) {
    EXPECT_NE(std::string(error.what()).find("did not end within 0 s of CPU time and was stopped"), std::string::npos)
        << error.what();
  }
}

const ops::LinuxExperiment& shortest_experiment() { return linux_experiments().front(); }

std::string observed(const LabTarget& target, const LabOptions& options) {
  std::ostringstream text;
  ops::write_json_lines(observe_in_lab(target, shortest_experiment(), options), text);
  return text.str();
}

TEST_P(LabTest, AKernelThatIsLookedAtGivesTheSameBytesTwice) {
  if (target_.emulator != Emulator::bochs) {
    EXPECT_THROW(observe_in_lab(target_, shortest_experiment(), options_), ops::TargetError);
    return;
  }
  const std::string first = observed(target_, options_);
  EXPECT_NE(first.find("\"do\":\"jump_tsc\""), std::string::npos);
  EXPECT_EQ(first, observed(target_, options_));
}

INSTANTIATE_TEST_SUITE_P(Targets, LabTest,
                         ::testing::Values("amd-6.12", "amd-5.10", "intel-6.1", "amd-6.1", "amd-7.2"));

}  // namespace
}  // namespace tscsim::kvm_backend::lab

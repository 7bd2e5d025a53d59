#include "kvm_backend/native_batch.h"

#include <gtest/gtest.h>

#include <atomic>

#include "kvm_backend/kvm_required.h"

namespace tscsim::kvm_backend {
namespace {

using ops::OpKind;

ops::Recording recording_of(std::int64_t due_ns, std::uint64_t began_ns, std::uint64_t ended_ns,
                            OpKind kind = OpKind::get_clock) {
  ops::Recording recording;
  recording.header.zero_base_ns = 1'000'000'000;
  ops::Entry entry;
  entry.op.kind = kind;
  entry.op.at_ns = due_ns;
  entry.bracket.base_ns = {1'000'000'000 + began_ns, 1'000'000'000 + ended_ns};
  recording.entries.push_back(entry);
  return recording;
}

TEST(NativeBatch, CompanyShowsAsLatenessOrAsWidth) {
  const struct {
    std::int64_t due_ns;
    std::uint64_t began_ns, ended_ns;
    OpKind kind;
    bool disturbed;
    const char* why;
  } cases[] = {
      {5'000'000, 5'010'000, 5'020'000, OpKind::get_clock, false, "in time and quick"},
      {5'000'000, 5'500'000, 5'510'000, OpKind::get_clock, false, "500 us late: the limit itself"},
      {5'000'000, 5'500'001, 5'510'000, OpKind::get_clock, true, "later than that"},
      {5'000'000, 5'010'000, 5'510'001, OpKind::get_clock, true, "wider than that"},
      {5'000'000, 5'010'000, 9'000'000, OpKind::run, false, "the guest ran"},
      {0, 9'000'000, 9'010'000, OpKind::get_clock, false, "set-up has no due time"},
  };
  for (const auto& c : cases)
    EXPECT_EQ(was_disturbed(recording_of(c.due_ns, c.began_ns, c.ended_ns, c.kind)), c.disturbed) << c.why;
}

ops::Program waiting_program(const std::string& name, std::int64_t until_ns) {
  ops::Program program;
  program.name = name;
  const auto add = [&](std::vector<ops::Step>& steps, OpKind kind, std::int32_t vcpu, std::int64_t at_ns) {
    ops::Step step;
    step.op.kind = kind;
    step.op.vcpu = vcpu;
    step.op.at_ns = at_ns;
    steps.push_back(step);
  };
  add(program.setup, OpKind::create_vm, ops::kVm, 0);
  add(program.setup, OpKind::create_vcpu, 0, 0);
  add(program.timeline, OpKind::get_clock, ops::kVm, until_ns);
  return program;
}

TEST(NativeBatch, ResultsComeInTheOrderOfTheProgramsAndEachIsCounted) {
  TSCSIM_NEEDS_KVM();
  std::vector<ops::Program> programs;
  for (int i = 0; i < 8; ++i) programs.push_back(waiting_program("p" + std::to_string(i), 300'000'000));
  std::vector<const ops::Program*> pointers;
  for (const ops::Program& program : programs) pointers.push_back(&program);
  NativeBatch batch;
  batch.side_by_side = 8;
  std::size_t seen = 0;
  batch.progress = [&](std::size_t) { ++seen; };
  const auto results = run_side_by_side(pointers, batch);
  ASSERT_EQ(results.size(), programs.size());
  for (std::size_t i = 0; i < results.size(); ++i) {
    ASSERT_TRUE(results[i].recording);
    EXPECT_EQ(results[i].recording->header.scenario, programs[i].name);
  }
  EXPECT_GE(seen, programs.size());
}

TEST(NativeBatch, AnInterruptKeepsWhatIsDone) {
  TSCSIM_NEEDS_KVM();
  const ops::Program quick = waiting_program("quick", 1'000'000);
  const ops::Program slow = waiting_program("slow", 60'000'000'000);
  std::atomic<bool> interrupted = false;
  NativeBatch batch;
  batch.options.interrupted = &interrupted;
  batch.progress = [&](std::size_t done) { interrupted = done >= 1; };
  const auto results = run_side_by_side({&slow, &quick}, batch);
  ASSERT_EQ(results.size(), 2u);
  EXPECT_FALSE(results[0].recording);
  EXPECT_TRUE(results[1].recording);
}

}  // namespace
}  // namespace tscsim::kvm_backend

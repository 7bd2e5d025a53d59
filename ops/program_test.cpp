#include "ops/program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>

namespace tscsim::ops {
namespace {

using ::testing::ElementsAre;

// Answers with small numbers that say which operation it was, and refuses what it is told to refuse.
class FakeExecutor : public Executor {
 public:
  FakeExecutor() {
    profile_.target = "fake";
    profile_.host_khz = 2'000'000;
  }
  const TargetProfile& profile(int) const override { return profile_; }
  void start_clock(int, std::int64_t, HostHeader& header) override {
    header.zero_tsc = 77;
    log.push_back("start_clock");
  }
  Entry execute(const Operation& op) override {
    std::string text(name_of(op.kind));
    if (op.vcpu != kVm) text += " " + std::to_string(op.vcpu);
    if (!op.probe) text += " =" + std::to_string(op.value);
    log.push_back((op.probe ? "  " : "") + text);
    ats.push_back(op.at_ns);
    Entry entry;
    entry.op = op;
    entry.supported = op.kind != unsupported;
    if (op.kind == failing) entry.outcome.error = EINVAL;
    if (entry.supported && op.kind != failing) answer(op, entry.outcome);
    if (!entry.supported) entry.note = "not on this fake";
    return entry;
  }

  std::vector<std::string> log;
  std::vector<std::int64_t> ats;
  std::optional<OpKind> failing, unsupported;
  TargetProfile profile_;

 private:
  static void answer(const Operation& op, Outcome& outcome) {
    const auto field = primary_field(op.kind);
    if (op.kind == OpKind::peek_pvclock) outcome.add(Field::shift, static_cast<std::uint64_t>(-1));
    if (op.kind == OpKind::get_tsc_khz) return outcome.add(Field::value, 1'000'000);
    if (field) outcome.add(*field, 100);
  }
};

Step step(OpKind kind, std::int32_t vcpu = kVm, std::int64_t at_ns = 0) {
  Step s;
  s.op.kind = kind;
  s.op.vcpu = vcpu;
  s.op.at_ns = at_ns;
  s.place = {"x.yaml", static_cast<int>(at_ns) + 1, 3};
  return s;
}

Step write_msr(OpKind kind, std::int32_t vcpu, std::uint32_t msr, std::uint64_t value, std::int64_t at_ns = 0) {
  Step s = step(kind, vcpu, at_ns);
  s.op.msr = msr;
  s.op.value = value;
  return s;
}

Step with(Step s, const char* text, Unit unit = Unit::cycles) {
  s.value = Expression::parse(text, unit);
  return s;
}

Step captured(Step s, const char* name) {
  s.capture = name;
  return s;
}

std::vector<Step> two_vcpus() {
  return {step(OpKind::create_vm), step(OpKind::create_vcpu, 0), step(OpKind::create_vcpu, 1)};
}

// The value that the last authored operation got.
std::uint64_t last_value(const std::vector<Step>& timeline, FakeExecutor& executor) {
  Program program;
  program.setup = two_vcpus();
  program.timeline = timeline;
  const Recording recording = run_program(program, executor, 1);
  std::uint64_t value = 0;
  for (const Entry& entry : recording.entries)
    if (!entry.op.probe) value = entry.op.value;
  return value;
}

std::string error_of(const std::vector<Step>& timeline, FakeExecutor& executor) {
  try {
    last_value(timeline, executor);
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

TEST(RunProgram, ProbesFollowEachStepThatMayChangeState) {
  Program program;
  program.name = "n";
  program.hash = "h";
  program.setup = two_vcpus();
  program.timeline = {write_msr(OpKind::wrmsr, 1, msr::kKvmSystemTimeNew, 0x201001, 1),
                      step(OpKind::rdtsc, 1, 2),
                      step(OpKind::rdtsc, 0, 3),
                      step(OpKind::get_clock, kVm, 4),
                      write_msr(OpKind::set_msr, 1, msr::kKvmSystemTime, 0x201000, 5),
                      step(OpKind::rdtsc, 1, 6)};
  FakeExecutor executor;
  const Recording recording = run_program(program, executor, 42);
  EXPECT_THAT(executor.log,
              ElementsAre("create_vm =0",                                                                   //
                          "create_vcpu 0 =0", "  get_tsc_offset 0", "  get_msr 0", "  get_clock",           //
                          "create_vcpu 1 =0", "  get_tsc_offset 0", "  get_msr 0", "  get_tsc_offset 1",    //
                          "  get_msr 1", "  get_clock", "start_clock",                                      //
                          "wrmsr 1 =2101249", "  get_tsc_offset 0", "  get_msr 0", "  get_tsc_offset 1",    //
                          "  get_msr 1", "  peek_pvclock 1", "  get_clock",                                 //
                          "rdtsc 1 =0", "  peek_pvclock 1", "rdtsc 0 =0", "get_clock =0",                   //
                          "set_msr 1 =2101248", "  get_tsc_offset 0", "  get_msr 0", "  get_tsc_offset 1",  //
                          "  get_msr 1", "  get_clock", "rdtsc 1 =0"));
  EXPECT_EQ(executor.ats[17], 1) << "a probe is due when its step is";
  EXPECT_EQ(recording.entries.size(), executor.log.size() - 1);
  EXPECT_EQ(recording.header.scenario, "n");
  EXPECT_EQ(recording.header.scenario_hash, "h");
  EXPECT_EQ(recording.header.seed, 42u);
  EXPECT_EQ(recording.header.zero_tsc, 77u);
  EXPECT_EQ(recording.header.profile.target, "fake");
}

TEST(RunProgram, ProbesTheTscAdjustMsr) {
  Program program;
  program.setup = {step(OpKind::create_vm), step(OpKind::create_vcpu, 0)};
  FakeExecutor executor;
  const Recording recording = run_program(program, executor, 1);
  EXPECT_EQ(recording.entries[3].op, (Operation{OpKind::get_msr, 0, msr::kIa32TscAdjust, 0, 0, 0, kAllPcpus, 0, true}));
}

TEST(RunProgram, EveryKindThatMayChangeStateIsProbed) {
  const struct {
    OpKind kind;
    bool whole;
  } cases[] = {{OpKind::set_tsc_khz, true},   {OpKind::set_msr, true},         {OpKind::set_tsc_offset, true},
               {OpKind::set_clock, true},     {OpKind::kvmclock_ctrl, true},   {OpKind::run, true},
               {OpKind::wrmsr, true},         {OpKind::move_vcpu, true},       {OpKind::set_clocksource, true},
               {OpKind::jump_host_tsc, true}, {OpKind::suspend_host, true},    {OpKind::online_pcpu, true},
               {OpKind::rdtscp, false},       {OpKind::rdmsr, false},          {OpKind::read_pvclock, false},
               {OpKind::get_tsc_khz, false},  {OpKind::get_msr, false},        {OpKind::get_tsc_offset, false},
               {OpKind::peek_pvclock, false}, {OpKind::peek_wall_clock, false}};
  for (const auto& c : cases) {
    Program program;
    program.setup = {step(OpKind::create_vcpu, 0), step(c.kind, 0)};
    FakeExecutor executor;
    run_program(program, executor, 1);
    EXPECT_EQ(executor.log.size(), c.whole ? 9u : 6u) << name_of(c.kind);
  }
}

TEST(RunProgram, LeavesOutWhatTheTargetDoesNotHave) {
  Program program;
  program.setup = {step(OpKind::create_vcpu, 0)};
  FakeExecutor executor;
  executor.profile_.offset_attribute = false;
  run_program(program, executor, 1);
  EXPECT_THAT(executor.log, ElementsAre("create_vcpu 0 =0", "  get_msr 0", "  get_clock", "start_clock"));
}

TEST(RunProgram, AVcpuOrPageThatWasRefusedIsNotProbed) {
  Program program;
  program.setup = {step(OpKind::create_vcpu, 0)};
  FakeExecutor executor;
  executor.failing = OpKind::create_vcpu;
  run_program(program, executor, 1);
  EXPECT_THAT(executor.log, ElementsAre("create_vcpu 0 =0", "  get_clock", "start_clock"));

  program.setup = {step(OpKind::create_vcpu, 0), write_msr(OpKind::wrmsr, 0, msr::kKvmSystemTimeNew, 1),
                   step(OpKind::rdtsc, 0)};
  FakeExecutor other;
  other.unsupported = OpKind::wrmsr;
  run_program(program, other, 1);
  EXPECT_THAT(other.log, ::testing::Not(::testing::Contains("  peek_pvclock 0")));
}

TEST(RunProgram, ProgressIsCalledBeforeEachStep) {
  Program program;
  program.setup = two_vcpus();
  program.timeline = {step(OpKind::rdtsc, 0)};
  FakeExecutor executor;
  std::vector<std::pair<std::size_t, std::size_t>> calls;
  run_program(program, executor, 1, [&](std::size_t done, std::size_t total) { calls.emplace_back(done, total); });
  EXPECT_THAT(calls, ElementsAre(std::pair(0, 4), std::pair(1, 4), std::pair(2, 4), std::pair(3, 4)));
}

TEST(Operands, MayDependOnWhatWasCaptured) {
  const struct {
    Step read;
    const char* text;
    std::uint64_t value;
    const char* why;
  } cases[] = {
      {step(OpKind::rdtsc, 0), "a + 5", 105, "the primary field"},
      {step(OpKind::rdtsc, 0), "a.value * 2", 200, "a field by name"},
      {step(OpKind::get_clock), "a", 100, "get_clock: the clock"},
      {step(OpKind::peek_pvclock, 0), "a.shift - 1", UINT64_MAX - 1, "the shift is signed"},
      {step(OpKind::rdtsc, 0), "-1", UINT64_MAX, "reduced modulo 2^64"},
      {step(OpKind::rdtsc, 0), "0xffffffffffffffff", UINT64_MAX, ""},
      {step(OpKind::rdtsc, 0), "-0x8000000000000000", 1ull << 63, "the smallest"},
  };
  for (const auto& c : cases) {
    FakeExecutor executor;
    EXPECT_EQ(last_value({captured(c.read, "a"), with(step(OpKind::set_msr, 0), c.text)}, executor), c.value)
        << c.text << "  " << c.why;
  }
}

TEST(Operands, RealtimeIsAnOperandToo) {
  Program program;
  Step set = step(OpKind::set_clock);
  set.realtime = Expression::parse("a + 1 us", Unit::ns);
  program.timeline = {captured(step(OpKind::get_clock), "a"), set};
  FakeExecutor executor;
  EXPECT_EQ(run_program(program, executor, 1).entries[1].op.realtime, 1'100u);
}

TEST(Operands, DurationsCountCyclesOfTheVcpuThatIsWritten) {
  Step khz = step(OpKind::set_tsc_khz, 1);
  khz.op.value = 3'000'000;
  Step vm_khz = khz;
  vm_khz.op.vcpu = kVm;
  Step host_khz = khz;
  host_khz.op.value = 0;
  const Step write_0 = with(step(OpKind::set_msr, 0), "1 us");
  const Step write_1 = with(step(OpKind::set_msr, 1), "1 us");
  const Step write_2 = with(step(OpKind::set_msr, 2), "1 us");
  FakeExecutor fake;
  EXPECT_EQ(last_value({write_0}, fake), 2000u) << "the host's rate";
  EXPECT_EQ(last_value({khz, write_1}, fake), 3000u) << "the vCPU's rate";
  EXPECT_EQ(last_value({khz, write_0}, fake), 2000u) << "not the other's";
  EXPECT_EQ(last_value({khz, host_khz, write_1}, fake), 2000u) << "0 kHz asks for the host's rate";
  EXPECT_EQ(last_value({vm_khz, write_1}, fake), 2000u) << "the VM's rate is for later vCPUs";
  EXPECT_EQ(last_value({vm_khz, step(OpKind::create_vcpu, 2), write_2}, fake), 3000u);
  EXPECT_EQ(last_value({step(OpKind::get_tsc_khz, 1), write_1}, fake), 1000u) << "what KVM says";
  fake.failing = OpKind::set_tsc_khz;
  EXPECT_EQ(last_value({khz, write_1}, fake), 2000u) << "a refused rate is not the rate";
}

TEST(Operands, ErrorsNameThePlaceAndBothSteps) {
  const auto rdtsc = captured(step(OpKind::rdtsc, 0, 6), "a");
  const auto write = [](const char* text) { return with(step(OpKind::set_msr, 1, 8), text); };
  FakeExecutor fake;
  EXPECT_EQ(error_of({rdtsc, write("b")}, fake), "x.yaml:9:3: error: nothing is captured as 'b' before this step");
  EXPECT_EQ(error_of({rdtsc, write("a.clock")}, fake),
            "x.yaml:9:3: error: 'a', captured from rdtsc on vCPU 0 at line 7, has no field 'clock'\n"
            "  mend: use one of value");
  EXPECT_EQ(error_of({captured(step(OpKind::run, 0), "a"), write("a")}, fake),
            "x.yaml:9:3: error: 'a', captured from run on vCPU 0 at line 1, is not one number\n"
            "  mend: name a field: it has none");
  EXPECT_EQ(error_of({rdtsc, write("1 / (a - 100)")}, fake), "x.yaml:9:3: error: '1 / (a - 100)': division by zero");
  EXPECT_EQ(error_of({write("0x10000000000000000")}, fake),
            "x.yaml:9:3: error: '0x10000000000000000': the value does not fit 64 bits");
  EXPECT_EQ(error_of({write("-0x8000000000000001")}, fake),
            "x.yaml:9:3: error: '-0x8000000000000001': the value does not fit 64 bits");
  EXPECT_EQ(error_of({rdtsc, rdtsc}, fake),
            "x.yaml:7:3: error: 'a' is already captured at line 7\n  mend: capture into another name");
}

TEST(Operands, ACaptureThatFailedCannotBeUsed) {
  const std::vector<Step> timeline{captured(step(OpKind::rdtsc, 0, 6), "a"),
                                   with(step(OpKind::set_msr, 1, 8), "a + 1")};
  FakeExecutor failing;
  failing.failing = OpKind::rdtsc;
  EXPECT_EQ(error_of(timeline, failing),
            "x.yaml:9:3: error: set_msr on vCPU 1 needs 'a', captured from rdtsc on vCPU 0 at line 7, which failed "
            "with errno 22");
  FakeExecutor unsupported;
  unsupported.unsupported = OpKind::rdtsc;
  EXPECT_EQ(error_of(timeline, unsupported),
            "x.yaml:9:3: error: set_msr on vCPU 1 needs 'a', captured from rdtsc on vCPU 0 at line 7, which is not "
            "supported here (not on this fake)");
  EXPECT_EQ(error_of({timeline[0]}, unsupported), "no error") << "a failure alone is an observation";
}

// ---- hosts ----

Step on(int host, Step s) {
  s.op.host = host;
  return s;
}

// The guest's clock is read on a, and goes to b with its memory.
Program migration() {
  Program program;
  program.hosts.resize(2);
  program.hosts[1].name = "b";
  program.setup = {step(OpKind::create_vm), step(OpKind::create_vcpu, 0)};
  program.timeline = {
      captured(step(OpKind::get_clock, kVm, 5), "c"), on(1, step(OpKind::create_vm, kVm, 6)),
      on(0, step(OpKind::save_memory, kVm, 7)),       on(1, step(OpKind::create_vcpu, 0, 7)),
      on(1, step(OpKind::load_memory, kVm, 7)),       on(1, with(step(OpKind::set_clock, kVm, 8), "c + 1"))};
  return program;
}

// A machine that runs some of the hosts.
class OneHost : public FakeExecutor {
 public:
  void start_clock(int host, std::int64_t now_ns, HostHeader& header) override {
    header.zero_tsc = static_cast<std::uint64_t>(100 + host);
    log.push_back("start_clock of " + std::to_string(host) + " at " + std::to_string(now_ns));
  }
};

TEST(Hosts, OneAfterTheOtherGiveTheRecordingOfBothAtOnce) {
  const Program program = migration();
  OneHost both, first, second;
  const Recording at_once = run_program(program, both, 1);
  const Recording a = run_on_host(program, 0, first, 1, {});
  const Recording b = run_on_host(program, 1, second, 1, a);
  EXPECT_EQ(at_once, b);
  EXPECT_EQ(b.header.host(1).name, "b");
  const auto last = std::find_if(b.entries.rbegin(), b.entries.rend(), [](const Entry& e) { return !e.op.probe; });
  EXPECT_EQ(last->op.value, 101u) << "c + 1: the capture came along";
  for (const Entry& entry : a.entries) EXPECT_EQ(entry.op.host, 0);
  EXPECT_THAT(first.log, ElementsAre("create_vm =0", "create_vcpu 0 =0", "  get_tsc_offset 0", "  get_msr 0",
                                     "  get_clock", "start_clock of 0 at 0", "get_clock =0", "save_memory =0"));
  EXPECT_EQ(second.log.front(), "start_clock of 1 at 6") << "with its first step, and before it";
}

TEST(Hosts, AStepThatNeedsALaterHostCannotTakeTurns) {
  EXPECT_FALSE(obstacle_to_turns(migration()));
  Program back = migration();
  back.timeline.push_back(captured(on(1, step(OpKind::rdtsc, 0, 9)), "t"));
  back.timeline.push_back(with(step(OpKind::set_msr, 0, 10), "t"));
  const auto obstacle = obstacle_to_turns(back);
  ASSERT_TRUE(obstacle);
  EXPECT_EQ(obstacle->place.line, 11);
  EXPECT_EQ(obstacle->message,
            "set_msr on vCPU 0 on host 'a' needs what host 'b' did; here the hosts run one after the other, 'a' first");
  Program returning = migration();
  returning.timeline.push_back(on(1, step(OpKind::save_memory, kVm, 9)));
  returning.timeline.push_back(step(OpKind::load_memory, kVm, 9));
  returning.timeline.back().op.value = 1;
  EXPECT_TRUE(obstacle_to_turns(returning));
}

}  // namespace
}  // namespace tscsim::ops

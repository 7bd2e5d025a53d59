// Both ways of recording, on a VMM whose calls are known one by one.
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "crosscheck/checker.h"
#include "kvm_backend/host_clocks.h"
#include "kvm_backend/kvm_required.h"
#include "kvm_backend/probe.h"
#include "tracer/recorder.h"

namespace tscsim::tracer {
namespace {

// Long enough for a VMM to make ten calls on a machine that is busy otherwise.
constexpr std::chrono::seconds kWhile{2};

using crosscheck::Verdict;
using ops::OpKind;
using Lines = std::vector<std::string>;

struct Recorded {
  Witnessed witnessed;
  std::vector<ops::Recording> recordings;
  std::vector<std::string> notices;
};

const ops::TargetProfile& profile() {
  static const ops::TargetProfile found = kvm_backend::probe_target();
  return found;
}

Recorded finished(Witnessed witnessed) {
  Circumstances circumstances;
  circumstances.profile = profile();
  circumstances.suspended_ns = kvm_backend::HostClocks().suspended_ns();
  circumstances.cut = witnessed.cut;
  auto recordings = assemble(witnessed.seen, circumstances);
  return {std::move(witnessed), std::move(recordings), {}};
}

Recorded record(Way way, std::vector<std::string> command, const std::atomic<bool>* interrupted = nullptr) {
  std::vector<std::string> notices;
  Order order;
  order.command = std::move(command);
  order.shim = TSCSIM_SHIM;
  order.output_to_stderr = true;
  order.interrupted = interrupted;
  order.notice = [&](const std::string& text) { notices.push_back(text); };
  Recorded recorded = finished(way == Way::shim ? record_by_shim(order) : record_by_ptrace(order));
  recorded.notices = notices;
  return recorded;
}

// "set_msr vcpu 0 IA32_TSC 1000", "kvmclock_ctrl vcpu 1: errno 22"; what depends on the machine is left out.
std::string line_of(const ops::Entry& entry) {
  const ops::Operation& op = entry.op;
  std::string text(ops::name_of(op.kind));
  if (op.vcpu != ops::kVm) text += " vcpu " + std::to_string(op.vcpu);
  if (op.msr != 0) text += " " + std::string(ops::msr_name(op.msr));
  if (op.kind == OpKind::set_msr || op.kind == OpKind::set_clock) text += " " + std::to_string(op.value);
  if (entry.outcome.error != 0) text += ": errno " + std::to_string(entry.outcome.error);
  return text;
}

Lines lines_of(const ops::Recording& recording) {
  Lines lines;
  for (const ops::Entry& entry : recording.entries) lines.push_back(line_of(entry));
  return lines;
}

std::string ptrace_obstacle() {
  const pid_t child = ::fork();
  if (child == 0) {
    ::pause();
    ::_exit(0);
  }
  const bool may = ::ptrace(PTRACE_SEIZE, child, nullptr, nullptr) == 0;
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  return may ? "" : "ptrace is not allowed here";
}

struct WayOfRecording {
  const char* name;
  Way way;
  const char* vmm;
};
void PrintTo(const WayOfRecording& way, std::ostream* out) { *out << way.name; }

class EachWay : public testing::TestWithParam<WayOfRecording> {
 protected:
  void SetUp() override {
    TSCSIM_NEEDS_KVM();
    if (GetParam().way == Way::ptrace)
      if (const std::string why = ptrace_obstacle(); !why.empty()) GTEST_SKIP() << why;
  }
  Recorded record(std::vector<std::string> arguments, const std::atomic<bool>* interrupted = nullptr) const {
    arguments.insert(arguments.begin(), GetParam().vmm);
    return tracer::record(GetParam().way, arguments, interrupted);
  }
};

INSTANTIATE_TEST_SUITE_P(Ways, EachWay,
                         testing::Values(WayOfRecording{"shim", Way::shim, TSCSIM_VMM},
                                         WayOfRecording{"ptrace", Way::ptrace, TSCSIM_VMM},
                                         WayOfRecording{"ptrace_static", Way::ptrace, TSCSIM_STATIC_VMM}),
                         [](const auto& each) { return each.param.name; });

TEST_P(EachWay, RecordsEachCallInOrder) {
  const Recorded recorded = record({"all-calls"});
  ASSERT_EQ(recorded.recordings.size(), 1u);
  const ops::Recording& recording = recorded.recordings.front();
  Lines expected = {"create_vm",
                    "create_vcpu vcpu 0",
                    "create_vcpu vcpu 1",
                    "get_clock",
                    "set_msr vcpu 0 IA32_TSC_ADJUST 0",
                    "set_msr vcpu 0 IA32_TSC 1000",
                    "set_msr vcpu 0 MSR_KVM_SYSTEM_TIME_NEW 8193",
                    "set_msr vcpu 1 IA32_TSC_ADJUST 0",  // the call ended at an MSR that there is not
                    "set_msr vcpu 1 IA32_TSC 1000",
                    "get_msr vcpu 0 IA32_TSC_ADJUST",
                    "get_msr vcpu 0 IA32_TSC",
                    "get_clock",
                    "set_clock 1000000000",
                    "kvmclock_ctrl vcpu 0",
                    "kvmclock_ctrl vcpu 1: errno 22",
                    "get_tsc_khz vcpu 0",
                    "set_tsc_khz vcpu 0"};
  if (profile().offset_attribute) expected.insert(expected.end(), {"get_tsc_offset vcpu 0", "set_tsc_offset vcpu 0"});
  expected.insert(expected.end(), {"run vcpu 0", "run vcpu 1", "get_clock", "run vcpu 0"});
  Lines lines = lines_of(recording);
  // In ptrace a thread is taken by surprise now and then: KVM_RUN then ends with EINTR and is made again.
  std::erase(lines, "run vcpu 0: errno 4");
  EXPECT_EQ(lines, expected);
  EXPECT_EQ(recording.cut, "");
  EXPECT_EQ(recording.header.memory_bytes, 0x10000u);
  EXPECT_NE(recording.header.vmm.find("all-calls"), std::string::npos) << recording.header.vmm;
  EXPECT_NE(others_text(recorded.witnessed.seen).find("ioctl 0xaeff (not known) 1"), std::string::npos);
}

TEST_P(EachWay, WhatWasRecordedIsWhatTheModelDerives) {
  for (const char* script : {"all-calls", "several-vms", "threads"})
    for (const ops::Recording& recording : record({script}).recordings) {
      const crosscheck::Result result = crosscheck::check(recording);
      EXPECT_EQ(result.count(Verdict::mismatch), 0u)
          << script << "\n"
          << (result.mismatches.empty() ? "" : result.mismatches.front().explanation);
    }
}

TEST_P(EachWay, EachVmHasARecordingOfItsOwn) {
  const Recorded recorded = record({"several-vms"});
  ASSERT_EQ(recorded.recordings.size(), 3u);
  EXPECT_EQ(lines_of(recorded.recordings[0]), (Lines{"create_vm", "create_vcpu vcpu 0", "set_msr vcpu 0 IA32_TSC 1",
                                                     "set_msr vcpu 0 IA32_TSC 11", "run vcpu 0"}));
  EXPECT_EQ(lines_of(recorded.recordings[1]), (Lines{"create_vm", "create_vcpu vcpu 0", "set_msr vcpu 0 IA32_TSC 2"}));
  EXPECT_EQ(lines_of(recorded.recordings[2]), (Lines{"create_vm", "create_vcpu vcpu 0", "set_msr vcpu 0 IA32_TSC 3"}));
}

TEST_P(EachWay, ThreadsAreTold) {
  const Recorded recorded = record({"threads"});
  ASSERT_EQ(recorded.recordings.size(), 1u);
  std::vector<int> threads;
  for (const ops::Entry& entry : recorded.recordings.front().entries) threads.push_back(entry.thread);
  EXPECT_EQ(threads, (std::vector<int>{1, 2, 2, 2, 3, 3, 3}));
}

TEST_P(EachWay, AChildsCallsAreNotItsParents) {
  const Recorded recorded = record({"fork"});
  ASSERT_EQ(recorded.recordings.size(), 2u);
  EXPECT_EQ(lines_of(recorded.recordings[0]),
            (Lines{"create_vm", "create_vcpu vcpu 0", "set_msr vcpu 0 IA32_TSC 1", "run vcpu 0"}));
  EXPECT_NE(recorded.recordings[0].entries.back().note.find("1 calls by another process"), std::string::npos);
  EXPECT_EQ(lines_of(recorded.recordings[1]), (Lines{"create_vm", "create_vcpu vcpu 0", "set_msr vcpu 0 IA32_TSC 2"}));
}

TEST_P(EachWay, WhatDiesLeavesWhatItDid) {
  const struct {
    const char* script;
    int signal;
  } rows[] = {{"crash", SIGSEGV}, {"killed", SIGKILL}};
  for (const auto& row : rows) {
    const Recorded recorded = record({row.script});
    EXPECT_EQ(recorded.witnessed.end.signal, row.signal);
    ASSERT_EQ(recorded.recordings.size(), 1u) << row.script;
    const ops::Recording& recording = recorded.recordings.front();
    EXPECT_EQ(lines_of(recording),
              (Lines{"create_vm", "create_vcpu vcpu 0", "set_msr vcpu 0 IA32_TSC 1", "run vcpu 0: errno 4"}));
    EXPECT_NE(recording.entries.back().note.find("had not returned"), std::string::npos);
    EXPECT_NE(recording.cut.find("killed by signal"), std::string::npos) << recording.cut;
    EXPECT_EQ(crosscheck::check(recording).count(Verdict::mismatch), 0u) << row.script;
  }
}

TEST_P(EachWay, AnInterruptEndsTheCommandAndKeepsWhatWasSeen) {
  std::atomic<bool> interrupted{false};
  std::thread later([&] {
    std::this_thread::sleep_for(kWhile);
    interrupted = true;
    ::kill(::getpid(), SIGUSR1);  // as a real one, it ends a system call that waits
  });
  ::signal(SIGUSR1, [](int) {});
  const Recorded recorded = record({"go-on"}, &interrupted);
  later.join();
  EXPECT_EQ(recorded.witnessed.end.signal, SIGTERM);
  ASSERT_EQ(recorded.recordings.size(), 1u);
  EXPECT_GT(recorded.recordings.front().entries.size(), 10u);
}

TEST_P(EachWay, TheCommandsOwnStatusIsKept) {
  const Recorded recorded = record({"status-3"});
  EXPECT_TRUE(recorded.recordings.empty());
  EXPECT_EQ(recorded.witnessed.end.status, 3);
}

TEST_P(EachWay, ACommandThatCannotBeStartedIsBadInput) {
  EXPECT_THROW(tracer::record(GetParam().way, {"/nowhere/vmm"}), ops::InputError);
}

TEST(Shim, SaysWhereItsViewEnds) {
  TSCSIM_NEEDS_KVM();
  const Recorded recorded = record(Way::shim, {"sh", "-c", "exec " TSCSIM_STATIC_VMM " all-calls"});
  EXPECT_TRUE(recorded.recordings.empty());
  ASSERT_EQ(recorded.notices.size(), 1u);
  EXPECT_NE(recorded.notices.front().find("static program"), std::string::npos) << recorded.notices.front();
}

TEST(Shim, ProgramsThatItCannotEnterAreKnown) {
  EXPECT_TRUE(can_preload(TSCSIM_VMM));
  EXPECT_FALSE(can_preload(TSCSIM_STATIC_VMM));
}

// What was done before is not known, so nothing of it is judged.
TEST(Attach, RecordsFromThereOnAndLeavesTheProcessRunning) {
  TSCSIM_NEEDS_KVM();
  if (const std::string why = ptrace_obstacle(); !why.empty()) GTEST_SKIP() << why;
  const pid_t vmm = ::fork();
  if (vmm == 0) {
    ::close(STDOUT_FILENO);
    ::execl(TSCSIM_VMM, TSCSIM_VMM, "go-on", nullptr);
    ::_exit(127);
  }
  std::this_thread::sleep_for(kWhile);
  std::atomic<bool> interrupted{false};
  std::thread later([&] {
    std::this_thread::sleep_for(kWhile);
    interrupted = true;
  });
  Order order;
  order.pid = vmm;
  order.interrupted = &interrupted;
  const Recorded recorded = finished(record_by_ptrace(order));
  later.join();
  EXPECT_EQ(::kill(vmm, 0), 0);
  EXPECT_FALSE(recorded.witnessed.end.known);
  ::kill(vmm, SIGKILL);
  ::waitpid(vmm, nullptr, 0);
  ASSERT_EQ(recorded.recordings.size(), 1u);
  const ops::Recording& recording = recorded.recordings.front();
  EXPECT_FALSE(recording.entries[0].supported);
  EXPECT_EQ(line_of(recording.entries[1]), "create_vcpu vcpu 0");
  EXPECT_GT(recording.entries.size(), 10u);
  EXPECT_EQ(recording.cut, "the recorder left while the process went on");
  const crosscheck::Result result = crosscheck::check(recording);
  EXPECT_EQ(result.count(Verdict::unsupported), recording.entries.size());
  EXPECT_EQ(result.observations.size(), recording.entries.size());
}

TEST(Attach, AProcessThatThereIsNotIsBadInput) {
  Order order;
  order.pid = 4'000'000;  // above the greatest (pid_max is at most 2^22)
  order.pid += 1 << 22;
  EXPECT_THROW(record_by_ptrace(order), ops::InputError);
}

}  // namespace
}  // namespace tscsim::tracer

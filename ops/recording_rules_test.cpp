#include "ops/recording_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <sstream>

namespace tscsim::ops {
namespace {

using ::testing::HasSubstr;

Entry entry_of(OpKind kind, std::int32_t vcpu, std::int64_t at_ns = 0) {
  Entry entry;
  entry.op.kind = kind;
  entry.op.vcpu = vcpu;
  entry.op.at_ns = at_ns;
  entry.bracket = {{1, 2}, {3, 4}, {5, 6}, {}};
  for (const Field field : outcome_fields(kind)) entry.outcome.add(field, 0);
  return entry;
}

// Line 1 is the header, entry i is on line i + 2.
enum : std::size_t { kCreateVm, kCreate0, kCreate1, kRdtsc, kSetMsr, kGetClock, kMove, kSuspend };

Recording good() {
  Recording recording;
  recording.header.profile.target = "native";
  recording.header.profile.vendor = "vmx";
  recording.header.profile.host_khz = 2'600'000;
  recording.header.profile.pcpus = 2;
  recording.entries = {entry_of(OpKind::create_vm, kVm),  entry_of(OpKind::create_vcpu, 0),
                       entry_of(OpKind::create_vcpu, 1),  entry_of(OpKind::rdtsc, 1, 5),
                       entry_of(OpKind::set_msr, 0, 5),   entry_of(OpKind::get_clock, kVm, 7),
                       entry_of(OpKind::move_vcpu, 1, 8), entry_of(OpKind::suspend_host, kVm, 9)};
  recording.entries[kSetMsr].op.msr = msr::kIa32Tsc;
  recording.entries[kMove].op.value = 1;
  recording.entries[kSuspend].op.value = 1'000'000'000;
  return recording;
}

std::string error_of(const Recording& recording) {
  std::stringstream text;
  write_json_lines(recording, text);
  try {
    read_json_lines(text, "x.jsonl");
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

constexpr const char* kMend = "\n  mend: take the whole file again from where it was recorded, or record again";

TEST(RecordingRules, AGoodRecordingIsRead) { EXPECT_EQ(error_of(good()), "accepted"); }

TEST(RecordingRules, EachFaultHasItsLineAndWhatWasExpected) {
  const struct {
    const char* what;
    std::function<void(Recording&)> change;
    const char* error;
  } cases[] = {
      {"a host without a rate", [](Recording& r) { r.header.profile.host_khz = 0; },
       "x.jsonl:1: error: host 'a': host_khz 0; expected 1 to 2147483647"},
      {"a rate that KVM cannot hold", [](Recording& r) { r.header.profile.host_khz = 1U << 31; },
       "x.jsonl:1: error: host 'a': host_khz 2147483648; expected 1 to 2147483647"},
      {"a host without a CPU",
       [](Recording& r) {
         r.header.profile.pcpus = 0;
         r.entries.clear();
       },
       "x.jsonl:1: error: host 'a': pcpus 0; expected 1 to 8192"},
      {"no such vendor", [](Recording& r) { r.header.profile.vendor = "arm"; },
       "x.jsonl:1: error: host 'a': vendor 'arm'; expected 'vmx', 'svm' or 'none'"},
      {"a vCPU that was not created", [](Recording& r) { r.entries[kRdtsc].op.vcpu = 63; },
       "x.jsonl:5: error: op: 'rdtsc' acts on vCPU 63; expected vCPU 0 and 1, which were created before it"},
      {"no vCPU at all",
       [](Recording& r) {
         r.entries.erase(r.entries.begin() + kGetClock, r.entries.end());
         r.entries.erase(r.entries.begin() + kCreate0, r.entries.begin() + kSetMsr);
       },
       "x.jsonl:3: error: op: 'set_msr' acts on vCPU 0; expected a 'create_vcpu' before it"},
      {"no VM", [](Recording& r) { r.entries = {entry_of(OpKind::get_clock, kVm)}; },
       "x.jsonl:2: error: op: 'get_clock' acts on a VM of host 0; expected a 'create_vm' there before it"},
      {"a VM that could not be created",
       [](Recording& r) {
         r.entries = {entry_of(OpKind::create_vm, kVm), entry_of(OpKind::get_clock, kVm)};
         r.entries[0].outcome.error = 12;
       },
       "x.jsonl:3: error: op: 'get_clock' acts on a VM of host 0; expected a 'create_vm' there before it"},
      {"a vCPU that is not the next",
       [](Recording& r) {
         r.entries[kCreate1].op.vcpu = 0;
         r.entries[kRdtsc].op.vcpu = 0;
         r.entries[kMove].op.vcpu = 0;
       },
       "x.jsonl:4: error: op: 'create_vcpu' creates vCPU 0; expected vCPU 1, the next one"},
      {"a guest's instruction of the VM", [](Recording& r) { r.entries[kRdtsc].op.vcpu = kVm; },
       "x.jsonl:5: error: op: 'rdtsc' names no vCPU; expected one: it acts on a vCPU, not on the VM"},
      {"the VM's clock of a vCPU", [](Recording& r) { r.entries[kGetClock].op.vcpu = 0; },
       "x.jsonl:7: error: op: 'get_clock' names vCPU 0; expected none: it does not act on a vCPU"},
      {"an operand that the operation has not", [](Recording& r) { r.entries[kRdtsc].op.msr = 16; },
       "x.jsonl:5: error: op: 'rdtsc' has 'msr'; expected none: it takes no such operand"},
      {"flags that there are not", [](Recording& r) { r.entries[kSuspend].op.flags = 2; },
       "x.jsonl:9: error: op: 'suspend_host' has flags 2; expected no others than 1"},
      {"a pCPU that the host has not", [](Recording& r) { r.entries[kRdtsc].pcpu = 2; },
       "x.jsonl:5: error: op: 'rdtsc' ran on pCPU 2; expected pCPU 0 and 1 of its host"},
      {"a pCPU below 0", [](Recording& r) { r.entries[kRdtsc].pcpu = -1; },
       "x.jsonl:5: error: op: 'rdtsc' ran on pCPU -1; expected pCPU 0 and 1 of its host"},
      {"a thread that goes to no pCPU", [](Recording& r) { r.entries[kMove].op.value = 2; },
       "x.jsonl:8: error: op: 'move_vcpu' goes to pCPU 2; expected pCPU 0 and 1 of its host"},
      {"a sleep beyond the end of time", [](Recording& r) { r.entries[kSuspend].op.value = INT64_MAX; },
       "x.jsonl:9: error: op: 'suspend_host' sleeps for 9223372036854775807 ns; expected an end within 292 years: time "
       "ends at 2^63 ns"},
      {"time that goes back", [](Recording& r) { r.entries[kGetClock].op.at_ns = 4; },
       "x.jsonl:7: error: op: 'get_clock' is due at 4 ns; expected a time from 5 ns on, that of the entry before"},
      {"the memory of a host that put none aside",
       [](Recording& r) {
         r.entries.push_back(entry_of(OpKind::load_memory, kVm, 9));
         r.entries.back().op.value = 7;
       },
       "x.jsonl:10: error: op: 'load_memory' takes the memory of host 7; expected a host that put its memory aside "
       "before it ('save_memory')"},
      {"a host that the header has not", [](Recording& r) { r.entries[kRdtsc].op.host = 1; },
       "x.jsonl:5: error: op: 'rdtsc' on host 1; expected host 0"},
      {"a result that is missing", [](Recording& r) { r.entries[kRdtsc].outcome.count = 0; },
       "x.jsonl:5: error: op: 'rdtsc' returned no field; expected value"},
      {"a result of another operation", [](Recording& r) { r.entries[kRdtsc].outcome.fields[0].field = Field::clock; },
       "x.jsonl:5: error: op: 'rdtsc' returned clock; expected value"},
      {"a result of a call that failed", [](Recording& r) { r.entries[kRdtsc].outcome.error = 22; },
       "x.jsonl:5: error: op: 'rdtsc' returned value; expected no field"},
      {"an errno below 0", [](Recording& r) { r.entries[kSetMsr].outcome.error = -22; },
       "x.jsonl:6: error: op: 'set_msr' has error -22; expected 0 or an errno above"},
      {"a Linux guest", [](Recording& r) { r.entries.push_back(entry_of(OpKind::guest_state, kVm, 9)); },
       "x.jsonl:10: error: op: 'guest_state' was executed; expected it unsupported: only the model has a Linux guest, and "
       "its runs are not recorded"},
  };
  for (const auto& c : cases) {
    Recording recording = good();
    c.change(recording);
    EXPECT_EQ(error_of(recording), std::string(c.error) + kMend) << c.what;
  }
}

// What was not executed acts on nothing.
TEST(RecordingRules, WhatIsNotSupportedNeedsNoVcpu) {
  Recording recording = good();
  recording.entries[kRdtsc] = entry_of(OpKind::rdtsc, 7, 5);
  recording.entries[kRdtsc].outcome = {};
  recording.entries[kRdtsc].supported = false;
  EXPECT_THAT(error_of(recording), HasSubstr("acts on vCPU 7")) << "it has entered the guest: there is a bracket";
  recording.entries[kRdtsc].bracket = {};
  EXPECT_EQ(error_of(recording), "accepted");
}

// `trace --pid`: the VM and its vCPUs were made before the recorder came, on CPUs that the kernel counts.
TEST(RecordingRules, AVmFromBeforeTheRecording) {
  Recording recording = good();
  recording.header.vmm = "qemu";
  for (const std::size_t made : {kCreateVm, kCreate0, kCreate1}) {
    recording.entries[made].supported = false;
    recording.entries[made].bracket = {};
  }
  recording.entries[kRdtsc].pcpu = 11;
  EXPECT_EQ(error_of(recording), "accepted");
  recording.entries[kRdtsc].op.vcpu = 2;
  EXPECT_THAT(error_of(recording), HasSubstr("acts on vCPU 2; expected vCPU 0 and 1"));
}

TEST(RecordingRules, AnImportedLogNeedsNeitherRateNorVm) {
  Recording recording;
  recording.header.profile.pcpus = 0;
  recording.entries = {entry_of(OpKind::observed, 3, 9), entry_of(OpKind::observed, kVm, 2)};
  EXPECT_EQ(error_of(recording), "accepted");
  recording.entries.push_back(entry_of(OpKind::rdtsc, 3));
  EXPECT_THAT(error_of(recording), HasSubstr("x.jsonl:4: error: op: 'rdtsc' in an imported log"));
}

// The lab runs hosts on one machine after the other, and hands the recording so far on.
TEST(RecordingRules, AHostWhoseTurnHasNotCome) {
  Recording recording = good();
  recording.header.other_hosts.resize(1);
  recording.header.other_hosts[0].name = "b";
  EXPECT_EQ(error_of(recording), "accepted");
  recording.entries.push_back(entry_of(OpKind::create_vm, kVm, 9));
  recording.entries.back().op.host = 1;
  EXPECT_THAT(error_of(recording), HasSubstr("x.jsonl:1: error: host 'b': host_khz 0"));
}

TEST(RecordingRules, AllFaultsAreToldUpToALimit) {
  Recording recording = good();
  recording.entries[kRdtsc].op.vcpu = 5;
  recording.entries[kMove].op.value = 9;
  EXPECT_THAT(error_of(recording), testing::AllOf(HasSubstr("x.jsonl:5: "), HasSubstr("x.jsonl:8: ")));
  for (int i = 0; i < 30; ++i) recording.entries.push_back(entry_of(OpKind::rdtsc, 5, 9));
  EXPECT_THAT(error_of(recording), HasSubstr("x.jsonl: error: and 12 more faults"));
}

// ---- recordings of Linux itself

LinuxSample sample_at(std::uint64_t pm) {
  LinuxSample sample;
  sample.pm_timer = {pm, pm + 3};
  sample.clocksource = "tsc";
  for (LinuxReading& reading : sample.clocks) reading = {{10 * pm, 10 * pm + 1}, pm};
  return sample;
}

LinuxRecording good_linux() {
  LinuxRecording recording;
  LinuxHeader& header = recording.header;
  header.kernel = "6.12";
  header.tick_ns = 4'000'000;
  header.tsc_khz = 50'000;
  LinuxStep settle, jump;
  jump.action = LinuxAction::jump_tsc;
  jump.ns = 1'000'000;
  header.experiment.steps = {settle, jump};
  recording.events = {LinuxDone{settle, 0, {1, 2}, {0, 0}, 0},       LinuxLook{},   sample_at(5), sample_at(20),
                      LinuxDone{jump, 0, {300, 310}, {30, 31}, 305}, sample_at(40), LinuxLook{}};
  return recording;
}

std::string error_of(const LinuxRecording& recording) {
  std::stringstream text;
  write_json_lines(recording, text);
  try {
    read_linux_recording(text, "x.jsonl");
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(LinuxRecordingRules, EachFaultHasItsLineAndWhatWasExpected) {
  EXPECT_EQ(error_of(good_linux()), "accepted");
  const auto done = [](LinuxRecording& r, std::size_t i) -> LinuxDone& { return std::get<LinuxDone>(r.events[i]); };
  const auto sample = [](LinuxRecording& r, std::size_t i) -> LinuxSample& {
    return std::get<LinuxSample>(r.events[i]);
  };
  const struct {
    std::function<void(LinuxRecording&)> change;
    const char* error;
  } cases[] = {
      {[](LinuxRecording& r) { r.header.tsc_khz = 0; }, "x.jsonl:1: error: tsc_khz 0; expected 1 to 2147483647"},
      {[](LinuxRecording& r) { r.header.tick_ns = 0; }, "x.jsonl:1: error: tick_ns 0; expected 1000000 to 10000000"},
      {[](LinuxRecording& r) { r.header.experiment.machine.cpus = 65; },
       "x.jsonl:1: error: machine: cpus 65; expected 1 to 64"},
      {[](LinuxRecording& r) { r.header.experiment.steps.pop_back(); },
       "x.jsonl:1: error: experiment: 1 steps; expected two or more"},
      {[&](LinuxRecording& r) { sample(r, 5).cpu = 1; }, "x.jsonl:7: error: cpu 1; expected CPU 0 of the machine"},
      {[&](LinuxRecording& r) { done(r, 4).step.cpu = -1; }, "x.jsonl:6: error: cpu -1; expected CPU 0 of the machine"},
      {[&](LinuxRecording& r) {
         sample(r, 5).clocks[0].tsc = {5, 4};
       },
       "x.jsonl:7: error: clocks ends before it begins; expected the lower count first"},
      {[&](LinuxRecording& r) { sample(r, 5).pm_timer.lo = 7; },
       "x.jsonl:7: error: pm 7; expected a count from 30 on: the timer never goes back"},
      {[&](LinuxRecording& r) { sample(r, 5).pm_timer.hi = UINT64_MAX; },
       "x.jsonl:7: error: pm 18446744073709551615; expected at most 18014398509481984, within 292 years"},
      {[](LinuxRecording& r) { r.events.erase(r.events.begin() + 1); },
       "x.jsonl:1: error: the experiment does not look before and after it samples; expected 'settle', a look, samples, and "
       "a look at the end"},
      {[](LinuxRecording& r) { r.events.erase(r.events.begin() + 3); },
       "x.jsonl:1: error: CPU 0 is not sampled twice before anything is done; expected samples between which the TSC and "
       "the timer count"},
  };
  for (const auto& c : cases) {
    LinuxRecording recording = good_linux();
    c.change(recording);
    EXPECT_EQ(error_of(recording), std::string(c.error) + kMend);
  }
}

}  // namespace
}  // namespace tscsim::ops

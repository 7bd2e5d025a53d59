// The language as authors meet it: what a file expands into, and what is said when it is wrong.
// TSCSIM_UPDATE_GOLDEN=1 rewrites the expected messages beside the refused files; the change is then reviewed
// like code.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "scenarios/scenario.h"
#include "scenarios/test_files.h"
#include "scenarios/yaml_tree.h"

namespace tscsim::scenarios {
namespace {

using ops::OpKind;

std::string message_of(const std::string& text, const std::string& file) {
  try {
    parse_scenario(text, file);
  } catch (const ops::InputError& error) {
    return std::string(error.what()) + "\n";
  }
  return "it was accepted\n";
}

Scenario parse(const std::string& body) { return parse_scenario("name: t\n" + body, "t.yaml"); }

std::vector<std::string> steps_of(const std::vector<ops::Step>& steps) {
  std::vector<std::string> out;
  for (const ops::Step& step : steps) {
    std::string text = std::to_string(step.op.at_ns) + " " + std::string(ops::name_of(step.op.kind));
    if (step.op.vcpu != ops::kVm) text += " " + std::to_string(step.op.vcpu);
    if (step.op.msr != 0) text += " " + std::string(ops::msr_name(step.op.msr));
    if (step.op.value != 0) text += " " + std::to_string(step.op.value);
    if (step.value) text += " (" + step.value->text() + ")";
    if (!step.capture.empty()) text += " -> " + step.capture;
    out.push_back(text);
  }
  return out;
}

TEST(Refused, MessagesAreAsExpected) {
  const bool update = std::getenv("TSCSIM_UPDATE_GOLDEN") != nullptr;
  const auto files = find_scenarios(source_path("refused"));
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(source_path("refused"));  // procedures are found from there, and named from there
  EXPECT_GE(files.size(), 20U);
  for (const std::string& path : files) {
    const std::filesystem::path file(path);
    const std::string found = message_of(read_text(path), file.filename().string());
    const std::string golden = std::filesystem::path(path).replace_extension(".expected-error").string();
    if (update) std::ofstream(golden, std::ios::binary) << found;
    EXPECT_EQ(found, read_text(golden)) << path;
  }
  std::filesystem::current_path(before);
}

TEST(Hostile, LargeInputIsRefusedWithoutParsing) {
  const std::string text(10'000'000, '[');
  EXPECT_EQ(message_of(text, "big.yaml"),
            "big.yaml: error: the file holds 10000000 bytes; a scenario has at most 1048576\n"
            "  mend: check that this is a scenario, or split it\n");
}

TEST(Hostile, NothingCrashesOrHangs) {
  const auto repeat = [](const std::string& part, std::size_t bytes) {
    std::string text;
    while (text.size() + part.size() <= bytes) text += part;
    return text;
  };
  const auto begin = std::chrono::steady_clock::now();
  for (const char* part :
       {"[",     "{",  "{a: ", "- ", "? ", "a: ",  "\"",           "'", "|\n", ">\n", "!",  "&a ", "*a ", "%", "---\n",
        "- a\n", "a,", "\t",   ":",  "#",  "\xff", "\xef\xbb\xbf", "-", "}",   "]",   "[]", "? - "}) {
    const std::string many = repeat(part, kMaxFileBytes / 4);
    EXPECT_NE(message_of(many, "t.yaml"), "it was accepted\n") << part;
    EXPECT_NE(message_of("name: t\ntimeline: [" + many, "t.yaml"), "it was accepted\n") << part;
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  EXPECT_LT(seconds.count(), 60.0);
}

TEST(Hostile, BinaryIsNamedAsSuch) {
  EXPECT_THAT(message_of(std::string("name: t\n\0", 9), "t.yaml"), testing::HasSubstr("t.yaml:2:1: error: a control"));
  for (const char* text : {"!2", "!", "\xff\xfe\x41", "\xfe\xff", "a: !<", "- !!", "{a: b", "[a: b", "\"abc"})
    EXPECT_NE(message_of(text, "t.yaml"), "it was accepted\n") << text;
}

// Prefixes of a good file: cut anywhere, it is refused or is a shorter good file, but nothing else happens.
TEST(Hostile, CutFiles) {
  const std::string text = read_text(source_path("testdata/every-word.yaml"));
  for (std::size_t bytes = 0; bytes < text.size(); bytes += 3) message_of(text.substr(0, bytes), "every-word.yaml");
}

TEST(Hostile, ErrorsAreBounded) {
  std::string text = "name: t\ntimeline:\n";
  for (int i = 0; i < 1000; ++i) text += "  - {at: 5, vcpu: 9, rdtcs: a}\n";
  try {
    parse_scenario(text, "t.yaml");
    FAIL();
  } catch (const ops::InputError& error) {
    EXPECT_EQ(error.diagnostics().size(), 50U);
  }
}

TEST(Parser, SetUpCreatesTheVm) {
  const Scenario scenario = parse("vm: {vcpus: 2, kvmclock: on, heuristic: never}\ntimeline: []\n");
  EXPECT_THAT(steps_of(scenario.program.setup),
              testing::ElementsAre("0 create_vm", "0 create_vcpu 0", "0 create_vcpu 1",
                                   "0 set_msr 0 MSR_KVM_SYSTEM_TIME_NEW 2097153",
                                   "0 set_msr 1 MSR_KVM_SYSTEM_TIME_NEW 2101249"));
  EXPECT_EQ(scenario.program.heuristic, "never");
  EXPECT_EQ(
      parse("vm: {heuristic: {base: window, window: 500 ms, zero_write: value}}\ntimeline: []\n").program.heuristic,
      "base=window,window=500 ms,zero_write=value");
  EXPECT_EQ(scenario.program.name, "t");
  EXPECT_EQ(scenario.program.hash.size(), 16U);
}

TEST(Parser, HostKeepsDefaultsAndUnits) {
  EXPECT_EQ(parse("timeline: []\n").program.hosts, std::vector<ops::HostSpec>{{}});
  const ops::HostSpec host =
      parse_scenario(read_text(source_path("testdata/every-word.yaml")), "every-word.yaml").program.hosts.front();
  EXPECT_EQ(host.kernel, "6.12");
  EXPECT_EQ(host.vendor, "svm");
  EXPECT_EQ(host.tsc_khz, 2'596'127U);
  EXPECT_TRUE(host.tsc_khz_written);
  EXPECT_EQ(host.tsc_error_ppb, -3);
  EXPECT_TRUE(host.tsc_scaling);
  EXPECT_EQ(host.uptime_ns, 3 * 3'600'000'000'000);
  EXPECT_EQ(host.realtime_error_ns, 2'000'000);
  EXPECT_EQ(host.realtime_drift_ppb, 20'000);
  EXPECT_EQ(host.pcpus.at(1).tsc_offset, -1000);
}

TEST(Parser, KernelVersionStaysText) {
  EXPECT_EQ(parse("host: {kernel: 5.10}\ntimeline: []\n").program.hosts.front().kernel, "5.10");
  EXPECT_EQ(parse("hosts: {a: {kernel: 6.1}}\ntimeline: []\n").program.hosts.front().kernel, "6.1");
}

TEST(Parser, ExpandsVcpusGapsAndSugar) {
  const Scenario scenario = parse(R"(
vm: {vcpus: 2}
timeline:
  - {at: 0 ms, vcpu: all, gap: 100 us, set_msr: {IA32_TSC: 0x10}}
  - {at: 50 us, vcpu: 0, rdtsc: a}
  - {at: 1 ms, vcpu: [1], kvmclock: on}
  - {at: 1 ms, vcpu: 1, wall_clock: w}
  - {at: 2 ms, vcpu: 1, kvmclock: off}
  - {at: 2 ms, set_clocksource: hpet}
  - {at: 2 ms, create_vcpu: 2}
  - {at: 3 ms, vcpu: all, set_tsc_offset: -1}
  - {at: 3 ms, vcpu: 0, set_msr: {IA32_TSC: a + 1 ms}}
  - {at: 3 ms, set_tsc_khz: 2 GHz}
)");
  EXPECT_THAT(steps_of(scenario.program.timeline),
              testing::ElementsAre("0 set_msr 0 IA32_TSC 16", "50000 rdtsc 0 -> a", "100000 set_msr 1 IA32_TSC 16",
                                   "1000000 set_msr 1 MSR_KVM_SYSTEM_TIME_NEW 2101249",
                                   "1000000 set_msr 1 MSR_KVM_WALL_CLOCK_NEW 2625536", "1000000 peek_wall_clock 1 -> w",
                                   "2000000 set_msr 1 MSR_KVM_SYSTEM_TIME_NEW", "2000000 set_clocksource",
                                   "2000000 create_vcpu 2", "3000000 set_tsc_offset 0 18446744073709551615",
                                   "3000000 set_tsc_offset 1 18446744073709551615",
                                   "3000000 set_tsc_offset 2 18446744073709551615",
                                   "3000000 set_msr 0 IA32_TSC (a + 1 ms)", "3000000 set_tsc_khz 2000000"));
}

TEST(Parser, SampleReadsWhatIsOn) {
  const Scenario scenario = parse(R"(
vm: {vcpus: 2}
timeline:
  - {at: 0 ms, vcpu: 1, kvmclock: on}
  - {at: 1 ms, sample: {every: 1 ms, for: 2 ms}}
)");
  EXPECT_THAT(
      steps_of(scenario.program.timeline),
      testing::ElementsAre("0 set_msr 1 MSR_KVM_SYSTEM_TIME_NEW 2101249", "1000000 rdtsc 0", "1000000 rdtsc 1",
                           "1000000 read_pvclock 1", "2000000 rdtsc 0", "2000000 rdtsc 1", "2000000 read_pvclock 1"));
}

TEST(Parser, SetClock) {
  const Scenario scenario = parse(R"(
timeline:
  - {at: 0 ms, get_clock: c}
  - {at: 1 ms, set_clock: {clock: c, realtime: c.realtime, flags: [realtime, host_tsc]}}
  - {at: 1 ms, set_clock: {clock: 5 s, flags: 2}}
)");
  const auto& steps = scenario.program.timeline;
  EXPECT_EQ(steps[1].value->text(), "c");
  EXPECT_EQ(steps[1].realtime->text(), "c.realtime");
  EXPECT_EQ(steps[1].op.flags, 12U);
  EXPECT_EQ(steps[2].op.value, 5'000'000'000U);
  EXPECT_EQ(steps[2].op.flags, 2U);
}

TEST(Parser, ExpectationsAreSpokenInOneLine) {
  const Scenario scenario = parse_scenario(read_text(source_path("testdata/every-word.yaml")), "every-word.yaml");
  std::vector<std::string> texts;
  for (const Expectation& expectation : scenario.expectations) {
    if (is_guest_metric(expectation.subject)) break;  // those of a Linux guest come last
    texts.push_back(expectation.text);
  }
  EXPECT_THAT(texts, testing::ElementsAre(
                         "set_clock fails with EINVAL", "b is a", "a is not 5", "a at least 1_000_000_000 + 1 ms",
                         "p - c.clock at most 5 ms", "p.tsc is b within 10 ms", "k is 2 GHz", "c.flags is 14",
                         "tsc_offset of all is equal", "tsc_offset of vCPUs 0 1 is unequal at 4_000_000 ns",
                         "tsc_offset of vCPU 0 is saved - 100", "tsc_adjust of vCPU 1 is 1000", "master_clock is on",
                         "master_clock is off at 5_000_000 ns", "master_clock is on (host b)",
                         "tsc_adjust of vCPU 1 is 0 (host b)", "tsc_skew is 0 from 6_000_000 ns",
                         "kvmclock_skew at most 1 us at 9_000_000 ns", "tsc_jump of vCPU 0 is 100 ms within 1 ms",
                         "kvmclock_jump of vCPU 0 is -5 s within 1 us from 6_000_000 ns to 9_000_000 ns"));
}

TEST(Parser, WhatIsSaidByKernelHoldsFromThereOnUpToTheNext) {
  const Scenario scenario = parse_scenario(read_text(source_path("testdata/by-kernel.yaml")), "by-kernel.yaml");
  const auto meant = [&](const std::string& release) {
    std::vector<std::string> texts;
    for (const Expectation& expectation : scenario.expectations)
      if (expectation.kernels.contains(release)) texts.push_back(expectation.text);
    return texts;
  };
  using testing::ElementsAre;
  EXPECT_THAT(meant("5.7"), ElementsAre("set_tsc_khz on vCPU 0 fails with EINVAL", "a at least 0 ns", "a is 1 ns"));
  EXPECT_THAT(meant("5.14.0-rc3"),
              ElementsAre("set_tsc_khz on vCPU 0 fails with EINVAL", "a at least 0 ns", "a is 1 ns"));
  EXPECT_THAT(meant("5.15.32"), ElementsAre("a at least 0 ns", "a is 1 ns"));
  EXPECT_THAT(meant("6.12"), ElementsAre("set_tsc_khz on vCPU 0 fails with ENOTTY", "a at least 0 ns", "a is 2 ns"));
  EXPECT_EQ(scenario.meta.since, "5.7");

  std::vector<std::string> labels;
  for (const Scenario& copy : for_each_kernel(scenario)) {
    labels.push_back(label(copy));
    EXPECT_EQ(copy.program.hosts.front().kernel, copy.meta.kernel);
  }
  EXPECT_THAT(labels, ElementsAre("by-kernel@5.7", "by-kernel@5.15", "by-kernel@6.8"));
}

TEST(Library, ShippedScenariosParseAndNameTheirSource) {
  const auto files = find_scenarios(source_path(""));
  EXPECT_GE(files.size(), 4U);
  EXPECT_TRUE(std::is_sorted(files.begin(), files.end()));
  for (const std::string& path : files) {
    const Scenario scenario = load_scenario(path);
    EXPECT_FALSE(scenario.meta.title.empty()) << path;
    EXPECT_FALSE(scenario.meta.source.empty()) << path;
    // Those of lint/ are expected to have a finding, or not to: verdict/lint_test.cpp.
    const bool judged_by_lint = path.find("/lint/") != std::string::npos;
    EXPECT_EQ(scenario.expectations.empty(), judged_by_lint) << path;
  }
}

TEST(Library, SaysWhatCannotBeRead) {
  const auto message = [](auto call) -> std::string {
    try {
      call();
    } catch (const ops::InputError& error) {
      return error.what();
    }
    return "it was accepted";
  };
  EXPECT_EQ(message([] { load_scenario("no-such.yaml"); }),
            "no-such.yaml: error: cannot be opened: No such file or directory");
  EXPECT_EQ(message([] { find_scenarios("no-such"); }), "no-such: error: there is no such file or folder");
  EXPECT_THAT(message([] { load_scenario(source_path("refused")); }), testing::HasSubstr("is a directory"));
  const std::string large = testing::TempDir() + "large.yaml";
  std::ofstream(large) << std::string(10'000'000, ' ');
  EXPECT_THAT(message([&] { load_scenario(large); }), testing::HasSubstr("the file holds 10000000 bytes"));
}

}  // namespace
}  // namespace tscsim::scenarios

// Logs as a whole: what the model's traces say is read back event for event, whatever the scenario; and no damage to a real
// log does more than lose lines.
#include "logs/import.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "logs/explain.h"
#include "model/world/simulation.h"
#include "ops/ftrace_text.h"
#include "scenarios/scenario.h"
#include "sim/random.h"

namespace tscsim::logs {
namespace {

namespace fs = std::filesystem;

// Bits of where and how the events were seen do not come back: the model has no counter to stamp them with.
std::vector<ops::TraceEvent> events_of(const ops::Recording& recording, int host) {
  std::vector<ops::TraceEvent> events;
  for (const ops::Entry& entry : recording.entries)
    if (entry.op.host == host) events.insert(events.end(), entry.traced.begin(), entry.traced.end());
  return events;
}

// A host may have several VMs, one after the other, each with a vCPU 0.
std::size_t vms_of(const ops::Recording& recording, int host) {
  return static_cast<std::size_t>(
      std::count_if(recording.entries.begin(), recording.entries.end(), [&](const ops::Entry& entry) {
        return entry.op.host == host && entry.op.kind == ops::OpKind::create_vcpu && entry.op.vcpu == 0 &&
               entry.outcome.error == 0;
      }));
}

TEST(RoundTrip, EveryShippedScenariosTraceIsReadBackAsItWas) {
  std::size_t traces = 0;
  for (const std::string& file : scenarios::find_scenarios(TSCSIM_SOURCE_DIR "/scenarios")) {
    for (const scenarios::Scenario& scenario : scenarios::for_each_kernel(scenarios::load_scenario(file))) {
      const auto executor = model::simulate(scenario.program.hosts, scenario.program.heuristic, model::Tracing::on);
      const ops::Recording recording = ops::run_program(scenario.program, *executor, 1);
      for (int host = 0; host < recording.header.hosts(); ++host) {
        const auto expected = events_of(recording, host);
        if (expected.empty()) continue;
        std::istringstream in(ops::ftrace_of(recording, host));
        const Import import = import_trace(in, file, "ftrace", {});
        EXPECT_FALSE(import.partial()) << file;
        EXPECT_EQ(import.vms.size(), vms_of(recording, host)) << file << ", host " << host;
        std::vector<ops::TraceEvent> read;
        for (const ImportedVm& vm : import.vms)
          for (const ops::TraceEvent& event : events_of(vm.recording, 0)) read.push_back(event);
        EXPECT_EQ(read, expected) << file << ", host " << host;
        ++traces;
      }
    }
  }
  EXPECT_GT(traces, 50u);
}

std::string text_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// Whatever comes: a recording, or a refusal that names the file.
void try_import(const std::string& text, bool strace) {
  std::istringstream in(text);
  try {
    const Import import = strace ? import_strace(in, "LOG", {}) : import_trace(in, "LOG", "ftrace", {});
    for (const ImportedVm& vm : import.vms) {
      explain(vm.recording);
      std::stringstream lines;
      ops::write_json_lines(vm.recording, lines);
      ops::read_json_lines(lines, "REC");  // what was taken can be stored
    }
  } catch (const ops::InputError& error) {
    EXPECT_EQ(error.diagnostics().front().place.file, "LOG");
  }
}

TEST(Damage, NoPrefixAndNoFlippedByteOfARealLogIsMoreThanLost) {
  const std::uint64_t seed = ::testing::UnitTest::GetInstance()->random_seed() == 0
                                 ? 20261125
                                 : static_cast<std::uint64_t>(::testing::UnitTest::GetInstance()->random_seed());
  sim::Stream random(seed, "damage");
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::size_t logs = 0;
  for (const auto& file : fs::directory_iterator(TSCSIM_SOURCE_DIR "/tests/logs")) {
    if (file.path().extension() != ".txt") continue;
    ++logs;
    const bool strace = file.path().filename().string().find("strace") != std::string::npos;
    const std::string text = text_of(file.path());
    const std::size_t stride = strace ? 101 : 7;
    for (std::size_t length = 0; length < text.size(); length += stride) try_import(text.substr(0, length), strace);
    for (int i = 0; i < 100; ++i) {
      std::string damaged = text;
      for (int flips = 0; flips < 4; ++flips)
        damaged[static_cast<std::size_t>(random.uniform(0, static_cast<std::int64_t>(damaged.size()) - 1))] =
            static_cast<char>(random.uniform(0, 255));
      try_import(damaged, strace);
    }
  }
  EXPECT_GE(logs, 20u);
}

TEST(Import, ALineThatLacksItsEndIsNotTaken) {
  const std::string line = "  vmm-1 [000] ..... 1.100000: kvm_write_tsc_offset: vcpu=0 prev=0 next=5000";
  std::istringstream whole(line + "\n" + line + "\n"), cut(line + "\n" + line);
  EXPECT_EQ(import_trace(whole, "LOG", "ftrace", {}).vms[0].recording.entries.size(), 2u);
  const Import partial = import_trace(cut, "LOG", "ftrace", {});
  EXPECT_EQ(partial.vms[0].recording.entries.size(), 1u) << "5000 may have been 50001";
  EXPECT_TRUE(partial.partial());
}

// A task may have any bytes for its name, a recording has UTF-8 alone.
TEST(Import, ANameThatIsNotUtf8IsKeptAsFarAsItIs) {
  const struct {
    const char *name, *kept;
  } cases[] = {{"vm\x8d", "vm\xef\xbf\xbd"},
               {"v\xc3\xb6m", "v\xc3\xb6m"},
               {"\xf0\x9f\x95\x90", "\xf0\x9f\x95\x90"},
               {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
               {"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},
               {"a\xe2\x82", "a\xef\xbf\xbd\xef\xbf\xbd"}};
  for (const auto& c : cases) {
    std::istringstream log(std::string("  ") + c.name +
                           "-1 [000] ..... 1.100000: kvm_write_tsc_offset: vcpu=0 prev=0 next=5000\n");
    const ops::Recording recording = import_trace(log, "LOG", "ftrace", {}).vms.at(0).recording;
    EXPECT_THAT(recording.entries.at(0).note, ::testing::HasSubstr(std::string(" ") + c.kept + "-1"));
    std::stringstream text;
    ops::write_json_lines(recording, text);
    EXPECT_EQ(ops::read_json_lines(text, "LOG"), recording) << c.kept;
  }
}

}  // namespace
}  // namespace tscsim::logs

// The stored recordings of real KVM under the right model: it derives every value in them, and notices when
// any one of them is changed. Which values are changed is sampled from a fixed seed.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "crosscheck/checker.h"
#include "ops/recording.h"
#include "sim/random.h"
#include "storage/recordings.h"
#include "stored_recordings.h"

namespace tscsim {
namespace {

using crosscheck::Verdict;

const std::vector<StoredRecording>& stored() {
  static const std::vector<StoredRecording> all = stored_recordings(TSCSIM_RECORDINGS);
  return all;
}

TEST(Recordings, TheModelDerivesEveryValue) {
  ASSERT_GE(stored().size(), 12u);
  std::size_t exact = 0;
  for (const auto& [name, archived, recording] : stored()) {
    const crosscheck::Result result = crosscheck::check(recording);
    EXPECT_EQ(result.count(Verdict::mismatch), 0u)
        << name << "\n"
        << (result.mismatches.empty() ? "" : result.mismatches.front().explanation);
    EXPECT_TRUE(archived || result.count(Verdict::undecided) == 0) << name;
    exact += result.count(Verdict::exact);
  }
  EXPECT_GE(exact, 100u);
}

// Recordings that were once called a mismatch, and what is right. None is KVM's fault.
TEST(Recordings, WhatWasFalselyAccusedIsNot) {
  const struct {
    const char* name;
    std::size_t undecided;
    const char* because;
  } rows[] = {
      {"hostile/overlap-first-last", 0, "two threads write one MSR at the same time: either may be last"},
      {"hostile/overlap-second-last", 0, "its mirror"},
      {"peers/guest-tsc-only-lab-amd-7.2", 1, "the guest writes its TSC, the VMM does not read IA32_TSC_ADJUST"},
      {"peers/one-reg-tsc-unseen-lab-amd-7.2", 1, "the VMM writes its TSC by a call that was not recorded then"},
  };
  for (const auto& row : rows) {
    const std::string path = std::string(TSCSIM_CASES) + "/" + row.name + ".jsonl";
    const std::vector<ops::Recording> found = storage::read_recordings(path);
    ASSERT_EQ(found.size(), 1u) << path;
    const crosscheck::Result result = crosscheck::check(found.front());
    EXPECT_EQ(result.count(Verdict::mismatch), 0u) << path << ": " << row.because;
    EXPECT_EQ(result.count(Verdict::undecided), row.undecided) << path << ": " << row.because;
  }
}

struct FieldAt {
  std::size_t entry = 0;
  std::size_t field = 0;
};

// What the guest of somebody else's VMM may have written: another value is then another guest's, and no mismatch.
bool may_be_any(const ops::Recording& recording, const ops::Operation& op) {
  return !recording.header.vmm.empty() && op.kind == ops::OpKind::get_msr && op.msr != ops::msr::kIa32Tsc;
}

std::vector<FieldAt> fields_of(const ops::Recording& recording) {
  std::vector<FieldAt> all;
  for (std::size_t i = 0; i < recording.entries.size(); ++i)
    if (!may_be_any(recording, recording.entries[i].op))
      for (std::size_t f = 0; f < recording.entries[i].outcome.count; ++f) all.push_back({i, f});
  return all;
}

// The top bit leaves every interval: brackets are micro- to milliseconds wide.
void flip(ops::Recording& recording, FieldAt at) {
  recording.entries[at.entry].outcome.fields[at.field].value ^= std::uint64_t{1} << 63;
}

bool mismatch(const ops::Recording& recording) { return crosscheck::check(recording).count(Verdict::mismatch) != 0; }

// A TSC that the guest of somebody else's VMM may have written is not KVM's doing: the change is told all the same.
bool noticed(const ops::Recording& changed, const ops::Recording& good) {
  const crosscheck::Result result = crosscheck::check(changed);
  if (result.count(Verdict::mismatch) != 0) return true;
  return !good.header.vmm.empty() &&
         result.count(Verdict::undecided) > crosscheck::check(good).count(Verdict::undecided);
}

TEST(Recordings, AChangedValueIsAMismatch) {
  constexpr std::uint64_t kSeed = 1;
  for (const auto& [name, archived, good] : stored()) {
    const int samples = archived ? 1 : 8;
    const auto fields = fields_of(good);
    ASSERT_FALSE(fields.empty()) << name;
    sim::Stream random(kSeed, name);
    for (int i = 0; i < samples; ++i) {
      const FieldAt at =
          fields[static_cast<std::size_t>(random.uniform(0, static_cast<std::int64_t>(fields.size()) - 1))];
      ops::Recording changed = good;
      flip(changed, at);
      EXPECT_TRUE(noticed(changed, good)) << name << ": entry " << at.entry << ", field "
                                          << ops::name_of(good.entries[at.entry].outcome.fields[at.field].field);
    }
  }
}

// Entries of the single recordings that have trace events.
struct TracedEntry {
  std::string path;
  ops::Recording recording;
  std::size_t entry = 0;
};
// On an unstable TSC not every event is compared (crosscheck/hypothesis.cpp).
bool keeps_stable_tsc(const ops::Recording& recording) {
  return !recording.header.profile.tsc_unstable &&
         std::none_of(recording.entries.begin(), recording.entries.end(), [](const ops::Entry& entry) {
           return entry.op.kind == ops::OpKind::jump_host_tsc && entry.op.pcpu != ops::kAllPcpus;
         });
}

std::vector<TracedEntry> traced_entries() {
  std::vector<TracedEntry> all;
  for (const auto& [name, archived, recording] : stored())
    for (std::size_t i = 0; !archived && keeps_stable_tsc(recording) && i < recording.entries.size(); ++i)
      if (!recording.entries[i].traced.empty()) all.push_back({name, recording, i});
  return all;
}

// Each event and each of its values is compared, and so is that there was no other.
TEST(Recordings, AChangedTraceEventIsAMismatch) {
  const auto all = traced_entries();
  ASSERT_GE(all.size(), 20u);
  for (const auto& [path, good, entry] : all) {
    const auto changed = [&, &recording = good, at = entry](const auto& change) {
      ops::Recording copy = recording;
      change(copy.entries[at].traced);
      return mismatch(copy);
    };
    const std::size_t events = good.entries[entry].traced.size();
    for (std::size_t e = 0; e < events; ++e) {
      const ops::TraceKind kind = good.entries[entry].traced[e].kind;
      const std::string what = path + ": entry " + std::to_string(entry) + ", " + std::string(ops::name_of(kind));
      for (std::size_t v = 0; v < ops::trace_values(kind).size(); ++v)
        EXPECT_TRUE(changed([&](auto& traced) { traced[e].values[v] ^= std::uint64_t{1} << 63; }))
            << what << " value " << v;
      if (!ops::tells_vcpu(kind)) continue;
      EXPECT_TRUE(changed([&](auto& traced) { traced[e].vcpu += 1; })) << what;
    }
    EXPECT_TRUE(changed([](auto& traced) { traced.clear(); })) << path << ": entry " << entry;
    EXPECT_TRUE(changed([](auto& traced) { traced.push_back(traced.front()); })) << path << ": entry " << entry;
  }
}

// Where nothing was listened to, the absence of events says nothing; where it was, it says that nothing happened.
TEST(Recordings, TheAbsenceOfEventsIsAStatement) {
  for (auto [path, recording, entry] : traced_entries()) {
    for (ops::Entry& any : recording.entries) any.traced.clear();
    EXPECT_TRUE(mismatch(recording)) << path;
    recording.header.profile.traces.clear();
    EXPECT_FALSE(mismatch(recording)) << path;
  }
}

TEST(Recordings, AnErrorThatKvmDidNotReturnIsAMismatch) {
  for (const auto& [path, archived, good] : stored()) {
    ops::Recording changed = good;
    const auto refused = std::find_if(changed.entries.rbegin(), changed.entries.rend(),
                                      [](const ops::Entry& e) { return e.supported && e.outcome.error == 0; });
    ASSERT_NE(refused, changed.entries.rend()) << path;
    refused->outcome = {};
    refused->outcome.error = 22;  // EINVAL
    EXPECT_TRUE(mismatch(changed)) << path;
  }
}

}  // namespace
}  // namespace tscsim

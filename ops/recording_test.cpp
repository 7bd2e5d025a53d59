#include "ops/recording.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <sstream>

#include "ops/error.h"
#include "ops/recording_rules.h"

namespace tscsim::ops {
namespace {

using ::testing::HasSubstr;

Recording sample() {
  Recording recording;
  recording.header.tool_version = "0.1.0";
  recording.header.scenario = "boot";
  recording.header.scenario_hash = "0123456789abcdef";
  recording.header.seed = UINT64_MAX;
  recording.header.profile.target = "model";
  recording.header.profile.kernel = "6.12";
  recording.header.profile.vendor = "vmx";
  recording.header.profile.host_khz = 2'600'000;
  recording.header.zero_tsc = 9;
  Entry read;
  read.op = {OpKind::get_msr, 0, msr::kIa32Tsc, 0, 0, 0, kAllPcpus, -5, false};
  read.bracket = {{1, 2}, {3, 4}, {5, 6}, {7, 8}};
  read.outcome.add(Field::value, 1ull << 63);
  Entry refused;
  refused.op = {OpKind::set_tsc_khz, kVm, 0, 0, 3'000'000, 0, 2, 7, true};
  refused.supported = false;
  refused.note = "no \"scaling\"\n";
  recording.entries = {read, refused};
  return recording;
}

std::string text_of(const Recording& recording) {
  std::ostringstream out;
  write_json_lines(recording, out);
  return out.str();
}

Recording recording_from(const std::string& text) {
  std::istringstream in(text);
  return read_unchecked(in, "x.jsonl");
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

std::string error_of(const std::string& text) {
  try {
    recording_from(text);
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

// The format is a promise to other programs and to older recordings: a change here needs a new version.
TEST(RecordingText, IsExactly) {
  EXPECT_EQ(
      text_of(sample()),
      R"({"type":"header","version":1,"tool_version":"0.1.0","scenario":"boot","scenario_hash":"0123456789abcdef",)"
      R"("seed":"18446744073709551615","profile":{"target":"model","kernel":"6.12","vendor":"vmx",)"
      R"("host_khz":2600000,"tsc_scaling":false,"tsc_clocksource":true,"offset_attribute":true,)"
      R"("honours_tsc_offset":true,"clock_has_realtime":true,"guest_rdtscp":true,"reenters_after_tsc_wrmsr":true,"enabling_clears_stable":false,"pcpus":1,"heuristic":""},)"
      R"("zero_tsc":"9","zero_base_ns":"0"})"
      "\n"
      R"({"type":"entry","op":{"kind":"get_msr","vcpu":0,"msr":16,"flags":0,"value":"0","realtime":"0",)"
      R"("at_ns":"-5","probe":false},"pcpu":0,"supported":true,"bracket":{"tsc":["1","2"],"base_ns":["3","4"],)"
      R"("realtime_ns":["5","6"],"run_delay_ns":["7","8"]},"outcome":{"error":0,"fields":{"value":"9223372036854775808"}},"note":""})"
      "\n"
      R"({"type":"entry","op":{"kind":"set_tsc_khz","vcpu":-1,"msr":0,"flags":0,"value":"3000000","realtime":"0",)"
      R"("pcpu":2,"at_ns":"7","probe":true},"pcpu":0,"supported":false,"bracket":{"tsc":["0","0"],"base_ns":["0","0"],)"
      R"("realtime_ns":["0","0"]},"outcome":{"error":0,"fields":{}},"note":"no \"scaling\"\n"})"
      "\n"
      R"({"type":"end","entries":2})"
      "\n");
}

TEST(RecordingText, ReadsBackWhatWasWritten) { EXPECT_EQ(recording_from(text_of(sample())), sample()); }

TEST(RecordingText, WhatMayBeDoneToTheHostReadsBack) {
  Recording recording = sample();
  recording.header.profile.clocksource_changes = recording.header.profile.suspends = true;
  EXPECT_EQ(recording_from(text_of(recording)), recording);
}

// Trace events are there only where the target traces, so recordings made before there were any read as before.
Recording traced_sample() {
  Recording recording = sample();
  recording.header.profile.traces = {TraceKind::write_tsc_offset, TraceKind::update_master_clock};
  recording.entries[0].traced = {{TraceKind::write_tsc_offset, 1, 77, {0, UINT64_MAX}},
                                 {TraceKind::update_master_clock, kVm, 78, {1, 1, 0}}};
  return recording;
}

TEST(RecordingText, TraceEventsFollowTheNote) {
  const std::string text = text_of(traced_sample());
  EXPECT_NE(text.find(R"("heuristic":"","traces":["kvm_write_tsc_offset","kvm_update_master_clock"]},)"),
            std::string::npos);
  EXPECT_NE(
      text.find(
          R"("note":"","traced":[{"event":"kvm_write_tsc_offset","tsc":"77","vcpu":1,"values":{"previous_tsc_offset":"0",)"
          R"("next_tsc_offset":"18446744073709551615"}},{"event":"kvm_update_master_clock","tsc":"78",)"
          R"("values":{"use_master_clock":"1","host_clock":"1","offset_matched":"0"}}]})"),
      std::string::npos)
      << text;
  EXPECT_EQ(recording_from(text), traced_sample());
}

TEST(RecordingText, RefusesTraceEventsThatItDoesNotKnow) {
  const std::string text = text_of(traced_sample());
  EXPECT_EQ(error_of(replaced(text, R"({"event":"kvm_write_tsc_offset")", R"({"event":"kvm_exit")")),
            "x.jsonl:2: error: unknown tracepoint \"kvm_exit\"");
  EXPECT_EQ(error_of(replaced(text, R"("next_tsc_offset")", R"("next")")),
            "x.jsonl:2: error: values: member 'next_tsc_offset' is missing");
  EXPECT_EQ(error_of(replaced(text, R"("offset_matched":"0")", R"("offset_matched":"0","more":"0")")),
            "x.jsonl:2: error: values: more than kvm_update_master_clock has");
  EXPECT_EQ(error_of(replaced(text, R"("tsc":"78",)", R"("tsc":"78","vcpu":0,)")),
            "x.jsonl:2: error: traced: unknown member 'vcpu'");
}

TEST(RecordingText, RefusesWhatItDoesNotKnow) {
  const std::string text = text_of(sample());
  const struct {
    const char* from;
    const char* to;
    const char* error;
  } cases[] = {
      {R"("version":1)", R"("version":2)",
       "x.jsonl:1: error: recording version 2, this program reads version 1\n  mend: record again with this "
       "program"},
      {R"("version":1)", R"("version":"1")",
       "x.jsonl:1: error: header: member 'version': expected an integer within range, found \"1\""},
      {R"("seed":"18446744073709551615")", R"("seed":18446744073709551615)",
       "x.jsonl:1: error: header: member 'seed': expected a 64-bit integer as a decimal string, found "
       "18446744073709551615"},
      {R"("seed":"18446744073709551615")", R"("seed":"18446744073709551616")",
       "x.jsonl:1: error: header: member 'seed': expected a 64-bit integer as a decimal string, found "
       "\"18446744073709551616\""},
      {R"("seed":"18446744073709551615",)", "", "x.jsonl:1: error: header: member 'seed' is missing"},
      {R"("pcpus":1)", R"("pcpus":1,"numa":0)", "x.jsonl:1: error: profile: unknown member 'numa'"},
      {R"("pcpus":1)", R"("pcpus":2147483648)",
       "x.jsonl:1: error: profile: member 'pcpus': expected an integer within range, found 2147483648"},
      {R"("tsc_scaling":false)", R"("tsc_scaling":0)",
       "x.jsonl:1: error: profile: member 'tsc_scaling': expected true or false, found 0"},
      {R"("scenario":"boot")", R"("scenario":null)",
       "x.jsonl:1: error: header: member 'scenario': expected text, found null"},
      {R"("scenario":"boot")", R"("scenario":"boot","scenario":"x")",
       "x.jsonl:1: error: member 'scenario' is there twice"},
      {R"("kind":"get_msr")", R"("kind":"get_tsc")", "x.jsonl:2: error: unknown operation 'get_tsc'"},
      {R"("vcpu":0)", R"("vcpu":64)", "x.jsonl:2: error: op: vcpu 64 cannot exist"},
      {R"("vcpu":0)", R"("vcpu":-2)", "x.jsonl:2: error: op: vcpu -2 cannot exist"},
      {R"("msr":16)", R"("msr":-1)", "x.jsonl:2: error: op: member 'msr': expected an integer within range, found -1"},
      {R"("msr":16)", R"("msr":1.5)",
       "x.jsonl:2: error: op: member 'msr': expected an integer within range, found 1.5"},
      {R"("at_ns":"-5")", R"("at_ns":"-05")",
       "x.jsonl:2: error: op: member 'at_ns': expected a 64-bit integer as a decimal string, found \"-05\""},
      {R"("tsc":["1","2"])", R"("tsc":["2","1"])", "x.jsonl:2: error: bracket: 'tsc' ends before it begins"},
      {R"("tsc":["1","2"])", R"("tsc":["1"])",
       "x.jsonl:2: error: bracket: member 'tsc': expected two 64-bit integers as decimal strings, found "
       "[\"1\"]"},
      {R"({"value":"9223372036854775808"})", R"({"valve":"1"})", "x.jsonl:2: error: fields: unknown field 'valve'"},
      {R"({"value":"9223372036854775808"})", R"([])", "x.jsonl:2: error: fields: expected an object, found array"},
      {R"({"value":"9223372036854775808"})", R"({"value":[[[[]]]]})", "x.jsonl:2: error: nested too deeply"},
      {R"("type":"entry")", R"("type":"header")", "x.jsonl:2: error: there is a second header"},
      {R"("type":"entry")", R"("type":"event")", "x.jsonl:2: error: unknown line type 'event'"},
      {R"({"type":"entry")", R"("type":"entry")", "x.jsonl:2: error: not JSON"},
      {R"("entries":2)", R"("entries":3)",
       "x.jsonl:4: error: the recording is cut: it had 3 entries, here are 2\n"
       "  mend: take the whole file again from where it was recorded"},
  };
  for (const auto& c : cases) EXPECT_EQ(error_of(replaced(text, c.from, c.to)), c.error) << c.to;
}

TEST(RecordingText, RefusesWhatIsNoRecording) {
  const std::string cut_mend = "\n  mend: take the whole file again from where it was recorded";
  const std::string text = text_of(sample());
  const std::string header = text.substr(0, text.find('\n') + 1);
  EXPECT_EQ(error_of(""), "x.jsonl: error: the recording is empty" + cut_mend);
  EXPECT_EQ(error_of("\n"), "x.jsonl:1: error: not JSON");
  EXPECT_EQ(error_of("[]\n"), "x.jsonl:1: error: line: expected an object, found array");
  EXPECT_EQ(error_of("{}\n"), "x.jsonl:1: error: line: member 'type' is missing");
  EXPECT_EQ(error_of(text.substr(header.size())),
            "x.jsonl:1: error: expected the header, found a line of type 'entry'");
  EXPECT_EQ(error_of(header), "x.jsonl:1: error: the recording is cut: there is no end line" + cut_mend);
  EXPECT_EQ(error_of(text + header), "x.jsonl:5: error: there is more after the end line");
  EXPECT_EQ(error_of(std::string((1 << 20) + 1, '[')), "x.jsonl: error: the line is longer than any in a recording");
  EXPECT_EQ(error_of(std::string(1 << 20, '[') + "\n"), "x.jsonl:1: error: nested too deeply");
}

TEST(RecordingText, EveryCutIsNoticed) {
  const std::string text = text_of(sample());
  for (std::size_t size = 0; size < text.size(); ++size) EXPECT_NE(error_of(text.substr(0, size)), "accepted") << size;
  EXPECT_THAT(error_of(text.substr(0, text.size() / 2)), HasSubstr("cut"));
}

TEST(RecordingText, KeepsARecordingWithTextThatIsNotUtf8) {
  Recording recording = sample();
  recording.header.profile.kernel = "6.12\xff";
  EXPECT_EQ(recording_from(text_of(recording)).header.profile.kernel, "6.12\xef\xbf\xbd");
}

TEST(ContentHash, IsFnv1a) {
  // Published test vectors, http://www.isthe.com/chongo/tech/comp/fnv/ (FNV-1a, 64 bits).
  EXPECT_EQ(content_hash(""), "cbf29ce484222325");
  EXPECT_EQ(content_hash("a"), "af63dc4c8601ec8c");
  EXPECT_EQ(content_hash("foobar"), "85944171f73967e8");
}

TEST(Fingerprint, SeesEveryChange) {
  const std::string before = fingerprint(sample());
  EXPECT_EQ(fingerprint(sample()), before);
  Recording recording = sample();
  recording.entries[0].outcome.fields[0].value ^= 1;
  EXPECT_NE(fingerprint(recording), before);
  recording = sample();
  std::swap(recording.entries[0], recording.entries[1]);
  EXPECT_NE(fingerprint(recording), before);
}

// ---- round trip of any recording ----

template <class Int>
Int any() {
  return *rc::gen::arbitrary<Int>();
}

std::string any_text() {
  return *rc::gen::container<std::string>(rc::gen::oneOf(rc::gen::inRange<char>(0x00, 0x7f), rc::gen::just('"')));
}

Range any_range() {
  const auto a = any<std::uint64_t>();
  const auto b = any<std::uint64_t>();
  return {std::min(a, b), std::max(a, b)};
}

std::vector<TraceKind> any_traces() {
  std::vector<TraceKind> kinds(*rc::gen::inRange<std::size_t>(0, 4));
  for (TraceKind& kind : kinds) kind = static_cast<TraceKind>(*rc::gen::inRange<int>(0, static_cast<int>(kTraceKinds)));
  return kinds;
}

TraceEvent any_event(TraceKind kind) {
  TraceEvent event;
  event.kind = kind;
  event.tsc = any<std::uint64_t>();
  if (tells_vcpu(kind)) event.vcpu = any<std::int32_t>();
  for (std::size_t i = 0; i < trace_values(kind).size(); ++i) event.values[i] = any<std::uint64_t>();
  return event;
}

Entry any_entry() {
  Entry entry;
  entry.op.kind = static_cast<OpKind>(*rc::gen::inRange<int>(0, static_cast<int>(kOpKinds)));
  entry.op.vcpu = *rc::gen::inRange<std::int32_t>(kVm, layout::kMaxVcpus);
  entry.op.msr = any<std::uint32_t>();
  entry.op.flags = any<std::uint32_t>();
  entry.op.value = any<std::uint64_t>();
  entry.op.realtime = any<std::uint64_t>();
  entry.op.at_ns = any<std::int64_t>();
  entry.op.probe = any<bool>();
  entry.pcpu = any<int>();
  entry.supported = any<bool>();
  entry.bracket = {any_range(), any_range(), any_range(), any_range()};
  entry.outcome.error = any<int>();
  const auto first = *rc::gen::inRange<std::size_t>(0, kFields);
  const auto count = *rc::gen::inRange<std::size_t>(0, kMaxFields + 1);
  for (std::size_t i = 0; i < count; ++i)
    entry.outcome.add(static_cast<Field>((first + i) % kFields), any<std::uint64_t>());
  entry.note = any_text();
  for (const TraceKind kind : any_traces()) entry.traced.push_back(any_event(kind));
  if (entry.op.kind == OpKind::observed) entry.call = any_text();
  return entry;
}

RC_GTEST_PROP(RecordingProperty, RoundTrips, ()) {
  Recording recording;
  recording.header.tool_version = any_text();
  recording.header.scenario = any_text();
  recording.header.scenario_hash = any_text();
  recording.header.seed = any<std::uint64_t>();
  recording.header.zero_tsc = any<std::uint64_t>();
  recording.header.zero_base_ns = any<std::uint64_t>();
  recording.header.profile = {any_text(),           any_text(),  any_text(),  any<std::uint32_t>(), any<bool>(),
                              any<bool>(),          any<bool>(), any<bool>(), any<bool>(),          any<bool>(),
                              any<bool>(),          any<bool>(), any<bool>(), any<bool>(),          any<bool>(),
                              any<bool>(),          any<bool>(), any<bool>(), any<bool>(),          any<int>(),
                              any<std::uint32_t>(), any_text(),  any_traces()};
  const auto entries = *rc::gen::inRange(0, 6);
  for (int i = 0; i < entries; ++i) recording.entries.push_back(any_entry());
  RC_ASSERT(recording_from(text_of(recording)) == recording);
  RC_ASSERT(fingerprint(recording_from(text_of(recording))) == fingerprint(recording));
}

TEST(Recording, OnlyObservedOperationsAreCallsThatWereSeen) {
  Recording recording;
  Entry entry;
  entry.op.kind = OpKind::observed;
  entry.call = "KVM_SET_MSRS";
  recording.entries = {entry};
  EXPECT_TRUE(is_observed(recording_from(text_of(recording))));
  EXPECT_EQ(recording_from(text_of(recording)).entries[0].call, "KVM_SET_MSRS");
  recording.entries[0].op.kind = OpKind::set_msr;
  EXPECT_FALSE(is_observed(recording));
  EXPECT_THROW(recording_from(text_of(recording)), InputError) << "a value that is not known is not 0";
}

TEST(Recording, OtherHostsAreKept) {
  Recording recording;
  recording.header.other_hosts.resize(1);
  HostHeader& other = recording.header.host(1);
  other.name = "destination";
  other.profile.kernel = "6.12";
  other.zero_tsc = UINT64_MAX;
  Entry entry;
  entry.op.host = 1;
  recording.entries = {entry};
  EXPECT_EQ(recording_from(text_of(recording)), recording);
  EXPECT_EQ(text_of({}).find("host\":"), std::string::npos) << "a recording of one host is as it ever was";
}

}  // namespace
}  // namespace tscsim::ops

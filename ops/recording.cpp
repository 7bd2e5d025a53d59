// JSON Lines, written in one fixed order of members and read back strictly: a recording is evidence, so a
// reader that guesses at a missing member or overlooks an unknown one would weaken whatever is concluded from
// it.
#include "ops/recording.h"

#include <algorithm>
#include <istream>
#include <iterator>
#include <ostream>
#include <sstream>

#include "base/interrupt.h"
#include "ops/error.h"
#include "ops/json_text.h"
#include "ops/recording_rules.h"

namespace tscsim::ops {
namespace {

using Json = json_text::Json;

constexpr std::size_t kLineLimit = 1 << 20;
constexpr int kNestingLimit = 5;  // the tracepoints of another host's profile are the deepest

using json_text::decimal;
using json_text::fail;
using json_text::in_quotes;
using json_text::LineError;
using json_text::Members;
using json_text::operation_json;
using json_text::read_operation;

// ---- writing ----

Json range_json(const Range& range) { return Json::array({decimal(range.lo), decimal(range.hi)}); }

Json profile_json(const TargetProfile& profile) {
  Json json;
  json["target"] = profile.target;
  json["kernel"] = profile.kernel;
  json["vendor"] = profile.vendor;
  json["host_khz"] = profile.host_khz;
  json["tsc_scaling"] = profile.tsc_scaling;
  json["tsc_clocksource"] = profile.tsc_clocksource;
  json["offset_attribute"] = profile.offset_attribute;
  json["honours_tsc_offset"] = profile.honours_tsc_offset;
  json["clock_has_realtime"] = profile.clock_has_realtime;
  json["guest_rdtscp"] = profile.guest_rdtscp;
  json["reenters_after_tsc_wrmsr"] = profile.reenters_after_tsc_wrmsr;
  json["enabling_clears_stable"] = profile.enabling_clears_stable;
  if (profile.clocksource_changes) json["clocksource_changes"] = true;
  if (profile.tsc_jumps) json["tsc_jumps"] = true;
  if (profile.suspends) json["suspends"] = true;
  if (profile.pcpu_hotplug) json["pcpu_hotplug"] = true;
  if (profile.hyperv) json["hyperv"] = true;
  if (profile.steal_time) json["steal_time"] = true;
  if (profile.tsc_unstable) json["tsc_unstable"] = true;
  if (profile.tick_ns != 0) json["tick_ns"] = profile.tick_ns;
  json["pcpus"] = profile.pcpus;
  json["heuristic"] = profile.heuristic;
  for (const TraceKind kind : profile.traces) json["traces"].push_back(name_of(kind));
  return json;
}

Json header_json(const Header& header) {
  Json json;
  json["type"] = "header";
  json["version"] = header.version;
  json["tool_version"] = header.tool_version;
  json["scenario"] = header.scenario;
  json["scenario_hash"] = header.scenario_hash;
  json["seed"] = decimal(header.seed);
  json["profile"] = profile_json(header.profile);
  json["zero_tsc"] = decimal(header.zero_tsc);
  json["zero_base_ns"] = decimal(header.zero_base_ns);
  if (!header.vmm.empty()) {
    json["vmm"] = header.vmm;
    json["memory_bytes"] = decimal(header.memory_bytes);
    if (header.sees_one_reg) json["sees_one_reg"] = true;
  }
  if (header.other_hosts.empty()) return json;
  json["host"] = header.name;
  for (const HostHeader& host : header.other_hosts)
    json["other_hosts"].push_back({{"host", host.name},
                                   {"profile", profile_json(host.profile)},
                                   {"zero_tsc", decimal(host.zero_tsc)},
                                   {"zero_base_ns", decimal(host.zero_base_ns)}});
  return json;
}

Json outcome_json(const Outcome& outcome) {
  Json fields = Json::object();
  for (std::size_t i = 0; i < outcome.count; ++i)
    fields[std::string(name_of(outcome.fields[i].field))] = decimal(outcome.fields[i].value);
  Json json;
  json["error"] = outcome.error;
  json["fields"] = std::move(fields);
  return json;
}

Json trace_json(const TraceEvent& event) {
  Json json;
  json["event"] = name_of(event.kind);
  json["tsc"] = decimal(event.tsc);
  if (tells_vcpu(event.kind)) json["vcpu"] = event.vcpu;
  std::size_t i = 0;
  for (const std::string_view name : trace_values(event.kind))
    json["values"][std::string(name)] = decimal(event.values[i++]);
  return json;
}

Json guest_event_json(const GuestEvent& event) {
  return {{"event", name_of(event.kind)},
          {"vcpu", event.vcpu},
          {"at_ns", decimal(event.at_ns)},
          {"value", decimal(event.value)}};
}

Json entry_json(const Entry& entry) {
  Json json;
  json["type"] = "entry";
  json["op"] = operation_json(entry.op);
  json["pcpu"] = entry.pcpu;
  if (entry.thread != 0) json["thread"] = entry.thread;
  json["supported"] = entry.supported;
  json["bracket"]["tsc"] = range_json(entry.bracket.tsc);
  json["bracket"]["base_ns"] = range_json(entry.bracket.base_ns);
  json["bracket"]["realtime_ns"] = range_json(entry.bracket.realtime_ns);
  if (entry.bracket.run_delay_ns != Range{}) json["bracket"]["run_delay_ns"] = range_json(entry.bracket.run_delay_ns);
  json["outcome"] = outcome_json(entry.outcome);
  json["note"] = entry.note;
  for (const GuestEvent& event : entry.guest) json["guest"].push_back(guest_event_json(event));
  for (const TraceEvent& event : entry.traced) json["traced"].push_back(trace_json(event));
  if (!entry.call.empty()) json["call"] = entry.call;
  return json;
}

// Text from outside (a kernel's release string) need not be UTF-8; it must not stop a recording from being
// kept.
void write_line(const Json& json, std::ostream& out) {
  out << json.dump(-1, ' ', false, Json::error_handler_t::replace) << '\n';
}

// ---- reading ----

TraceKind read_trace_kind(const Json& json) {
  const auto kind = json.is_string() ? trace_kind_from(json.get_ref<const std::string&>()) : std::nullopt;
  if (!kind) fail("unknown tracepoint " + json.dump(-1, ' ', false, Json::error_handler_t::replace).substr(0, 40));
  return *kind;
}

// The events of recordings made with tracing; others do not have the member.
const Json* optional_array(const Json& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end()) return nullptr;
  if (!found->is_array()) fail(std::string(key) + ": expected an array, found " + found->type_name());
  return &*found;
}

TargetProfile read_profile(const Json& json) {
  const Members in(json, "profile");
  in.only({"target",
           "kernel",
           "vendor",
           "host_khz",
           "tsc_scaling",
           "tsc_clocksource",
           "offset_attribute",
           "honours_tsc_offset",
           "clock_has_realtime",
           "guest_rdtscp",
           "reenters_after_tsc_wrmsr",
           "enabling_clears_stable",
           "clocksource_changes",
           "tsc_jumps",
           "suspends",
           "pcpu_hotplug",
           "hyperv",
           "steal_time",
           "tsc_unstable",
           "tick_ns",
           "pcpus",
           "heuristic",
           "traces"});
  TargetProfile profile;
  in.read("target", profile.target);
  in.read("kernel", profile.kernel);
  in.read("vendor", profile.vendor);
  in.read_small("host_khz", profile.host_khz);
  in.read("tsc_scaling", profile.tsc_scaling);
  in.read("tsc_clocksource", profile.tsc_clocksource);
  in.read("offset_attribute", profile.offset_attribute);
  in.read("honours_tsc_offset", profile.honours_tsc_offset);
  in.read("clock_has_realtime", profile.clock_has_realtime);
  in.read("guest_rdtscp", profile.guest_rdtscp);
  in.read("reenters_after_tsc_wrmsr", profile.reenters_after_tsc_wrmsr);
  in.read("enabling_clears_stable", profile.enabling_clears_stable);
  const auto read_if_there = [&](const char* key, bool& value) {
    if (json.contains(key)) in.read(key, value);
  };
  read_if_there("clocksource_changes", profile.clocksource_changes);
  read_if_there("tsc_jumps", profile.tsc_jumps);
  read_if_there("suspends", profile.suspends);
  read_if_there("pcpu_hotplug", profile.pcpu_hotplug);
  read_if_there("hyperv", profile.hyperv);
  read_if_there("steal_time", profile.steal_time);
  read_if_there("tsc_unstable", profile.tsc_unstable);
  if (json.contains("tick_ns")) in.read_small("tick_ns", profile.tick_ns);
  in.read_small("pcpus", profile.pcpus);
  in.read("heuristic", profile.heuristic);
  if (const Json* traces = optional_array(json, "traces"))
    for (const Json& name : *traces) profile.traces.push_back(read_trace_kind(name));
  return profile;
}

void read_host(const Members& in, HostHeader& host) {
  if (in.has("host")) in.read("host", host.name);
  host.profile = read_profile(in.at("profile"));
  in.read_decimal("zero_tsc", host.zero_tsc);
  in.read_decimal("zero_base_ns", host.zero_base_ns);
}

void read_other_hosts(const Json& array, Header& header) {
  if (!array.is_array() || array.size() >= kMaxHosts) fail("header: 'other_hosts': expected a short list");
  for (const Json& json : array) {
    const Members in(json, "host");
    in.only({"host", "profile", "zero_tsc", "zero_base_ns"});
    read_host(in, header.other_hosts.emplace_back());
  }
}

// The version comes first: the other members are those of this version.
Header read_header(const Json& json) {
  const Members in(json, "header");
  Header header;
  in.read_small("version", header.version);
  if (header.version != kRecordingVersion)
    fail("recording version " + std::to_string(header.version) + ", this program reads version " +
             std::to_string(kRecordingVersion),
         "record again with this program");
  in.only({"type", "version", "tool_version", "scenario", "scenario_hash", "seed", "profile", "zero_tsc",
           "zero_base_ns", "host", "other_hosts", "vmm", "memory_bytes", "sees_one_reg"});
  in.read("tool_version", header.tool_version);
  in.read("scenario", header.scenario);
  in.read("scenario_hash", header.scenario_hash);
  in.read_decimal("seed", header.seed);
  read_host(in, header);
  if (in.has("other_hosts")) read_other_hosts(in.at("other_hosts"), header);
  if (in.has("vmm")) {
    in.read("vmm", header.vmm);
    in.read_decimal("memory_bytes", header.memory_bytes);
    if (in.has("sees_one_reg")) in.read("sees_one_reg", header.sees_one_reg);
  }
  return header;
}

Outcome read_outcome(const Json& json) {
  const Members in(json, "outcome");
  in.only({"error", "fields"});
  Outcome outcome;
  in.read_small("error", outcome.error);
  const Json& fields_json = in.at("fields");
  const Members fields(fields_json, "fields");
  if (fields_json.size() > kMaxFields) fail("fields: more than an operation can return");
  for (const auto& [key, unused] : fields_json.items()) {
    const auto field = field_from(key);
    if (!field) fail("fields: unknown field " + in_quotes(key));
    std::uint64_t value = 0;
    fields.read_decimal(key.c_str(), value);
    outcome.add(*field, value);
  }
  return outcome;
}

TraceEvent read_trace(const Json& json) {
  const Members in(json, "traced");
  TraceEvent event;
  event.kind = read_trace_kind(in.at("event"));
  if (tells_vcpu(event.kind)) in.only({"event", "tsc", "vcpu", "values"});
  else in.only({"event", "tsc", "values"});
  in.read_decimal("tsc", event.tsc);
  if (tells_vcpu(event.kind)) in.read_small("vcpu", event.vcpu);
  const Json& values_json = in.at("values");
  const Members values(values_json, "values");
  const auto names = trace_values(event.kind);
  for (std::size_t i = 0; i < names.size(); ++i) values.read_decimal(std::string(names[i]).c_str(), event.values[i]);
  if (values_json.size() != names.size()) fail("values: more than " + std::string(name_of(event.kind)) + " has");
  return event;
}

GuestEvent read_guest_event(const Json& json) {
  const Members in(json, "guest");
  in.only({"event", "vcpu", "at_ns", "value"});
  std::string name;
  in.read("event", name);
  const auto kind = guest_event_from(name);
  if (!kind) fail("unknown guest event " + in_quotes(name));
  GuestEvent event;
  event.kind = *kind;
  in.read_small("vcpu", event.vcpu);
  in.read_decimal("at_ns", event.at_ns);
  in.read_decimal("value", event.value);
  return event;
}

Entry read_entry(const Json& json) {
  const Members in(json, "entry");
  in.only({"type", "op", "pcpu", "thread", "supported", "bracket", "outcome", "note", "guest", "traced", "call"});
  Entry entry;
  entry.op = read_operation(in.at("op"));
  in.read_small("pcpu", entry.pcpu);
  if (in.has("thread")) in.read_small("thread", entry.thread);
  in.read("supported", entry.supported);
  const Members bracket(in.at("bracket"), "bracket");
  bracket.only({"tsc", "base_ns", "realtime_ns", "run_delay_ns"});
  bracket.read("tsc", entry.bracket.tsc);
  bracket.read("base_ns", entry.bracket.base_ns);
  bracket.read("realtime_ns", entry.bracket.realtime_ns);
  if (bracket.has("run_delay_ns")) bracket.read("run_delay_ns", entry.bracket.run_delay_ns);
  entry.outcome = read_outcome(in.at("outcome"));
  in.read("note", entry.note);
  if (const Json* events = optional_array(json, "guest"))
    for (const Json& event : *events) entry.guest.push_back(read_guest_event(event));
  if (const Json* traced = optional_array(json, "traced"))
    for (const Json& event : *traced) entry.traced.push_back(read_trace(event));
  if (in.has("call")) in.read("call", entry.call);
  if (!entry.call.empty() && entry.op.kind != OpKind::observed) fail("call: only an 'observed' operation has one");
  return entry;
}

constexpr const char* kCutMend = "take the whole file again from where it was recorded";

// Reads line by line and knows what may come next: the header, then entries, then the end, then nothing.
class Reader {
  template <class Work>
  auto located(const Work& work) {
    try {
      return work();
    } catch (const LineError& error) {
      faults_.push_back({{name_, line_number_, 0}, error.message, error.mend, {}, 1});
      throw InputError(std::move(faults_));
    }
  }

 public:
  // `rules`: what is read must keep them (ops/recording_rules.h), not only the syntax.
  Reader(std::istream& in, std::string name, bool rules) : in_(in), name_(std::move(name)), rules_(rules) {}

  Recording read_one() {
    return located([&] {
      if (!take_recording()) fail("the recording is empty", kCutMend);
      if (next_line()) fail("there is more after the end line");
      refuse_faults();
      return std::move(recording_);
    });
  }

  std::vector<Recording> read_all() {
    return located([&] {
      std::vector<Recording> all;
      while (take_recording()) all.push_back(std::move(recording_));
      if (all.empty()) fail("the recording is empty", kCutMend);
      refuse_faults();
      return all;
    });
  }

 private:
  // Faults of all recordings of the file, told at once.
  void refuse_faults() {
    if (!faults_.empty()) throw InputError(std::move(faults_));
  }

  // False when there is none.
  bool take_recording() {
    recording_ = {};
    lines_ = {};
    header_seen_ = ended_ = false;
    while (!ended_ && next_line()) take_line();
    if (header_seen_ && !ended_) fail("the recording is cut: there is no end line", kCutMend);
    return ended_;
  }

  // False at the end of the file. The limit keeps a file without line ends from filling memory.
  bool next_line() {
    line_.clear();
    char c = 0;
    while (in_.get(c)) {
      if (c == '\n') return started();
      line_.push_back(c);
      if (line_.size() > kLineLimit) fail("the line is longer than any in a recording");
    }
    if (in_.bad()) fail("the file cannot be read");
    if (line_.empty()) return false;
    ++line_number_;
    fail("the recording is cut: the last line is not complete", kCutMend);
  }

  bool started() {
    base::throw_if_interrupted();
    ++line_number_;
    return true;
  }

  void take_line() {
    const Json json = json_text::parse_strictly(line_, kNestingLimit);
    std::string type;
    Members(json, "line").read("type", type);
    if (!header_seen_ && type != "header")
      fail("expected the header, found a line of type " + in_quotes(type),
           type == "linux" ? "a recording of Linux itself is for 'tscsim lab verify'" : "");
    if (type == "header") {
      take_header(json);
    } else if (type == "entry") {
      take_entry(json);
    } else if (type == "end") {
      take_end(json);
    } else {
      fail("unknown line type " + in_quotes(type));
    }
  }

  void take_header(const Json& json) {
    if (header_seen_) fail("there is a second header");
    recording_.header = read_header(json);
    lines_.header = line_number_;
    header_seen_ = true;
  }

  void take_entry(const Json& json) {
    recording_.entries.push_back(read_entry(json));
    lines_.entries.push_back(line_number_);
  }

  void take_end(const Json& json) {
    const Members in(json, "end");
    in.only({"type", "entries", "cut"});
    if (in.has("cut")) in.read("cut", recording_.cut);
    std::uint32_t entries = 0;
    in.read_small("entries", entries);
    if (entries != recording_.entries.size())
      fail("the recording is cut: it had " + std::to_string(entries) + " entries, here are " +
               std::to_string(recording_.entries.size()),
           kCutMend);
    ended_ = true;
    if (!rules_ || faults_.size() >= kMostFaults) return;
    std::vector<Diagnostic> faults = faults_of(recording_, name_, lines_);
    faults_.insert(faults_.end(), std::make_move_iterator(faults.begin()), std::make_move_iterator(faults.end()));
  }

  std::istream& in_;
  std::string name_;
  bool rules_;
  std::string line_;
  int line_number_ = 0;
  bool header_seen_ = false;
  bool ended_ = false;
  Recording recording_;
  RecordingLines lines_;            // of `recording_`
  std::vector<Diagnostic> faults_;  // of all recordings so far
};

}  // namespace

bool is_observed(const Recording& recording) {
  return std::any_of(recording.entries.begin(), recording.entries.end(),
                     [](const Entry& entry) { return entry.op.kind == OpKind::observed; });
}

void write_json_lines(const Recording& recording, std::ostream& out) {
  write_line(header_json(recording.header), out);
  for (const Entry& entry : recording.entries) {
    base::throw_if_writing_stops();
    write_line(entry_json(entry), out);
  }
  Json end;
  end["type"] = "end";
  end["entries"] = recording.entries.size();
  if (!recording.cut.empty()) end["cut"] = recording.cut;
  write_line(end, out);
}

Recording read_json_lines(std::istream& in, const std::string& name) { return Reader(in, name, true).read_one(); }

Recording read_unchecked(std::istream& in, const std::string& name) { return Reader(in, name, false).read_one(); }

std::vector<Recording> read_all_json_lines(std::istream& in, const std::string& name) {
  return Reader(in, name, true).read_all();
}

std::string fingerprint(const Recording& recording) {
  std::ostringstream text;
  write_json_lines(recording, text);
  return content_hash(text.str());
}

std::string content_hash(std::string_view bytes) {
  std::uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a, 64 bits: offset basis and prime
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  std::string text(16, '0');
  for (std::size_t i = 0; i < 16; ++i) text[i] = "0123456789abcdef"[(hash >> (60 - 4 * i)) & 0xf];
  return text;
}

}  // namespace tscsim::ops

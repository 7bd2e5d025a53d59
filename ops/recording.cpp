// JSON Lines, written in one fixed order of members and read back strictly: a recording is evidence, so a
// reader that guesses at a missing member or overlooks an unknown one would weaken whatever is concluded from
// it.
#include "ops/recording.h"

#include <charconv>
#include <initializer_list>
#include <istream>
#include <limits>
#include <nlohmann/json.hpp>
#include <ostream>
#include <set>
#include <sstream>

#include "ops/error.h"

namespace tscsim::ops {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kLineLimit = 1 << 20;
constexpr int kNestingLimit = 4;  // an entry's outcome's fields are the deepest

// ---- writing ----

Json decimal(std::uint64_t value) {
  return std::to_string(value);
}
Json decimal(std::int64_t value) {
  return std::to_string(value);
}
Json range_json(const Range& range) {
  return Json::array({decimal(range.lo), decimal(range.hi)});
}

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
  json["pcpus"] = profile.pcpus;
  json["heuristic"] = profile.heuristic;
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
  return json;
}

Json operation_json(const Operation& op) {
  Json json;
  json["kind"] = name_of(op.kind);
  json["vcpu"] = op.vcpu;
  json["msr"] = op.msr;
  json["flags"] = op.flags;
  json["value"] = decimal(op.value);
  json["realtime"] = decimal(op.realtime);
  json["at_ns"] = decimal(op.at_ns);
  json["probe"] = op.probe;
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

Json entry_json(const Entry& entry) {
  Json json;
  json["type"] = "entry";
  json["op"] = operation_json(entry.op);
  json["pcpu"] = entry.pcpu;
  json["supported"] = entry.supported;
  json["bracket"]["tsc"] = range_json(entry.bracket.tsc);
  json["bracket"]["base_ns"] = range_json(entry.bracket.base_ns);
  json["bracket"]["realtime_ns"] = range_json(entry.bracket.realtime_ns);
  json["outcome"] = outcome_json(entry.outcome);
  json["note"] = entry.note;
  return json;
}

// Text from outside (a kernel's release string) need not be UTF-8; it must not stop a recording from being
// kept.
void write_line(const Json& json, std::ostream& out) {
  out << json.dump(-1, ' ', false, Json::error_handler_t::replace) << '\n';
}

// ---- reading ----

struct LineError {
  std::string message;
  std::string mend;
};

[[noreturn]] void fail(std::string message, std::string mend = {}) {
  throw LineError{std::move(message), std::move(mend)};
}

std::string in_quotes(std::string_view text) {
  return "'" + std::string(text) + "'";
}

// One JSON object whose members are all taken; where it stands is in its name.
class Members {
 public:
  Members(const Json& json, std::string name) : json_(json), name_(std::move(name)) {
    if (!json.is_object()) fail(name_ + ": expected an object, found " + json.type_name());
  }

  // Refuses members that were not asked for.
  void only(std::initializer_list<std::string_view> known) const {
    for (const auto& [key, value] : json_.items()) {
      bool wanted = false;
      for (std::string_view word : known) wanted = wanted || word == key;
      if (!wanted) fail(name_ + ": unknown member " + in_quotes(key));
    }
  }

  const Json& at(const char* key) const {
    const auto found = json_.find(key);
    if (found == json_.end()) fail(name_ + ": member " + in_quotes(key) + " is missing");
    return *found;
  }

  void read(const char* key, std::string& out) const {
    const Json& value = at(key);
    if (!value.is_string()) wrong(key, "text");
    out = value.get<std::string>();
  }

  void read(const char* key, bool& out) const {
    const Json& value = at(key);
    if (!value.is_boolean()) wrong(key, "true or false");
    out = value.get<bool>();
  }

  template <class Int>
  void read_small(const char* key, Int& out) const {  // JSON number that fits 32 bits
    const Json& value = at(key);
    const auto in_range = [&value] {
      if (!value.is_number_integer()) return false;
      if (value.is_number_unsigned() && value.get<std::uint64_t>() > std::numeric_limits<Int>::max())
        return false;
      return value.get<std::int64_t>() >= std::numeric_limits<Int>::min();
    };
    if (!in_range()) wrong(key, "an integer within range");
    out = static_cast<Int>(value.get<std::int64_t>());
  }

  template <class Int>
  void read_decimal(const char* key, Int& out) const {
    if (!parse_decimal(at(key), out)) wrong(key, "a 64-bit integer as a decimal string");
  }

  void read(const char* key, Range& out) const {
    const Json& value = at(key);
    const bool good = value.is_array() && value.size() == 2 && parse_decimal(value[0], out.lo) &&
                      parse_decimal(value[1], out.hi);
    if (!good) wrong(key, "two 64-bit integers as decimal strings");
    if (out.lo > out.hi) fail(name_ + ": " + in_quotes(key) + " ends before it begins");
  }

 private:
  template <class Int>
  static bool parse_decimal(const Json& value, Int& out) {
    if (!value.is_string()) return false;
    const auto& text = value.get_ref<const std::string&>();
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    return error == std::errc{} && end == text.data() + text.size() && std::to_string(out) == text;
  }

  [[noreturn]] void wrong(const char* key, const char* expected) const {
    std::string found = at(key).dump(-1, ' ', false, Json::error_handler_t::replace).substr(0, 40);
    fail(name_ + ": member " + in_quotes(key) + ": expected " + expected + ", found " + found);
  }

  const Json& json_;
  std::string name_;
};

// Strict JSON: no duplicate members (the last would silently win), no deep nesting.
class StrictParse {
 public:
  static Json parse(const std::string& line) {
    StrictParse strict;
    try {
      return Json::parse(line, [&strict](int depth, Json::parse_event_t event, Json& parsed) {
        strict.event(depth, event, parsed);
        return true;
      });
    } catch (const Json::exception&) {
      fail("not JSON");
    }
  }

 private:
  void event(int depth, Json::parse_event_t event, const Json& parsed) {
    using Event = Json::parse_event_t;
    if (depth > kNestingLimit) fail("nested too deeply");
    if (event == Event::object_start) keys_.emplace_back();
    if (event == Event::object_end) keys_.pop_back();
    if (event != Event::key) return;
    const auto& key = parsed.get_ref<const std::string&>();
    if (!keys_.back().insert(key).second) fail("member " + in_quotes(key) + " is there twice");
  }

  std::vector<std::set<std::string>> keys_;
};

TargetProfile read_profile(const Json& json) {
  const Members in(json, "profile");
  in.only({"target", "kernel", "vendor", "host_khz", "tsc_scaling", "tsc_clocksource", "offset_attribute",
           "honours_tsc_offset", "clock_has_realtime", "guest_rdtscp", "reenters_after_tsc_wrmsr", "enabling_clears_stable", "pcpus", "heuristic"});
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
  in.read_small("pcpus", profile.pcpus);
  in.read("heuristic", profile.heuristic);
  return profile;
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
           "zero_base_ns"});
  in.read("tool_version", header.tool_version);
  in.read("scenario", header.scenario);
  in.read("scenario_hash", header.scenario_hash);
  in.read_decimal("seed", header.seed);
  header.profile = read_profile(in.at("profile"));
  in.read_decimal("zero_tsc", header.zero_tsc);
  in.read_decimal("zero_base_ns", header.zero_base_ns);
  return header;
}

Operation read_operation(const Json& json) {
  const Members in(json, "op");
  in.only({"kind", "vcpu", "msr", "flags", "value", "realtime", "at_ns", "probe"});
  Operation op;
  std::string kind;
  in.read("kind", kind);
  const auto known = op_kind_from(kind);
  if (!known) fail("unknown operation " + in_quotes(kind));
  op.kind = *known;
  in.read_small("vcpu", op.vcpu);
  if (op.vcpu < kVm || op.vcpu >= layout::kMaxVcpus)
    fail("op: vcpu " + std::to_string(op.vcpu) + " cannot exist");
  in.read_small("msr", op.msr);
  in.read_small("flags", op.flags);
  in.read_decimal("value", op.value);
  in.read_decimal("realtime", op.realtime);
  in.read_decimal("at_ns", op.at_ns);
  in.read("probe", op.probe);
  return op;
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

Entry read_entry(const Json& json) {
  const Members in(json, "entry");
  in.only({"type", "op", "pcpu", "supported", "bracket", "outcome", "note"});
  Entry entry;
  entry.op = read_operation(in.at("op"));
  in.read_small("pcpu", entry.pcpu);
  in.read("supported", entry.supported);
  const Members bracket(in.at("bracket"), "bracket");
  bracket.only({"tsc", "base_ns", "realtime_ns"});
  bracket.read("tsc", entry.bracket.tsc);
  bracket.read("base_ns", entry.bracket.base_ns);
  bracket.read("realtime_ns", entry.bracket.realtime_ns);
  entry.outcome = read_outcome(in.at("outcome"));
  in.read("note", entry.note);
  return entry;
}

constexpr const char* kCutMend = "take the whole file again from where it was recorded";

// Reads line by line and knows what may come next: the header, then entries, then the end, then nothing.
class Reader {
 public:
  Reader(std::istream& in, std::string name) : in_(in), name_(std::move(name)) {}

  Recording read() {
    try {
      while (next_line()) take_line();
      if (!header_seen_) fail("the recording is empty", kCutMend);
      if (!ended_) fail("the recording is cut: there is no end line", kCutMend);
    } catch (const LineError& error) {
      throw InputError({{name_, line_number_, 0}, error.message, error.mend, {}, 1});
    }
    return std::move(recording_);
  }

 private:
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
    ++line_number_;
    return true;
  }

  void take_line() {
    if (ended_) fail("there is more after the end line");
    const Json json = StrictParse::parse(line_);
    std::string type;
    Members(json, "line").read("type", type);
    if (!header_seen_ && type != "header")
      fail("expected the header, found a line of type " + in_quotes(type));
    if (type == "header") {
      take_header(json);
    } else if (type == "entry") {
      recording_.entries.push_back(read_entry(json));
    } else if (type == "end") {
      take_end(json);
    } else {
      fail("unknown line type " + in_quotes(type));
    }
  }

  void take_header(const Json& json) {
    if (header_seen_) fail("there is a second header");
    recording_.header = read_header(json);
    header_seen_ = true;
  }

  void take_end(const Json& json) {
    const Members in(json, "end");
    in.only({"type", "entries"});
    std::uint32_t entries = 0;
    in.read_small("entries", entries);
    if (entries != recording_.entries.size())
      fail("the recording is cut: it had " + std::to_string(entries) + " entries, here are " +
               std::to_string(recording_.entries.size()),
           kCutMend);
    ended_ = true;
  }

  std::istream& in_;
  std::string name_;
  std::string line_;
  int line_number_ = 0;
  bool header_seen_ = false;
  bool ended_ = false;
  Recording recording_;
};

}  // namespace

void write_json_lines(const Recording& recording, std::ostream& out) {
  write_line(header_json(recording.header), out);
  for (const Entry& entry : recording.entries) write_line(entry_json(entry), out);
  Json end;
  end["type"] = "end";
  end["entries"] = recording.entries.size();
  write_line(end, out);
}

Recording read_json_lines(std::istream& in, const std::string& name) {
  return Reader(in, name).read();
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

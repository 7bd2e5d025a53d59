#include "ops/json_text.h"

#include <set>
#include <vector>

namespace tscsim::ops::json_text {
namespace {

class StrictParse {
 public:
  static Json parse(const std::string& line, int nesting_limit) {
    StrictParse strict(nesting_limit);
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
  explicit StrictParse(int nesting_limit) : nesting_limit_(nesting_limit) {}

  void event(int depth, Json::parse_event_t event, const Json& parsed) {
    using Event = Json::parse_event_t;
    if (depth > nesting_limit_) fail("nested too deeply");
    if (event == Event::object_start) keys_.emplace_back();
    if (event == Event::object_end) keys_.pop_back();
    if (event != Event::key) return;
    const auto& key = parsed.get_ref<const std::string&>();
    if (!keys_.back().insert(key).second) fail("member " + in_quotes(key) + " is there twice");
  }

  int nesting_limit_;
  std::vector<std::set<std::string>> keys_;
};

}  // namespace

void fail(std::string message, std::string mend) { throw LineError{std::move(message), std::move(mend)}; }

std::string in_quotes(std::string_view text) { return "'" + std::string(text) + "'"; }

Json parse_strictly(const std::string& line, int nesting_limit) { return StrictParse::parse(line, nesting_limit); }

Json decimal(std::uint64_t value) { return std::to_string(value); }
Json decimal(std::int64_t value) { return std::to_string(value); }

namespace {

Json guest_json(const GuestSpec& guest) {
  Json json = {{"major", guest.major},
               {"minor", guest.minor},
               {"hz", guest.hz},
               {"clocksource", name_of(guest.clocksource)},
               {"tsc", name_of(guest.tsc)},
               {"invtsc", guest.invtsc},
               {"tsc_adjust", guest.tsc_adjust},
               {"kvmclock", guest.kvmclock},
               {"packages", guest.packages},
               {"online", guest.online}};
  if (guest.watchdog_max_skew_us != 0) json["watchdog_max_skew_us"] = guest.watchdog_max_skew_us;
  return json;
}

template <class Enum>
void read_named(const Members& in, const char* key, std::optional<Enum> (*from)(std::string_view), Enum& out) {
  std::string name;
  in.read(key, name);
  const auto found = from(name);
  if (!found) fail(std::string("guest: ") + key + ": unknown word " + in_quotes(name));
  out = *found;
}

GuestSpec read_guest(const Json& json) {
  const Members in(json, "guest");
  in.only({"major", "minor", "hz", "clocksource", "tsc", "invtsc", "tsc_adjust", "kvmclock", "packages", "online",
           "watchdog_max_skew_us"});
  GuestSpec guest;
  in.read_small("major", guest.major);
  in.read_small("minor", guest.minor);
  in.read_small("hz", guest.hz);
  read_named(in, "clocksource", guest_clocksource_from, guest.clocksource);
  read_named(in, "tsc", tsc_option_from, guest.tsc);
  in.read("invtsc", guest.invtsc);
  in.read("tsc_adjust", guest.tsc_adjust);
  in.read("kvmclock", guest.kvmclock);
  in.read_small("packages", guest.packages);
  in.read_small("online", guest.online);
  if (in.has("watchdog_max_skew_us")) in.read_small("watchdog_max_skew_us", guest.watchdog_max_skew_us);
  if (guest.hz == 0 || guest.packages == 0) fail("guest: hz and packages are above 0");
  return guest;
}

}  // namespace

Json operation_json(const Operation& op) {
  Json json;
  json["kind"] = name_of(op.kind);
  json["vcpu"] = op.vcpu;
  json["msr"] = op.msr;
  json["flags"] = op.flags;
  json["value"] = decimal(op.value);
  json["realtime"] = decimal(op.realtime);
  if (op.tsc_adjust != 0) json["tsc_adjust"] = decimal(op.tsc_adjust);
  if (op.mul != 0) json["mul"] = op.mul;
  if (op.shift != 0) json["shift"] = op.shift;
  if (op.pcpu != kAllPcpus) json["pcpu"] = op.pcpu;
  json["at_ns"] = decimal(op.at_ns);
  json["probe"] = op.probe;
  if (op.host != 0) json["host"] = op.host;
  if (op.kind == OpKind::boot_guest) json["guest"] = guest_json(op.guest);
  return json;
}

Operation read_operation(const Json& json) {
  const Members in(json, "op");
  in.only({"kind", "vcpu", "msr", "flags", "value", "realtime", "tsc_adjust", "mul", "shift", "pcpu", "at_ns", "probe",
           "host", "guest"});
  Operation op;
  std::string kind;
  in.read("kind", kind);
  const auto known = op_kind_from(kind);
  if (!known) fail("unknown operation " + in_quotes(kind));
  op.kind = *known;
  in.read_small("vcpu", op.vcpu);
  if (op.vcpu < kVm || op.vcpu >= layout::kMaxVcpus) fail("op: vcpu " + std::to_string(op.vcpu) + " cannot exist");
  in.read_small("msr", op.msr);
  in.read_small("flags", op.flags);
  in.read_decimal("value", op.value);
  in.read_decimal("realtime", op.realtime);
  if (in.has("tsc_adjust")) in.read_decimal("tsc_adjust", op.tsc_adjust);
  if (in.has("mul")) in.read_small("mul", op.mul);
  if (in.has("shift")) in.read_small("shift", op.shift);
  if (json.contains("pcpu")) in.read_small("pcpu", op.pcpu);
  in.read_decimal("at_ns", op.at_ns);
  in.read("probe", op.probe);
  if (in.has("host")) in.read_small("host", op.host);
  if (op.host < 0 || op.host >= kMaxHosts) fail("op: host " + std::to_string(op.host) + " cannot exist");
  if (op.kind == OpKind::boot_guest) op.guest = read_guest(in.at("guest"));
  return op;
}

}  // namespace tscsim::ops::json_text

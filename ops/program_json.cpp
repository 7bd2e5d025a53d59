// Expressions travel as their text: it is what the author wrote, and parsing it again gives the same
// instructions.
#include "ops/program_json.h"

#include "ops/error.h"
#include "ops/json_text.h"

namespace tscsim::ops {
namespace {

using json_text::decimal;
using json_text::fail;
using json_text::in_quotes;
using json_text::Json;
using json_text::Members;

constexpr int kNestingLimit = 5;  // a step's expression is the deepest
constexpr std::string_view kFormat = "tscsim-program-3";

Json expression_json(const std::optional<Expression>& expression) {
  if (!expression) return nullptr;
  return {{"text", expression->text()}, {"unit", expression->unit() == Unit::ns ? "ns" : "cycles"}};
}

Json place_json(const Place& place) { return {{"file", place.file}, {"line", place.line}, {"column", place.column}}; }

Json steps_json(const std::vector<Step>& steps) {
  Json array = Json::array();
  for (const Step& step : steps) {
    array.push_back({{"op", json_text::operation_json(step.op)},
                     {"value", expression_json(step.value)},
                     {"realtime", expression_json(step.realtime)},
                     {"capture", step.capture},
                     {"place", place_json(step.place)}});
    if (!step.saved.empty()) array.back()["saved"] = step.saved;
    if (step.procedure.empty()) continue;
    array.back()["procedure"] = step.procedure;
    array.back()["used_at"] = place_json(step.used_at);
  }
  return array;
}

Json host_json(const HostSpec& host) {
  Json pcpus = Json::array();
  for (const PcpuSpec& pcpu : host.pcpus) pcpus.push_back(decimal(pcpu.tsc_offset));
  return {{"name", host.name},
          {"kernel", host.kernel},
          {"vendor", host.vendor},
          {"tsc_scaling", host.tsc_scaling},
          {"tsc_khz", host.tsc_khz},
          {"tsc_error_ppb", decimal(host.tsc_error_ppb)},
          {"tsc_khz_written", host.tsc_khz_written},
          {"uptime_ns", decimal(host.uptime_ns)},
          {"realtime_ns", decimal(host.realtime_ns)},
          {"realtime_error_ns", decimal(host.realtime_error_ns)},
          {"realtime_drift_ppb", decimal(host.realtime_drift_ppb)},
          {"tsc_clocksource", host.tsc_clocksource},
          {"tsc_unstable", host.tsc_unstable},
          {"honours_tsc_offset", host.honours_tsc_offset},
          {"pcpu_tsc_offsets", pcpus}};
}

Json hosts_json(const std::vector<HostSpec>& hosts) {
  Json array = Json::array();
  for (const HostSpec& host : hosts) array.push_back(host_json(host));
  return array;
}

const Json& array_at(const Members& in, const char* key) {
  const Json& array = in.at(key);
  if (!array.is_array()) fail(in_quotes(key) + ": expected a list");
  return array;
}

std::optional<Expression> read_expression(const Json& json) {
  if (json.is_null()) return std::nullopt;
  const Members in(json, "expression");
  in.only({"text", "unit"});
  std::string text, unit;
  in.read("text", text);
  in.read("unit", unit);
  if (unit != "ns" && unit != "cycles") fail("expression: unknown unit " + in_quotes(unit));
  try {
    return Expression::parse(text, unit == "ns" ? Unit::ns : Unit::cycles);
  } catch (const ExpressionError& error) {
    fail("expression " + in_quotes(text) + ": " + error.what(), error.mend);
  }
}

Place read_place(const Json& json) {
  const Members in(json, "place");
  in.only({"file", "line", "column"});
  Place place;
  in.read("file", place.file);
  in.read_small("line", place.line);
  in.read_small("column", place.column);
  return place;
}

std::vector<Step> read_steps(const Json& array) {
  std::vector<Step> steps;
  for (const Json& json : array) {
    const Members in(json, "step");
    in.only({"op", "value", "realtime", "saved", "capture", "place", "procedure", "used_at"});
    Step& step = steps.emplace_back();
    step.op = json_text::read_operation(in.at("op"));
    step.value = read_expression(in.at("value"));
    step.realtime = read_expression(in.at("realtime"));
    if (in.has("saved")) in.read("saved", step.saved);
    in.read("capture", step.capture);
    step.place = read_place(in.at("place"));
    if (!in.has("procedure")) continue;
    in.read("procedure", step.procedure);
    step.used_at = read_place(in.at("used_at"));
  }
  return steps;
}

HostSpec read_host(const Json& json) {
  const Members in(json, "host");
  in.only({"name", "kernel", "vendor", "tsc_scaling", "tsc_khz", "tsc_error_ppb", "tsc_khz_written", "uptime_ns",
           "realtime_ns", "realtime_error_ns", "realtime_drift_ppb", "tsc_clocksource", "tsc_unstable",
           "honours_tsc_offset", "pcpu_tsc_offsets"});
  HostSpec host;
  in.read("name", host.name);
  in.read("kernel", host.kernel);
  in.read("vendor", host.vendor);
  in.read("tsc_scaling", host.tsc_scaling);
  in.read_small("tsc_khz", host.tsc_khz);
  in.read_decimal("tsc_error_ppb", host.tsc_error_ppb);
  in.read("tsc_khz_written", host.tsc_khz_written);
  in.read_decimal("uptime_ns", host.uptime_ns);
  in.read_decimal("realtime_ns", host.realtime_ns);
  in.read_decimal("realtime_error_ns", host.realtime_error_ns);
  in.read_decimal("realtime_drift_ppb", host.realtime_drift_ppb);
  in.read("tsc_clocksource", host.tsc_clocksource);
  in.read("tsc_unstable", host.tsc_unstable);
  in.read("honours_tsc_offset", host.honours_tsc_offset);
  host.pcpus.clear();
  for (const Json& offset : array_at(in, "pcpu_tsc_offsets")) {
    const Json wrapped = {{"tsc_offset", offset}};
    Members(wrapped, "pcpu").read_decimal("tsc_offset", host.pcpus.emplace_back().tsc_offset);
  }
  if (host.pcpus.empty()) fail("host: there is no pCPU");
  return host;
}

Program read_program(const Json& json) {
  const Members in(json, "program");
  std::string format;
  in.read("format", format);
  if (format != kFormat)
    fail("program of format " + in_quotes(format) + ", this program reads " + std::string(kFormat));
  in.only({"format", "name", "hash", "hosts", "heuristic", "setup", "timeline"});
  Program program;
  in.read("name", program.name);
  in.read("hash", program.hash);
  program.hosts.clear();
  for (const Json& host : array_at(in, "hosts")) program.hosts.push_back(read_host(host));
  if (program.hosts.empty() || program.hosts.size() > kMaxHosts) fail("program: no host, or too many");
  in.read("heuristic", program.heuristic);
  program.setup = read_steps(array_at(in, "setup"));
  program.timeline = read_steps(array_at(in, "timeline"));
  for (const auto* steps : {&program.setup, &program.timeline})
    for (const Step& step : *steps)
      if (static_cast<std::size_t>(step.op.host) >= program.hosts.size()) fail("step: there is no such host");
  return program;
}

}  // namespace

std::string to_json(const Program& program) {
  const Json json = {{"format", kFormat},
                     {"name", program.name},
                     {"hash", program.hash},
                     {"hosts", hosts_json(program.hosts)},
                     {"heuristic", program.heuristic},
                     {"setup", steps_json(program.setup)},
                     {"timeline", steps_json(program.timeline)}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Program program_from_json(const std::string& line, const std::string& name) {
  try {
    return read_program(json_text::parse_strictly(line, kNestingLimit));
  } catch (const json_text::LineError& error) {
    throw InputError({{name, 0, 0}, error.message, error.mend, {}, 1});
  }
}

}  // namespace tscsim::ops

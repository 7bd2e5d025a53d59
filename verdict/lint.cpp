#include "verdict/lint.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "verdict/words.h"

namespace tscsim::verdict {
namespace {

using Json = nlohmann::ordered_json;

struct Location {
  std::string file;
  int line = 0;
};

// Of a recording, the line of the entry; the header stands before the first.
Location location_of(const LintReport& report, const Finding& finding) {
  const Course& course = *report.course;
  if (finding.moment < course.places.size())
    return {course.places[finding.moment].file, course.places[finding.moment].line};
  return {report.file, static_cast<int>(report.header_line + course.moments[finding.moment].entry + 1)};
}

// "recording.jsonl, VM 2": what an entry's number belongs to; empty for a scenario, whose places name the file.
std::string recording_text(const LintReport& report) {
  if (!report.course->places.empty() || report.file.empty()) return {};
  return report.vms == 1 ? report.file : fmt::format("{}, VM {}", report.file, report.vm);
}

std::string place_of(const LintReport& report, std::size_t moment) {
  const std::string recording = recording_text(report), place = place_text(*report.course, moment);
  return recording.empty() ? place : recording + ", " + place;
}

// RFC 3986: all but unreserved characters and the slash.
std::string percent_encoded(const std::string& path) {
  std::string text;
  for (const char c : path) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                       c == '.' || c == '_' || c == '~' || c == '/';
    text += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return text;
}

std::string uri_of(const std::string& file) {
  const std::filesystem::path path = std::filesystem::absolute(file).lexically_normal();
  const std::filesystem::path relative = path.lexically_relative(std::filesystem::current_path());
  const bool inside = !relative.empty() && *relative.begin() != "..";
  return inside ? percent_encoded(relative.string()) : "file://" + percent_encoded(path.string());
}

// `line` 0: the whole file. A course that comes from no file has no location.
Json locations_json(const Location& where) {
  if (where.file.empty()) return Json::array();
  Json physical = {{"artifactLocation", {{"uri", uri_of(where.file)}}}};
  if (where.line > 0) physical["region"]["startLine"] = where.line;
  return Json::array({{{"physicalLocation", physical}}});
}

Json rule_json(const FindingInfo& info) {
  return {{"id", info.id},
          {"shortDescription", {{"text", info.explanation}}},
          {"fullDescription", {{"text", fmt::format("{} {}", info.explanation, info.consequence)}}},
          {"help", {{"text", info.cure}}},
          {"defaultConfiguration", {{"level", name_of(info.level)}}}};
}

Json notification_json(const LintReport& report, const Undecided& open) {
  const std::string recording = recording_text(report);
  return {{"descriptor", {{"id", open.info->id}}},
          {"level", "note"},
          {"message",
           {{"text", fmt::format("not decidable: {}: {}", recording.empty() ? report.name : recording, open.why)}}},
          {"locations", locations_json({report.file, 0})}};
}

Json result_json(const LintReport& report, const Finding& finding) {
  return {{"ruleId", finding.info->id},
          {"level", name_of(finding.level)},
          {"message",
           {{"text", fmt::format("{}. {} Cure: {}", finding.message, finding.info->consequence, finding.info->cure)}}},
          {"locations", locations_json(location_of(report, finding))}};
}

}  // namespace

LintReport lint(const Course& course, const Thresholds& thresholds, const std::set<std::string>& disabled) {
  LintReport report;
  report.course = &course;
  report.name = course.recording.header.scenario;
  const Case c = examine(course, thresholds);
  for (const FindingInfo& info : all_findings()) {
    if (disabled.contains(std::string(info.id))) continue;
    Sink sink(info);
    info.look(c, sink);
    std::move(sink.findings.begin(), sink.findings.end(), std::back_inserter(report.findings));
    std::move(sink.open.begin(), sink.open.end(), std::back_inserter(report.undecided));
  }
  std::stable_sort(report.findings.begin(), report.findings.end(),
                   [](const Finding& a, const Finding& b) { return a.moment < b.moment; });
  return report;
}

std::string lint_text(const LintReport& report) {
  std::string text;
  for (const Finding& finding : report.findings) {
    text += fmt::format("{}: {}: {}: {}\n", place_of(report, finding.moment), name_of(finding.level), finding.info->id,
                        finding.message);
    text += fmt::format("  {}\n  cure: {}\n", finding.info->consequence, finding.info->cure);
  }
  const std::string recording = recording_text(report);
  const std::string prefix = recording.empty() ? "" : recording + ": ";
  for (const Undecided& open : report.undecided)
    text += fmt::format("{}not decidable: {}: {}\n", prefix, open.info->id, open.why);
  if (report.course->departure)
    text += fmt::format("{}entry {}: what follows is not judged: KVM did not what the model derives\n", prefix,
                        report.course->departure->entry + 1);
  return text;
}

std::string lint_json(const std::vector<LintReport>& reports) {
  Json array = Json::array();
  for (const LintReport& report : reports) {
    Json findings = Json::array(), open = Json::array();
    for (const Finding& finding : report.findings) {
      const Location where = location_of(report, finding);
      findings.push_back({{"id", finding.info->id},
                          {"level", name_of(finding.level)},
                          {"file", where.file},
                          {"line", where.line},
                          {"entry", report.course->moments[finding.moment].entry + 1},
                          {"operation", operation_text(*report.course, finding.moment)},
                          {"vcpus", finding.vcpus},
                          {"message", finding.message},
                          {"consequence", finding.info->consequence},
                          {"cure", finding.info->cure}});
    }
    for (const Undecided& undecided : report.undecided)
      open.push_back({{"id", undecided.info->id}, {"why", undecided.why}});
    array.push_back({{"name", report.name},
                     {"file", report.file},
                     {"vm", report.vm},
                     {"findings", findings},
                     {"not_decidable", open}});
  }
  // A file's name need not be UTF-8.
  return array.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string lint_sarif(const std::vector<LintReport>& reports, const std::string& version) {
  Json rules = Json::array(), results = Json::array(), notifications = Json::array();
  for (const FindingInfo& info : all_findings()) rules.push_back(rule_json(info));
  for (const LintReport& report : reports)
    for (const Finding& finding : report.findings) results.push_back(result_json(report, finding));
  for (const LintReport& report : reports)
    for (const Undecided& open : report.undecided) notifications.push_back(notification_json(report, open));
  const Json invocation = {{"executionSuccessful", true}, {"toolExecutionNotifications", notifications}};
  const Json run = {{"tool", {{"driver", {{"name", "tscsim"}, {"version", version}, {"rules", rules}}}}},
                    {"invocations", Json::array({invocation})},
                    {"results", results}};
  const Json document = {
      {"$schema", "https://json.schemastore.org/sarif-2.1.0.json"}, {"version", "2.1.0"}, {"runs", Json::array({run})}};
  return document.dump(2, ' ', false, Json::error_handler_t::replace);
}

}  // namespace tscsim::verdict

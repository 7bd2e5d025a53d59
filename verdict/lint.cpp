#include "verdict/lint.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "verdict/words.h"

namespace tscsim::verdict {
namespace {

using Json = nlohmann::ordered_json;

struct Location {
  std::string file;
  int line = 0;
};

// Of a recording, the line of the entry: the header is the first.
Location location_of(const LintReport& report, const Finding& finding) {
  const Course& course = *report.course;
  if (finding.moment < course.places.size())
    return {course.places[finding.moment].file, course.places[finding.moment].line};
  return {report.file, static_cast<int>(course.moments[finding.moment].entry) + 2};
}

Json rule_json(const FindingInfo& info) {
  return {{"id", info.id},
          {"shortDescription", {{"text", info.explanation}}},
          {"fullDescription", {{"text", fmt::format("{} {}", info.explanation, info.consequence)}}},
          {"help", {{"text", info.cure}}},
          {"defaultConfiguration", {{"level", name_of(info.level)}}}};
}

Json result_json(const LintReport& report, const Finding& finding) {
  const Location where = location_of(report, finding);
  Json region = Json::object();
  if (where.line > 0) region["startLine"] = where.line;
  Json physical = {{"artifactLocation", {{"uri", where.file}}}};
  if (!region.empty()) physical["region"] = region;
  return {{"ruleId", finding.info->id},
          {"level", name_of(finding.level)},
          {"message",
           {{"text", fmt::format("{}. {} Cure: {}", finding.message, finding.info->consequence, finding.info->cure)}}},
          {"locations", Json::array({{{"physicalLocation", physical}}})}};
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
    text += fmt::format("{}: {}: {}: {}\n", place_text(*report.course, finding.moment), name_of(finding.level),
                        finding.info->id, finding.message);
    text += fmt::format("  {}\n  cure: {}\n", finding.info->consequence, finding.info->cure);
  }
  for (const Undecided& open : report.undecided)
    text += fmt::format("not decidable: {}: {}\n", open.info->id, open.why);
  if (report.course->departure)
    text += fmt::format("entry {}: what follows is not judged: KVM did not what the model derives\n",
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
    array.push_back({{"name", report.name}, {"file", report.file}, {"findings", findings}, {"not_decidable", open}});
  }
  return array.dump();
}

std::string lint_sarif(const std::vector<LintReport>& reports, const std::string& version) {
  Json rules = Json::array(), results = Json::array();
  for (const FindingInfo& info : all_findings()) rules.push_back(rule_json(info));
  for (const LintReport& report : reports)
    for (const Finding& finding : report.findings) results.push_back(result_json(report, finding));
  const Json run = {{"tool", {{"driver", {{"name", "tscsim"}, {"version", version}, {"rules", rules}}}}},
                    {"results", results}};
  const Json document = {
      {"$schema", "https://json.schemastore.org/sarif-2.1.0.json"}, {"version", "2.1.0"}, {"runs", Json::array({run})}};
  return document.dump(2);
}

}  // namespace tscsim::verdict

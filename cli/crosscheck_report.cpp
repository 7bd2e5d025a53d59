#include "cli/crosscheck_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <map>

#include "cli/kernel_option.h"
#include "cli/notices.h"
#include "ops/error.h"
#include "ops/operation_text.h"
#include "storage/files.h"
#include "storage/recordings.h"

namespace tscsim::cli {
namespace {

using crosscheck::Verdict;

constexpr std::array kVerdicts = {Verdict::exact, Verdict::bracketed, Verdict::undecided, Verdict::mismatch,
                                  Verdict::unsupported};

// Where the evidence went. That it cannot be kept is no reason to be silent about the disagreement.
std::string keep(const ops::Recording& recording, const std::string& path) {
  std::error_code unable;  // write_recordings() says why
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), unable);
  try {
    storage::write_recordings(path, {&recording, 1});
  } catch (const ops::InputError& error) {
    return fmt::format("  not kept  {}\n", error.what());
  }
  return fmt::format("  kept      {}\n  again     tscsim verify {}\n", path, path);
}

std::string trouble_text(const crosscheck::Result& result) {
  std::string text;
  for (const crosscheck::Mismatch& mismatch : result.mismatches) text += mismatch.explanation + "\n";
  if (result.unchecked_entries != 0)
    text += fmt::format("  {} later operations were not compared: {}\n", result.unchecked_entries,
                        result.mismatches.empty() ? "what happened in the first of them can be told in too many ways"
                                                  : "the state is not known after a mismatch");
  return text;
}

// What no operation says and the comparison rests on, or what it left open.
std::string notes_text(const crosscheck::Result& result) {
  std::string text;
  for (const crosscheck::InferredWrite& write : result.inferred)
    text += fmt::format(
        "  inferred  the guest has written {} = {:#x} on vCPU {} in the KVM_RUN of entry {}: entry {} shows it\n",
        ops::msr_name(write.msr), write.value, write.vcpu, write.run, write.told);
  for (const crosscheck::Observation& o : result.observations)
    if (o.verdict == Verdict::undecided) text += fmt::format("  undecided entry {}: {}\n", o.entry, o.what);
  return text;
}

Json inferred_json(const crosscheck::Result& result) {
  Json writes = Json::array();
  for (const crosscheck::InferredWrite& write : result.inferred)
    writes.push_back({{"entry", write.run},
                      {"host", write.host},
                      {"vcpu", write.vcpu},
                      {"msr", write.msr},
                      {"value", std::to_string(write.value)},
                      {"shown_by_entry", write.told}});
  return writes;
}

std::string failed_lines(const std::vector<scenarios::Verdict>& verdicts) {
  std::string text;
  for (const scenarios::Verdict& v : verdicts)
    if (v.state == scenarios::State::failed) text += verdict_lines({v}, true);
  return text;
}

Json loose_observations(const crosscheck::Result& result) {
  Json observations = Json::array();
  for (const crosscheck::Observation& o : result.observations) {
    if (o.verdict == Verdict::exact || o.verdict == Verdict::bracketed) continue;
    observations.push_back({{"entry", o.entry}, {"what", o.what}, {"verdict", crosscheck::name_of(o.verdict)}});
  }
  return observations;
}

// As text has it; JSON's words are json_word_of().
std::string_view word_of(Agreement agreement) {
  switch (agreement) {
    case Agreement::agree:
      return "agree";
    case Agreement::disagree:
      return "DISAGREE";
    case Agreement::expectation_failed:
      return "FAILED";
    case Agreement::not_run:
      break;
  }
  return "not run";
}

std::string_view json_word_of(Agreement agreement) {
  switch (agreement) {
    case Agreement::agree:
      return "agree";
    case Agreement::disagree:
      return "disagree";
    case Agreement::expectation_failed:
      return "expectation_failed";
    case Agreement::not_run:
      break;
  }
  return "not_run";
}

// Why a recording in which nothing is wrong says nothing; empty when it says something.
std::string silence_of(const Counts& counts) {
  if (counts[Verdict::exact] + counts[Verdict::bracketed] + counts[Verdict::mismatch] != 0) return "";
  return fmt::format("no value could be compared: {} undecided, {} unsupported", counts[Verdict::undecided],
                     counts[Verdict::unsupported]);
}

// "Linux 6.12, AMD", of "6.12.117+deb13-cloud-amd64" and "svm".
std::string kernel_name(const ops::TargetProfile& profile) {
  const std::size_t minor = profile.kernel.find('.');
  const std::size_t end =
      minor == std::string::npos ? minor : profile.kernel.find_first_not_of("0123456789", minor + 1);
  const std::string_view vendor = profile.vendor == "svm" ? "AMD" : profile.vendor == "vmx" ? "Intel" : "PVM";
  return fmt::format("Linux {}, {}{}", profile.kernel.substr(0, end), vendor,
                     profile.target == "model" ? ", the model itself" : "");
}

std::string cell_text(const Compared& cell) {
  if (cell.agreement == Agreement::not_run) return "not run";
  if (cell.agreement != Agreement::agree) return std::string(word_of(cell.agreement));
  const std::size_t undecided = cell.counts[Verdict::undecided];
  return fmt::format("ok {}{}", cell.counts[Verdict::exact], undecided == 0 ? "" : fmt::format(" ?{}", undecided));
}

// In the order of their first appearance.
std::vector<std::string> distinct(const std::vector<Compared>& cells, std::string Compared::*member) {
  std::vector<std::string> names;
  for (const Compared& cell : cells)
    if (std::find(names.begin(), names.end(), cell.*member) == names.end()) names.push_back(cell.*member);
  return names;
}

// "lab:amd-6.1+lab:amd-6.12": what each host ran on, once where that is the same.
std::string target_of(const ops::Header& header) {
  std::string text;
  for (int host = 0; host < header.hosts(); ++host) {
    const std::string& target = header.host(host).profile.target;
    if (text.empty() || target != header.host(host - 1).profile.target) text += (text.empty() ? "" : "+") + target;
  }
  return text;
}

std::string without_lab(const std::string& target) { return target.rfind("lab:", 0) == 0 ? target.substr(4) : target; }

JunitCase junit_case(const Compared& cell, const RecordedScenario& subject, const std::string& wrong,
                     const std::string& why) {
  const std::string suite = "crosscheck " + cell.target;
  switch (cell.agreement) {
    case Agreement::agree:
      return {suite, subject.name, JunitState::passed, "", "", subject.file};
    case Agreement::disagree:
      return {suite, subject.name, JunitState::failure, "disagree", wrong, subject.file};
    case Agreement::expectation_failed:
      return {suite, subject.name, JunitState::failure, "expectation", wrong, subject.file};
    case Agreement::not_run:
      break;
  }
  return {suite, subject.name, JunitState::skipped, "", why, subject.file};
}

}  // namespace

void add_brief_option(OptionList& options) {
  options.flag("brief", "a line for each kernel instead of one for each recording; what is wrong in full");
}

Lines lines_of(const Arguments& arguments) {
  if (arguments.json()) return Lines::none;
  return arguments.has("brief") ? Lines::brief : Lines::each;
}

void Counts::add(const crosscheck::Result& result) {
  for (const Verdict v : kVerdicts) of[static_cast<std::size_t>(v)] += result.count(v);
}

Json Counts::json() const {
  Json object = Json::object();
  for (const Verdict v : kVerdicts) object[std::string(crosscheck::name_of(v))] = (*this)[v];
  return object;
}

std::string Counts::text() const {
  std::string text;
  for (const Verdict v : kVerdicts)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", (*this)[v], crosscheck::name_of(v));
  return text;
}

std::string matrix_text(const std::vector<Compared>& cells) {
  const std::vector<std::string> scenarios = distinct(cells, &Compared::scenario),
                                 targets = distinct(cells, &Compared::target);
  std::map<std::pair<std::string, std::string>, std::string> table;
  for (const Compared& cell : cells) table[{cell.scenario, cell.target}] = cell_text(cell);
  std::size_t width = 8;
  for (const std::string& scenario : scenarios) width = std::max(width, scenario.size());
  std::string text = fmt::format("{:<{}}", "scenario", width);
  for (const std::string& target : targets) text += fmt::format("  {:>10}", without_lab(target));
  for (const std::string& scenario : scenarios) {
    text += fmt::format("\n{:<{}}", scenario, width);
    for (const std::string& target : targets) text += fmt::format("  {:>10}", table[{scenario, target}]);
  }
  return text + "\n";
}

void CrosscheckReport::compare(const RecordedScenario& subject, const ops::Recording& recording) {
  const crosscheck::Result result = crosscheck::check(recording);
  const std::string target = target_of(recording.header);
  notice_newer_kernels(recording.header);
  Compared cell{subject.name, target, {}};
  cell.counts.add(result);
  counts_.add(result);
  Kernel& kernel = kernels_[kernel_name(recording.header.profile)];
  ++kernel.recordings;
  kernel.counts.add(result);
  const Tally t = tally(subject.verdicts);
  expectations_.held += t.held;
  expectations_.failed += t.failed;
  expectations_.unsure += t.unsure;
  expectations_.not_run += t.not_run;

  std::string trouble = trouble_text(result);
  const std::string failed = failed_lines(subject.verdicts);
  std::string why;
  if (!result.mismatches.empty()) {  // not when an operation has too many histories: undecided
    cell.agreement = Agreement::disagree;
  } else if (!failed.empty()) {
    cell.agreement = Agreement::expectation_failed;
  } else {
    why = subject.undone.empty() ? silence_of(cell.counts) : subject.undone;
    if (!why.empty()) cell.agreement = Agreement::not_run;
  }
  const bool wrong = cell.agreement == Agreement::disagree || cell.agreement == Agreement::expectation_failed;
  if (wrong && !subject.kept.empty()) trouble += keep(recording, subject.kept);
  junit_.push_back(junit_case(cell, subject, trouble + failed, why));
  items_.push_back({{"name", subject.name},
                    {"target", target},
                    {"verdict", json_word_of(cell.agreement)},
                    {"summary", cell.counts.json()},
                    {"explanation", trouble},
                    {"not_exact_nor_bracketed", loose_observations(result)},
                    {"inferred_guest_writes", inferred_json(result)},
                    {"expectations", verdicts_json(subject.verdicts)}});
  if (!why.empty()) items_.back()["not_run"] = why;
  if (text_ && (!brief_ || wrong)) {
    std::cout << fmt::format("{:<9} {:<42} {}", word_of(cell.agreement), subject.name, cell.counts.text());
    if (t.failed != 0) std::cout << fmt::format("; expectations: {} held, {} failed, ", t.held, t.failed);
    else std::cout << fmt::format("; expectations: {} held, ", t.held);
    std::cout << fmt::format("{} unsure, {} not run\n", t.unsure, t.not_run) << notes_text(result) << trouble << failed;
    if (!why.empty()) std::cout << "  " << why << "\n";
    std::cout << std::flush;
  }
  cells_.push_back(std::move(cell));
}

void CrosscheckReport::add_not_run(const RecordedScenario& subject, const std::string& target, const std::string& why) {
  items_.push_back({{"name", subject.name}, {"target", target}, {"verdict", "not_run"}, {"not_run", why}});
  if (text_ && !brief_) std::cout << fmt::format("not run   {:<42} {}\n", subject.name, why) << std::flush;
  cells_.push_back({subject.name, target, {}, Agreement::not_run});
}

void CrosscheckReport::not_run(const RecordedScenario& subject, const std::string& target, const std::string& why) {
  junit_.push_back({"crosscheck " + target, subject.name, JunitState::skipped, "", why, subject.file});
  add_not_run(subject, target, why);
}

void CrosscheckReport::lost(const RecordedScenario& subject, const std::string& target, const std::string& why) {
  ++lost_;
  junit_.push_back({"crosscheck " + target, subject.name, JunitState::error, "target", why, subject.file});
  add_not_run(subject, target, why);
}

void CrosscheckReport::unavailable(const std::string& target, const std::string& why) {
  unavailable_.push_back({{"target", target}, {"reason", why}});
  junit_.push_back({"crosscheck " + target, target, JunitState::error, "target", why});
  std::cerr << fmt::format("target {}: not available: {}\n", target, why);
}

void CrosscheckReport::unreadable(const std::string& file, const std::string& why) {
  ++errors_;
  junit_.push_back({"input", file, JunitState::error, "input", why, file});
  items_.push_back({{"name", file}, {"verdict", "error"}, {"explanation", why}});
  std::cerr << why << "\n";
}

void CrosscheckReport::interrupted(const std::string& left) {
  left_ = left;
  junit_.push_back({"run", "ran to its end", JunitState::error, "interrupted", left});
}

std::size_t CrosscheckReport::count(Agreement agreement) const {
  return static_cast<std::size_t>(
      std::count_if(cells_.begin(), cells_.end(), [=](const Compared& cell) { return cell.agreement == agreement; }));
}

Json CrosscheckReport::summary() const {
  Json object = counts_.json();
  object["expectations"] = {{"held", expectations_.held},
                            {"failed", expectations_.failed},
                            {"unsure", expectations_.unsure},
                            {"not_run", expectations_.not_run}};
  object["agree"] = count(Agreement::agree);
  object["disagree"] = count(Agreement::disagree);
  object["expectation_failed"] = count(Agreement::expectation_failed);
  object["errors"] = errors_;
  object["not_run"] = count(Agreement::not_run);
  object["lost"] = lost_;
  object["unavailable"] = unavailable_;
  object["complete"] = left_.empty();
  if (!left_.empty()) object["left"] = left_;
  return object;
}

int CrosscheckReport::status() const {
  if (errors_ != 0) return kBadUsage;
  if (cells_.empty() && !unavailable_.empty()) return kNotAvailable;
  if (count(Agreement::disagree) + count(Agreement::expectation_failed) != 0) return kFailed;
  if (lost_ != 0) return kNotAvailable;
  return count(Agreement::agree) == 0 ? kNothingChecked : kAllHeld;
}

std::string CrosscheckReport::kernels_text() const {
  std::string text;
  for (const auto& [name, kernel] : kernels_)
    text += fmt::format("{:<24} {:>4} recordings, {:>6} values exact, {:>5} in their brackets, {} mismatches\n", name,
                        kernel.recordings, kernel.counts[Verdict::exact], kernel.counts[Verdict::bracketed],
                        kernel.counts[Verdict::mismatch]);
  return text;
}

int CrosscheckReport::finish(const std::string& command, const Arguments& arguments) const {
  if (arguments.has("junit"))
    storage::write_file(arguments.text("junit"), junit_xml("tscsim " + command, junit_, notices()));
  const Json sums = summary();
  if (arguments.json()) {
    print({{"command", command}, {"summary", sums}, {"recordings", items_}});
    return status();
  }
  if (cells_.empty() && errors_ != 0) return status();  // all was refused, and has been said
  if (brief_) std::cout << kernels_text();
  else if (distinct(cells_, &Compared::target).size() > 1 && distinct(cells_, &Compared::scenario).size() > 1)
    std::cout << "\n" << matrix_text(cells_) << "\n";
  std::cout << counts_.text();
  const std::size_t unmet = count(Agreement::expectation_failed);
  if (unmet != 0)
    std::cout << fmt::format("; {} with an expectation that failed, while KVM and the model agree", unmet);
  if (sums["not_run"] != 0) std::cout << fmt::format("; {} scenarios not run", sums["not_run"].get<std::size_t>());
  if (lost_ != 0) std::cout << fmt::format(", {} of them because a machine died or did not come up", lost_);
  if (!unavailable_.empty()) std::cout << fmt::format("; {} targets not available", unavailable_.size());
  if (!left_.empty()) std::cout << fmt::format("; incomplete: {}", left_);
  std::cout << "\n";
  return status();
}

}  // namespace tscsim::cli

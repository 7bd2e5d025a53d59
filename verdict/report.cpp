#include "verdict/report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "ops/operation_text.h"
#include "verdict/findings/families.h"
#include "verdict/words.h"

namespace tscsim::verdict {
namespace {

using Json = nlohmann::ordered_json;

std::string header_text(const Course& course) {
  std::string text = course.recording.header.scenario + "\n";
  for (int host = 0; host < course.recording.header.hosts(); ++host) {
    const ops::TargetProfile& profile = course.profile(host);
    const std::string name = course.recording.header.hosts() == 1 ? "" : course.recording.header.host(host).name + " ";
    text += fmt::format("  {}{} {}: Linux {}, {}, TSC {} kHz{}{}\n", name, "on", profile.target, profile.kernel,
                        profile.vendor, digits(Wide{profile.host_khz}), profile.tsc_scaling ? ", scaling" : "",
                        profile.honours_tsc_offset ? "" : ", offsets not honoured");
  }
  return text;
}

// "205 ms behind (E2)"
std::string standing(Span ns, const std::string& name) {
  if (!ns.known()) return "not known";
  if (ns.most() <= formula::kPageRounding_ns) return "as if it had never stopped";
  if (ns.least() <= formula::kPageRounding_ns)
    return fmt::format("as if it had never stopped, or at most {} off", duration(ns.most()));
  const bool ahead = ns.lo > 0;
  return fmt::format("{} {}{}", duration(ahead ? ns : Span{} - ns), ahead ? "ahead" : "behind",
                     name.empty() ? "" : " (" + name + ")");
}

std::string step_text(Span ns) {
  if (!ns.known()) return "how far the guest sees it step is not known";
  if (ns.lo < 0 && ns.hi > 0)
    return fmt::format("the guest sees it step by {} (back) to {} (forward)", duration(-ns.lo), duration(ns.hi));
  return fmt::format("the guest sees it step {} by {}", ns.hi < 0 ? "back" : "forward",
                     duration(ns.hi < 0 ? Span{} - ns : ns));
}

std::string name_in(const Measure& m, std::int32_t vcpu, std::initializer_list<ErrorName> names) {
  std::string text;
  for (const NamedError& error : m.errors)
    for (const ErrorName name : names)
      if (error.name == name && error.vcpu == vcpu) text += (text.empty() ? "" : " and ") + std::string(info(name).id);
  return text;
}

// One line of the report, of the vCPUs for which it reads the same.
struct Row {
  std::vector<std::int32_t> vcpus;
  std::string text;
};

void add_row(std::vector<Row>& rows, std::int32_t vcpu, std::string text) {
  if (text.empty()) return;
  const auto same = std::find_if(rows.begin(), rows.end(), [&](const Row& row) { return row.text == text; });
  if (same != rows.end()) same->vcpus.push_back(vcpu);
  else rows.push_back({{vcpu}, std::move(text)});
}

// Where vCPUs differ by cycles only, the extremes say enough.
constexpr std::size_t kMostRows = 6;

class Section {
 public:
  Section(const Case& c, std::size_t number) : c_(c), d_(c.disturbances[number]), m_(c.measures[number]) {}

  std::string text(std::size_t shown_as) {
    text_ = fmt::format("{}. {}\n", shown_as, title());
    put_rows("TSC", tsc_rows());
    if (m_.kvmclock_error && m_.kvmclock_page) put("kvmclock", kvmclock());
    if (m_.kvmclock_error && !m_.kvmclock_page && clock_is_touched()) put("VM clock", vm_clock());
    put_rows("ran early", entry_rows());
    if (m_.split && m_.kvmclock_page && m_.split->least() > formula::kPageRounding_ns)
      put("split", fmt::format("kvmclock is {} the TSC (E3)", standing(*m_.split, "") + " of"));
    put_rows("skew", skew_rows());
    put_rows("rate", rate_rows());
    put("master clock", master());
    put_why();
    put_cures();
    return std::move(text_);
  }

  std::string line() const {
    std::string text = title() + ": " + worst().text();
    std::set<std::string_view> names;
    for (const NamedError& error : m_.errors) names.insert(info(error.name).id);
    if (!names.empty()) text += fmt::format(" ({})", fmt::join(names, ", "));
    for (const std::string& clock : {tsc_line(), clock_line()})
      if (!clock.empty()) text += "; " + clock;
    return text + "; master clock " + master();
  }

  std::string title() const {
    const Span from = c_.course.moments[d_.operations.front()].at_ns, to = c_.course.moments[d_.end()].at_ns;
    std::string text =
        fmt::format("{}, {} to {}", name_of(d_.kind), duration(std::max<Wide>(from.lo, 0)), duration(to.lo));
    if (d_.host != d_.from_host)
      text += fmt::format(", {} to {}", c_.course.recording.header.host(d_.from_host).name,
                          c_.course.recording.header.host(d_.host).name);
    if (!d_.before) text += " (the guest had not run before)";
    if (!d_.resume) text += " (the guest does not run after)";
    return text;
  }

  // The greatest error of any clock, in ns, for the order of the table.
  struct Worst {
    Wide least = 0;  // it is not less
    Wide most = 0;   // and not more
    bool exact = true;
    bool known = true;  // of every clock
    std::string text() const {
      if (!known && least == 0) return "not known";
      if (!exact && least <= formula::kPageRounding_ns) return fmt::format("at most {}", duration(most));
      return fmt::format("{} {}", exact ? "up to" : "at least", duration(least));
    }
  };
  Worst worst() const {
    Worst worst;
    const auto take = [&](Span ns) {
      worst.known = worst.known && ns.known();
      worst.exact = worst.exact && ns.most() - ns.least() <= formula::kPageRounding_ns;
      if (!ns.known()) return;
      worst.least = std::max(worst.least, ns.least());
      worst.most = std::max(worst.most, ns.most());
    };
    if (m_.kvmclock_error) take(*m_.kvmclock_error);
    for (const VcpuMeasure& v : m_.vcpus) {
      if (v.tsc_error) take(ns_of(*v.tsc_error, v.khz));
      take(ns_of(v.skew, v.khz));
      if (v.decision && !v.decision->creation && v.decision->joins()) take(ns_of(v.decision->in_force, v.khz));
    }
    return worst;
  }

 private:
  // Wrapped, so that it can be pasted.
  void put(const std::string& label, const std::string& line) {
    constexpr std::size_t kWidth = 96;
    std::string rest = line, mark = label;
    while (!rest.empty()) {
      const std::size_t end = rest.size() <= kWidth ? rest.size() : std::min(rest.rfind(' ', kWidth), rest.size());
      text_ += fmt::format("   {:<13} {}\n", mark, rest.substr(0, end));
      rest.erase(0, end + 1);
      mark.clear();
    }
  }
  void put_rows(const std::string& label, const std::vector<Row>& rows) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (i == kMostRows && rows.size() > kMostRows + 1) {
        put("", fmt::format("and {} more kinds of vCPUs; --format json has all", rows.size() - i));
        return;
      }
      put(i == 0 ? label : "", fmt::format("{}: {}", vcpus_text(rows[i].vcpus), rows[i].text));
    }
  }

  std::vector<Row> tsc_rows() const {
    std::vector<Row> rows;
    for (const VcpuMeasure& v : m_.vcpus) {
      const std::string names =
          name_in(m_, v.vcpu, {ErrorName::tsc_freeze_loss, ErrorName::offset_procedure, ErrorName::snap});
      std::string text;
      if (v.tsc_error) text = standing(ns_of(*v.tsc_error, v.khz), names);
      if (v.tsc_error && v.tsc_step) text += ", " + step_text(ns_of(*v.tsc_step, v.khz));
      if (!v.tsc_error && !names.empty())
        text = fmt::format("{} from what was written ({})", duration(ns_of(v.decision->in_force, v.khz)), names);
      if (!v.tsc_error && names.empty() && v.decision && !v.decision->creation) text = "as written";
      add_row(rows, v.vcpu, text);
    }
    return rows;
  }

  std::string kvmclock_standing() const {
    const std::string names = name_in(m_, -1,
                                      {ErrorName::kvmclock_pause_loss, ErrorName::realtime_advance,
                                       ErrorName::realtime_slew, ErrorName::wall_clock_step});
    return standing(*m_.kvmclock_error, names);
  }
  std::string kvmclock() const {
    const std::string text = kvmclock_standing();
    return m_.kvmclock_step ? text + ", " + step_text(*m_.kvmclock_step) : text;
  }

  // vCPU 0's stands for all of them: where they differ, E7 is among the names.
  std::string tsc_line() const {
    const std::vector<Row> rows = tsc_rows();
    return rows.empty() ? "" : "TSC " + rows.front().text;
  }
  std::string clock_line() const {
    if (!m_.kvmclock_error) return {};
    if (m_.kvmclock_page) return "kvmclock " + kvmclock();
    return clock_is_touched() ? "VM clock " + kvmclock_standing() : "";
  }

  // Of a guest without a page, KVM's clock is still what Hyper-V's reference time and KVM_GET_CLOCK count by.
  bool clock_is_touched() const {
    return m_.instants.clock_set || !m_.kvmclock_error->known() ||
           m_.kvmclock_error->least() > formula::kPageRounding_ns;
  }
  std::string vm_clock() const {
    return kvmclock_standing() + "; no page of kvmclock is known, so that nothing is said of what the guest sees";
  }

  std::vector<Row> entry_rows() const {
    std::vector<Row> rows;
    for (const NamedError& error : m_.errors) {
      if (error.name != ErrorName::run_before_entry) continue;
      if (error.vcpu >= 0)
        add_row(rows, error.vcpu, fmt::format("the TSC, {} before the first entry (E4)", duration(error.value)));
    }
    return rows;
  }

  std::vector<Row> skew_rows() const {
    std::vector<Row> rows;
    for (const VcpuMeasure& v : m_.vcpus) {
      const std::string names = name_in(m_, v.vcpu, {ErrorName::skew, ErrorName::erased_skew});
      const bool skewed = v.vcpu != 0 && v.skew.least() > 1;
      if (!skewed && names.empty()) continue;
      std::string text =
          skewed ? fmt::format("{} against vCPU 0", size_of(v.skew, v.khz)) : "none against vCPU 0 any more";
      add_row(rows, v.vcpu, names.empty() ? text : text + " (" + names + ")");
    }
    return rows;
  }

  std::vector<Row> rate_rows() const {
    std::vector<Row> rows;
    for (const NamedError& error : m_.errors)
      if (error.name == ErrorName::rate_error) add_row(rows, error.vcpu, value_text(error, 0) + " (E9)");
    return rows;
  }

  std::string master() const {
    std::string text = m_.master_after ? "on" : "off";
    if (m_.master_before) text += *m_.master_before ? " (was on)" : " (was off)";
    return text;
  }

  // For each way in which TSCs were placed, the first two vCPUs to which it happened.
  void put_why() {
    std::map<Fate, std::vector<const Decision*>> by_fate;
    for (const VcpuMeasure& v : m_.vcpus)
      if (v.decision && !v.decision->creation) by_fate[v.decision->fate].push_back(&*v.decision);
    std::string label = "why";
    const auto say = [&](const std::string& line) {
      put(label, line);
      label.clear();
    };
    for (const auto& [fate, decisions] : by_fate) {
      const std::size_t shown = std::min<std::size_t>(decisions.size(), 2);
      for (std::size_t i = 0; i < shown; ++i)
        say(fmt::format("{} ({})", sentence(c_.course, *decisions[i]), place_text(c_.course, decisions[i]->moment)));
      if (decisions.size() > shown) say(fmt::format("and {} more vCPUs likewise", decisions.size() - shown));
    }
    if (const auto set = m_.instants.clock_set_moment)
      say(fmt::format("kvmclock was set by {}", operation_text(c_.course, *set)));
  }

  void put_cures() {
    const LintReport report = lint(c_.course, c_.thresholds);
    bool first = true;
    for (const Finding& finding : report.findings) {
      const bool here =
          finding.moment == d_.end() || finding.moment == d_.settled || findings::is_in(d_, finding.moment);
      if (!here || finding.level == Level::note) continue;
      put(first ? "cure" : "", fmt::format("{}: {}", finding.info->id, finding.info->cure));
      first = false;
    }
  }

  const Case& c_;
  const Disturbance& d_;
  const Measure& m_;
  std::string text_;
};

// A guest that nobody recorded: what it wrote shows in what its VMM read afterwards.
std::string what_was_written(const crosscheck::GuestWrite& write) {
  ops::Operation op;
  op.kind = ops::OpKind::wrmsr;
  op.host = write.host;
  op.vcpu = write.vcpu;
  op.msr = write.msr;
  op.value = write.value;
  return ops::action_text(op);
}

std::string guest_write_text(const crosscheck::GuestWrite& write) {
  const std::string runs = write.first == write.last
                               ? fmt::format("the KVM_RUN of entry {}", write.last + 1)
                               : fmt::format("a KVM_RUN of entries {} to {}", write.first + 1, write.last + 1);
  return fmt::format("{} in {}", what_was_written(write), runs);
}

std::string guest_writes_text(const Course& course) {
  constexpr std::size_t kMost = 12;
  std::string text;
  for (std::size_t i = 0; i < course.guest_writes.size() && i < kMost; ++i)
    text += fmt::format("  {}\n", guest_write_text(course.guest_writes[i]));
  if (course.guest_writes.size() > kMost) text += fmt::format("  and {} more\n", course.guest_writes.size() - kMost);
  return text.empty() ? text : "\nthe guest has written, by what its VMM read later:\n" + text;
}

std::string nothing_done(const Course& course) {
  const bool wrote = std::any_of(course.guest_writes.begin(), course.guest_writes.end(), [](const auto& write) {
    return write.msr == ops::msr::kIa32TscAdjust || write.msr == ops::msr::kIa32Tsc;
  });
  return wrote ? "no disturbance: the VMM did nothing to the clocks, the guest has moved its TSC"
               : "no disturbance: nothing was done to the clocks";
}

std::vector<std::size_t> worst_first(const Case& c) {
  std::vector<std::size_t> order(c.disturbances.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return Section(c, a).worst().least > Section(c, b).worst().least;
  });
  return order;
}

Json plain(const std::optional<Span>& span) {
  if (!span || !span->known()) return nullptr;
  const auto text = [](Wide value) {
    std::string t = digits(value);
    std::erase(t, '_');
    return t;
  };
  return {{"lo", text(span->lo)}, {"hi", text(span->hi)}};
}

Json vcpu_json(const Course& course, const VcpuMeasure& v) {
  Json json = {{"vcpu", v.vcpu},
               {"tsc_error_cycles", plain(v.tsc_error)},
               {"tsc_step_cycles", plain(v.tsc_step)},
               {"skew_cycles", plain(v.skew)},
               {"skew_before_cycles", plain(v.skew_before)},
               {"ran_before_entry_ns", plain(v.before_entry)}};
  if (v.decision)
    json["decided_by"] = {{"operation", operation_text(course, v.decision->moment)},
                          {"why", sentence(course, *v.decision)}};
  return json;
}

Json disturbance_json(const Case& c, std::size_t n) {
  const Disturbance& d = c.disturbances[n];
  const Measure& m = c.measures[n];
  Json vcpus = Json::array(), errors = Json::array();
  for (const VcpuMeasure& v : m.vcpus) vcpus.push_back(vcpu_json(c.course, v));
  for (const NamedError& error : m.errors)
    errors.push_back({{"id", info(error.name).id},
                      {"name", info(error.name).name},
                      {"vcpu", error.vcpu},
                      {"unit", error.unit},
                      {"value", plain(error.value)}});
  Json json = {{"kind", name_of(d.kind)},
               {"at_ns", plain(c.course.moments[d.operations.front()].at_ns)},
               {"resume_ns", plain(m.instants.resume)},
               {"vcpus", vcpus},
               {"kvmclock_error_ns", plain(m.kvmclock_error)},
               {"kvmclock_step_ns", plain(m.kvmclock_step)},
               {"split_ns", plain(m.split)},
               {"master_clock", m.master_after},
               {"errors", errors}};
  if (m.master_before) json["master_clock_before"] = *m.master_before;
  return json;
}

constexpr const char* kNothing = "nothing was done: there is no VM\n";

// There is one.
const Moment& last_moment(const Course& course) { return course.moments.back(); }

// The decisions that placed the vCPUs as they are at the end.
std::vector<std::optional<Decision>> placed(const Course& course) {
  std::vector<std::optional<Decision>> by(last_moment(course).after.vcpus.size());
  const std::int32_t host = course.op(course.moments.size() - 1).host;
  for (const Decision& d : decisions_of(course))
    if (d.host == host && static_cast<std::size_t>(d.vcpu) < by.size()) by[static_cast<std::size_t>(d.vcpu)] = d;
  return by;
}

std::string placed_text(const Course& course, const Decision& d) {
  return fmt::format("  {}\n    {}\n", operation_text(course, d.moment), sentence(course, d));
}

}  // namespace

std::string verdict_text(const Course& course, const ReportOptions& options) {
  const Case c = examine(course);
  std::string text = header_text(course) + "\n";
  if (c.disturbances.empty()) text += nothing_done(course) + "\n";
  const std::vector<std::size_t> order = worst_first(c);
  if (order.size() > 1) {
    text += fmt::format("{} disturbances, the worst first{}\n", order.size(),
                        options.all ? "" : "; the first in full, --all shows the others so");
    for (std::size_t i = 0; i < order.size() && i < 12; ++i) {
      const Section section(c, order[i]);
      text += fmt::format("  {:>2}. {:<62} {}\n", i + 1, section.title(), section.worst().text());
    }
    if (order.size() > 12) text += fmt::format("  and {} more\n", order.size() - 12);
    text += "\n";
  }
  for (std::size_t i = 0; i < order.size() && (i == 0 || options.all); ++i) text += Section(c, order[i]).text(i + 1);
  text += guest_writes_text(course);
  if (course.departure)
    text += fmt::format("\nentry {}: from here on KVM did not what the model derives, and nothing is judged\n{}\n",
                        course.departure->entry + 1, course.departure->explanation);
  return text;
}

std::string verdict_line(const Course& course) {
  const Case c = examine(course);
  std::string text = course.recording.header.scenario + ": ";
  const std::vector<std::size_t> order = worst_first(c);
  text += order.empty() ? nothing_done(course) : Section(c, order.front()).line();
  if (order.size() > 1) text += fmt::format(" (the worst of {})", order.size());
  std::set<std::string_view> ids;
  for (const Finding& finding : lint(course).findings)
    if (finding.level != Level::note) ids.insert(finding.info->id);
  if (!ids.empty()) text += fmt::format("; lint: {}", fmt::join(ids, ", "));
  if (course.departure)
    text += fmt::format("; from entry {} on KVM did not what the model derives", course.departure->entry + 1);
  return text;
}

std::string verdict_json(const Course& course) {
  const Case c = examine(course);
  Json disturbances = Json::array();
  for (const std::size_t n : worst_first(c)) disturbances.push_back(disturbance_json(c, n));
  Json json = {{"name", course.recording.header.scenario}, {"disturbances", disturbances}};
  if (!course.guest_writes.empty()) {
    Json writes = Json::array();
    for (const crosscheck::GuestWrite& write : course.guest_writes)
      writes.push_back(
          {{"write", what_was_written(write)}, {"first_entry", write.first + 1}, {"last_entry", write.last + 1}});
    json["inferred_guest_writes"] = writes;
  }
  if (course.departure)
    json["departure"] = {{"entry", course.departure->entry + 1}, {"explanation", course.departure->explanation}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string why_master_clock_off(const Course& course) {
  if (course.moments.empty()) return kNothing;
  const VmView& vm = last_moment(course).after;
  if (vm.master_clock) return "the master clock is on at the end\n";
  if (vm.vetoed)
    return "the master clock is off: a TSC that went backwards, or the old kvmclock MSR on vCPU 0, vetoes it\n";
  if (!vm.tsc_clocksource) return "the master clock is off: the host's clocksource is not the TSC\n";
  std::vector<std::int32_t> outside;
  for (std::size_t v = 0; v < vm.vcpus.size(); ++v)
    if (vm.vcpus[v].generation != vm.generation) outside.push_back(static_cast<std::int32_t>(v));
  if (outside.empty()) return "the master clock is off: no vCPU has run since all of them came into one generation\n";
  const auto by = placed(course);
  std::string text = fmt::format("the master clock is off: {} {} not in the generation that the last write began\n",
                                 vcpus_text(outside), outside.size() == 1 ? "is" : "are");
  std::optional<Decision> began;
  for (const Decision& d : decisions_of(course))
    if (!d.joins() && d.host == course.op(course.moments.size() - 1).host) began = d;
  if (began) text += "the generation that counts began with\n" + placed_text(course, *began);
  text += "outside of it:\n";
  std::size_t shown = 0;
  for (const std::int32_t v : outside)
    if (by[static_cast<std::size_t>(v)] && shown++ < kMostRows)
      text += placed_text(course, *by[static_cast<std::size_t>(v)]);
  if (outside.size() > kMostRows) text += fmt::format("  and {} more\n", outside.size() - kMostRows);
  return text;
}

std::string why_offsets_differ(const Course& course) {
  if (course.moments.empty()) return kNothing;
  const VmView& vm = last_moment(course).after;
  std::vector<std::pair<Span, std::vector<std::int32_t>>> groups;
  for (std::size_t v = 0; v < vm.vcpus.size(); ++v) {
    const auto same = std::find_if(groups.begin(), groups.end(),
                                   [&](const auto& g) { return (g.first - vm.vcpus[v].offset).least() == 0; });
    if (same == groups.end()) groups.push_back({vm.vcpus[v].offset, {static_cast<std::int32_t>(v)}});
    else same->second.push_back(static_cast<std::int32_t>(v));
  }
  if (groups.size() < 2) return "the TSC offsets are equal at the end\n";
  const auto by = placed(course);
  std::string text = fmt::format("the TSC offsets have {} values at the end\n", groups.size());
  for (std::size_t i = 0; i < groups.size() && i < kMostRows; ++i) {
    text += fmt::format("{}: {}\n", vcpus_text(groups[i].second), digits(groups[i].first));
    if (const auto& d = by[static_cast<std::size_t>(groups[i].second.front())]) text += placed_text(course, *d);
  }
  if (groups.size() > kMostRows) text += fmt::format("and {} more\n", groups.size() - kMostRows);
  return text;
}

}  // namespace tscsim::verdict

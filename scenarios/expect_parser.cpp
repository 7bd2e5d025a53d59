// One expectation is one subject (a metric, or an expression over captures), one relation and its other side.
// An expectation that could never be looked at (no reading to compare, a vCPU that does not exist) is an
// error here, so that it cannot pass for want of evidence.
#include "scenarios/expect_parser.h"

#include <algorithm>
#include <set>
#include <tuple>

#include "scenarios/guest_metrics.h"
#include "scenarios/kernel_groups.h"
#include "scenarios/metrics.h"
#include "scenarios/units.h"

namespace tscsim::scenarios {
namespace {

using Kind = YamlNode::Kind;

const std::vector<std::string> kRelations{"is", "is_not", "at_least", "at_most"};

Relation relation_from(const std::string& word) {
  if (word == "is_not") return Relation::is_not;
  if (word == "at_least") return Relation::at_least;
  if (word == "at_most") return Relation::at_most;
  return Relation::is;
}

bool has_of(Subject subject) {
  return subject == Subject::tsc_offset || subject == Subject::tsc_adjust || subject == Subject::tsc_jump ||
         subject == Subject::kvmclock_jump;
}

bool has_from(Subject subject) {
  return is_guest_metric(subject) || subject == Subject::tsc_skew || subject == Subject::kvmclock_skew ||
         subject == Subject::tsc_jump || subject == Subject::kvmclock_jump;
}

bool is_skew(Subject subject) { return subject == Subject::tsc_skew || subject == Subject::kvmclock_skew; }

// Metrics that say how far something is from where it would be, with a sign.
bool has_sign(Subject subject) {
  switch (subject) {
    case Subject::tsc_jump:
    case Subject::kvmclock_jump:
    case Subject::clock_jump:
    case Subject::paused_time_kept:
    case Subject::wall_clock_error:
    case Subject::kvmclock_divergence:
      return true;
    default:
      return false;
  }
}

// Positions of a counter of 64 bits that wraps: they differ, and none is before the other.
bool has_no_order(Subject subject) { return subject == Subject::tsc_offset || subject == Subject::tsc_adjust; }

ops::Unit unit_of(Subject subject) {
  const bool ns = subject == Subject::kvmclock_skew || subject == Subject::kvmclock_jump;
  return ns ? ops::Unit::ns : ops::Unit::cycles;
}

// Guest readings that a skew or a jump is made of.
bool is_reading(Subject subject, ops::OpKind kind) {
  const bool tsc = kind == ops::OpKind::rdtsc || kind == ops::OpKind::rdtscp;
  const bool pvclock = kind == ops::OpKind::read_pvclock;
  return unit_of(subject) == ops::Unit::ns ? pvclock : tsc;
}

class ExpectParser {
 public:
  ExpectParser(Reader& reader, const Timeline& timeline)
      : reader_(reader), diagnostics_(reader.diagnostics()), timeline_(timeline) {}

  std::vector<Expectation> parse(const YamlNode& node) {
    if (!node.is(Kind::sequence)) {
      diagnostics_.add(node, "expected expect as a list, found " + found_text(node),
                       "write each expectation as '- {b: {is: a}}'");
      return {};
    }
    for (const YamlNode& item : node.items) parse_one(item);
    return std::move(out_);
  }

 private:
  void parse_one(const YamlNode& item) {
    const Fields fields(diagnostics_, item, "an expectation", {});
    if (!fields.valid()) return;
    const std::string* subject = nullptr;
    for (const std::string& key : fields.keys()) {
      if (key == "at" || key == "from" || key == "on") continue;
      if (subject) {
        diagnostics_.add_clash(*fields.key(key), "'" + key + "' is a second subject in this expectation",
                               "the first stands", diagnostics_.place(*fields.key(*subject)),
                               "write each in an expectation of its own");
        return;
      }
      subject = &key;
    }
    if (!subject) {
      diagnostics_.add(item, "this expectation has no subject", "write such as '{b: {is: a}}'");
      return;
    }
    const YamlNode& key = *fields.key(*subject);
    Expectation expectation;
    expectation.place = diagnostics_.place(item);
    const Metric* metric = find_metric(*subject);
    if (metric && find_capture(timeline_.captures, *subject)) {
      diagnostics_.add(key, "'" + *subject + "' is a metric and also a captured name", "capture into another name");
      return;
    }
    const std::size_t before = diagnostics_.size();
    if (metric) metric_expectation(*metric, key, *fields.find(*subject), fields, expectation);
    else value_expectation(key, *fields.find(*subject), fields, expectation);
    if (diagnostics_.size() == before) out_.push_back(std::move(expectation));
  }

  // ---- captured values ----

  void value_expectation(const YamlNode& key, const YamlNode& value, const Fields& outer, Expectation& out) {
    for (const char* word : {"at", "from", "on"})
      if (const YamlNode* found = outer.key(word))
        diagnostics_.add(*found,
                         std::string("'") + word + "' belongs to metrics; a captured value has its " +
                             (word == std::string("on") ? "host" : "instant"),
                         "remove it");
    out.subject = Subject::value;
    bool plain = false;
    if (!read_left(key, out, plain)) return;
    const Fields fields(diagnostics_, value, "the expectation of '" + key.text + "'", value_keys());
    if (!fields.valid()) return;
    out.text = key.text;
    read_relation(key, value, fields, plain, out);
  }

  static std::vector<std::string> value_keys() {
    std::vector<std::string> keys = kRelations;
    keys.emplace_back("within");
    return keys;
  }

  // What the names outside of cycles() and ns() count decides the unit of both sides.
  bool read_left(const YamlNode& key, Expectation& out, bool& plain) {
    std::vector<Load> loads;
    try {
      loads = loads_of(ops::Expression::parse(key.text, ops::Unit::cycles), ops::Unit::cycles);
    } catch (const ops::ExpressionError& error) {
      diagnostics_.add(key, found_text(key) + ": " + error.what(), error.mend, error.offset, 1);
      return false;
    }
    if (loads.empty()) {
      diagnostics_.add(key, found_text(key) + " holds no captured name", "name a capture or a metric");
      return false;
    }
    if (!known_names(key, loads)) return false;
    const std::optional<ops::Unit> unit = unit_of_loads(key, loads);
    plain = !unit;
    out.unit = unit.value_or(ops::Unit::cycles);
    out.left = reader_.expression(key, out.unit, plain, timeline_.captures);
    return out.left.has_value();
  }

  bool known_names(const YamlNode& key, const std::vector<Load>& loads) {
    for (const Load& load : loads) {
      if (find_capture(timeline_.captures, load.name)) continue;
      std::vector<std::string> words = names_of(timeline_.captures);
      for (const Metric& metric : metrics()) words.emplace_back(metric.name);
      const std::string nearest = ops::nearest_word(load.name, words);
      diagnostics_.add(key, "'" + load.name + "' is neither a captured name nor a metric",
                       nearest.empty() ? "capture it in the timeline, or see 'tscsim list metrics'"
                                       : "did you mean '" + nearest + "'?",
                       load.offset, load.name.size());
      return false;
    }
    return true;
  }

  std::optional<ops::Unit> unit_of_loads(const YamlNode& key, const std::vector<Load>& loads) const {
    for (const Load& load : loads) {
      if (load.in_call) continue;
      const Capture& capture = *find_capture(timeline_.captures, load.name);
      const auto field = capture_field(capture, load.field);
      if (!field) continue;
      const Quantity quantity = quantity_of(capture.kind, capture.msr, *field);
      if (counts_cycles(quantity)) return ops::Unit::cycles;
      if (counts_ns(quantity)) return ops::Unit::ns;
    }
    const std::size_t call = key.text.find("ns(");
    if (call != std::string::npos && (call == 0 || key.text[call - 1] == ' ')) return ops::Unit::ns;
    if (key.text.find("cycles(") != std::string::npos) return ops::Unit::cycles;
    return std::nullopt;
  }

  // ---- relations ----

  void read_relation(const YamlNode& key, const YamlNode& value, const Fields& fields, bool plain, Expectation& out) {
    std::string word;
    for (const std::string& relation : kRelations) {
      if (!fields.find(relation)) continue;
      if (!word.empty())
        diagnostics_.add_clash(*fields.key(relation), "a second relation, '" + relation + "'", "the first stands",
                               diagnostics_.place(*fields.key(word)), "write each in an expectation of its own");
      if (word.empty()) word = relation;
    }
    if (word.empty()) {
      diagnostics_.add(value, "'" + key.text + "' is compared with nothing",
                       "add 'is', 'is_not', 'at_least' or 'at_most'");
      return;
    }
    out.relation = relation_from(word);
    const YamlNode& right = *fields.find(word);
    if (out.subject == Subject::tsc_offset && right.is(Kind::scalar) && equality(right, out)) return;
    out.right = right_side(right, out.unit, plain);
    std::string spoken = word;
    std::replace(spoken.begin(), spoken.end(), '_', ' ');
    out.text += " " + spoken + " " + right.text;
    if (out.right) check_bound(key, *fields.key(word), right, out);
    read_within(fields, plain, out);
  }

  // A bound of a number with a sign: five seconds lost are not 'at most 10 ms'. So 'at_most' bounds its size, and
  // 'at_least' asks for more than nothing, forward.
  void check_bound(const YamlNode& key, const YamlNode& word, const YamlNode& bound, Expectation& out) {
    if (out.relation != Relation::at_most && out.relation != Relation::at_least) return;
    if (has_no_order(out.subject)) {
      diagnostics_.add(word, "'" + key.text + "' counts modulo 2^64, so none is above another",
                       "write 'is: VALUE, within: TOLERANCE', or compare captured values");
      return;
    }
    if (!has_sign(out.subject)) return;
    const bool at_most = out.relation == Relation::at_most;
    const std::string one_way = "'is: -5 s, within: 1 ms' for one direction";
    const std::optional<ops::Wide> value = constant_of(*out.right);
    if (!value)
      diagnostics_.add(bound, "the bound of '" + key.text + "' holds captured names", "write a number or a duration");
    else if (at_most && *value < 0)
      diagnostics_.add(bound,
                       "'at_most' bounds the size of '" + key.text + "' in both directions, and " + found_text(bound) +
                           " is negative",
                       "write 'at_most: 5 s', or " + one_way);
    else if (!at_most && *value <= 0)
      diagnostics_.add(bound,
                       "'at_least' asks for '" + key.text + "' forward by more than 0, found " + found_text(bound),
                       "write 'at_most: 10 ms' to bound it in both directions, or " + one_way);
    if (!at_most) return;
    out.relation = Relation::at_most_either_way;
    out.text += " either way";
  }

  // At some rate; the sign of a constant is the same at all.
  static std::optional<ops::Wide> constant_of(const ops::Expression& expression) {
    constexpr std::uint32_t kAnyKhz = 1'000'000;
    try {
      return expression.evaluate({}, kAnyKhz);
    } catch (const ops::ExpressionError&) {
      return std::nullopt;
    }
  }

  bool equality(const YamlNode& right, Expectation& out) {
    if (right.text != "equal" && right.text != "unequal") return false;
    if (out.relation != Relation::is)
      diagnostics_.add(right, "'" + right.text + "' stands after 'is'", "write 'is: " + right.text + "'");
    out.relation = right.text == "equal" ? Relation::equal : Relation::unequal;
    out.text += " is " + right.text;
    if (out.of.size() == 1 || timeline_.vcpus < 2)
      diagnostics_.add(right, "'" + right.text + "' needs two vCPUs", "write 'of: all', or compare with a value");
    return true;
  }

  // A kHz value may also be written as a frequency, which is then the number of kHz.
  std::optional<ops::Expression> right_side(const YamlNode& node, ops::Unit unit, bool plain) {
    if (plain && node.is(Kind::scalar) && node.text.find("Hz") != std::string::npos) {
      const auto khz = reader_.frequency_khz(node);
      return khz ? std::optional(ops::Expression::constant(*khz)) : std::nullopt;
    }
    return reader_.expression(node, unit, plain, timeline_.captures);
  }

  void read_within(const Fields& fields, bool plain, Expectation& out) {
    const YamlNode* node = fields.find("within");
    if (!node) return;
    if (out.relation != Relation::is && out.relation != Relation::is_not) {
      diagnostics_.add(*fields.key("within"), "'within' belongs to 'is' and 'is_not'",
                       "add the tolerance to the bound");
      return;
    }
    out.within = reader_.expression(*node, out.unit, plain, {});
    if (!out.within) return;
    constexpr std::uint32_t kAnyKhz = 1'000'000;
    if (out.within->evaluate({}, kAnyKhz) < 0)
      diagnostics_.add(*node, "the tolerance " + found_text(*node) + " is negative", "write it from 0 on");
    out.text += " within " + node->text;
  }

  // ---- metrics ----

  void metric_expectation(const Metric& metric, const YamlNode& key, const YamlNode& value, const Fields& outer,
                          Expectation& out) {
    out.subject = metric.subject;
    out.unit = unit_of(metric.subject);
    out.text = key.text;
    out.selector = metric.selector;
    if (metric.subject == Subject::master_clock) master_clock(value, outer, out);
    else if (is_guest_metric(metric.subject)) guest_metric(key, value, outer, out);
    else other_metric(key, value, outer, out);
    add_window_text(out);
    add_host(out);
    check_evidence(key, out);
  }

  void master_clock(const YamlNode& value, const Fields& outer, Expectation& out) {
    std::optional<bool> on;
    if (value.is(Kind::mapping)) {
      const Fields fields(diagnostics_, value, "master_clock", {"is", "at", "on"});
      const YamlNode* is = fields.find("is");
      if (!is) diagnostics_.add(value, "'master_clock' is compared with nothing", "write '{master_clock: on}'");
      if (is) on = reader_.on_off(*is);
      read_window(fields, outer, out);
    } else {
      on = reader_.on_off(value);
      YamlNode nothing;
      nothing.kind = Kind::mapping;
      read_window({diagnostics_, nothing, "", {}}, outer, out);
    }
    if (!on) return;
    out.right = ops::Expression::constant(*on ? 1 : 0);
    out.text += *on ? " is on" : " is off";
  }

  void other_metric(const YamlNode& key, const YamlNode& value, const Fields& outer, Expectation& out) {
    std::vector<std::string> keys = value_keys();
    keys.emplace_back("at");
    keys.emplace_back("on");
    if (has_of(metric_subject(key))) keys.emplace_back("of");
    if (has_from(metric_subject(key))) keys.emplace_back("from");
    const Fields fields(diagnostics_, value, "'" + key.text + "'", keys);
    if (!fields.valid()) return;
    if (has_of(out.subject)) read_of(value, fields, out);
    read_relation(key, value, fields, false, out);
    read_window(fields, outer, out);
  }

  // Times in ns; counts, and the clocksource, are plain numbers.
  void guest_metric(const YamlNode& key, const YamlNode& value, const Fields& outer, Expectation& out) {
    const bool plain = out.subject == Subject::guest_event || out.subject == Subject::guest_clocksource;
    out.unit = plain ? ops::Unit::cycles : ops::Unit::ns;
    std::vector<std::string> keys = value_keys();
    for (const char* word : {"at", "from", "of"}) keys.emplace_back(word);
    const Fields fields(diagnostics_, value, "'" + key.text + "'", keys);
    if (!fields.valid()) return;
    if (fields.find("of")) read_of(value, fields, out);
    if (out.subject == Subject::guest_clocksource) clocksource(value, fields, out);
    else read_relation(key, value, fields, plain, out);
    read_window(fields, outer, out);
  }

  void clocksource(const YamlNode& value, const Fields& fields, Expectation& out) {
    const YamlNode* is = fields.find("is");
    if (!is) {
      diagnostics_.add(value, "'clocksource' is compared with nothing", "write '{clocksource: {is: tsc}}'");
      return;
    }
    const auto name = reader_.word(*is, "clocksource", {"tsc", "kvm-clock", "hpet"});
    if (!name) return;
    out.right = ops::Expression::constant(static_cast<std::int64_t>(*ops::guest_clocksource_from(*name)));
    out.text += " is " + *name;
  }

  static Subject metric_subject(const YamlNode& key) { return find_metric(key.text)->subject; }

  void read_of(const YamlNode& value, const Fields& fields, Expectation& out) {
    const YamlNode* node = fields.find("of");
    if (!node) {
      diagnostics_.add(value, "it is not said of which vCPU", "add 'of: all' or 'of: 0'");
      return;
    }
    if (node->is(Kind::scalar) && node->text == "all") {
      out.text += " of all";
      return;
    }
    const std::vector<YamlNode> one{*node};
    const std::vector<YamlNode>& items = node->is(Kind::sequence) ? node->items : one;
    if (items.empty()) diagnostics_.add(*node, "an empty list of vCPUs", "write 'of: all' or name some");
    for (const YamlNode& item : items) {
      const auto vcpu = reader_.integer(item, 0, ops::layout::kMaxVcpus - 1);
      if (vcpu && *vcpu >= timeline_.vcpus)
        diagnostics_.add(item, "vCPU " + std::to_string(*vcpu) + " never exists",
                         "the vCPUs are 0 to " + std::to_string(timeline_.vcpus - 1));
      if (vcpu) out.of.push_back(static_cast<std::int32_t>(*vcpu));
    }
    std::sort(out.of.begin(), out.of.end());
    if (std::adjacent_find(out.of.begin(), out.of.end()) != out.of.end())
      diagnostics_.add(*node, "a vCPU is named twice", "name each once");
    out.text += out.of.size() == 1 ? " of vCPU" : " of vCPUs";
    for (const std::int32_t vcpu : out.of) out.text += " " + std::to_string(vcpu);
  }

  // `at` and `from` stand beside the metric or among its words.
  void read_window(const Fields& inner, const Fields& outer, Expectation& out) {
    const auto read = [&](const std::string& word) -> std::optional<std::int64_t> {
      if (inner.find(word) && outer.find(word))
        diagnostics_.add_clash(*outer.key(word), "'" + word + "' is given twice", "first given",
                               diagnostics_.place(*inner.key(word)), "remove one of the two");
      const YamlNode* node = inner.find(word) ? inner.find(word) : outer.find(word);
      return node ? reader_.instant_ns(*node) : std::nullopt;
    };
    out.at_ns = read("at");
    if (!has_from(out.subject) && outer.find("from"))
      diagnostics_.add(*outer.key("from"), "'from' belongs to skews and jumps", "remove it");
    if (has_from(out.subject)) out.from_ns = read("from");
    const YamlNode* on = inner.find("on") ? inner.find("on") : outer.find("on");
    if (inner.find("on") && outer.find("on"))
      diagnostics_.add_clash(*outer.key("on"), "'on' is given twice", "first given",
                             diagnostics_.place(*inner.key("on")), "remove one of the two");
    if (on)
      if (const auto name = reader_.word(*on, "host", timeline_.hosts))
        out.host = static_cast<std::int32_t>(std::find(timeline_.hosts.begin(), timeline_.hosts.end(), *name) -
                                             timeline_.hosts.begin());
  }

  // State is looked at where the guest is at that time; readings count wherever they were made.
  void add_host(Expectation& out) const {
    if (out.host) out.text += " (host " + timeline_.hosts[static_cast<std::size_t>(*out.host)] + ")";
    if (out.host || has_from(out.subject)) return;
    for (const Stay& stay : timeline_.stays)
      if (!out.at_ns || stay.from_ns <= *out.at_ns) out.host = stay.host;
  }

  static void add_window_text(Expectation& out) {
    if (out.from_ns) out.text += " from " + grouped(*out.from_ns) + " ns";
    if (out.at_ns) out.text += (out.from_ns ? " to " : " at ") + grouped(*out.at_ns) + " ns";
  }

  // ---- evidence ----

  bool in_window(const Expectation& expectation, const ops::Operation& op) const {
    return (!expectation.at_ns || op.at_ns <= *expectation.at_ns) &&
           (!expectation.from_ns || op.at_ns >= *expectation.from_ns) &&
           (!expectation.host || op.host == *expectation.host);
  }

  void check_evidence(const YamlNode& key, const Expectation& expectation) {
    if (is_guest_metric(expectation.subject)) return check_guest_evidence(key, expectation);
    if (is_skew(expectation.subject) && !has_simultaneous(expectation))
      diagnostics_.add(key, "no two vCPUs are read at the same instant, so there is no skew to look at",
                       "add a step 'sample', or readings with equal 'at'");
    const bool jump = has_from(expectation.subject) && !is_skew(expectation.subject);
    if (jump && !has_successive(expectation))
      diagnostics_.add(key, "no such vCPU is read twice, so there is no jump to look at",
                       "add a step 'sample', or readings at two instants");
  }

  void check_guest_evidence(const YamlNode& key, const Expectation& expectation) {
    if (!timeline_.linux_guest) {
      diagnostics_.add(key, "there is no Linux guest to look at", "add 'vm: {guest: {kernel: 6.12}}'");
      return;
    }
    if (expectation.subject == Subject::guest_event || expectation.subject == Subject::guest_clocksource) return;
    const auto readings = std::count_if(timeline_.steps.begin(), timeline_.steps.end(), [&](const ops::Step& step) {
      return reads_for(expectation, step.op) && in_window(expectation, step.op);
    });
    if (readings < (expectation.subject == Subject::wall_clock_error ? 1 : 2))
      diagnostics_.add(key, "nothing is read that it could be found in",
                       "add steps 'read_clock', 'read_pvclock' or 'sample'");
  }

  bool has_simultaneous(const Expectation& expectation) const {
    std::set<std::tuple<std::int32_t, std::int64_t, std::int32_t>> seen;  // host, instant, vCPU
    for (const ops::Step& step : timeline_.steps)
      if (is_reading(expectation.subject, step.op.kind) && in_window(expectation, step.op))
        seen.emplace(step.op.host, step.op.at_ns, step.op.vcpu);
    return std::adjacent_find(seen.begin(), seen.end(), [](const auto& a, const auto& b) {
             return std::get<0>(a) == std::get<0>(b) && std::get<1>(a) == std::get<1>(b);
           }) != seen.end();
  }

  bool has_successive(const Expectation& expectation) const {
    std::vector<std::int32_t> wanted = expectation.of;
    for (std::int32_t vcpu = 0; expectation.of.empty() && vcpu < timeline_.vcpus; ++vcpu) wanted.push_back(vcpu);
    const auto readings = [&](std::int32_t vcpu) {
      return std::count_if(timeline_.steps.begin(), timeline_.steps.end(), [&](const ops::Step& step) {
        return step.op.vcpu == vcpu && is_reading(expectation.subject, step.op.kind) && in_window(expectation, step.op);
      });
    };
    const bool any = expectation.of.empty();  // of all: one vCPU with readings is enough
    return any ? std::any_of(wanted.begin(), wanted.end(), [&](auto vcpu) { return readings(vcpu) >= 2; })
               : std::all_of(wanted.begin(), wanted.end(), [&](auto vcpu) { return readings(vcpu) >= 2; });
  }

  Reader& reader_;
  Diagnostics& diagnostics_;
  const Timeline& timeline_;
  std::vector<Expectation> out_;
};

}  // namespace

// A list, or by kernel a mapping of lists.
std::vector<Expectation> parse_expect(Reader& reader, const YamlNode& node, const Timeline& timeline,
                                      const std::vector<std::string>& kernels) {
  if (!node.is(Kind::mapping)) return ExpectParser(reader, timeline).parse(node);
  std::vector<Expectation> out;
  for (const KernelGroup& group : parse_kernel_groups(reader, node, "expect", kernels, true))
    for (Expectation& expectation : ExpectParser(reader, timeline).parse(*group.value)) {
      expectation.kernels = group.range;
      out.push_back(std::move(expectation));
    }
  return out;
}

}  // namespace tscsim::scenarios

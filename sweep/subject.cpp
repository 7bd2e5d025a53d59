#include "sweep/subject.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "base/interrupt.h"
#include "ops/error.h"
#include "sim/wide.h"

namespace tscsim::sweep {
namespace {

using model::SlotKind;
using Code = ops::Expression::Code;

// Draws at which the compiled scenario is compared with one that is read anew.
constexpr std::uint64_t kVerified = 32;
constexpr std::uint64_t kVerifiedFrom = std::uint64_t{1} << 39;  // runs that no sweep has

// A literal of the operand for KVM_SET_CLOCK's realtime: the compiled program has no slot for it.
constexpr SlotKind kNoSlot = SlotKind::tsc_khz;

// What may move in a program, in an order of its own: the slot and its value.
struct Value {
  model::Slot slot;
  std::int64_t value = 0;
};

class Values {
 public:
  explicit Values(const ops::Program& program) {
    for (const auto* part : {&program.setup, &program.timeline})
      for (const ops::Step& step : *part) add(step);
    for (std::size_t host = 0; host < program.hosts.size(); ++host) add(program.hosts[host], host);
  }
  std::vector<Value> take() { return std::move(all_); }
  bool fit() const { return fit_; }

 private:
  void put(SlotKind kind, std::size_t index, std::size_t part, ops::Wide value) {
    fit_ = fit_ && value >= INT64_MIN && value <= INT64_MAX;
    all_.push_back({{kind, index, part}, static_cast<std::int64_t>(value)});
  }
  void add(const ops::Step& step) {
    put(SlotKind::at, step_, 0, step.op.at_ns);
    put(SlotKind::value, step_, 0, static_cast<std::int64_t>(step.op.value));
    put(SlotKind::realtime, step_, 0, static_cast<std::int64_t>(step.op.realtime));
    std::size_t literal = 0;
    for (const auto* expression : {&step.value, &step.realtime}) {
      if (!*expression) continue;
      for (const auto& instruction : (*expression)->code())
        if (instruction.code == Code::push)
          put(expression == &step.value ? SlotKind::literal : kNoSlot, step_, literal++, instruction.number);
    }
    ++step_;
  }
  void add(const ops::HostSpec& host, std::size_t index) {
    put(SlotKind::tsc_error_ppb, index, 0, host.tsc_error_ppb);
    put(SlotKind::uptime_ns, index, 0, host.uptime_ns);
    put(SlotKind::realtime_ns, index, 0, host.realtime_ns);
    put(SlotKind::realtime_error_ns, index, 0, host.realtime_error_ns);
    put(SlotKind::realtime_drift_ppb, index, 0, host.realtime_drift_ppb);
    for (std::size_t pcpu = 0; pcpu < host.pcpus.size(); ++pcpu)
      put(SlotKind::pcpu_tsc_offset, index, pcpu, host.pcpus[pcpu].tsc_offset);
  }

  std::size_t step_ = 0;
  bool fit_ = true;
  std::vector<Value> all_;
};

// A step without what Values lists: two programs of equal shape differ in values alone.
ops::Step bare(ops::Step step) {
  step.op.at_ns = 0;
  step.op.value = step.op.realtime = 0;
  return step;
}

bool same_code(const std::optional<ops::Expression>& a, const std::optional<ops::Expression>& b) {
  if (!a || !b) return a.has_value() == b.has_value();
  return std::equal(
      a->code().begin(), a->code().end(), b->code().begin(), b->code().end(),
      [](const auto& x, const auto& y) { return x.code == y.code && x.name == y.name && x.field == y.field; });
}

bool same_step(const ops::Step& a, const ops::Step& b) {
  return bare(a).op == bare(b).op && same_code(a.value, b.value) && same_code(a.realtime, b.realtime) &&
         a.saved == b.saved && a.capture == b.capture;
}

ops::HostSpec bare(ops::HostSpec host) {
  host.tsc_error_ppb = host.realtime_error_ns = host.realtime_drift_ppb = 0;
  host.uptime_ns = host.realtime_ns = 0;
  for (ops::PcpuSpec& pcpu : host.pcpus) pcpu.tsc_offset = 0;
  return host;
}

bool same_shape(const ops::Program& a, const ops::Program& b) {
  const auto same_host = [](const auto& x, const auto& y) { return bare(x) == bare(y); };
  return a.heuristic == b.heuristic &&
         std::equal(a.setup.begin(), a.setup.end(), b.setup.begin(), b.setup.end(), same_step) &&
         std::equal(a.timeline.begin(), a.timeline.end(), b.timeline.begin(), b.timeline.end(), same_step) &&
         std::equal(a.hosts.begin(), a.hosts.end(), b.hosts.begin(), b.hosts.end(), same_host);
}

ops::Program in_written_order(ops::Program program) {
  std::sort(program.timeline.begin(), program.timeline.end(),
            [](const auto& a, const auto& b) { return a.position < b.position; });
  return program;
}

// False when it does not fit 64 bits.
bool value_at(const Follows& follows, const std::vector<std::int64_t>& drawn, const std::vector<std::int64_t>& typical,
              std::int64_t& out) {
  ops::Wide value = follows.base;
  for (std::size_t i = 0; i < drawn.size(); ++i)
    value += static_cast<ops::Wide>(follows.weights[i]) * (static_cast<ops::Wide>(drawn[i]) - typical[i]);
  out = static_cast<std::int64_t>(value);
  return value >= INT64_MIN && value <= INT64_MAX;
}

std::string first_trouble(const ops::InputError& error) {
  return error.diagnostics().empty() ? error.what() : error.diagnostics().front().message;
}

}  // namespace

Variation parse_variation(const std::string& text) {
  const std::size_t equals = text.find('=');
  std::string name = text.substr(0, equals);
  while (!name.empty() && name.back() == ' ') name.pop_back();
  const bool printable = std::none_of(name.begin(), name.end(), [](unsigned char c) { return c < ' ' || c == 0x7f; });
  if (equals == std::string::npos || name.empty() || !printable)
    throw std::invalid_argument(
        fmt::format("'{}': write the parameter and its distribution, as in 'downtime=uniform(100 ms, 2 s)'", text));
  try {
    return {name, Distribution::parse(text.substr(equals + 1))};
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument(fmt::format("{}: {}", name, error.what()));
  }
}

std::vector<Variation> variations_of(const scenarios::SweepSpec& sweep, const std::string& file) {
  std::vector<Variation> variations;
  for (const auto& [name, distribution] : sweep.vary) {
    try {
      variations.push_back({name, Distribution::parse(distribution, std::filesystem::path(file).parent_path())});
    } catch (const std::invalid_argument& error) {
      throw ops::InputError(ops::Diagnostic{{file, 0, 0}, fmt::format("sweep: {}: {}", name, error.what()), "", {}, 1});
    }
  }
  return variations;
}

ops::Program Subject::ordered(const ops::Program& program) const {
  return in_written_order_ ? in_written_order(program) : program;
}

Subject::Subject(SubjectSpec spec) : spec_(std::move(spec)) {
  std::uint64_t stride = 1;
  for (Variation& variation : spec_.variations) {
    typical_.push_back(variation.distribution.typical());
    if (const std::uint64_t points = variation.distribution.grid_points(); points != 0) {
      variation.distribution.set_stride(stride);
      stride = points > UINT64_MAX / stride ? UINT64_MAX : stride * points;  // no run comes that far
    }
  }
  find_start();
  const scenarios::Scenario base = scenario(typical_);
  hash_ = base.program.hash;
  hosts_ = base.program.hosts.size();
  model::RunRequest request;
  if (slow_.empty())
    for (const Moving& moving : moving_) request.slots.push_back(moving.slot);
  for (Quantity& quantity : spec_.quantities) quantity.request(request);
  compiled_ = model::compile(ordered(base.program), request);
  if (slow_.empty()) {
    try {
      verify();
    } catch (const std::runtime_error& error) {
      slow_ = error.what();
    }
  }
}

// A point at which the scenario can be read and every parameter moved: the middle, or one that is drawn.
void Subject::find_start() {
  constexpr std::uint64_t kTries = 64;
  std::optional<ops::InputError> first;
  std::optional<std::vector<std::int64_t>> readable;
  for (std::uint64_t i = 0; i < kTries; ++i) {
    base::throw_if_interrupted();
    if (i != 0) draw(kVerifiedFrom + kVerified + i, typical_);
    try {
      const scenarios::Scenario base = scenario(typical_);
      if (!readable) readable = typical_;
      std::vector<std::int64_t> steps;
      const std::vector<scenarios::Scenario> moved = moved_by_one(steps);
      find_slots(base, moved, steps);
      // Where no instant moves, the steps stand as they run.
      in_written_order_ =
          std::any_of(moving_.begin(), moving_.end(), [](const Moving& one) { return one.slot.kind == SlotKind::at; });
      if (!in_written_order_) find_slots(base, moved, steps);
      return;
    } catch (const ops::InputError& error) {
      if (!first) first = error;
    }
  }
  if (!readable) throw *first;
  typical_ = *readable;
  slow_ = first_trouble(*first);
}

scenarios::Scenario Subject::scenario(const std::vector<std::int64_t>& drawn) const {
  scenarios::ParseOptions options = spec_.options;
  for (std::size_t i = 0; i < drawn.size(); ++i)
    options.overrides.push_back({spec_.variations[i].name, spec_.variations[i].distribution.written(drawn[i])});
  scenarios::Scenario made = scenarios::parse_scenario(spec_.text, spec_.file, options);
  for (ops::HostSpec& host : made.program.hosts)
    if (!spec_.kernel.empty()) host.kernel = spec_.kernel;
  if (!spec_.heuristic.empty()) made.program.heuristic = spec_.heuristic;
  return made;
}

void Subject::draw(std::uint64_t run, std::vector<std::int64_t>& drawn) const {
  drawn.resize(spec_.variations.size());
  for (std::size_t i = 0; i < drawn.size(); ++i) {
    sim::Stream stream(spec_.seed, spec_.variations[i].name);
    stream.seek(run);
    drawn[i] = spec_.variations[i].distribution.draw(stream, run);
  }
}

// By one up, or where the scenario does not allow that, down. `steps`: by what.
std::vector<scenarios::Scenario> Subject::moved_by_one(std::vector<std::int64_t>& steps) const {
  std::vector<scenarios::Scenario> moved;
  for (std::size_t i = 0; i < typical_.size(); ++i) {
    std::vector<std::int64_t> values = typical_;
    steps.push_back(1);
    values[i] = typical_[i] + 1;
    try {
      moved.push_back(scenario(values));
    } catch (const ops::InputError&) {
      steps.back() = -1;
      values[i] = typical_[i] - 1;
      moved.push_back(scenario(values));
    }
  }
  return moved;
}

void Subject::find_slots(const scenarios::Scenario& base, const std::vector<scenarios::Scenario>& moved,
                         const std::vector<std::int64_t>& steps) {
  const ops::Program program = ordered(base.program);
  Values of_base(program);
  bool fit = of_base.fit();
  const std::vector<Value> values = of_base.take();
  std::vector<Follows> follows;
  for (const Value& value : values) follows.push_back({value.value, {}, false});
  std::vector<Follows> pivots;
  for (const scenarios::Pivot& pivot : base.pivots) pivots.push_back({pivot.difference, {}, pivot.required});
  for (std::size_t i = 0; i < moved.size(); ++i) {
    const ops::Program other = ordered(moved[i].program);
    if (!same_shape(program, other) || moved[i].pivots.size() != pivots.size()) {
      slow_ = fmt::format("'{}' changes which operations there are", spec_.variations[i].name);
      return;
    }
    Values of_other(other);
    fit = fit && of_other.fit();
    const std::vector<Value> others = of_other.take();
    for (std::size_t v = 0; v < values.size(); ++v)
      follows[v].weights.push_back((others[v].value - values[v].value) * steps[i]);
    for (std::size_t p = 0; p < pivots.size(); ++p)
      pivots[p].weights.push_back((moved[i].pivots[p].difference - base.pivots[p].difference) * steps[i]);
  }
  if (!fit) slow_ = "a number of the scenario does not fit 64 bits";
  moving_.clear();
  pivots_.clear();
  const auto moves = [](const Follows& one) {
    return std::any_of(one.weights.begin(), one.weights.end(), [](std::int64_t w) { return w != 0; });
  };
  for (std::size_t v = 0; v < values.size(); ++v)
    if (moves(follows[v])) moving_.push_back({values[v].slot, follows[v]});
  if (std::any_of(moving_.begin(), moving_.end(), [](const Moving& one) { return one.slot.kind == kNoSlot; }))
    slow_ = "an operand 'realtime' moves";
  for (const Follows& pivot : pivots)
    if (moves(pivot)) pivots_.push_back(pivot);
}

// That the compiled scenario follows as it should is looked at, too: throws when it does not.
void Subject::verify() const {
  std::vector<std::int64_t> drawn;
  for (std::uint64_t i = 0; i < kVerified; ++i) {
    base::throw_if_interrupted();
    draw(kVerifiedFrom + i, drawn);
    const auto inside = [&](const Follows& pivot) {
      std::int64_t value = 0;
      return value_at(pivot, drawn, typical_, value) && (value < 0) == (pivot.base < 0);
    };
    if (!std::all_of(pivots_.begin(), pivots_.end(), inside)) continue;
    const ops::Program program = ordered(scenario(drawn).program);
    std::vector<Value> values = Values(program).take();
    for (const Moving& moving : moving_) {
      const auto same = [&](const Value& v) {
        return v.slot.kind == moving.slot.kind && v.slot.index == moving.slot.index && v.slot.part == moving.slot.part;
      };
      const auto found = std::find_if(values.begin(), values.end(), same);
      std::int64_t expected = 0;
      if (found == values.end() || !value_at(moving.follows, drawn, typical_, expected) || expected != found->value)
        throw std::runtime_error("an operand does not follow the parameters in a straight line");
    }
  }
}

Worker::Worker(const Subject& subject)
    : subject_(subject),
      runner_(std::make_unique<model::Runner>(subject.compiled_)),
      quantities_(subject.spec_.quantities) {}

// Sets the slots, if the compiled scenario is what these values make.
Worker::Way Worker::way_of(const std::vector<std::int64_t>& drawn) {
  if (!subject_.slow_.empty()) return Way::apart;
  std::int64_t value = 0;
  Way way = Way::compiled;
  for (const Follows& pivot : subject_.pivots_) {
    const bool fits = value_at(pivot, drawn, subject_.typical_, value);
    if (fits && (value < 0) == (pivot.base < 0)) continue;
    if (fits && pivot.required) return Way::refused;
    way = Way::apart;
  }
  for (std::size_t i = 0; i < subject_.moving_.size() && way == Way::compiled; ++i) {
    if (!value_at(subject_.moving_[i].follows, drawn, subject_.typical_, value)) return Way::apart;
    runner_->set(i, value);
  }
  return way;
}

void Worker::tell(const model::Runner& runner, RunResult& result) const {
  const model::RunMetrics metrics = runner.metrics();
  for (std::size_t i = 0; i < quantities_.size(); ++i)
    result.seen[i] = quantities_[i].of(runner, metrics, subject_.hosts_);
}

void Worker::run(std::uint64_t run, RunResult& result) {
  subject_.draw(run, result.drawn);
  result.seen.assign(quantities_.size(), std::nullopt);
  result.trouble.clear();
  const Way way = way_of(result.drawn);
  if (way == Way::refused && !result.explain) {
    result.fate = Fate::refused;
    return;
  }
  if (way != Way::compiled) return run_apart(result);
  result.fate = runner_->run() ? Fate::ran : Fate::failed;
  if (result.fate == Fate::ran) return tell(*runner_, result);
  result.trouble = runner_->failure().message;
}

void Worker::run_apart(RunResult& result) {
  result.fate = Fate::refused;
  try {
    const scenarios::Scenario scenario = subject_.scenario(result.drawn);
    model::RunRequest request;
    for (Quantity& quantity : quantities_) quantity.request(request);
    const model::Compiled compiled = model::compile(scenario.program, request);
    model::Runner runner(compiled);
    result.fate = runner.run() ? Fate::ran : Fate::failed;
    if (result.fate == Fate::ran) tell(runner, result);
    else result.trouble = runner.failure().message;
  } catch (const ops::InputError& error) {
    result.trouble = first_trouble(error);
  }
}

}  // namespace tscsim::sweep

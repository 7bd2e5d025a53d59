#include "witness/witness.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace tscsim::witness {
namespace {

using Wide = __int128;
constexpr Wide kTwo64 = Wide{1} << 64;
constexpr int kMaxPasses = 64;  // propagation stops early; bounds are then wider than necessary, never wrong

thread_local WitnessSpace* current_space = nullptr;

std::uint64_t multiply(std::uint64_t a, std::int64_t factor) { return a * static_cast<std::uint64_t>(factor); }

Wide floor_div(Wide a, Wide b) {
  const Wide quotient = a / b;
  return (a % b != 0 && ((a < 0) != (b < 0))) ? quotient - 1 : quotient;
}

// One interval that holds all that both hold; `known` when that is nothing. lo <= hi.
Interval intersection(const Interval& known, std::uint64_t lo, std::uint64_t hi) {
  const Interval given{lo, hi - lo, false};
  if (known.full) return given;
  const bool begins = known.contains(lo), ends = known.contains(hi);
  if (known.wraps()) {
    if (begins && ends) return given;
    if (ends) return {known.lo, hi - known.lo, false};
    if (begins) return {lo, known.hi() - lo, false};
    return known;
  }
  const std::uint64_t new_lo = std::max(lo, known.lo), new_hi = std::min(hi, known.hi());
  return new_lo <= new_hi ? Interval{new_lo, new_hi - new_lo, false} : known;
}

}  // namespace

namespace {

// At the powers of two and below each: two of our products and quotients that agree there are the same function.
std::uint64_t hash_of_values(const Monotone& f) {
  std::uint64_t hash = 14'695'981'039'346'656'037u;
  const auto add = [&hash](std::uint64_t word) {
    for (int byte = 0; byte < 8; ++byte, word >>= 8) hash = (hash ^ (word & 0xff)) * 1'099'511'628'211u;
  };
  add(f.domain_hi);
  for (std::uint64_t power = 1; power != 0 && power <= f.domain_hi; power <<= 1) {
    add(f.apply(power - 1));
    add(f.apply(power));
  }
  return hash;
}

}  // namespace

bool Oracle::ask(const std::string& question) {
  const bool answer = answers.size() < script.size() ? script[answers.size()] : true;
  answers.push_back(answer);
  questions.push_back(question);
  return answer;
}

void Witness::add_term(Term term) {
  for (std::size_t i = 0; i < count_; ++i) {
    if (terms_[i].unknown != term.unknown) continue;
    terms_[i].factor += term.factor;
    if (terms_[i].factor == 0) terms_[i] = terms_[--count_];
    return;
  }
  if (count_ == kMaxTerms) {  // forget how the sum is made up, keep its bounds
    WitnessSpace& space = WitnessSpace::current();
    // Not interval(): that forms sums itself, and would come back here for ever.
    const Interval range = space.interval_of_parts(*this);
    const bool plain = !range.wraps();
    const Witness fresh = plain ? space.unknown(range.lo, range.hi()) : space.unknown(0, ~std::uint64_t{0});
    *this = fresh;
  }
  terms_[count_++] = term;
}

Witness& Witness::operator+=(const Witness& other) {
  constant_ += other.constant_;
  for (std::size_t i = 0; i < other.count_; ++i) add_term(other.terms_[i]);
  return *this;
}

Witness& Witness::operator-=(const Witness& other) { return *this += other.times(-1); }

Witness Witness::times(std::int64_t factor) const {
  if (factor == 0) return Witness(0);
  Witness result = *this;
  result.constant_ = multiply(constant_, factor);
  for (std::size_t i = 0; i < count_; ++i) result.terms_[i].factor *= factor;
  return result;
}

bool operator<(const Witness& a, const Witness& b) {
  if (a.is_constant() && b.is_constant()) return a.constant() < b.constant();
  return WitnessSpace::current().less(a, b);
}

bool operator==(const Witness& a, const Witness& b) {
  if (a.is_constant() && b.is_constant()) return a.constant() == b.constant();
  return WitnessSpace::current().equal(a, b);
}

WitnessSpace& WitnessSpace::current() {
  CHECK(current_space != nullptr);
  return *current_space;
}

WitnessSpace::Scope::Scope(WitnessSpace& space) : previous_(std::exchange(current_space, &space)) {}
WitnessSpace::Scope::~Scope() { current_space = previous_; }

Witness WitnessSpace::unknown(std::uint64_t lo, std::uint64_t hi) {
  if (lo > hi) consistent_ = false;
  if (lo == hi) return Witness(lo);
  const auto index = static_cast<std::uint32_t>(unknowns_.size());
  unknowns_.push_back({lo, hi, false, {}});
  Witness result;
  result.terms_[0] = {index, 1};
  result.count_ = 1;
  return result;
}

Witness WitnessSpace::canonical(const Witness& x) const {
  Witness result(x.constant_);
  for (std::size_t i = 0; i < x.count_; ++i) {
    const Unknown& u = unknowns_[x.terms_[i].unknown];
    if (u.eliminated) {
      result += canonical(u.definition).times(x.terms_[i].factor);
    } else if (u.lo == u.hi) {
      result += Witness(multiply(u.lo, x.terms_[i].factor));
    } else {
      result.add_term(x.terms_[i]);
    }
  }
  return result;
}

// The values of the integer sum constant + sum of factor * unknown, without reduction.
WitnessSpace::WideInterval WitnessSpace::wide_interval(const Witness& x) const {
  WideInterval result{x.constant_, x.constant_};
  for (std::size_t i = 0; i < x.count_; ++i) {
    const Unknown& u = unknowns_[x.terms_[i].unknown];
    const Wide at_lo = Wide{x.terms_[i].factor} * u.lo;
    const Wide at_hi = Wide{x.terms_[i].factor} * u.hi;
    result.lo += std::min(at_lo, at_hi);
    result.hi += std::max(at_lo, at_hi);
  }
  return result;
}

Interval WitnessSpace::interval_of_parts(const Witness& canonical_x) const {
  const WideInterval wide = wide_interval(canonical_x);
  if (wide.hi - wide.lo >= kTwo64) return {0, 0, true};
  return {static_cast<std::uint64_t>(wide.lo), static_cast<std::uint64_t>(wide.hi - wide.lo), false};
}

bool WitnessSpace::is_canonical(const Witness& x) const {
  return std::none_of(x.terms_.begin(), x.terms_.begin() + x.count_, [this](const Witness::Term& term) {
    const Unknown& u = unknowns_[term.unknown];
    return u.eliminated || u.lo == u.hi;
  });
}

bool WitnessSpace::same_terms(const Witness& a, const Witness& b) {
  const auto has = [&b](const Witness::Term& term) {
    return std::any_of(b.terms_.begin(), b.terms_.begin() + b.count_, [&term](const Witness::Term& other) {
      return other.unknown == term.unknown && other.factor == term.factor;
    });
  };
  return a.count_ == b.count_ && std::all_of(a.terms_.begin(), a.terms_.begin() + a.count_, has);
}

Interval WitnessSpace::interval(const Witness& x) const {
  const Witness c = canonical(x);
  Interval result = interval_of_parts(c);
  for (const Constraint& constraint : constraints_) {  // a sum may be bounded more tightly than its parts
    // Only of equal sums is the difference a number. (Formed of others, it might have more terms than a Witness holds.)
    Witness made;
    const Witness& bounded =
        is_canonical(constraint.expression) ? constraint.expression : made = canonical(constraint.expression);
    if (!same_terms(bounded, c)) continue;
    const std::uint64_t difference = bounded.constant_ - c.constant_;
    const std::uint64_t lo = constraint.lo - difference;
    const std::uint64_t hi = constraint.hi - difference;
    if (lo <= hi) result = intersection(result, lo, hi);
  }
  return result;
}

bool WitnessSpace::narrow(std::uint32_t index, Wide lo, Wide hi) {
  Unknown& u = unknowns_[index];
  const Wide new_lo = std::max(lo, Wide{u.lo});
  const Wide new_hi = std::min(hi, Wide{u.hi});
  if (new_lo > new_hi) return false;
  if (new_lo != Wide{u.lo} || new_hi != Wide{u.hi}) changed_ = true;
  u.lo = static_cast<std::uint64_t>(new_lo);
  u.hi = static_cast<std::uint64_t>(new_hi);
  return true;
}

// Narrows the unknowns of x so that lo <= x mod 2^64 <= hi remains possible.
bool WitnessSpace::bound(const Witness& x, std::uint64_t lo, std::uint64_t hi, bool& changed) {
  const Witness c = canonical(x);
  const WideInterval wide = wide_interval(c);
  // Which multiples of 2^64 may separate the sum from [lo, hi]?
  const Wide k_min = -floor_div(Wide{hi} - wide.lo, kTwo64);
  const Wide k_max = floor_div(wide.hi - Wide{lo}, kTwo64);
  if (k_min > k_max) return false;
  if (k_min != k_max) return true;  // ambiguous: nothing to learn
  const Wide target_lo = Wide{lo} + k_min * kTwo64;
  const Wide target_hi = Wide{hi} + k_min * kTwo64;
  changed_ = false;
  for (std::size_t i = 0; i < c.count_; ++i) {
    const auto [index, factor] = c.terms_[i];
    const Unknown& u = unknowns_[index];
    const Wide own_lo = factor > 0 ? Wide{factor} * u.lo : Wide{factor} * u.hi;
    const Wide own_hi = factor > 0 ? Wide{factor} * u.hi : Wide{factor} * u.lo;
    const Wide term_lo = target_lo - (wide.hi - own_hi);
    const Wide term_hi = target_hi - (wide.lo - own_lo);
    const Wide f = factor;
    const Wide new_lo = f > 0 ? -floor_div(-term_lo, f) : -floor_div(-term_hi, f);
    const Wide new_hi = f > 0 ? floor_div(term_hi, f) : floor_div(term_lo, f);
    if (!narrow(index, new_lo, new_hi)) return false;
  }
  changed = changed || changed_;
  return c.count_ != 0 || (c.constant_ >= lo && c.constant_ <= hi);
}

bool WitnessSpace::apply_constraint(Constraint& constraint, bool& changed) {
  return bound(constraint.expression, constraint.lo, constraint.hi, changed);
}

// Both directions of result = f(argument), f non-decreasing.
bool WitnessSpace::apply_relation(Relation& relation, bool& changed) {
  const Interval argument = interval(relation.argument);
  if (argument.wraps() || argument.hi() > relation.function.domain_hi) return true;
  const auto& f = relation.function.apply;
  if (!bound(relation.result, f(argument.lo), f(argument.hi()), changed)) return false;
  if (argument.is_point()) {
    relation.settled = true;
    return true;
  }
  const Interval result = interval(relation.result);
  if (result.wraps()) return true;
  // Smallest argument whose image reaches result.lo, largest whose image does not exceed result.hi.
  std::uint64_t lo = argument.lo, hi = argument.hi();
  while (lo < hi) {
    const std::uint64_t middle = lo + (hi - lo) / 2;
    if (f(middle) >= result.lo) hi = middle;
    else lo = middle + 1;
  }
  const std::uint64_t first = lo;
  lo = first, hi = argument.hi();
  while (lo < hi) {
    const std::uint64_t middle = lo + (hi - lo) / 2 + 1;
    if (f(middle) <= result.hi()) lo = middle;
    else hi = middle - 1;
  }
  if (result.is_point()) {  // all that the relation says, and about the sum, not only about its parts
    constraints_.push_back({relation.argument, first, lo});
    relation.settled = changed = true;
  }
  return bound(relation.argument, first, lo, changed);
}

bool WitnessSpace::propagate() {
  for (int pass = 0; pass < kMaxPasses && consistent_; ++pass) {
    bool changed = false;
    for (Constraint& constraint : constraints_)  // so that most stand as they are compared
      if (!is_canonical(constraint.expression)) constraint.expression = canonical(constraint.expression);
    for (Constraint& constraint : constraints_)
      if (!apply_constraint(constraint, changed)) consistent_ = false;
    for (Relation& relation : relations_)
      if (!relation.settled && !apply_relation(relation, changed)) consistent_ = false;
    std::erase_if(constraints_, [this](const Constraint& c) { return absorbed(c); });
    std::erase_if(relations_, [](const Relation& r) { return r.settled; });
    if (!changed) break;
  }
  return consistent_;
}

// A constraint on one unknown alone has become that unknown's bounds.
bool WitnessSpace::absorbed(const Constraint& constraint) const {
  const Witness c = canonical(constraint.expression);
  const bool plain = c.count_ == 1 && (c.terms_[0].factor == 1 || c.terms_[0].factor == -1);
  return c.is_constant() || (plain && !interval_of_parts(c).wraps());
}

void WitnessSpace::eliminate(std::uint32_t index, const Witness& definition) {
  Unknown& u = unknowns_[index];
  u.eliminated = true;
  u.definition = definition;
  constraints_.push_back({definition, u.lo, u.hi});
}

bool WitnessSpace::observe(const Witness& x, std::uint64_t value) {
  const Witness c = canonical(x);
  if (c.is_constant()) return consistent_ = consistent_ && c.constant() == value;
  if (!interval(c).contains(value)) return consistent_ = false;
  bool changed = false;
  if (!bound(c, value, value, changed)) return consistent_ = false;
  const Witness rest = canonical(x);  // some unknowns may have become points
  for (std::size_t i = 0; i < rest.count_; ++i) {
    const auto [index, factor] = rest.terms_[i];
    if (factor != 1 && factor != -1) continue;
    Witness own;
    own.terms_[0] = {index, 1};
    own.count_ = 1;
    // factor * u + others = value
    Witness others = rest - own.times(factor);
    eliminate(index, factor == 1 ? Witness(value) - others : others - Witness(value));
    return propagate();
  }
  if (rest.count_ != 0) constraints_.push_back({rest, value, value});
  return propagate();
}

bool WitnessSpace::constrain(const Witness& x, std::uint64_t lo, std::uint64_t hi) {
  const Witness c = canonical(x);
  if (c.is_constant()) return consistent_ = consistent_ && c.constant() >= lo && c.constant() <= hi;
  constraints_.push_back({c, lo, hi});
  return propagate();
}

Witness WitnessSpace::map(const Witness& x, const Monotone& f) {
  const Witness c = canonical(x);
  if (c.is_constant()) return Witness(f.apply(c.constant()));
  const Interval range = interval(c);
  if (range.wraps() || range.hi() > f.domain_hi) return unknown(0, ~std::uint64_t{0});
  const Witness result = unknown(f.apply(range.lo), f.apply(range.hi()));
  if (!result.is_constant()) relations_.push_back({result, c, f, hash_of_values(f), false});
  return result;
}

bool WitnessSpace::less(const Witness& a, const Witness& b) {
  const Interval ia = interval(a), ib = interval(b);
  if (!ia.wraps() && !ib.wraps()) {
    if (ia.hi() < ib.lo) return true;
    if (ia.lo >= ib.hi()) return false;
    // Neither wraps, so b - a as an integer lies in (-2^64, 2^64). In the difference shared unknowns cancel, and more may be known of
    // it, such as that one reading came after the other.
    const Wide outer_lo = Wide{ib.lo} - ia.hi(), outer_hi = Wide{ib.hi()} - ia.lo;
    const Witness difference = canonical(b - a);
    const Interval ahead = interval(difference), behind = interval(-difference);
    if (!ahead.wraps() && ahead.lo > 0 && Wide{ahead.hi()} < kTwo64 + outer_lo) return true;
    if (!behind.wraps() && Wide{behind.hi()} < kTwo64 - outer_hi) return false;
    const bool answer = oracle_.ask("a value below a limit");
    if (answer) constrain(b - a, 1, static_cast<std::uint64_t>(outer_hi));
    else constrain(a - b, 0, static_cast<std::uint64_t>(Wide{ia.hi()} - ib.lo));
    return answer;
  }
  return oracle_.ask("a value below a limit, one of them near the wrap");
}

bool WitnessSpace::equal(const Witness& a, const Witness& b) {
  const Witness difference = canonical(a - b);
  if (difference.is_constant()) return difference.constant() == 0;
  if (!interval(difference).contains(0)) return false;
  const bool answer = oracle_.ask("two values equal");
  if (answer) observe(difference, 0);
  return answer;
}

}  // namespace tscsim::witness

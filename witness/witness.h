// Numbers that are not known yet.
//
// Real KVM reads the host's TSC and clocks inside an ioctl, and does not say what it read. We know a bracket around
// each reading. A Witness is a 64-bit number (it wraps, like KVM's own) written as
//
//     constant + c1 * u1 + c2 * u2 + ...
//
// over such unknown readings u. The model runs on Witness exactly as it runs on std::uint64_t. Whatever depends on an
// unknown in a cancelling way (`system_time` after KVM_SET_CLOCK is the value that was set, whatever the clock said)
// comes out constant, hence exact. When KVM shows a value, `observe` compares it with the expression: a constant must
// be equal; otherwise the observation must lie in the interval the unknowns allow, and it then pins them: one
// unknown is eliminated, the bounds of the others shrink.
//
// Expressions live in a WitnessSpace, which can be copied: the checker follows several hypotheses where a comparison
// (or an asynchronous event) cannot be decided from the bounds.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <vector>

namespace tscsim::witness {

class Spelling;
class WitnessSpace;

// An affine expression, modulo 2^64. Holds at most kMaxTerms unknowns; beyond that it is replaced by a fresh unknown.
class Witness {
 public:
  static constexpr std::size_t kMaxTerms = 6;

  Witness() = default;
  Witness(std::uint64_t constant) : constant_(constant) {}  // NOLINT: numbers convert

  Witness& operator+=(const Witness& other);
  Witness& operator-=(const Witness& other);
  friend Witness operator+(Witness a, const Witness& b) { return a += b; }
  friend Witness operator-(Witness a, const Witness& b) { return a -= b; }
  friend Witness operator-(const Witness& a) { return Witness(0) - a; }

  // Comparisons as unsigned 64-bit numbers. Where the bounds do not decide, the current space's oracle does.
  friend bool operator<(const Witness& a, const Witness& b);
  friend bool operator>(const Witness& a, const Witness& b) { return b < a; }
  friend bool operator==(const Witness& a, const Witness& b);

  bool is_constant() const { return count_ == 0; }
  std::uint64_t constant() const { return constant_; }

  // Multiplies by a small integer, modulo 2^64.
  Witness times(std::int64_t factor) const;

 private:
  friend class WitnessSpace;
  friend class Spelling;
  struct Term {
    std::uint32_t unknown = 0;
    std::int64_t factor = 0;
  };
  void add_term(Term term);

  std::uint64_t constant_ = 0;
  std::uint8_t count_ = 0;
  std::array<Term, kMaxTerms> terms_{};
};

// A set of values modulo 2^64: lo, lo+1, ..., lo+width (which may pass 2^64).
struct Interval {
  std::uint64_t lo = 0;
  std::uint64_t width = 0;
  bool full = false;  // every value
  bool contains(std::uint64_t value) const { return full || value - lo <= width; }
  bool wraps() const { return full || lo + width < lo; }
  std::uint64_t hi() const { return lo + width; }
  bool is_point() const { return !full && width == 0; }
};

// A monotone (non-decreasing) function of one 64-bit number, valid up to `domain_hi`.
struct Monotone {
  std::function<std::uint64_t(std::uint64_t)> apply;
  std::uint64_t domain_hi = ~std::uint64_t{0};
};

// How undecidable questions are answered while one operation is executed: first from the script, then `true`, noting
// that the question was open. The checker re-executes with other scripts.
struct Oracle {
  std::vector<bool> script;
  std::vector<bool> answers;
  std::vector<std::string> questions;
  bool ask(const std::string& question);
};

class WitnessSpace {
 public:
  // A reading known to lie in [lo, hi].
  Witness unknown(std::uint64_t lo, std::uint64_t hi);

  // f(x), exact when x is constant.
  Witness map(const Witness& x, const Monotone& f);

  // Demands lo <= value(x) <= hi for a value that does not wrap. False when that is impossible.
  bool constrain(const Witness& x, std::uint64_t lo, std::uint64_t hi);

  // The values that x can take.
  Interval interval(const Witness& x) const;

  // Demands x == value. False when that is impossible; then the space is not to be used further.
  bool observe(const Witness& x, std::uint64_t value);

  // True until a constraint has been found unsatisfiable.
  bool consistent() const { return consistent_; }

  bool less(const Witness& a, const Witness& b);
  bool equal(const Witness& a, const Witness& b);

  // A yes/no event that nothing seen so far decides.
  bool choose(const std::string& question) { return oracle_.ask(question); }

  Oracle& oracle() { return oracle_; }

  // x with all eliminated unknowns substituted.
  Witness canonical(const Witness& x) const;

  // The space that the operators of Witness use on this thread. Scopes nest.
  static WitnessSpace& current();
  class Scope {
   public:
    explicit Scope(WitnessSpace& space);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    WitnessSpace* previous_;
  };

 private:
  friend class Spelling;
  bool is_canonical(const Witness& x) const;
  static bool same_terms(const Witness& a, const Witness& b);

  struct Unknown {
    std::uint64_t lo = 0;
    std::uint64_t hi = 0;
    bool eliminated = false;
    Witness definition;  // when eliminated
  };
  struct Constraint {
    Witness expression;
    std::uint64_t lo = 0;
    std::uint64_t hi = 0;
  };
  struct Relation {
    Witness result;
    Witness argument;
    Monotone function;
    std::uint64_t values_hash = 0;  // of the function's values: equal functions, equal hashes
    bool settled = false;
  };
  struct WideInterval {
    __int128 lo = 0;
    __int128 hi = 0;
  };

  bool absorbed(const Constraint& constraint) const;
  friend class Witness;
  Interval interval_of_parts(const Witness& x) const;
  WideInterval wide_interval(const Witness& canonical_x) const;
  void eliminate(std::uint32_t unknown, const Witness& definition);
  bool narrow(std::uint32_t unknown, __int128 lo, __int128 hi);
  bool apply_constraint(Constraint& constraint, bool& changed);
  bool apply_relation(Relation& relation, bool& changed);
  bool propagate();
  bool bound(const Witness& x, std::uint64_t lo, std::uint64_t hi, bool& changed);

  std::deque<Unknown> unknowns_;  // grows while references into it are in use (a sum that overflows makes an unknown)
  std::vector<Constraint> constraints_;
  std::vector<Relation> relations_;
  Oracle oracle_;
  bool consistent_ = true;
  bool changed_ = false;
};

// The same call on a plain number and on a Witness, for code that is written for both.
template <class F>
std::uint64_t map_monotone(std::uint64_t x, F&& f, std::uint64_t /*domain_hi*/ = ~std::uint64_t{0}) {
  return f(x);
}
template <class F>
Witness map_monotone(const Witness& x, F&& f, std::uint64_t domain_hi = ~std::uint64_t{0}) {
  return WitnessSpace::current().map(x, Monotone{std::forward<F>(f), domain_hi});
}
// Whether a number that is not known lies above `limit` whatever it is; functions of plain numbers need no such care.
inline bool surely_above(std::uint64_t, std::uint64_t) { return false; }
inline bool surely_above(const Witness& x, std::uint64_t limit) {
  const Interval interval = WitnessSpace::current().interval(x);
  return !interval.wraps() && interval.lo > limit;
}
inline std::uint64_t times(std::uint64_t x, std::int64_t factor) { return x * static_cast<std::uint64_t>(factor); }
inline Witness times(const Witness& x, std::int64_t factor) { return x.times(factor); }

}  // namespace tscsim::witness

// A recursive-descent parser that emits instructions for a small stack machine, and that machine. Durations
// know at parse time whether they stand for nanoseconds or for guest cycles, because that depends only on
// where they are written: inside ns(...) all counts cycles, inside cycles(...) all counts nanoseconds.
#include "ops/expression.h"

#include <algorithm>
#include <array>

#include "ops/error.h"

namespace tscsim::ops {
namespace {

constexpr std::size_t kTextLimit = 4096;
constexpr int kDepthLimit = 64;

// std::numeric_limits knows nothing of __int128 in strict mode.
constexpr Wide kWideMax = static_cast<Wide>(~static_cast<unsigned __int128>(0) >> 1);
constexpr Wide kWideMin = -kWideMax - 1;
constexpr Wide kKhzNs = 1'000'000;  // ns in a millisecond: cycles = ns * kHz / 10^6

[[noreturn]] void overflow(std::size_t offset) {
  throw ExpressionError("the value does not fit 128 bits", offset, "use smaller numbers");
}

// Built-in overflow checks on 128 bits need compiler-rt under clang, so these compare beforehand.
Wide checked_add(Wide a, Wide b, std::size_t offset) {
  if (b > 0 ? a > kWideMax - b : a < kWideMin - b) overflow(offset);
  return a + b;
}

Wide checked_negate(Wide a, std::size_t offset) {
  if (a == kWideMin) overflow(offset);
  return -a;
}

Wide checked_subtract(Wide a, Wide b, std::size_t offset) {
  if (b < 0 ? a > kWideMax + b : a < kWideMin + b) overflow(offset);
  return a - b;
}

using Magnitude = unsigned __int128;

Magnitude magnitude(Wide a) { return a < 0 ? -static_cast<Magnitude>(a) : static_cast<Magnitude>(a); }

bool fits_64_bits(Wide a) { return a == static_cast<std::int64_t>(a); }

Wide checked_multiply(Wide a, Wide b, std::size_t offset) {
  if (fits_64_bits(a) && fits_64_bits(b)) return a * b;
  if (a == 0 || b == 0) return 0;
  const bool negative = (a < 0) != (b < 0);
  const Magnitude limit = magnitude(negative ? kWideMin : kWideMax);
  if (magnitude(a) > limit / magnitude(b)) overflow(offset);
  const Magnitude product = magnitude(a) * magnitude(b);
  return static_cast<Wide>(negative ? -product : product);
}

Wide floor_divide(Wide a, Wide b) {  // b > 0
  if (fits_64_bits(a) && fits_64_bits(b)) {
    const auto small = static_cast<std::int64_t>(a), divisor = static_cast<std::int64_t>(b);
    return small / divisor - (small % divisor < 0 ? 1 : 0);
  }
  const Wide quotient = a / b;
  return a % b < 0 ? quotient - 1 : quotient;
}

Wide checked_divide(Wide a, Wide b, std::size_t offset) {
  if (b == 0) throw ExpressionError("division by zero", offset);
  if (b == -1) return checked_negate(a, offset);
  return a / b;
}

struct UnitInfo {
  std::string_view name;
  std::int64_t ns;
};
constexpr std::array<UnitInfo, 7> kUnits{{{"ns", 1},
                                          {"us", 1'000},
                                          {"ms", 1'000'000},
                                          {"s", 1'000'000'000},
                                          {"min", 60'000'000'000},
                                          {"h", 3'600'000'000'000},
                                          {"d", 86'400'000'000'000}}};
constexpr const char* kUnitWords = "ns, us, ms, s, min, h, d";

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex_digit(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_name(char c) { return is_letter(c) || is_digit(c); }
bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

int digit_value(char c) {
  if (is_digit(c)) return c - '0';
  return (c >= 'a' ? c - 'a' : c - 'A') + 10;
}

std::string in_quotes(std::string_view text) { return "'" + std::string(text) + "'"; }

// Position in a text, with the few ways of reading that numbers and names need.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}
  std::size_t at() const { return at_; }
  void go_to(std::size_t position) { at_ = position; }
  bool done() const { return at_ >= text_.size(); }
  char peek() const { return done() ? '\0' : text_[at_]; }
  char peek_next() const { return at_ + 1 < text_.size() ? text_[at_ + 1] : '\0'; }
  char take() { return text_[at_++]; }
  void skip_space() {
    while (!done() && is_space(peek())) ++at_;
  }
  bool accept(char c) {
    if (peek() != c || done()) return false;
    ++at_;
    return true;
  }
  std::string_view take_while(bool (*wanted)(char)) {
    const std::size_t begin = at_;
    while (!done() && wanted(peek())) ++at_;
    return text_.substr(begin, at_ - begin);
  }
  std::string found() const { return done() ? "the end" : in_quotes(text_.substr(at_, 1)); }

 private:
  std::string_view text_;
  std::size_t at_ = 0;
};

// A number as it is written: digits / 10^decimals.
struct Written {
  Wide digits = 0;
  int decimals = 0;
  std::size_t offset = 0;
};

Wide append_digit(Wide value, int base, char c, std::size_t offset) {
  return checked_add(checked_multiply(value, base, offset), digit_value(c), offset);
}

// Digits in groups: one '_' between two digits, nowhere else.
void scan_digits(Scanner& in, int base, Written& number, bool after_point) {
  bool group_open = false;
  const auto wanted = base == 16 ? is_hex_digit : is_digit;
  if (!wanted(in.peek())) throw ExpressionError("expected a digit, found " + in.found(), in.at());
  while (wanted(in.peek()) || in.peek() == '_') {
    const char c = in.take();
    if (c == '_' && (group_open || !wanted(in.peek())))
      throw ExpressionError("'_' stands between two digits", in.at() - 1, "write digit groups as 1_000_000");
    group_open = c == '_';
    if (group_open) continue;
    number.digits = append_digit(number.digits, base, c, number.offset);
    if (after_point) ++number.decimals;
  }
}

Written scan_number(Scanner& in) {
  Written number;
  number.offset = in.at();
  if (in.peek() == '0' && (in.peek_next() == 'x' || in.peek_next() == 'X')) {
    in.go_to(in.at() + 2);
    scan_digits(in, 16, number, false);
    return number;
  }
  scan_digits(in, 10, number, false);
  if (in.accept('.')) scan_digits(in, 10, number, true);
  return number;
}

const UnitInfo* find_unit(std::string_view word) {
  for (const UnitInfo& unit : kUnits)
    if (unit.name == word) return &unit;
  return nullptr;
}

Wide in_nanoseconds(const Written& number, const UnitInfo& unit) {
  Wide ns = checked_multiply(number.digits, unit.ns, number.offset);
  for (int i = 0; i < number.decimals; ++i) {
    if (ns % 10 != 0)
      throw ExpressionError("the duration is not a whole number of nanoseconds", number.offset,
                            "write it in ns, rounded");
    ns /= 10;
  }
  return ns;
}

}  // namespace

class ExpressionParser {
 public:
  ExpressionParser(std::string_view text, Unit unit) : in_(text), unit_(unit) {
    out_.text_ = text;
    out_.unit_ = unit;
  }

  Expression parse() {
    if (out_.text_.size() > kTextLimit)
      throw ExpressionError("the expression is longer than " + std::to_string(kTextLimit) + " characters", 0);
    sum();
    if (!in_.done()) throw ExpressionError("expected an operator or the end, found " + in_.found(), in_.at());
    return std::move(out_);
  }

 private:
  using Code = Expression::Code;

  void emit(Code code, std::size_t offset, Wide number = 0) { out_.code_.push_back({code, number, {}, {}, offset}); }

  void sum() {
    product();
    while (in_.peek() == '+' || in_.peek() == '-') {
      const std::size_t offset = in_.at();
      const Code code = in_.take() == '+' ? Code::add : Code::subtract;
      product();
      emit(code, offset);
    }
  }

  void product() {
    factor();
    while (in_.peek() == '*' || in_.peek() == '/') {
      const std::size_t offset = in_.at();
      const Code code = in_.take() == '*' ? Code::multiply : Code::divide;
      factor();
      emit(code, offset);
    }
  }

  void factor() {
    if (++depth_ > kDepthLimit) throw ExpressionError("the expression is nested too deeply", in_.at());
    in_.skip_space();
    const std::size_t offset = in_.at();
    if (in_.accept('-')) {
      factor();
      emit(Code::negate, offset);
    } else {
      primary();
    }
    in_.skip_space();
    --depth_;
  }

  void primary() {
    if (is_digit(in_.peek())) return number();
    if (is_letter(in_.peek())) return word();
    if (!in_.accept('('))
      throw ExpressionError("expected a number, a duration, a captured name or '(', found " + in_.found(), in_.at());
    parenthesised();
  }

  void parenthesised() {
    sum();
    if (!in_.accept(')')) throw ExpressionError("expected ')', found " + in_.found(), in_.at());
  }

  void number() {
    const Written number = scan_number(in_);
    in_.skip_space();
    const std::size_t unit_offset = in_.at();
    const std::string_view word = is_letter(in_.peek()) ? in_.take_while(is_name) : std::string_view{};
    if (!word.empty()) return duration(number, word, unit_offset);
    if (number.decimals > 0)
      throw ExpressionError("a fraction needs a unit of time", number.offset, std::string("add one of ") + kUnitWords);
    emit(Code::push, number.offset, number.digits);
  }

  void duration(const Written& number, std::string_view word, std::size_t unit_offset) {
    const UnitInfo* unit = find_unit(word);
    if (!unit)
      throw ExpressionError("unknown unit " + in_quotes(word), unit_offset, std::string("use one of ") + kUnitWords);
    emit(Code::push, number.offset, in_nanoseconds(number, *unit));
    if (unit_ == Unit::cycles) emit(Code::to_cycles, number.offset);
  }

  void word() {
    const std::size_t offset = in_.at();
    const std::string_view name = in_.take_while(is_name);
    in_.skip_space();
    if (in_.accept('(')) return function(name, offset);
    std::string_view field;
    if (in_.accept('.')) {
      field = in_.take_while(is_name);
      if (field.empty()) throw ExpressionError("expected a field's name, found " + in_.found(), in_.at());
    }
    out_.code_.push_back({Code::load, 0, std::string(name), std::string(field), offset});
  }

  void function(std::string_view name, std::size_t offset) {
    if (name != "cycles" && name != "ns") {
      const std::string nearest = nearest_word(std::string(name), {"cycles", "ns"});
      throw ExpressionError(
          "unknown function " + in_quotes(name), offset,
          nearest.empty() ? "use cycles(...) or ns(...)" : "did you mean " + in_quotes(nearest) + "?");
    }
    const bool to_cycles = name == "cycles";
    const Unit outer = unit_;
    unit_ = to_cycles ? Unit::ns : Unit::cycles;
    sum();
    const bool at_rate = in_.accept(',');
    if (at_rate) sum();
    if (!in_.accept(')')) throw ExpressionError("expected ')', found " + in_.found(), in_.at());
    unit_ = outer;
    if (at_rate) emit(to_cycles ? Code::to_cycles_at : Code::to_ns_at, offset);
    else emit(to_cycles ? Code::to_cycles : Code::to_ns, offset);
  }

  Scanner in_;
  Unit unit_;
  int depth_ = 0;
  Expression out_;
};

namespace {

std::string decimal(Wide value) {
  std::string digits;
  for (Magnitude rest = magnitude(value); rest != 0 || digits.empty(); rest /= 10)
    digits.insert(digits.begin(), static_cast<char>('0' + static_cast<int>(rest % 10)));
  return value < 0 ? "-" + digits : digits;
}

}  // namespace

Expression Expression::parse(std::string_view text, Unit unit) { return ExpressionParser(text, unit).parse(); }

Expression Expression::constant(Wide value) {
  Expression expression;
  expression.text_ = decimal(value);
  expression.code_.push_back({Code::push, value, {}, {}, 0});
  return expression;
}

namespace {

Wide need_rate(std::uint32_t guest_khz, std::size_t offset) {
  if (guest_khz == 0) throw ExpressionError("the guest TSC's frequency is not known here", offset);
  return guest_khz;
}

Wide cycles_of(Wide ns, Wide khz, std::size_t offset) {
  return floor_divide(checked_multiply(ns, khz, offset), kKhzNs);
}

Wide ns_of(Wide cycles, Wide khz, std::size_t offset) {
  return floor_divide(checked_multiply(cycles, kKhzNs, offset), khz);
}

Wide positive_rate(Wide khz, std::size_t offset) {
  if (khz <= 0) throw ExpressionError("a rate of " + decimal(khz) + " kHz is not above 0", offset);
  return khz;
}

}  // namespace

Wide Expression::combine(Code code, Wide left, Wide right, std::uint32_t guest_khz, std::size_t offset) {
  switch (code) {
    case Code::negate:
      return checked_negate(right, offset);
    case Code::add:
      return checked_add(left, right, offset);
    case Code::subtract:
      return checked_subtract(left, right, offset);
    case Code::multiply:
      return checked_multiply(left, right, offset);
    case Code::divide:
      return checked_divide(left, right, offset);
    case Code::to_cycles:
      return cycles_of(right, need_rate(guest_khz, offset), offset);
    case Code::to_ns:
      return ns_of(right, need_rate(guest_khz, offset), offset);
    case Code::to_cycles_at:
      return cycles_of(left, positive_rate(right, offset), offset);
    case Code::to_ns_at:
      return ns_of(left, positive_rate(right, offset), offset);
    case Code::push:
    case Code::load:
      break;
  }
  throw std::logic_error("push and load take nothing from the stack");
}

Wide Expression::evaluate(const Lookup& lookup, std::uint32_t guest_khz) const {
  std::vector<Wide> stack;
  for (const Instruction& instruction : code_) {
    if (instruction.code == Code::push) {
      stack.push_back(instruction.number);
    } else if (instruction.code == Code::load) {
      const std::optional<Wide> value = lookup ? lookup(instruction.name, instruction.field) : std::nullopt;
      const std::string field = instruction.field.empty() ? "" : "." + instruction.field;
      if (!value)
        throw ExpressionError("nothing is captured as " + in_quotes(instruction.name + field), instruction.offset);
      stack.push_back(*value);
    } else {
      const Wide right = stack.back();
      stack.pop_back();
      Wide left = 0;
      if (taken_by(instruction.code) == 2) {
        left = stack.back();
        stack.pop_back();
      }
      stack.push_back(combine(instruction.code, left, right, guest_khz, instruction.offset));
    }
  }
  if (stack.size() != 1) throw std::logic_error("an expression leaves one value");
  return stack.back();
}

std::optional<Wide> Expression::as_constant() const {
  if (needs_rate() || !names().empty()) return std::nullopt;
  return evaluate({}, 0);
}

bool Expression::needs_rate() const {
  return std::any_of(code_.begin(), code_.end(), [](const Instruction& instruction) {
    return instruction.code == Code::to_cycles || instruction.code == Code::to_ns;
  });
}

std::vector<std::string> Expression::names() const {
  std::vector<std::string> names;
  for (const Instruction& instruction : code_)
    if (instruction.code == Code::load && std::find(names.begin(), names.end(), instruction.name) == names.end())
      names.push_back(instruction.name);
  return names;
}

std::optional<std::int64_t> parse_duration(std::string_view text) {
  if (text.size() > kTextLimit) return std::nullopt;
  Scanner in(text);
  in.skip_space();
  const bool negative = in.accept('-');
  if (!negative) in.accept('+');
  if (!is_digit(in.peek())) return std::nullopt;
  const Written number = scan_number(in);
  in.skip_space();
  const UnitInfo* unit = find_unit(in.take_while(is_name));
  in.skip_space();
  if (!unit || !in.done()) return std::nullopt;
  const Wide magnitude = in_nanoseconds(number, *unit);
  const Wide ns = negative ? -magnitude : magnitude;
  if (ns > INT64_MAX || ns < INT64_MIN)
    throw ExpressionError("the duration does not fit 292 years", number.offset, "use a shorter one");
  return ns;
}

}  // namespace tscsim::ops

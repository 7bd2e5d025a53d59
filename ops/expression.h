// Integer expressions over captured readings: operands such as `saved + 100 ms` and the sides of expectations.
//
//   primary := NUMBER | DURATION | NAME | NAME.FIELD | cycles(e) | cycles(e, khz) | ns(e) | ns(e, khz) | ( e )
//   operators: unary -, then * / (division truncates towards zero), then + -
//
// Values are signed 128-bit; overflow is an error, never wraps. The final value is reduced modulo 2^64 when it
// becomes an operand, so -1 is the largest offset. A DURATION is nanoseconds; where the whole expression counts
// guest cycles (IA32_TSC, TSC offsets), a duration is converted to cycles: floor(ns * khz / 10^6).
// cycles(e) converts explicitly, ns(e) back; with a second operand, at that many kHz instead of the vCPU's rate.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace tscsim::ops {

using Wide = __int128;

enum class Unit : std::uint8_t { ns, cycles };  // what the whole expression counts

class Expression {
 public:
  // Thrown text is a message without a place; the caller knows where the text stands.
  static Expression parse(std::string_view text, Unit unit);  // throws ExpressionError
  static Expression constant(Wide value);

  using Lookup = std::function<std::optional<Wide>(std::string_view name, std::string_view field)>;
  Wide evaluate(const Lookup& lookup, std::uint32_t guest_khz) const;  // throws ExpressionError

  std::optional<Wide> as_constant() const;           // when it needs neither captures nor a rate
  bool needs_rate() const;                           // holds a duration to convert, or cycles()/ns()
  std::vector<std::string> names() const;            // captures that it reads, each once, in order of appearance
  const std::string& text() const { return text_; }  // parse(text(), unit()) gives an equal expression
  Unit unit() const { return unit_; }

  // What the expression comes to: a program for a stack machine, for those who evaluate it many times.
  enum class Code : std::uint8_t {
    push,
    load,
    negate,
    add,
    subtract,
    multiply,
    divide,
    to_cycles,
    to_ns,
    to_cycles_at,
    to_ns_at
  };
  struct Instruction {
    Code code{};
    Wide number = 0;
    std::string name, field;
    std::size_t offset = 0;  // where in the text, for errors
  };
  const std::vector<Instruction>& code() const { return code_; }
  // How many values an instruction takes from the stack; it puts one there.
  static constexpr int taken_by(Code code) {
    switch (code) {
      case Code::push:
      case Code::load:
        return 0;
      case Code::negate:
      case Code::to_cycles:
      case Code::to_ns:
        return 1;
      default:
        return 2;
    }
  }
  // What an instruction that takes values makes of them; `right` was on top. Throws ExpressionError.
  static Wide combine(Code code, Wide left, Wide right, std::uint32_t guest_khz, std::size_t offset);

 private:
  friend class ExpressionParser;
  std::string text_;
  Unit unit_ = Unit::cycles;
  std::vector<Instruction> code_;
};

struct ExpressionError : std::runtime_error {
  ExpressionError(const std::string& message, std::size_t offset_in_text, std::string mend_text = {})
      : std::runtime_error(message), offset(offset_in_text), mend(std::move(mend_text)) {}
  std::size_t offset;  // where in the text, from 0
  std::string mend;
};

// "400 ms", "1.5 s", "100 us", "3 h", "+2 ms", "-2 ms" in ns; units ns us ms s min h d; nullopt when it is not a
// duration. Throws ExpressionError when it starts like one but is malformed, does not fit 64 bits or is not a whole
// number of nanoseconds.
std::optional<std::int64_t> parse_duration(std::string_view text);

}  // namespace tscsim::ops

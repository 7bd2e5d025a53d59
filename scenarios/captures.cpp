// What each field of an operation counts.
#include "scenarios/captures.h"

#include <algorithm>

#include "ops/recording_rules.h"

namespace tscsim::scenarios {

using ops::Field;
using ops::OpKind;

bool counts_cycles(Quantity quantity) {
  return quantity == Quantity::guest_tsc || quantity == Quantity::tsc_offset || quantity == Quantity::tsc_adjust ||
         quantity == Quantity::host_tsc;
}

bool counts_ns(Quantity quantity) {
  return quantity == Quantity::kvmclock_ns || quantity == Quantity::steal_ns || quantity == Quantity::realtime_ns;
}

std::vector<Field> fields_of(OpKind kind) { return ops::outcome_fields(kind); }

Quantity quantity_of(OpKind kind, std::uint32_t msr, Field field) {
  switch (field) {
    case Field::value:
      break;
    case Field::tsc:
    case Field::tsc_timestamp:
      return Quantity::guest_tsc;
    case Field::host_tsc:
      return Quantity::host_tsc;
    case Field::clock:
    case Field::ns:
    case Field::system_time:
      return Quantity::kvmclock_ns;
    case Field::realtime:
      return Quantity::realtime_ns;
    case Field::offset:
      return Quantity::reference_time;
    case Field::user:
    case Field::task:
    case Field::steal:
      return Quantity::steal_ns;
    case Field::nsec:
      if (kind == OpKind::get_tsc_state) return Quantity::realtime_ns;
      return Quantity::wall_seconds;
    case Field::sec:
      return Quantity::wall_seconds;
    case Field::tsc_adjust:
      return Quantity::tsc_adjust;
    default:
      return Quantity::plain;
  }
  if (kind == OpKind::read_hyperv_page || msr == ops::msr::kHvTimeRefCount) return Quantity::reference_time;
  if (kind == OpKind::rdtsc || kind == OpKind::rdtscp) return Quantity::guest_tsc;
  if (kind == OpKind::get_tsc_offset) return Quantity::tsc_offset;
  if (kind == OpKind::get_tsc_khz) return Quantity::khz;
  if (msr == ops::msr::kIa32Tsc) return Quantity::guest_tsc;
  if (msr == ops::msr::kIa32TscAdjust || msr == ops::msr::kIa32TscDeadline) return Quantity::tsc_adjust;
  return Quantity::plain;
}

std::optional<Field> capture_field(const Capture& capture, std::string_view field) {
  if (field.empty()) return ops::primary_field(capture.kind);
  const auto wanted = ops::field_from(field);
  const std::vector<Field> fields = fields_of(capture.kind);
  if (!wanted || std::find(fields.begin(), fields.end(), *wanted) == fields.end()) return std::nullopt;
  return wanted;
}

namespace {

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Walks over a text that Expression::parse has accepted, so it need not look for faults.
class LoadScanner {
 public:
  LoadScanner(std::string_view text, ops::Unit unit) : text_(text), contexts_{{unit, false}} {}

  std::vector<Load> scan() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (is_digit(c)) {
        number();
      } else if (is_letter(c)) {
        word();
      } else {
        ++at_;
        if (c == '(') contexts_.push_back(contexts_.back());
        if (c == ')') contexts_.pop_back();
      }
    }
    return std::move(loads_);
  }

 private:
  struct Context {
    ops::Unit unit;
    bool in_call;
  };

  std::string take_word() {
    const std::size_t begin = at_;
    while (at_ < text_.size() && (is_letter(text_[at_]) || is_digit(text_[at_]))) ++at_;
    return std::string(text_.substr(begin, at_ - begin));
  }
  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n')) ++at_;
  }
  bool accept(char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  void number() {  // and its unit, which is no name
    take_word();
    while (accept('.')) take_word();
    skip_space();
    take_word();
  }

  void word() {
    Load load;
    load.offset = at_;
    load.name = take_word();
    load.context = contexts_.back().unit;
    load.in_call = contexts_.back().in_call;
    skip_space();
    if (accept('(')) {
      contexts_.push_back({load.name == "cycles" ? ops::Unit::ns : ops::Unit::cycles, true});
      return;
    }
    if (accept('.')) load.field = take_word();
    loads_.push_back(std::move(load));
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::vector<Context> contexts_;
  std::vector<Load> loads_;
};

}  // namespace

std::vector<Load> loads_of(const ops::Expression& expression, ops::Unit unit) {
  return LoadScanner(expression.text(), unit).scan();
}

}  // namespace tscsim::scenarios

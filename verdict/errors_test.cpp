// The formulas of docs/spec/vmm-procedures.md 3 that the worked examples do not reach, each against what the model
// makes.
#include "verdict/errors.h"

#include <gtest/gtest.h>

#include "model/kvm/arithmetic.h"
#include "ops/expression.h"
#include "sim/random.h"
#include "verdict/testing.h"

namespace tscsim::verdict {
namespace {

constexpr Wide kMs = 1'000'000, kSecond = 1'000'000'000;
constexpr std::uint32_t kKhz = 2'600'000;

std::optional<Span> named(const Measure& m, ErrorName name, std::int32_t vcpu = -1) {
  for (const NamedError& error : m.errors)
    if (error.name == name && error.vcpu == vcpu) return error.value;
  return std::nullopt;
}

void expect_within(const std::optional<Span>& seen, Wide expected, Wide slack) {
  ASSERT_TRUE(seen);
  const Wide off = seen->lo - expected;
  EXPECT_LE(off < 0 ? -off : off, slack) << static_cast<long long>(seen->lo) << ", expected "
                                         << static_cast<long long>(expected);
}

// Saved at 1 s, restored at 3.5 s on a host whose wall clock is 3 ms fast; the TSC by value or by offset.
Course by_realtime(bool by_offset) {
  const std::string tsc =
      by_offset
          ? "  - {at: 3500 ms, get_clock: d}\n  - {at: 3500 ms, vcpu: 0, set_tsc_offset: o + cycles(d.clock - c.clock) + c.host_tsc - d.host_tsc}\n"
          : "  - {at: 3500 ms, vcpu: 0, set_msr: {IA32_TSC: t}}\n";
  return course_of(
      "hosts: {a: {}, b: {realtime_error: 3 ms}}\nvm: {vcpus: 1, kvmclock: on}",
      "  - {at: 0 s, vcpu: 0, run: }\n  - {at: 1 s, vcpu: 0, get_msr: IA32_TSC, as: t}\n  - {at: 1 s, get_clock: c}\n"
      "  - {at: 1 s, vcpu: 0, get_tsc_offset: o}\n  - {at: 3500 ms, transfer: {from: a, to: b}}\n"
      "  - {at: 3500 ms, set_clock: {clock: c.clock, realtime: c.realtime, flags: [realtime]}}\n" +
          tsc + "  - {at: 3500 ms, vcpu: 0, kvmclock: on}\n  - {at: 3500 ms, vcpu: 0, run: }\n");
}

TEST(Errors, RealtimeAdvance) {  // E5, and E3 of a clock that is moved on alone
  const Course course = by_realtime(false);
  const Case c = examine(course);
  expect_within(named(c.measures[0], ErrorName::realtime_advance),
                formula::realtime_advance(kSecond, 3500 * kMs, 0, 3 * kMs), 2);
  expect_within(c.measures[0].kvmclock_error, 3 * kMs, 2);
  expect_within(c.measures[0].split, formula::clock_disagreement_by_realtime(kSecond, 3500 * kMs, 0, 3 * kMs), 2);
}

TEST(Errors, ErasedSkew) {  // E8: 104 000 cycles before, one generation after
  const Course course =
      course_of("vm: {vcpus: 2}",
                "  - {at: 0 s, vcpu: 0, set_tsc_offset: -1_000}\n  - {at: 0 s, vcpu: 1, set_tsc_offset: 103_000}\n"
                "  - {at: 0 s, vcpu: all, run: }\n  - {at: 1 s, vcpu: 0, get_msr: IA32_TSC, as: a}\n"
                "  - {at: 1 s, vcpu: 1, get_msr: IA32_TSC, as: b}\n  - {at: 5 s, vcpu: 0, set_msr: {IA32_TSC: a}}\n"
                "  - {at: 5 s, vcpu: 1, set_msr: {IA32_TSC: b}}\n  - {at: 5 s, vcpu: all, run: }\n");
  const Case c = examine(course);
  const Measure& m = c.measures.back();
  expect_within(m.vcpus[1].skew_before, 104'000, 0);
  expect_within(m.vcpus[1].skew, 0, 0);
  expect_within(named(m, ErrorName::erased_skew, 1), formula::erased_skew(104'000), 0);
}

TEST(Errors, RateError) {  // E9: 250 ppm is 0.9 s in an hour
  const Course course = course_of_file("lint/khz-silent-250ppm-found.yaml");
  expect_within(named(examine(course).measures[0], ErrorName::rate_error, 0), formula::rate_error_ppb(2'599'740, kKhz),
                0);
  EXPECT_EQ(formula::rate_error_ppb(2'599'740, kKhz), -100'000);
  EXPECT_EQ(floor_div(Wide{250'000} * 3600 * kSecond, 1'000'000'000), 900 * kMs);
}

TEST(Errors, RatioRoundingStaysBelowItsBound) {  // E10
  sim::Stream random(1, "rates");
  for (int i = 0; i < 1000; ++i) {
    const auto host = static_cast<std::uint32_t>(random.uniform(1'000'000, 5'000'000));
    const auto guest = static_cast<std::uint32_t>(random.uniform(1'000'000, 5'000'000));
    for (const model::Vendor vendor : {model::Vendor::vmx, model::Vendor::svm}) {
      const model::TscRatio ratio = model::raw_ratio_for(vendor, guest, host);
      // lost = 1 - ratio * host / guest, as a fraction of guest * 2^bits; the bound is host / (guest * 2^bits).
      const Wide lost = (Wide{guest} << ratio.fraction_bits) - Wide{ratio.value} * host;
      EXPECT_GE(lost, 0);
      EXPECT_LT(lost, Wide{host});
    }
  }
  EXPECT_EQ(formula::ratio_rounding_e18(kKhz, kKhz, 48), 3552) << "3.6e-15";
  EXPECT_EQ(formula::ratio_rounding_e18(kKhz, kKhz, 32), 232'830'643) << "2.3e-10";
}

TEST(Errors, KhzRounding) {  // E11: 0.2 ppm at 2.6 GHz
  EXPECT_EQ(formula::khz_rounding_ppb(kKhz), 192);
}

TEST(Errors, OffsetProcedure) {  // E12, and example 15.7's numbers
  const Course course = by_realtime(true);
  const Case c = examine(course);
  const Wide expected = formula::offset_procedure_cycles(kKhz, 0, 3 * kMs);
  EXPECT_EQ(expected, 7'800'000);
  expect_within(named(c.measures[0], ErrorName::offset_procedure, 0), expected, 6);  // kvmclock's 2 ns at 2.6 cycles
  expect_within(c.measures[0].split, 0, formula::kPageRounding_ns);
  const auto expression =
      ops::Expression::parse("ofs + cycles(dst - src, 2_100_000) + tsc_s - tsc_d", ops::Unit::cycles);
  const auto value = [](std::string_view name, std::string_view) -> ops::Wide {
    if (name == "ofs") return -79'500'000'000'000;
    if (name == "src") return 5'000'000'000'000;
    if (name == "dst") return 5'002'503'000'000;
    return name == "tsc_s" ? ops::Wide{90'000'000'000'000} : ops::Wide{12'600'000'000'000};
  };
  const ops::Wide offset = expression.evaluate(value, 2'100'000);
  EXPECT_EQ(static_cast<long long>(offset), -2'094'743'700'000);
  EXPECT_EQ(static_cast<long long>(12'600'000'000'000 + offset), 10'505'256'300'000);
}

TEST(Errors, RealtimeSlewAndStep) {  // E13, E14: a pause of 10 s on one host
  const auto pause = [](const std::string& host, const std::string& realtime) {
    return course_of(
        host + "vm: {vcpus: 1, kvmclock: on}",
        "  - {at: 0 s, vcpu: 0, run: }\n  - {at: 1 s, get_clock: c}\n  - {at: 11 s, set_clock: {clock: c.clock, realtime: " +
            realtime + ", flags: [realtime]}}\n  - {at: 11 s, vcpu: 0, run: }\n");
  };
  const Course slewed = pause("host: {realtime_drift: 20 ppm}\n", "c.realtime");
  expect_within(named(examine(slewed).measures[0], ErrorName::realtime_slew),
                formula::realtime_slew(10 * kSecond + 200'000, 10 * kSecond), 3);
  // The wall clock was stepped by a second meanwhile: the saved time is that much older by it.
  const Course stepped = pause("", "c.realtime - 1 s");
  expect_within(named(examine(stepped).measures[0], ErrorName::wall_clock_step), kSecond, 2);
}

TEST(Errors, PageRounding) {  // E15: a clock that is carried from page to page loses less than a nanosecond at each
  sim::Stream random(1, "pages");
  const model::TimeScale scale = model::cycles_to_ns(kKhz);
  for (int i = 0; i < 1000; ++i) {
    const auto first = static_cast<std::uint64_t>(random.uniform(0, 1'000'000'000'000)),
               second = static_cast<std::uint64_t>(random.uniform(0, 1'000'000'000'000));
    const Wide whole = model::scale_delta(first + second, scale);
    const Wide pieces = Wide{model::scale_delta(first, scale)} + model::scale_delta(second, scale);
    EXPECT_GE(whole, pieces);
    EXPECT_LE(whole - pieces, formula::kPageRounding_ns);
  }
}

TEST(Errors, EachHasItsName) {
  for (std::size_t i = 0; i < static_cast<std::size_t>(ErrorName::count); ++i)
    EXPECT_EQ(info(static_cast<ErrorName>(i)).id, "E" + std::to_string(i + 1));
}

}  // namespace
}  // namespace tscsim::verdict

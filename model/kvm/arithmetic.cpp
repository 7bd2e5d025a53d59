#include "model/kvm/arithmetic.h"

#include <algorithm>
#include <limits>

#include "base/check.h"
#include "model/mutation.h"

namespace tscsim::model {
namespace {

constexpr std::uint64_t kTwo32 = std::uint64_t{1} << 32;

constexpr std::uint64_t max_ratio(Vendor vendor) {
  return vendor == Vendor::vmx ? 0xffff'ffff'ffff'ffff : 0xff'ffff'ffff;
}

}  // namespace

TscRatio raw_ratio_for(Vendor vendor, std::uint32_t user_khz, std::uint32_t host_khz) {
  const int bits = ratio_fraction_bits(vendor);
  const u128 numerator = (u128{user_khz} << bits) + TSCSIM_MUTATE(ratio_rounds_up, u128{0}, u128{host_khz} - 1);
  return {static_cast<std::uint64_t>(numerator / host_khz), bits};
}

std::optional<TscRatio> ratio_for(Vendor vendor, std::uint32_t user_khz, std::uint32_t host_khz) {
  const TscRatio ratio = raw_ratio_for(vendor, user_khz, host_khz);
  if (ratio.value == 0 || ratio.value >= max_ratio(vendor)) return std::nullopt;
  return ratio;
}

std::uint32_t max_guest_tsc_khz(Vendor vendor, std::uint32_t host_khz) {
  const u128 bound = (u128{max_ratio(vendor)} * host_khz) >> ratio_fraction_bits(vendor);
  return static_cast<std::uint32_t>(std::min<u128>(bound, 0x7fff'ffff));
}

ToleranceBand tolerance_band(std::uint32_t host_khz, std::uint32_t ppm) {
  constexpr std::uint64_t kMillion = 1'000'000;
  const auto scaled = [&](std::uint64_t millionths) {
    return static_cast<std::uint32_t>(std::uint64_t{host_khz} * millionths / kMillion);
  };
  return {scaled(kMillion - ppm), scaled(kMillion + ppm)};
}

TimeScale time_scale(std::uint64_t scaled_hz, std::uint64_t base_hz) {
  CHECK(scaled_hz != 0);  // no shift would do: the loops below would not end
  CHECK(base_hz != 0);
  int shift = 0;
  std::uint64_t base = base_hz;
  std::uint64_t scaled = scaled_hz;
  while (base > 2 * scaled || base >= kTwo32) {  // make the base fit, and not dwarf the target
    base >>= 1;
    --shift;
  }
  auto divisor = static_cast<std::uint32_t>(base);
  while (divisor <= scaled || scaled >= kTwo32) {  // then make the quotient a 32-bit fraction
    if (scaled >= kTwo32 || (divisor & 0x8000'0000u) != 0) scaled >>= 1;
    else divisor <<= 1;
    ++shift;
  }
  const std::uint64_t quotient = ((scaled << 32) + TSCSIM_MUTATE(multiplier_rounds_up, 0u, divisor - 1)) / divisor;
  return {static_cast<std::uint32_t>(quotient),
          static_cast<std::int8_t>(TSCSIM_MUTATE(shift_off_by_one, shift, shift + 1))};
}

std::uint64_t nested_tsc_offset(std::uint64_t l1_offset, std::uint64_t l2_offset, TscRatio l2_ratio) {
  if (l2_ratio.is_default()) return l1_offset + l2_offset;
  const bool negative = (l1_offset >> 63) != 0;
  const std::uint64_t magnitude = negative ? 0 - l1_offset : l1_offset;
  const auto scaled = static_cast<std::uint64_t>((u128{magnitude} * l2_ratio.value) >> l2_ratio.fraction_bits);
  return (negative ? 0 - scaled : scaled) + l2_offset;
}

TscRatio nested_tsc_ratio(TscRatio l1_ratio, TscRatio l2_ratio) {
  if (l2_ratio.is_default()) return l1_ratio;
  const u128 product = u128{l1_ratio.value} * l2_ratio.value;
  return {static_cast<std::uint64_t>(product >> l1_ratio.fraction_bits), l1_ratio.fraction_bits};
}

std::uint32_t pvclock_tsc_khz(TimeScale page) {
  CHECK(page.mul != 0);
  const std::uint64_t khz = (std::uint64_t{1'000'000} << 32) / page.mul;
  return static_cast<std::uint32_t>(page.shift < 0 ? khz << TSCSIM_MUTATE(guest_khz_not_shifted, -page.shift, 0)
                                                   : khz >> page.shift);
}

std::optional<ReferenceTscPage> reference_tsc_page(std::uint64_t tsc_timestamp, std::uint64_t system_time,
                                                   TimeScale scale, bool tsc_stable) {
  if (!tsc_stable) return std::nullopt;
  // The scale must stay below 2^64: mul / (100 << (32 - shift)) < 1.
  const std::uint64_t limit = std::uint64_t{100} << (32 - scale.shift);
  if (scale.mul >= limit) return std::nullopt;
  ReferenceTscPage page;
  page.scale = static_cast<std::uint64_t>(((u128{1} << (32 + scale.shift)) * scale.mul) / 100);
  page.offset = system_time / 100 - static_cast<std::uint64_t>((u128{tsc_timestamp} * page.scale) >> 64);
  return page;
}

std::optional<std::uint64_t> preemption_timer_delta(std::uint64_t guest_delta, TscRatio ratio) {
  const u128 quotient = (u128{guest_delta} << ratio.fraction_bits) / ratio.value;
  if (quotient > std::numeric_limits<std::uint64_t>::max()) return std::nullopt;
  return static_cast<std::uint64_t>(quotient);
}

}  // namespace tscsim::model

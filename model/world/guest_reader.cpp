#include "model/world/guest_reader.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace tscsim::model {

void GuestReader::kvmclocks_portable(std::span<const std::uint64_t> host_tscs, std::span<std::uint64_t> ns) const {
  for (std::size_t i = 0; i < host_tscs.size(); ++i) ns[i] = kvmclock(host_tscs[i]);
}

#if defined(__x86_64__)

bool GuestReader::has_avx512() { return __builtin_cpu_supports("avx512f"); }

namespace {

// Bits 32 to 95 of a 64-bit number times a 32-bit one: (a * mul) >> 32, modulo 2^64.
__attribute__((target("avx512f"))) inline __m512i times_fraction(__m512i a, __m512i mul) {
  const __m512i low = _mm512_srli_epi64(_mm512_mul_epu32(a, mul), 32);
  return _mm512_add_epi64(_mm512_mul_epu32(_mm512_srli_epi64(a, 32), mul), low);
}

// Bits `bits` to `bits` + 63 of the product of two 64-bit numbers; 0 < bits < 64.
__attribute__((target("avx512f"))) inline __m512i times_ratio(__m512i a, __m512i ratio, unsigned bits) {
  const __m512i low_mask = _mm512_set1_epi64(0xffff'ffff);
  const __m512i a_high = _mm512_srli_epi64(a, 32), ratio_high = _mm512_srli_epi64(ratio, 32);
  const __m512i ll = _mm512_mul_epu32(a, ratio), lh = _mm512_mul_epu32(a, ratio_high);
  const __m512i hl = _mm512_mul_epu32(a_high, ratio), hh = _mm512_mul_epu32(a_high, ratio_high);
  const __m512i middle = _mm512_add_epi64(_mm512_add_epi64(_mm512_srli_epi64(ll, 32), _mm512_and_si512(lh, low_mask)),
                                          _mm512_and_si512(hl, low_mask));
  const __m512i low = _mm512_or_si512(_mm512_slli_epi64(middle, 32), _mm512_and_si512(ll, low_mask));
  const __m512i high = _mm512_add_epi64(_mm512_add_epi64(hh, _mm512_srli_epi64(middle, 32)),
                                        _mm512_add_epi64(_mm512_srli_epi64(lh, 32), _mm512_srli_epi64(hl, 32)));
  return _mm512_or_si512(_mm512_srli_epi64(low, bits), _mm512_slli_epi64(high, 64 - bits));
}

__attribute__((target("avx512f"))) inline __m512i all(std::uint64_t value) {
  return _mm512_set1_epi64(static_cast<long long>(value));
}

struct Numbers {
  std::uint64_t offset, system_time, tsc_timestamp;
  bool identity;
  TscRatio ratio;
  TimeScale scale;
};

// Whole vectors only; returns how many were done.
__attribute__((target("avx512f"))) std::size_t kvmclocks_avx512(const Numbers& n,
                                                                std::span<const std::uint64_t> host_tscs,
                                                                std::span<std::uint64_t> ns) {
  const __m512i from_timestamp = all(n.offset - n.tsc_timestamp), system_time = all(n.system_time);
  const __m512i mul = all(n.scale.mul), ratio = all(n.ratio.value);
  const auto bits = static_cast<unsigned>(n.ratio.fraction_bits);
  const auto left = static_cast<unsigned>(n.scale.shift < 0 ? 0 : n.scale.shift),
             right = static_cast<unsigned>(n.scale.shift < 0 ? -n.scale.shift : 0);
  std::size_t i = 0;
  for (; i + 8 <= host_tscs.size(); i += 8) {
    __m512i tsc = _mm512_loadu_si512(&host_tscs[i]);
    if (!n.identity) tsc = times_ratio(tsc, ratio, bits);
    const __m512i delta = _mm512_srli_epi64(_mm512_slli_epi64(_mm512_add_epi64(tsc, from_timestamp), left), right);
    _mm512_storeu_si512(&ns[i], _mm512_add_epi64(system_time, times_fraction(delta, mul)));
  }
  return i;
}

}  // namespace

void GuestReader::kvmclocks(std::span<const std::uint64_t> host_tscs, std::span<std::uint64_t> ns) const {
  static const bool avx512 = has_avx512();
  std::size_t done = 0;
  if (avx512)
    done = kvmclocks_avx512({offset_, system_time_, tsc_timestamp_, identity_, ratio_, scale_}, host_tscs, ns);
  kvmclocks_portable(host_tscs.subspan(done), ns.subspan(done));
}

#else

bool GuestReader::has_avx512() { return false; }

void GuestReader::kvmclocks(std::span<const std::uint64_t> host_tscs, std::span<std::uint64_t> ns) const {
  kvmclocks_portable(host_tscs, ns);
}

#endif

}  // namespace tscsim::model

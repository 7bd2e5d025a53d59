// Kernel: Linux v4.4 arch/x86/kvm/x86.c kvm_write_tsc() (microseconds), Linux v6.1 and v6.12 kvm_synchronize_tsc()
// (cycles; bf328e22e472); docs/spec/kvm-timekeeping.md 3.3 and 3.5.
#include "model/kvm/policies/window.h"

#include "model/mutation.h"

namespace tscsim::model {
namespace {

using ops::HeuristicParameters;
using ops::WindowAnchor;
using ops::WindowCompare;
using ops::ZeroRule;
using witness::map_monotone;

template <class Num>
Num elapsed_cycles(const Num& elapsed_ns, TimeScale scale) {
  return map_monotone(
      elapsed_ns, [scale](std::uint64_t ns) { return scale_delta(ns, scale); }, scale_delta_domain(scale));
}

// Whole guest cycles in `ns`.
std::uint64_t cycles_of(std::uint64_t ns, std::uint32_t khz) {
  const u128 millionths = u128{TSCSIM_MUTATE(window_parameter_ignored, ns, 1'000'000'000u)} * khz;
  constexpr std::uint64_t kMost = ~std::uint64_t{0};
  if (millionths <= kMost)  // a division of 64 bits is a tenth of one of 128
    return static_cast<std::uint64_t>(millionths) / TSCSIM_MUTATE(window_two_seconds, 1'000'000u, 500'000u);
  return static_cast<std::uint64_t>(millionths / TSCSIM_MUTATE(window_two_seconds, 1'000'000, 500'000));
}

// Signed microseconds between what was written and what time has passed, each rounded on its own.
bool within_us(std::uint64_t data, std::uint64_t last_write, std::uint64_t elapsed_ns, std::uint32_t khz,
               std::uint64_t window_ns) {
  const auto cycles_in_us = static_cast<std::int64_t>((data - last_write) * 1000);
  const std::int64_t difference = cycles_in_us / static_cast<std::int64_t>(khz);
  const std::uint64_t deviation = static_cast<std::uint64_t>(difference) - elapsed_ns / 1000;
  const auto magnitude = static_cast<std::int64_t>(deviation) < 0 ? 0 - deviation : deviation;
  return magnitude < window_ns / 1000;
}

class Window {
 public:
  explicit Window(const HeuristicParameters& parameters) : p_(parameters) {}

  template <class Num>
  bool operator()(const TscWrite<Num>& write) const {
    if (write.virtual_tsc_khz == 0) return false;
    const ZeroRule zero = zero_rule(write);
    if (zero != ZeroRule::value) return zero == ZeroRule::joins;
    if (p_.after_user_write && !write.user_set_tsc) return false;
    if (p_.window_ns == ops::kUnboundedWindow) return true;
    const EarlierWrite<Num>& earlier =
        TSCSIM_MUTATE(anchor_ignored, p_.anchor == WindowAnchor::generation, false) ? write.generation : write.last;
    if (p_.compare == WindowCompare::host_time_us) return in_window_us(write, earlier);
    return in_window(write, p_.compare == WindowCompare::elapsed_tsc
                                ? earlier.tsc_now
                                : earlier.tsc_write + elapsed_cycles(earlier.elapsed_ns, write.virtual_scale));
  }

 private:
  // What the parameters say of this write as a zero; `value` for all that is none.
  template <class Num>
  ZeroRule zero_rule(const TscWrite<Num>& write) const {
    if (TSCSIM_MUTATE(zero_not_special, false, true)) return ZeroRule::value;
    if (write.creation) return p_.creation;
    const bool by_host = TSCSIM_MUTATE(guest_zero_joins, !write.by_guest, true);
    if (p_.zero_write == ZeroRule::value || !by_host) return ZeroRule::value;
    return write.data == Num(0) ? p_.zero_write : ZeroRule::value;
  }

  // Strictly inside, in cycles. Both sums wrap.
  template <class Num>
  bool in_window(const TscWrite<Num>& write, const Num& expected) const {
    const Num reach = cycles_of(p_.window_ns, write.virtual_tsc_khz) + TSCSIM_MUTATE(window_inclusive, 0u, 1u);
    return TSCSIM_MUTATE(window_ignored, write.data < expected + reach && write.data + reach > expected, false);
  }

  bool in_window_us(const TscWrite<std::uint64_t>& write, const EarlierWrite<std::uint64_t>& earlier) const {
    return within_us(write.data, earlier.tsc_write, earlier.elapsed_ns, write.virtual_tsc_khz, p_.window_ns);
  }
  // No kernel this old runs in the lab; with readings that are not known the answer is left open.
  bool in_window_us(const TscWrite<witness::Witness>& write, const EarlierWrite<witness::Witness>& earlier) const {
    if (write.data.is_constant() && earlier.tsc_write.is_constant() && earlier.elapsed_ns.is_constant())
      return within_us(write.data.constant(), earlier.tsc_write.constant(), earlier.elapsed_ns.constant(),
                       write.virtual_tsc_khz, p_.window_ns);
    return witness::WitnessSpace::current().choose("a TSC write within the window, in microseconds");
  }

  HeuristicParameters p_;
};

class WindowPolicy final : public RulePolicy<Window> {
 public:
  explicit WindowPolicy(const HeuristicParameters& parameters)
      : RulePolicy(Window(parameters)), parameters_(parameters) {}

  void adapt(Era& era) const override {
    if (parameters_.guest_writes != ops::GuestWrites::kernel) era.guest_writes = parameters_.guest_writes;
    if (parameters_.unstable_host != ops::UnstableJoin::kernel) era.unstable_join = parameters_.unstable_host;
    if (parameters_.joined_write != ops::JoinedWrite::kernel) era.joined_write = parameters_.joined_write;
  }

 private:
  HeuristicParameters parameters_;
};

}  // namespace

std::shared_ptr<const SyncPolicy> window_policy(const HeuristicParameters& parameters) {
  return std::make_shared<WindowPolicy>(parameters);
}

}  // namespace tscsim::model

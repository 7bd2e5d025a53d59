#include "model/kvm/sync_policy.h"

#include <array>

#include "model/mutation.h"

namespace tscsim::model {
namespace {

using witness::map_monotone;

template <class Num>
Num elapsed_cycles(const TscWrite<Num>& write) {
  return map_monotone(
      write.elapsed_ns, [scale = write.virtual_scale](std::uint64_t ns) { return scale_delta(ns, scale); },
      scale_delta_domain(write.virtual_scale));
}

// Strictly less than one second of guest cycles from where the last write would be by now. Both sums wrap.
template <class Num>
bool within_one_second(const TscWrite<Num>& write) {
  const std::uint64_t khz = write.virtual_tsc_khz;
  const Num second = khz * TSCSIM_MUTATE(window_two_seconds, 1000, 2000) + TSCSIM_MUTATE(window_inclusive, 0u, 1u);
  const Num expected = write.last_tsc_write + elapsed_cycles(write);
  return TSCSIM_MUTATE(window_ignored, write.data < expected + second && write.data + second > expected, false);
}

// 4.12 to 6.7. Kernel: Linux v6.1 arch/x86/kvm/x86.c kvm_synchronize_tsc().
struct Window {
  template <class Num>
  bool operator()(const TscWrite<Num>& write) const {
    if (write.virtual_tsc_khz == 0) return false;
    return TSCSIM_MUTATE(zero_not_special, write.is_zero_request, false) || within_one_second(write);
  }
};

// 6.8 and later. Kernel: Linux v6.12 arch/x86/kvm/x86.c kvm_synchronize_tsc(), bf328e22e472.
struct WindowAfterUserWrite {
  template <class Num>
  bool operator()(const TscWrite<Num>& write) const {
    if (write.virtual_tsc_khz == 0) return false;
    if (TSCSIM_MUTATE(zero_not_special, write.is_zero_request, false)) return true;
    return write.user_set_tsc && within_one_second(write);
  }
};

// 3.4 to 4.11: signed microseconds between what was written and what time has passed, each rounded on its own.
// Kernel: Linux v4.4 arch/x86/kvm/x86.c kvm_write_tsc().
bool within_one_second_us(std::uint64_t data, std::uint64_t last_write, std::uint64_t elapsed_ns, std::uint32_t khz) {
  const auto cycles_in_us = static_cast<std::int64_t>((data - last_write) * 1000);
  const std::int64_t difference = cycles_in_us / static_cast<std::int64_t>(khz);
  const std::uint64_t deviation = static_cast<std::uint64_t>(difference) - elapsed_ns / 1000;
  const auto magnitude = static_cast<std::int64_t>(deviation) < 0 ? 0 - deviation : deviation;
  return magnitude < 1'000'000;
}

struct WindowMicroseconds {
  bool operator()(const TscWrite<std::uint64_t>& write) const {
    if (write.virtual_tsc_khz == 0) return false;
    return within_one_second_us(write.data, write.last_tsc_write, write.elapsed_ns, write.virtual_tsc_khz);
  }
  // No kernel this old runs in the lab; with readings that are not known the answer is left open.
  bool operator()(const TscWrite<witness::Witness>& write) const {
    if (write.virtual_tsc_khz == 0) return false;
    if (write.data.is_constant() && write.last_tsc_write.is_constant() && write.elapsed_ns.is_constant())
      return within_one_second_us(write.data.constant(), write.last_tsc_write.constant(),
                                  write.elapsed_ns.constant(), write.virtual_tsc_khz);
    return witness::WitnessSpace::current().choose("a TSC write within one second, in microseconds");
  }
};

struct Never {
  template <class Num>
  bool operator()(const TscWrite<Num>&) const {
    return false;
  }
};

struct Always {
  template <class Num>
  bool operator()(const TscWrite<Num>& write) const {
    return write.virtual_tsc_khz != 0;
  }
};

template <class Rule>
class RulePolicy final : public SyncPolicy {
 public:
  bool wants_to_synchronise(const TscWrite<std::uint64_t>& write) const override { return rule_(write); }
  bool wants_to_synchronise(const TscWrite<witness::Witness>& write) const override { return rule_(write); }

 private:
  Rule rule_;
};

constexpr std::array kInfos = {
    PolicyInfo{"window-us", "any write within one second, in microseconds, of where the last one would be by now",
               "Linux 3.4 to 4.11, kvm_write_tsc()"},
    PolicyInfo{"window", "0, or within one second of guest cycles of where the last write would be by now",
               "Linux 4.12 to 6.7, kvm_write_tsc(), kvm_synchronize_tsc(); c5e8ec8e9b89, bd8fab39cd4f"},
    PolicyInfo{"window-after-user-write", "as window, but values are compared only after user space has set a TSC",
               "Linux 6.8 and later, kvm_synchronize_tsc(); bf328e22e472"},
    PolicyInfo{"never", "every write starts a generation of its own", "what-if"},
    PolicyInfo{"always", "every write joins the current generation", "what-if"},
};

}  // namespace

std::span<const PolicyInfo> sync_policies() { return kInfos; }

const SyncPolicy* find_sync_policy(std::string_view name) {
  static const RulePolicy<WindowMicroseconds> window_us;
  static const RulePolicy<Window> window;
  static const RulePolicy<WindowAfterUserWrite> window_after_user_write;
  static const RulePolicy<Never> never;
  static const RulePolicy<Always> always;
  static const std::array<const SyncPolicy*, kInfos.size()> policies = {&window_us, &window, &window_after_user_write,
                                                                        &never, &always};
  for (std::size_t i = 0; i < kInfos.size(); ++i)
    if (kInfos[i].name == name) return policies[i];
  return nullptr;
}

}  // namespace tscsim::model

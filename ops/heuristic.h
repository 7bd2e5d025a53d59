// The parameterised synchronisation heuristic, as a user writes it: `window=500ms,compare=host_time` on the command
// line, `heuristic: {window: 500 ms, compare: host_time}` in a scenario. What the parameters do is the model's matter
// (model/kvm/policies/window.cpp); every kernel's own heuristic is an instance (model/kvm/sync_policy.cpp).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace tscsim::ops {

// With what the value written is compared.
enum class WindowCompare : std::uint8_t {
  host_time,     // the anchor's value plus the host's time since, in guest cycles at the requested rate
  host_time_us,  // the same in signed microseconds, each side rounded on its own
  elapsed_tsc,   // what a vCPU with the anchor's offset reads now: no clock is involved
};
enum class WindowAnchor : std::uint8_t { last_write, generation };
enum class ZeroRule : std::uint8_t { joins, value, own_generation };
enum class GuestWrites : std::uint8_t { kernel, adjust, join };
enum class UnstableJoin : std::uint8_t { kernel, adds_elapsed, adds_thousandth, takes_offset, own_generation };
enum class JoinedWrite : std::uint8_t { kernel, as_written, on_the_line };

inline constexpr std::uint64_t kUnboundedWindow = ~std::uint64_t{0};

struct HeuristicParameters {
  std::uint64_t window_ns = 1'000'000'000;
  WindowCompare compare = WindowCompare::host_time;
  WindowAnchor anchor = WindowAnchor::last_write;
  ZeroRule zero_write = ZeroRule::joins;  // a host write of 0
  ZeroRule creation = ZeroRule::joins;    // the write that the creation of a vCPU implies
  bool after_user_write = false;          // values are compared only once user space has set a TSC
  // The treatment of a write, apart from the decision. `kernel`: as the kernel has it.
  GuestWrites guest_writes = GuestWrites::kernel;
  UnstableJoin unstable_host = UnstableJoin::kernel;
  JoinedWrite joined_write = JoinedWrite::kernel;
  friend bool operator==(const HeuristicParameters&, const HeuristicParameters&) = default;
};

struct HeuristicParameter {
  std::string_view name;
  std::string_view values;  // "adjust|join|kernel"
  std::string_view meaning;
};
std::span<const HeuristicParameter> heuristic_parameters();

// Names another heuristic, from which the parameters that are not given are taken.
inline constexpr std::string_view kHeuristicBase = "base";

struct HeuristicError {
  std::string message;
  std::string mend;
  bool in_name = false;  // else in the value
};

// Sets one parameter; what is wrong with the name or the value, or nothing.
std::optional<HeuristicError> set_parameter(HeuristicParameters& parameters, std::string_view name,
                                            std::string_view value);

// All parameters, as set_parameters() reads them.
std::string to_text(const HeuristicParameters& parameters);

// `NAME`, or `[base=NAME,]parameter=value,...`. A name is not looked up here.
struct HeuristicText {
  std::string base;         // empty: the kernel's own
  std::string assignments;  // empty: the heuristic called `base` as it is
  std::optional<HeuristicError> apply(HeuristicParameters& parameters) const;
};
HeuristicText split_heuristic(std::string_view text);

}  // namespace tscsim::ops

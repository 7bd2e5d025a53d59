#include "verdict/errors.h"

#include <array>
#include <cstddef>

namespace tscsim::verdict {

const ErrorInfo& info(ErrorName name) {
  static constexpr std::array<ErrorInfo, static_cast<std::size_t>(ErrorName::count)> kErrors{{
      {"E1", "kvmclock pause loss", "-(P4 - P2)"},
      {"E2", "TSC freeze loss", "-(P3 - P1)"},
      {"E3", "clock disagreement", "kvmclock minus TSC: (P2 - P1) - (P4 - P3)"},
      {"E4", "forward run before entry", "TSC: R - P3; kvmclock: R - P4"},
      {"E5", "realtime advance", "max(0, P4 - P2 + e_d - e_s); what is left of it is e_d - e_s"},
      {"E6", "snap to the destination's timeline", "in force - written"},
      {"E7", "skew between vCPUs", "(P1(v) - P1(0)) - (P3(v) - P3(0))"},
      {"E8", "erased skew", "the skew that there was becomes 0"},
      {"E9", "rate error", "F_d / f_saved - 1"},
      {"E10", "ratio rounding", "at most 2^-frac * host_khz / f_khz"},
      {"E11", "kHz rounding", "at most 0.5 kHz / f"},
      {"E12", "offset procedure error", "f * (e_d - e_s)"},
      {"E13", "realtime slew", "wall time minus raw time of the pause"},
      {"E14", "wall clock step", "the step"},
      {"E15", "page rounding", "1 to 2 ns at each page update"},
  }};
  return kErrors.at(static_cast<std::size_t>(name));
}

}  // namespace tscsim::verdict

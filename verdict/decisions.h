// What KVM made of each write of a TSC: taken as written, or absorbed into what another write had set.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "verdict/course.h"

namespace tscsim::verdict {

enum class Fate : std::uint8_t {
  own_generation,  // the value counts; a new generation begins with this vCPU
  other_rate,      // likewise, because the vCPU's rate is not that of the last write
  absorbed,        // within a second of the value expected: ignored
  zero,            // 0 asks to synchronise and is no value
  same_offset,     // an offset equal to the last one
};

struct Decision {
  std::size_t moment = 0;
  std::int32_t vcpu = 0;
  std::int32_t host = 0;
  Fate fate{};
  bool creation = false;            // the write that KVM makes for a new vCPU
  bool by_offset = false;           // KVM_VCPU_TSC_OFFSET
  bool first_by_user = false;       // the first write by userspace, before which only creations wrote
  std::optional<std::size_t> last;  // the moment of the write before it
  Span since_ns;                    // that write's age
  Span missed_by;                   // value minus the value expected, guest cycles; not of offsets
  Span in_force;                    // what the TSC shows minus what was written, guest cycles; not of offsets
  bool joins() const { return fate != Fate::own_generation && fate != Fate::other_rate; }
};

// In the order of the moments.
std::vector<Decision> decisions_of(const Course& course);

bool writes_tsc(const ops::Operation& op);  // the host writes IA32_TSC

}  // namespace tscsim::verdict

// 2.6.37 to 3.3: within five seconds of the first write of a series, in value and in time. The time is measured from the
// first write because a write that joins does not move it (Era::window_stays_at_first_write).
// Kernel: Linux v3.3 arch/x86/kvm/x86.c kvm_write_tsc(); docs/spec/kvm-timekeeping.md 3.5.
#include "model/kvm/sync_policy.h"

namespace tscsim::model {
namespace {

struct WindowFromFirstWrite {
  template <class Num>
  bool operator()(const TscWrite<Num>& write) const {
    constexpr std::uint64_t kWindow_s = 5;
    const Num reach(kWindow_s * 1000 * write.virtual_tsc_khz);
    const Num ahead = write.data - write.last.tsc_write;
    const bool near = ahead < reach || Num(0) - ahead < reach;
    return near && write.last.elapsed_ns < Num(kWindow_s * 1'000'000'000);
  }
};

}  // namespace

PolicyInfo window_from_first_write_info() {
  return {"window-from-first-write", "within 5 s of the first write of a series, in value and in time",
          "Linux 2.6.37 to 3.3, kvm_write_tsc()", ""};
}
std::shared_ptr<const SyncPolicy> window_from_first_write() {
  return std::make_shared<RulePolicy<WindowFromFirstWrite>>();
}

}  // namespace tscsim::model

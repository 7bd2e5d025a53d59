// A write joins when it repeats the value last written, whenever that was: what a VMM does that resets or boots all
// vCPUs with one value. A restore, which writes values that differ, gets what it asks for.
#include "model/kvm/sync_policy.h"

namespace tscsim::model {
namespace {

struct SameValue {
  template <class Num>
  bool operator()(const TscWrite<Num>& write) const {
    if (write.virtual_tsc_khz == 0) return false;
    return write.creation || write.data == write.last.tsc_write;
  }
};

}  // namespace

PolicyInfo same_value_info() {
  return {"same-value", "a write joins when it repeats the last value written; creation always joins", "what-if", ""};
}
std::shared_ptr<const SyncPolicy> same_value() { return std::make_shared<RulePolicy<SameValue>>(); }

}  // namespace tscsim::model

#include "kvm_backend/lab/bochs.h"

#include "ops/error.h"

namespace tscsim::kvm_backend::lab {

Ended boot_bochs(const Boot&) {
  throw ops::TargetError("not yet");
}

}  // namespace tscsim::kvm_backend::lab

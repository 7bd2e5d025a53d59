// Intel: Bochs emulates VMX, with TSC scaling.
#pragma once

#include "kvm_backend/lab/boot.h"

namespace tscsim::kvm_backend::lab {

Ended boot_bochs(const Boot& boot);

}  // namespace tscsim::kvm_backend::lab
